"""MCTN: its losses by hand, what padding and absence may do, who learns from what."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from sugrm_jax.config import plain, typed
from sugrm_jax.errors import UserError
from sugrm_jax.main import load_config
from sugrm_jax.models import mctn
from sugrm_jax.training.optim import assign_groups
from sugrm_jax.training.setup import Experiment

STEPS, WIDTHS = 4, {'t': 6, 'a': 3, 'v': 2}
LENGTHS = {'t': [4, 2, 3], 'a': [4, 2, 2], 'v': [3, 2, 3]}
# Programs of one size round alike but for the order of a few sums of float32.
SAME = dict(rtol=1e-5, atol=1e-6)


def settings(**changed):
    config = load_config('configs/baselines/mctn.py')
    return plain(config.model) | {'width': 5, 'prediction_width': 4} | changed


def system(**changed):
    return mctn.build(settings(**changed), {'loss': 'l1'}, text=None)


def features(seed=0, steps=STEPS):
    rng = np.random.default_rng(seed)
    return {
        s: rng.normal(size=(3, steps, w)).astype(np.float32) for s, w in WIDTHS.items()
    }


def lengths(**changed):
    return {s: jnp.array(n) for s, n in (LENGTHS | changed).items()}


@pytest.fixture(scope='module')
def params():
    # Parameters come to be also where, as in a run, there is no dropout.
    init = jax.jit(system().model.init, static_argnames=('deterministic', 'method'))
    given = dict(deterministic=True, method='fuse')
    return init(jax.random.key(0), features(), lengths(), **given)['params']


def fuse(params, x, real, **changed):
    model = system(**changed).model
    run = jax.jit(lambda p, x, n: model.apply({'params': p}, x, n, True, method='fuse'))
    return run(params, x, real)


# Errors by hand. -------------------------------------------------------------------

TRANSLATED = jnp.zeros((3, 3, 2)).at[:, :, 0].set(jnp.array([1.0, 2.0, 5.0]))
TARGET = jnp.zeros((3, 3, 2)).at[:, :, 1].set(jnp.array([3.0, 0.0, 7.0]))


def test_translation_error_by_hand():
    # Squares, step by step: 1 + 9, 4 + 0, 25 + 49; over a width of 2: 5, 2, 37.
    error = mctn.translation_error(TRANSLATED, TARGET, jnp.array([1, 2, 0]))
    np.testing.assert_allclose(error, [5, 3.5, 0], rtol=1e-6)
    error = mctn.translation_error(TRANSLATED, TARGET, None)
    np.testing.assert_allclose(error, [44 / 3] * 3, rtol=1e-6)


def test_the_target_does_not_learn():
    def total(translated, target):
        return mctn.translation_error(translated, target, jnp.array([1, 2, 3])).sum()

    gradients = jax.grad(total, argnums=(0, 1))(TRANSLATED, TARGET)
    assert jnp.abs(gradients[0]).max() > 0
    assert not gradients[1].any()


def still(params):
    """Nothing but the decoders' output biases: each translation is a constant."""
    params = jax.tree.map(jnp.zeros_like, params)
    bias = jnp.array([1.0, -1, 2, 0, 1, 3])
    params['decoder']['output']['bias'] = bias
    params['decoder_second']['output']['bias'] = jnp.array([1.0, 2, 0])
    return params


def test_losses_by_hand(params):
    weights = dict(translation_weight=1.0, cycle_weight=0.5, second_weight=0.25)
    x = {s: np.zeros((3, STEPS, w), np.float32) for s, w in WIDTHS.items()}
    x['v'][0, :, 0] = [1, 3, 2, 100]  # 3 real steps of [1, −1]
    x['t'][1, :, 5] = [3, 0, 100, 100]  # 2 real steps of the whole bias
    x['a'][2, :, 2] = [2, 0, 100, 100]  # 2 real steps of [1, 2, 0]
    losses = fuse(still(params), x, lengths(), **weights).losses
    # Vision, width 2: (0 + 4 + 1)/3 + 1 over 2 for the first, else (1 + 1)/2.
    there = [(5 / 3 + 1) / 2, 1, 1]
    # Text, width 6: 1 + 1 + 4 + 0 + 1 + 9 = 16; the second's first step has no 9.
    back = [16 / 6, (7 + 16) / 2 / 6, 16 / 6]
    # Audio, width 3: 1 + 4 = 5; the third's first step has 4 more.
    other = [5 / 3, 5 / 3, (9 + 5) / 2 / 3]
    np.testing.assert_allclose(losses['translation'], there, rtol=1e-6)
    np.testing.assert_allclose(losses['cycle'], np.multiply(0.5, back), rtol=1e-6)
    expected = np.multiply(0.25, other)
    np.testing.assert_allclose(losses['translation_second'], expected, rtol=1e-6)


def test_the_other_target_may_come_first(params):
    x = {s: np.zeros((3, STEPS, w), np.float32) for s, w in WIDTHS.items()}
    weights = dict(first_target='a', translation_weight=1.0, second_weight=1.0)
    second = {'kernel': jnp.zeros((5, 2)), 'bias': jnp.array([1.0, 2])}
    changed = still(params)
    changed['decoder_second']['output'] = second
    losses = fuse(changed, x, lengths(), **weights).losses
    # Audio from [1, −1, 2], vision from [1, 2].
    np.testing.assert_allclose(losses['translation'], [2] * 3, rtol=1e-6)
    np.testing.assert_allclose(losses['translation_second'], [2.5] * 3, rtol=1e-6)


def test_the_way_back_starts_from_what_was_translated(params):
    x, text = features(), lengths()['t']

    def translate(y):
        joint = mctn.Encoder(5).apply({'params': params['encoder']}, y, text)
        return mctn.Decoder(5).apply({'params': params['decoder']}, joint, text, 6)

    there = translate(x['t']).at[..., WIDTHS['v'] :].set(0)
    error = mctn.translation_error(translate(there), x['t'], text)
    cycle = fuse(params, x, lengths(), cycle_weight=1.0).losses['cycle']
    np.testing.assert_allclose(cycle, error, **SAME)


# Its parts. ------------------------------------------------------------------------


def test_attention_by_hand():
    x = jnp.array([[[1.0], [2], [9]]] * 3)
    scores = jnp.array([[0.0, np.log(3), 50]] * 3)
    # Weights 1/4 and 3/4; one step; and, where nothing is real, a plain average.
    average = mctn.softmax_average(scores, x, jnp.array([2, 1, 0]))
    np.testing.assert_allclose(average[:, 0], [1.75, 1, 4], rtol=1e-6)
    assert mctn.softmax_average(scores, x, None)[0, 0] == pytest.approx(9)


def test_reverse_keeps_padding_at_the_end():
    x = jnp.arange(1, 5)[None, :, None] * jnp.ones((4, 1, 1), int)
    turned = mctn.reverse(x, jnp.array([4, 2, 1, 0]))[..., 0].tolist()
    assert turned == [[4, 3, 2, 1], [2, 1, 3, 4], [1, 2, 3, 4], [1, 2, 3, 4]]
    assert mctn.reverse(x, None)[0, :, 0].tolist() == [4, 3, 2, 1]


def test_the_encoder_reads_both_directions(params):
    """Each step hears of every other, so the last of the first, and the reverse."""

    def encode(x):
        joint = mctn.Encoder(5).apply({'params': params['encoder']}, x, None)
        return joint[:, [0, -1]].sum(-1)

    jacobian = jax.jacobian(encode)(jnp.ones((1, STEPS, 6)))
    heard = jnp.abs(jacobian[0, :, 0]).max(-1)  # [2 steps out, steps in]
    assert (heard > 0).all()


def test_the_decoder_is_what_it_is_step_by_step(params):
    """Against the same in numpy, for one utterance: 3 real steps, 6 numbers wide."""
    p = jax.tree.map(np.asarray, params['decoder'])
    encoded = np.random.default_rng(2).normal(size=(1, STEPS, 5)).astype(np.float32)
    decoder = mctn.Decoder(5)
    decoded = decoder.apply({'params': p}, encoded, jnp.array([3]), 6)[0]
    real, h, c = encoded[0, :3], np.zeros(5), np.zeros(5)
    for translated in decoded:
        keys = real @ p['key']['kernel'] + p['key']['bias']
        weight = np.exp(np.tanh(keys + h @ p['query']) @ p['score'])
        context = weight @ real / weight.sum()
        gates = np.concatenate([context, h]) @ p['kernel'] + p['bias']
        take, keep, new, show = np.split(gates, 4)
        take, keep, show = (1 / (1 + np.exp(-x)) for x in (take, keep, show))
        c = keep * c + take * np.tanh(new)
        h = show * np.tanh(c)
        expected = h @ p['output']['kernel'] + p['output']['bias']
        np.testing.assert_allclose(translated, expected, **SAME)


# Padding and absence. --------------------------------------------------------------


def test_padding_and_batch_mates_change_nothing(params):
    x, real = features(), lengths()
    spoilt = {s: y.copy() for s, y in x.items()}
    for s, y in spoilt.items():
        for i, n in enumerate(LENGTHS[s]):
            y[i, n:] = 1e3
    ours, theirs = fuse(params, x, real), fuse(params, spoilt, real)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, **SAME), ours, theirs)
    alone = fuse(
        params,
        {s: y[1:2] for s, y in x.items()},
        {s: n[1:2] for s, n in real.items()},
    )
    pairs = jax.tree.map(lambda a, b: (a[1:2], b), ours, alone)
    for a, b in jax.tree.leaves(pairs, is_leaf=lambda x: isinstance(x, tuple)):
        np.testing.assert_allclose(a, b, **SAME)


def test_longer_padding_changes_nothing(params):
    x, real = features(), lengths()
    longer = {s: np.pad(y, ((0, 0), (0, 3), (0, 0))) for s, y in x.items()}
    ours, theirs = fuse(params, x, real), fuse(params, longer, real)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, **SAME), ours, theirs)


def test_released_padding_takes_part(params):
    x = features()
    full = {s: jnp.full(3, STEPS) for s in x}
    ours, whole = fuse(params, x, None, padding='released'), fuse(params, x, full)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, **SAME), ours, whole)


@pytest.mark.parametrize(
    ('absent', 'silent'),
    [
        ('v', {'translation', 'cycle'}),
        ('a', {'translation_second'}),
        ('t', {'translation', 'cycle', 'translation_second'}),
    ],
)
def test_an_absent_modality_has_no_loss(params, absent, silent):
    real = lengths(**{absent: [0, 2, 3]})

    def total(params):
        outputs = fuse(params, features(), real)
        terms = [outputs.prediction['m'], *outputs.losses.values()]
        return sum(x.sum() for x in terms), outputs

    grads, outputs = jax.grad(total, has_aux=True)(params)
    assert {name for name, x in outputs.losses.items() if x[0] == 0} == silent
    assert all((x[1:] > 0).all() for x in outputs.losses.values())
    assert jnp.isfinite(outputs.prediction['m']).all()
    assert all(jnp.isfinite(x).all() for x in jax.tree.leaves(grads))


# Who learns from what. -------------------------------------------------------------

LEARN = {
    'translation': {'encoder', 'decoder'},
    'cycle': {'encoder', 'decoder'},
    'translation_second': {'encoder', 'encoder_second', 'decoder_second'},
    'm': {'encoder', 'encoder_second', 'prediction'},
}


@pytest.mark.parametrize('term', LEARN)
def test_who_learns_from_which_loss(params, term):
    def value(params, x):
        outputs = fuse(params, x, lengths())
        return (outputs.losses | outputs.prediction)[term].sum()

    grads, given = jax.grad(value, argnums=(0, 1))(params, features())
    learn = {k for k, v in grads.items() if any(x.any() for x in jax.tree.leaves(v))}
    assert learn == LEARN[term]
    # Of the features only the text, as what is translated, and it hears of all.
    assert {s for s, x in given.items() if x.any()} == {'t'}


def test_a_prediction_needs_text_alone(params):
    x = features()
    other = x | {s: features(seed=1)[s] for s in 'av'}
    ours, theirs = (fuse(params, y, lengths()).prediction['m'] for y in (x, other))
    np.testing.assert_array_equal(ours, theirs)


def test_evaluation_translates_nothing(params):
    """Loops over time: 2 for each encoder, 1 for each decoder and the prediction."""

    def loops(keep):
        def run(params, x, n):
            return keep(fuse(params, x, n))

        compiled = jax.jit(run).lower(params, features(), lengths()).compile()
        return compiled.as_text().count(' while(')

    assert loops(lambda outputs: outputs) == 2 * 3 + 3 + 1
    assert loops(lambda outputs: outputs.replace(losses={})) == 2 * 2 + 1


# The config. -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ('field', 'value', 'message'),
    [
        ('first_target', 't', r"first_target must be one of \['a', 'v'\], not 't'"),
        ('align', 'ctcc', "align must be one of .*, not 'ctcc'"),
        ('padding', 'mask', "padding must be one of .*, not 'mask'"),
        ('width', 0, 'width must be at least 1, not 0'),
        ('prediction_width', 0, 'prediction_width must be at least 1, not 0'),
        ('translation_weight', -0.1, 'translation_weight must be at least 0'),
        ('cycle_weight', -0.1, 'cycle_weight must be at least 0'),
        ('second_weight', -0.1, 'second_weight must be at least 0'),
        ('ctc_weight', -1.0, 'ctc_weight must be at least 0'),
    ],
)
def test_settings_are_refused_by_name(field, value, message):
    with pytest.raises(UserError, match=f'config.model: {message}'):
        system(**{field: value})


def test_unaligned_data_are_refused_with_the_way_out(params):
    x = features() | {'a': np.zeros((3, 7, WIDTHS['a']), np.float32)}
    with pytest.raises(UserError, match=r"config\.model\.align to 'ctc' or 'pool'"):
        fuse(params, x, lengths())


def test_only_the_last_weights_decay(params):
    config = typed(Experiment, plain(load_config('configs/baselines/mctn.py')))
    names = {k: v for k, v in config.optim.groups.items() if not k.startswith('text')}
    groups = assign_groups(params, names)
    assert groups['prediction']['sentiment'] == {'kernel': 'sentiment', 'bias': 'other'}
    assert jax.tree.leaves(groups).count('sentiment') == 1
    assert names['sentiment'].weight_decay == 0.02 and names['other'].weight_decay == 0
