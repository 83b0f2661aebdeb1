"""MRM by hand: what it squeezes, real or padded, and the recalibration."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from sugrm_jax.layers.mrm import ModalityRecalibration

# S_t = (1, 2), S_a = 3, S_v = 4.
FEATURES = {
    't': jnp.array([[[0.0, 5], [2, -1]]]),
    'a': jnp.array([[[3.0], [1], [5]]]),
    'v': jnp.array([[[4.0]]]),
}


def params(joint_bias):
    """`Z` = 3 + joint_bias before its ReLU."""
    return {
        'params': {
            'joint': {
                'kernel': jnp.array([[0.1], [0.2], [0.3], [0.4]]),
                'bias': jnp.array([joint_bias]),
            },
            'excite_t': {
                'kernel': jnp.array([[0.5, -1.0]]),
                'bias': jnp.array([0.0, 0.5]),
            },
            'excite_a': {'kernel': jnp.array([[0.25]]), 'bias': jnp.array([-0.5])},
            'excite_v': {'kernel': jnp.array([[1.0]]), 'bias': jnp.array([1.0])},
        }
    }


@jax.jit
def recalibrate(params, features, lengths=None):
    return ModalityRecalibration().apply(params, features, lengths)


@pytest.mark.parametrize(
    ('joint_bias', 'excited'),
    [
        # Z = 2: E_t = (1, −3/2), E_a = 0, E_v = 3.
        (-1.0, {'t': (1, -1.5), 'a': 0, 'v': 3}),
        # Z = relu(−2) = 0: the biases are left.
        (-5.0, {'t': (0, 0.5), 'a': -0.5, 'v': 1}),
    ],
)
def test_by_hand(joint_bias, excited):
    recalibrated = recalibrate(params(joint_bias), FEATURES)
    assert recalibrated.keys() == FEATURES.keys()
    for s, x in FEATURES.items():
        wanted = 2 / (1 + np.exp(-np.array(excited[s]))) * x
        # A few float32 roundings.
        np.testing.assert_allclose(recalibrated[s], wanted, rtol=1e-6)


def test_only_real_steps_are_squeezed():
    padded = {
        s: jnp.pad(x, ((0, 0), (0, 2), (0, 0)), constant_values=9.0)
        for s, x in FEATURES.items()
    }
    lengths = {s: jnp.array([x.shape[1]]) for s, x in FEATURES.items()}
    alone = recalibrate(params(-1.0), FEATURES)
    masked = recalibrate(params(-1.0), padded, lengths)
    for s, x in FEATURES.items():
        # The same sums in another order.
        np.testing.assert_allclose(masked[s][:, : x.shape[1]], alone[s], rtol=1e-6)
    released = recalibrate(params(-1.0), padded)
    assert (np.abs(released['a'][:, :3] - alone['a']) > 0.01).all()


def test_an_absent_modality_squeezes_to_zero():
    lengths = {'t': jnp.array([2]), 'a': jnp.array([0]), 'v': jnp.array([1])}
    recalibrated = recalibrate(params(-1.0), FEATURES, lengths)
    # Z = 3 − 0.3 · 3 − 1 = 1.1 without audio.
    wanted = 2 / (1 + np.exp(-np.array([0.55, -0.6]))) * FEATURES['t']
    np.testing.assert_allclose(recalibrated['t'], wanted, rtol=1e-6)

    def others(audio):
        features = FEATURES | {'a': audio}
        out = recalibrate(params(-1.0), features, lengths)
        return out['t'].sum() + out['v'].sum()

    assert not jax.grad(others)(FEATURES['a']).any()


def test_width_is_a_quarter_of_all_rounded_down():
    x = {s: jnp.ones((1, 2, d)) for s, d in {'t': 7, 'a': 3, 'v': 5}.items()}
    init = jax.eval_shape(ModalityRecalibration().init, jax.random.key(0), x)
    shapes = jax.tree.map(jnp.shape, init)['params']
    assert shapes['joint'] == {'kernel': (15, 3), 'bias': (3,)}
    assert shapes['excite_v'] == {'kernel': (3, 5), 'bias': (5,)}
