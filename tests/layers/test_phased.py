"""SPT: masked padding, absent modalities, positions, initial values, dropout."""

import functools

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from sugrm_jax.errors import UserError
from sugrm_jax.layers.blocks import DropoutRates, PhasedConfig
from sugrm_jax.layers.phased import PhasedTransformer
from sugrm_jax.layers.positions import add_positions, sinusoids
from sugrm_jax.layers.sampling import Sampling, sampled_positions

SHAPES = {'t': (3, 8, 6), 'a': (3, 23, 3), 'v': (3, 31, 4)}
LENGTHS = {
    't': np.array([8, 5, 3]),
    'a': np.array([23, 1, 11]),
    'v': np.array([31, 17, 6]),
}


def spt(shifts=('stride', 'phase'), dropout=None, dtype='float32'):
    return PhasedTransformer(
        PhasedConfig(
            width=8,
            heads=2,
            layers=2,
            input_attention=Sampling(5, 7, shifts),
            cross_attention=Sampling(1, 5, ('stride', 'phase')),
            self_attention=Sampling(1, 3, ('stride',)),
            dropout=dropout or DropoutRates(),
            skip_zero_steps=False,
            compute_dtype=dtype,
        )
    )


@functools.partial(jax.jit, static_argnums=0)
def encode(model, params, x, lengths=None):
    return model.apply(params, x, lengths, True)


def total(encoded):
    """One number; its plain sum would not vary, after a LayerNorm."""
    return sum(jnp.sin(e).sum() for e in encoded.values())


def features(seed=0):
    keys = jax.random.split(jax.random.key(seed), 3)
    return {
        s: jax.random.normal(k, SHAPES[s]) for s, k in zip(SHAPES, keys, strict=True)
    }


@pytest.fixture(scope='module')
def params():
    init = jax.jit(spt().init, static_argnums=(2, 3))
    return init(jax.random.key(1), features(), None, True)


def test_masked_padding_gives_what_each_utterance_gives_alone(params):
    """Sampled positions, means and last states all follow the real length."""
    x = features()
    together = encode(spt(), params, x, LENGTHS)
    for b in range(3):
        alone = {s: x[s][b : b + 1, : LENGTHS[s][b]] for s in x}
        alone = encode(spt(), params, alone)
        for s in x:
            # The same float32 operations in another order of summation.
            np.testing.assert_allclose(together[s][b], alone[s][0], atol=2e-6)


def test_padded_steps_have_no_gradient(params):
    gradients = jax.grad(lambda x: total(encode(spt(), params, x, LENGTHS)))(features())
    for s, gradient in gradients.items():
        padded = np.arange(SHAPES[s][1]) >= LENGTHS[s][:, None]
        reached = np.abs(gradient).sum(-1)
        assert (reached[padded] == 0).all()
        assert reached[~padded].any()


def test_an_absent_modality_contributes_nothing(params):
    lengths = LENGTHS | {'v': np.array([31, 0, 6])}

    def encode_with(vision, params=params):
        return encode(spt(), params, features() | {'v': vision}, lengths)

    vision = features()['v']
    encoded = encode_with(vision)
    assert (encoded['v'][1] == 0).all()
    assert (encoded['v'][0] != 0).any()
    chex.assert_trees_all_equal(encoded, encode_with(vision.at[1].add(100.0)))
    gradient = jax.grad(lambda x: total(encode_with(x)))(vision)
    assert (gradient[1] == 0).all() and (gradient[0] != 0).any()
    # Nor does its start vector, which needs no features.
    start = params['params']['start']
    moved = {'params': params['params'] | {'start': start.at[2].add(1.0)}}
    other = encode_with(vision, moved)
    np.testing.assert_array_equal(other['t'][1], encoded['t'][1])
    assert (other['t'][0] != encoded['t'][0]).any()


HALF = spt(dtype='bfloat16')


def test_bfloat16_computes_near_and_gives_float32(params):
    init = jax.jit(HALF.init, static_argnums=(2, 3))
    chex.assert_trees_all_equal(init(jax.random.key(1), features(), None, True), params)
    exact, rounded = (encode(m, params, features(), LENGTHS) for m in (spt(), HALF))
    for s in exact:
        assert rounded[s].dtype == jnp.float32
        # bfloat16 keeps 8 bits: 0.4 % for each of some ten roundings in a row, of what
        # a LayerNorm makes of order 1.
        error = np.abs(rounded[s] - exact[s]).max()
        assert 1e-4 < error < 0.1


def test_bfloat16_keeps_gradients_of_parameters_in_float32_and_near(params):
    gradients = [
        jax.grad(lambda p, m=m: total(encode(m, p, features(), LENGTHS)))(params)
        for m in (spt(), HALF)
    ]
    exact, rounded = (
        jnp.concatenate(list(map(jnp.ravel, jax.tree.leaves(g)))) for g in gradients
    )
    chex.assert_trees_all_equal_dtypes(*gradients)
    # As a whole they point the same way: rounding is 0.4 % a step, some ten steps deep.
    cosine = exact @ rounded / jnp.linalg.norm(exact) / jnp.linalg.norm(rounded)
    assert 0.99 < cosine < 1 - 1e-7


def test_bfloat16_sees_no_padding_and_no_absent_modality(params):
    lengths = LENGTHS | {'v': np.array([31, 0, 6])}
    assert (encode(HALF, params, features(), lengths)['v'][1] == 0).all()
    gradients = jax.grad(lambda x: total(encode(HALF, params, x, lengths)))(features())
    for s, gradient in gradients.items():
        padded = np.arange(SHAPES[s][1]) >= lengths[s][:, None]
        reached = np.abs(gradient).sum(-1)
        assert (reached[padded] == 0).all() and reached[~padded].any()


def equations(jaxpr):
    """Every equation of a program, those of its branches and loops included."""
    for equation in jaxpr.eqns:
        yield equation
        for inner in jax.tree.leaves(
            list(equation.params.values()), is_leaf=lambda x: hasattr(x, 'eqns')
        ):
            inner = getattr(inner, 'jaxpr', inner)
            if hasattr(inner, 'eqns'):
                yield from equations(inner)


def test_bfloat16_multiplies_matrices_but_not_softmax_and_layer_norm(params):
    program = jax.make_jaxpr(lambda p, x: encode(HALF, p, x, LENGTHS))
    # But for folding LayerNorm's bias into a map, which is on parameters alone.
    found = [
        e
        for e in equations(program(params, features()).jaxpr)
        if 'si,sio->so' not in str(e.source_info.name_stack)
    ]
    for name, wanted in (
        ('dot_general', 'bfloat16'),
        ('exp', 'float32'),
        ('rsqrt', 'float32'),
    ):
        types = {
            str(x.aval.dtype)
            for e in found
            if e.primitive.name == name
            for x in e.invars
        }
        assert types == {wanted}, name


def test_dropout_changes_every_modality_and_only_in_training(params):
    still = encode(spt(), params, features())
    dropping = spt(dropout=DropoutRates(0.5, 0.5, 0.5, 0.5))
    chex.assert_trees_all_equal(still, encode(dropping, params, features()))
    rngs = {'dropout': jax.random.key(0)}
    for rate in ('embedding', 'attention', 'relu', 'residual'):
        model = spt(dropout=DropoutRates(**{rate: 0.5}))
        drop = jax.jit(model.apply, static_argnums=(2, 3))
        dropped = drop(params, features(), None, False, rngs=rngs)
        assert all((dropped[s] != still[s]).any() for s in still), rate


def test_initial_values(params):
    p = params['params']
    # Query, key and value are drawn as one [E + 2D, E] matrix: fan_in E, fan_out
    # E + 2D. For audio (D = 3, E = 8): sqrt(6 / (8 + 14)) = 0.5222.
    kernels = [p['keys_a'][name]['kernel'] for name in ('key', 'value')]
    kernels.append(p['layer']['input']['query']['kernel'][1])
    for kernel in np.abs(kernels[0]), np.abs(kernels[1]), np.abs(kernels[2]):
        assert 0.4 < kernel.max() <= 0.5223
    assert (p['layer']['input']['query']['bias'] == 0).all()
    # Of hidden states (D = 8): sqrt(6 / 32) = 0.4330. Pairs are drawn apart.
    cross = p['layer']['cross']['query']['kernel']
    assert 0.38 < np.abs(cross).max() <= 0.4331
    assert (cross[0] != cross[1]).all()
    # Feed-forward, Xavier-uniform 8 → 32: sqrt(6 / 40) = 0.3873.
    expand = p['layer']['input']['block']['feed_forward']['expand']
    assert 0.36 < np.abs(expand['kernel']).max() <= 0.3874
    assert (expand['bias'] == 0).all()
    # Start vectors, one [3, 8] matrix: sqrt(6 / 11) = 0.7385.
    assert 0.5 < np.abs(p['start']).max() <= 0.7386


def test_tables_larger_than_a_program_are_refused():
    window = Sampling(1, 200, ())
    sizes = dict(layer=0, keys=2**20, length=2**20, hidden=2**20)
    for make in (
        lambda: sinusoids(2**20, 2**16),
        lambda: sampled_positions(window, queries=2**20, **sizes),
    ):
        with pytest.raises(UserError, match=r'steps × .* is too large for a compiled'):
            make()


def test_sinusoids_by_hand():
    table = sinusoids(2, 5)
    # Frequencies 1 and 10000^-1; the odd width's last column is zero.
    expected = [
        [np.sin(1), np.sin(1e-4), np.cos(1), np.cos(1e-4), 0],
        [np.sin(2), np.sin(2e-4), np.cos(2), np.cos(2e-4), 0],
    ]
    np.testing.assert_allclose(table, expected, atol=1e-6)
    for width in (1, 2, 3):
        assert np.isfinite(sinusoids(4, width)).all()
    np.testing.assert_allclose(sinusoids(1, 3)[0], [np.sin(1), np.cos(1), 0], atol=1e-6)


def test_zero_steps_get_no_position_only_when_asked():
    x = jnp.array([[[0.0, 1.0, 1.0, 1.0], [1.0, 0.0, 0.0, 0.0]]])
    table = sinusoids(2, 4)
    skipped = add_positions(x, skip_zero_steps=True)
    np.testing.assert_allclose(skipped[0, 0], x[0, 0])
    np.testing.assert_allclose(skipped[0, 1], x[0, 1] + table[1])
    every = add_positions(x, skip_zero_steps=False)
    np.testing.assert_allclose(every[0, 0], x[0, 0] + table[0])
