"""How far audio and vision may shift a word, by hand."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from sugrm_jax.layers.gate import AdaptationGate, shift

X = jnp.array([3.0, 4.0])  # of length 5


@pytest.mark.parametrize(
    ('displacement', 'shifted'),
    [
        # ½ · 5 allows lengths up to 2.5: 1 is within,
        ([0.0, 1.0], [3.0, 5.0]),
        # 10 is cut to a quarter,
        ([6.0, 8.0], [4.5, 6.0]),
        # and nothing shifts nothing.
        ([0.0, 0.0], [3.0, 4.0]),
    ],
)
def test_shift_by_hand(displacement, shifted):
    np.testing.assert_allclose(shift(X, jnp.array(displacement), 0.5), shifted)


def test_shift_has_finite_gradients_everywhere():
    gradient = jax.grad(lambda x, h: shift(x, h, 0.5).sum(), argnums=(0, 1))
    zero = jnp.zeros(2)
    for x in (X, zero):
        for h in (X, zero):
            assert all(np.isfinite(g).all() for g in gradient(x, h))


def normalized(x):
    x = np.asarray(x)
    return (x - x.mean()) / x.std()


def run(beta_shift, real, dropout=0.0, deterministic=True):
    """A gate of relu(t + [2, −2, 0]) and a map to [2, 2, 2], for audio of 1."""
    params = {
        'gate_a': {
            'kernel': jnp.concatenate([jnp.array([[2.0, -2, 0]]), jnp.eye(3)]),
            'bias': jnp.zeros(3),
        },
        'map_a': {'kernel': jnp.ones((1, 3)), 'bias': jnp.ones(3)},
        'norm': {'scale': jnp.ones(3), 'bias': jnp.array([10.0, 20, 30])},
    }
    text, audio = jnp.array([1.0, 0, 2]), jnp.array([1.0])
    gate = AdaptationGate(beta_shift, dropout)
    rngs = {'dropout': jax.random.key(0)}
    others, real = {'a': audio}, {'a': jnp.array(real)}
    return gate.apply({'params': params}, text, others, real, deterministic, rngs=rngs)


def test_the_gate_by_hand():
    # Gate (3, 0, 2), displacement (6, 0, 4), which β = 100 leaves whole.
    bias = np.array([10, 20, 30])
    # The LayerNorm adds 1e-5 to the variance, which is above 0.5 here.
    close = {'atol': 3e-5}
    np.testing.assert_allclose(run(100.0, True), normalized([7, 0, 6]) + bias, **close)
    # ‖t‖² is 5, ‖h‖² is 52.
    scale = 0.5 * (5 / 52) ** 0.5
    cut = [1 + 6 * scale, 0, 2 + 4 * scale]
    np.testing.assert_allclose(run(0.5, True), normalized(cut) + bias, **close)
    # Without audio the text stays.
    np.testing.assert_allclose(run(0.5, False), normalized([1, 0, 2]) + bias, **close)


def test_the_result_is_dropped_in_training_only():
    np.testing.assert_array_equal(run(0.5, True, 1.0, False), np.zeros(3))
    np.testing.assert_array_equal(run(0.5, True, 1.0, True), run(0.5, True))
