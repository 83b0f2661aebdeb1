"""RAVEN: the shift of each word by hand, padding, absent modalities."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from sugrm_jax.errors import UserError
from sugrm_jax.layers.recurrent import Lstm
from sugrm_jax.models import build
from sugrm_jax.models.raven import FirstStep
from tests.models.batches import aligned_batch, text_encoder, with_other_padding

MODEL = {
    'name': 'raven',
    'nonverbal_width': 2,
    'width': 5,
    'beta_shift': 0.5,
    'dropout': 0.0,
    'align': 'none',
    'ctc_weight': 1.0,
    'padding': 'masked',
}
BATCH = aligned_batch(text=[2, 6, 1], audio=[2, 6, 0], vision=[2, 0, 1])
FEATURES = {
    't': jax.random.normal(jax.random.key(0), (3, 6, 4)),
    'a': BATCH.audio,
    'v': BATCH.vision,
}
LENGTHS = {
    't': jnp.array([2, 6, 1]),
    'a': BATCH.audio_length,
    'v': BATCH.vision_length,
}


def model(**changes):
    return build(MODEL | changes, {'loss': 'l1'}, text_encoder()).model


@pytest.fixture(scope='module')
def params():
    init = functools.partial(model().init, deterministic=True, method='fuse')
    return jax.jit(init)(jax.random.key(1), FEATURES, LENGTHS)


@jax.jit
def run(params, features, lengths):
    def total(params, features):
        outputs = model().apply(params, features, lengths, True, method='fuse')
        return outputs.prediction['m'].sum(), outputs.prediction['m']

    gradient = jax.grad(total, argnums=(0, 1), has_aux=True)
    (of_params, of_features), prediction = gradient(params, features)
    return prediction, of_params['params'], of_features


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def test_by_hand(params):
    """One word, step by step as in the paper, in float64."""
    p = jax.tree.map(lambda x: np.asarray(x, np.float64), params['params'])

    def dense(name, x):
        return x @ p[name]['kernel'] + p[name]['bias']

    word = np.array([0.6, 0, -0.8, 0])  # of length 1
    features = {'a': np.array([1.0, 2, 3]), 'v': np.array([1.0, 0, 0, -1])}
    nonverbal = []
    for s, x in features.items():
        gates = p[f'nonverbal_{s}']['gates']
        i, g, o = np.split(x @ gates['kernel'] + gates['bias'], 3)
        h = sigmoid(o) * np.tanh(sigmoid(i) * np.tanh(g))
        weight = sigmoid(dense(f'gate_{s}', np.concatenate([h, word])))
        nonverbal.append(weight * h)
    displacement = dense('mix', np.concatenate(nonverbal))
    length = np.linalg.norm(displacement)
    shifted = word + min(0.5 / length, 1) * displacement
    assert length > 0.5  # the shift is cut
    gates = shifted @ p['lstm']['input'] + p['lstm']['bias'].sum(0)
    i, _, g, o = np.split(gates, 4)
    h = sigmoid(o) * np.tanh(sigmoid(i) * np.tanh(g))
    given = {s: jnp.array(x, jnp.float32)[None, None] for s, x in features.items()}
    given['t'] = jnp.array(word, jnp.float32)[None, None]
    prediction, *_ = run(params, given, None)
    # float32 against float64.
    np.testing.assert_allclose(prediction, dense('sentiment', h), rtol=2e-6)


def test_the_first_step_is_an_lstms():
    x = jax.random.normal(jax.random.key(0), (3, 5))
    lstm = Lstm(4)
    params = lstm.init(jax.random.key(1), x[:, None])
    _, wanted = lstm.apply(params, x[:, None])
    kept = np.r_[0:4, 8:16]  # without the forget gate
    gates = {
        'kernel': params['params']['input'][:, kept],
        'bias': params['params']['bias'].sum(0)[kept],
    }
    ours = FirstStep(4).apply({'params': {'gates': gates}}, x)
    np.testing.assert_allclose(ours, wanted, atol=1e-6)


def test_padding_changes_nothing(params):
    other = with_other_padding(BATCH)
    real = jnp.arange(6) < LENGTHS['t'][:, None]
    text = jnp.where(real[..., None], FEATURES['t'], 9.0)
    changed = {'t': text, 'a': other.audio, 'v': other.vision}
    before, _, gradient = run(params, FEATURES, LENGTHS)
    after, *_ = run(params, changed, LENGTHS)
    np.testing.assert_array_equal(before, after)
    for s, g in gradient.items():
        step = jnp.arange(6) >= LENGTHS[s][:, None]
        assert not g[step].any() and g.any()


@pytest.mark.parametrize('gone', ['t', 'a', 'v'])
def test_an_absent_modality_contributes_nothing(params, gone):
    lengths = LENGTHS | {gone: jnp.zeros(3, jnp.int32)}
    before, of_params, of_features = run(params, FEATURES, lengths)
    other = FEATURES | {gone: FEATURES[gone] + 1}
    np.testing.assert_array_equal(before, run(params, other, lengths)[0])
    gradients = jax.tree.leaves((of_params, of_features))
    assert all(np.isfinite(g).all() for g in gradients)
    assert not of_features[gone].any()


def test_words_of_zeros_have_finite_gradients(params):
    blank = FEATURES | {'t': jnp.zeros((3, 6, 4))}
    assert all(np.isfinite(g).all() for g in jax.tree.leaves(run(params, blank, None)))


def test_without_lengths_padding_takes_part(params):
    whole = dict.fromkeys('tav', jnp.full(3, 6))
    np.testing.assert_array_equal(
        run(params, FEATURES, None)[0], run(params, FEATURES, whole)[0]
    )


def test_from_tokens_with_ctc_alignment():
    longer = BATCH.replace(audio=jnp.ones((3, 9, 3)), audio_length=jnp.array([9, 5, 0]))
    with pytest.raises(UserError, match='RAVEN reads audio and vision that are'):
        model().init(jax.random.key(0), longer, True)
    aligned = model(align='ctc')

    @jax.jit
    def init_and_apply(batch):
        return aligned.init_with_output(jax.random.key(0), batch, True)[0]

    outputs = init_and_apply(longer)
    assert outputs.prediction['m'].shape == (3,)
    assert np.isfinite(outputs.prediction['m']).all()
    assert outputs.losses['ctc_a'][2] == 0 and (outputs.losses['ctc_a'][:2] > 0).all()
    np.testing.assert_array_equal(outputs.present['v'], [True, False, True])


@pytest.mark.parametrize(
    ('changes', 'message'),
    [
        ({'beta_shift': 0.0}, 'beta_shift must be above 0'),
        ({'dropout': 1.0}, 'dropout must be at least 0 and below 1'),
        ({'width': 0}, 'width must be at least 1'),
        ({'nonverbal_width': 0}, 'nonverbal_width must be at least 1'),
        ({'align': 'stretch'}, 'align must be one of'),
        ({'padding': 'some'}, 'padding must be one of'),
        ({'ctc_weight': -1.0}, 'ctc_weight must be at least 0'),
        ({'beta': 3.0}, 'Unknown config field config.model.beta'),
    ],
)
def test_settings_that_do_not_fit_are_refused(changes, message):
    with pytest.raises(UserError, match=message):
        model(**changes)
