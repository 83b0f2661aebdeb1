"""MulT's encoder: who sees whom, masked padding, absent modalities, dropout."""

import dataclasses
import functools

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn

from sugrm_jax.layers.crossmodal import (
    OWN,
    CrossmodalConfig,
    CrossmodalDropout,
    CrossmodalTransformer,
    TemporalConvolution,
    Transformers,
    sight,
)

SHAPES = {'t': (3, 4, 6), 'a': (3, 9, 3), 'v': (3, 7, 4)}
# The last utterance's vision is shorter than its kernel.
LENGTHS = {'t': np.array([4, 3, 1]), 'a': np.array([9, 1, 5]), 'v': np.array([7, 4, 2])}
CONFIG = CrossmodalConfig(
    width=4,
    heads=2,
    layers=2,
    memory_layers=1,
    kernels=(1, 2, 3),
    positions=True,
    causal=True,
    dropout=CrossmodalDropout(),
)


def encoder(**changed):
    return CrossmodalTransformer(dataclasses.replace(CONFIG, **changed))


@functools.partial(jax.jit, static_argnums=0)
def encode(model, params, x, lengths=None):
    return model.apply(params, x, lengths, True)


@jax.jit
def learn(params, x, lengths):
    """Encodings, and the gradients of one number by parameters and features.

    Their plain sum would not vary, after a LayerNorm.
    """

    def loss(params, x):
        encoded = encoder().apply(params, x, lengths, True)
        return sum(jnp.sin(e).sum() for e in encoded.values()), encoded

    gradients, encoded = jax.grad(loss, (0, 1), has_aux=True)(params, x)
    return encoded, *gradients


def features(seed=0):
    keys = jax.random.split(jax.random.key(seed), 3)
    return {
        s: jax.random.normal(k, SHAPES[s]) for s, k in zip(SHAPES, keys, strict=True)
    }


@pytest.fixture(scope='module')
def start():
    init = jax.jit(encoder().init, static_argnums=(2, 3))
    return init(jax.random.key(1), features(), None, True)


def moved(params):
    """Biases and scales random too, so that none of them hides a mistake."""
    rng = np.random.default_rng(0)
    return jax.tree.map(lambda x: x + np.float32(rng.normal(0, 0.1, x.shape)), params)


@pytest.fixture(scope='module')
def params(start):
    return moved(start)


def test_convolution_by_hand():
    kernel = jnp.array([1.0, 10, 100])[:, None, None]
    params = {'params': {'steps': {'kernel': kernel}}}
    x = jnp.array([[1.0, 2, 3, 4], [5, 6, 7, 8], [5, 6, 7, 8]])[..., None]
    convolve = TemporalConvolution(1, 3).apply
    y, length = convolve(params, x, None)
    np.testing.assert_array_equal(y[0].T, [[321, 432], [765, 876], [765, 876]])
    assert length is None
    # What is shorter than the kernel gives one step, what is empty none.
    y, length = convolve(params, x, jnp.array([4, 2, 0]))
    np.testing.assert_array_equal(length, [2, 1, 0])
    np.testing.assert_array_equal(y[0].T, [[321, 432], [65, 6], [0, 0]])
    y, _ = convolve(params, x[:, :2], None)
    np.testing.assert_array_equal(y[0].T, [[21], [65], [65]])


def test_sight_by_hand():
    def seen(*args, **kwargs):
        return sight(*args, **kwargs).astype(int).tolist()

    # As `triu(1 + |5 - 3|)` leaves it.
    wide = [[[1, 1, 1, 0, 0], [1, 1, 1, 1, 0], [1, 1, 1, 1, 1]]]
    assert seen(3, 5, None, causal=True) == wide
    assert seen(3, 3, None, causal=True) == [[[1, 0, 0], [1, 1, 0], [1, 1, 1]]]
    tall = [[[1, 1], [1, 1], [1, 1]]]
    assert seen(3, 2, None, causal=True) == tall
    assert seen(3, 2, None, causal=False) == [[[1, 1]]]
    # Of the first utterance 2 and 3 steps are real, of the second 3 and 1, or none.
    real = jnp.array([2, 3, 3]), jnp.array([3, 1, 0])
    assert seen(3, 4, real, causal=True) == [
        [[1, 1, 0, 0], [1, 1, 1, 0], [1, 1, 1, 0]],
        [[1, 0, 0, 0]] * 3,
        [[0, 0, 0, 0]] * 3,
    ]
    assert seen(3, 4, real, causal=False) == [
        [[1, 1, 1, 0]],
        [[1, 0, 0, 0]],
        [[0, 0, 0, 0]],
    ]


def transformers(pairs, rates=None, deterministic=True, **changed):
    config = dataclasses.replace(CONFIG, **changed)
    return Transformers(config, deterministic, 1, pairs, rates or (0.0,) * len(pairs))


def sequences(*steps):
    """`[E, L, B]` each."""
    keys = jax.random.split(jax.random.key(0), len(steps))
    return [jax.random.normal(k, (4, n, 2)) for k, n in zip(keys, steps, strict=True)]


def run(model, params, x, counts=None, **rest):
    """What comes out of transformers whose weights are those of `model`."""
    return jax.jit(lambda x: model.apply(params, x, counts, **rest))(x)


def reach(model, x, counts=None):
    """Of each pair and sequence: does this step depend on that? `[L, L', B]`."""
    params = moved(model.init(jax.random.key(1), x, counts))
    jacobians = jax.jit(jax.jacrev(lambda x: model.apply(params, x, counts)))(x)
    return [
        [np.einsum('elbdkb->lkb', np.abs(y)) > 0 for y in of_pair]
        for of_pair in jacobians
    ]


def test_a_step_depends_on_the_keys_that_it_may_see():
    counts = [jnp.array([3, 2]), jnp.array([5, 4])]
    own, read = reach(transformers(((0, 1),)), sequences(3, 5), counts)[0]
    for b, (queries, keys) in enumerate(((3, 5), (2, 4))):
        one = (counts[0][b : b + 1], counts[1][b : b + 1])
        see = sight(3, 5, one, causal=True)[0]
        np.testing.assert_array_equal(read[..., b], see)
        assert not read[:, keys:, b].any()
        assert read[queries - 1, :keys, b].all()
        # Of one's own sequence a step knows itself only: it reads the other.
        np.testing.assert_array_equal(own[..., b], np.eye(3))


def test_the_last_transformers_read_their_own_sequence_only():
    for causal in (True, False):
        reached = reach(transformers(OWN, causal=causal), sequences(3, 2, 4))
        for i, of_pair in enumerate(reached):
            for j, seen in enumerate(of_pair):
                allowed = np.full(seen.shape[:2], i == j)
                allowed = np.tril(allowed) if causal else allowed
                np.testing.assert_array_equal(seen, np.stack([allowed] * 2, -1))


def test_positions_tell_keys_apart_only_when_asked():
    """Without mask and positions, the order of the keys does not matter."""
    x, text = sequences(5, 3)
    for positions in (False, True):
        model = transformers(((1, 0),), positions=positions, causal=False)
        params = model.init(jax.random.key(1), [x, text], None)
        (before,), (after,) = (run(model, params, [y, text]) for y in (x, x[:, ::-1]))
        # float32 sums in another order differ by some 1e-7.
        assert (np.abs(before - after).max() > 1e-3) == positions


def test_every_rate_of_dropout_has_an_effect_and_only_in_training():
    x, pairs = sequences(3, 5), ((0, 1), (1, 0))
    params = transformers(pairs).init(jax.random.key(1), x, None)
    still = run(transformers(pairs), params, x)
    for name in ('embedding', 'relu', 'residual'):
        rates = CrossmodalDropout(**{name: 0.5})
        model = transformers(pairs, None, False, dropout=rates)
        dropped = run(model, params, x, rngs={'dropout': jax.random.key(0)})
        assert all((a != b).any() for a, b in zip(dropped, still, strict=True)), name
    rates = CrossmodalDropout(0.5, 0.5, (0.5, 0.5, 0.5), 0.5, 0.5)
    model = transformers(pairs, (0.5, 0.5), True, dropout=rates)
    chex.assert_trees_all_equal(run(model, params, x), still)


def test_attention_dropout_has_a_rate_for_each_transformer():
    x, pairs = sequences(3, 5), ((0, 1), (1, 0))
    params = transformers(pairs).init(jax.random.key(1), x, None)
    still = run(transformers(pairs), params, x)
    model = transformers(pairs, (0.0, 0.5), False)
    dropped = run(model, params, x, rngs={'dropout': jax.random.key(0)})
    np.testing.assert_array_equal(dropped[0], still[0])
    assert (dropped[1] != still[1]).any()


def test_keys_and_values_get_a_dropout_each():
    model = transformers(
        ((0, 1),), None, False, dropout=CrossmodalDropout(embedding=0.5)
    )
    x, keys = sequences(3, 5)
    rngs = {'dropout': jax.random.key(0)}
    dropped = model.apply({}, [x, keys, keys], rngs=rngs, method='_drop')
    for before, after in zip([x, keys, keys], dropped, strict=True):
        # Half of them is left, and twice as large.
        np.testing.assert_array_equal(after[after != 0], 2 * before[after != 0])
        assert 0.2 < (after != 0).mean() < 0.8
    assert (dropped[1] != dropped[2]).any()


def test_attention_dropout_is_of_the_modality_that_is_read():
    rates = {}

    def spy(call, args, kwargs, context):
        if isinstance(context.module, Transformers):
            rates[context.module.name] = context.module.rates
        return call(*args, **kwargs)

    model = encoder(dropout=CrossmodalDropout(attention=(0.1, 0.2, 0.3)))
    with nn.intercept_methods(spy):
        jax.eval_shape(
            lambda x: model.init(jax.random.key(0), x, None, True), features()
        )
    assert rates == {
        # t reads a, t reads v, a reads t, …
        'crossmodal': (0.2, 0.3, 0.1, 0.3, 0.1, 0.2),
        'memory': (0.1, 0.1, 0.1),
    }


def test_dropout_of_the_text_changes_the_text(params):
    x, still = features(), encode(encoder(), params, features())
    model = encoder(dropout=CrossmodalDropout(text=0.5))
    rngs = {'dropout': jax.random.key(0)}
    dropped = jax.jit(lambda x: model.apply(params, x, None, False, rngs=rngs))(x)
    assert all((dropped[s] != still[s]).any() for s in x)


def test_without_lengths_padding_takes_part_and_with_them_it_does_not(params):
    padded = {s: np.arange(SHAPES[s][1]) >= LENGTHS[s][:, None] for s in SHAPES}
    for lengths in (None, LENGTHS):
        _, _, gradient = learn(params, features(), lengths)
        for s, by_value in gradient.items():
            reached = np.abs(by_value).sum(-1) > 0
            assert reached[padded[s]].all() == (lengths is None)
            assert reached[padded[s]].any() == (lengths is None)
            assert reached[~padded[s]].all()


def test_masked_padding_gives_what_an_utterance_gives_alone(params):
    """Masks, positions and last steps all follow the real length."""
    x = features()
    together = learn(params, x, LENGTHS)[0]
    for b in (1, 2):
        alone = {s: x[s][b : b + 1, : LENGTHS[s][b]] for s in x}
        alone = encode(encoder(), params, alone)
        for s in x:
            # The same float32 operations in another order of summation.
            np.testing.assert_allclose(together[s][b], alone[s][0], atol=5e-6)


def test_an_absent_modality_contributes_nothing(params):
    lengths = LENGTHS | {'v': np.array([7, 0, 2])}
    x = features()
    encoded, _, gradient = learn(params, x, lengths)
    assert (encoded['v'][1] == 0).all() and (encoded['v'][0] != 0).any()
    assert (gradient['v'][1] == 0).all() and (gradient['v'][0] != 0).any()
    other = learn(params, x | {'v': x['v'].at[1].add(100.0)}, lengths)[0]
    chex.assert_trees_all_equal(encoded, other)
    # Nor do the biases of what would read it: t reads v, and a reads v.
    changed = jax.tree.map(lambda y: y, params)
    output = changed['params']['crossmodal']['layers']['output']
    output['bias'] = output['bias'].at[:, jnp.array([1, 3])].add(1.0)
    other = learn(changed, x, lengths)[0]
    for s in ('t', 'a'):
        np.testing.assert_array_equal(other[s][1], encoded[s][1])
        assert (other[s][0] != encoded[s][0]).any()


def test_gradients_are_finite_where_nothing_is_there(params):
    nothing = {s: np.array([n[0], 0, 0]) for s, n in LENGTHS.items()}
    zeros = {s: jnp.zeros(shape) for s, shape in SHAPES.items()}
    for leaf in jax.tree.leaves(learn(params, zeros, nothing)):
        assert np.isfinite(leaf).all()


def test_initial_values(start):
    p = start['params']
    layers = p['crossmodal']['layers']
    assert layers['query']['kernel'].shape == (2, 6, 4, 4)
    # [3E, E] as one matrix: sqrt(6 / 16) = 0.6124; E to E: sqrt(6 / 8) = 0.8660;
    # 4 → 16: sqrt(6 / 20) = 0.5477. The joined sequences are twice as wide.
    for name, limit in {'query': 0.6124, 'key': 0.6124, 'output': 0.8661}.items():
        assert 0.9 * limit < np.abs(layers[name]['kernel']).max() <= limit
        assert (layers[name]['bias'] == 0).all()
    expand = layers['feed_forward']['expand']['kernel']
    assert 0.5 < np.abs(expand).max() <= 0.5478
    value = p['memory']['layers']['value']['kernel']
    assert value.shape == (1, 3, 8, 8)
    assert 0.4 < np.abs(value).max() <= 0.4331
    # Uniform within 1 / sqrt(3 · 4) = 0.2887, without bias.
    assert p['convolution_v'].keys() == {'steps'}
    kernel = p['convolution_v']['steps']['kernel']
    assert 0.25 < np.abs(kernel).max() <= 0.2887
    assert p['convolution_v']['steps'].keys() == {'kernel'}


@pytest.mark.parametrize(
    ('changed', 'message'),
    [
        ({'width': 3}, 'width 3 is no multiple of heads 2'),
        ({'memory_layers': 0}, 'memory_layers must be at least 1'),
        ({'kernels': (3, 3)}, 'kernels must have one value for each of t, a, v'),
        ({'kernels': (3, 0, 3)}, 'kernels must be at least 1, not 0'),
    ],
)
def test_wrong_settings_are_refused_by_name(changed, message):
    with pytest.raises(ValueError, match=message):
        encoder(**changed)


@pytest.mark.parametrize('field', ['text', 'embedding', 'relu', 'residual'])
def test_wrong_rates_are_refused_by_name(field):
    with pytest.raises(ValueError, match=f'{field} must be at least 0 and below 1'):
        CrossmodalDropout(**{field: 1.0})


def test_wrong_attention_rates_are_refused():
    with pytest.raises(ValueError, match='attention must have one value for each'):
        CrossmodalDropout(attention=(0.1,))
    with pytest.raises(ValueError, match='attention must be at least 0 and below 1'):
        CrossmodalDropout(attention=(0.1, 0.1, -0.1))
