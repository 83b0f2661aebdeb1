"""Real steps and means over them, by hand."""

import jax.numpy as jnp
import numpy as np

from sugrm_jax.layers.lengths import mean_over_steps, real_steps


def test_the_first_steps_are_real():
    real = real_steps(jnp.array([2, 0, 3]), 3)
    np.testing.assert_array_equal(real, [[1, 1, 0], [0, 0, 0], [1, 1, 1]])
    assert real.dtype == bool


def test_mean_over_all_or_real_steps():
    x = jnp.array([[[1.0, 10], [3, 20], [8, 60]], [[4, 4], [5, 5], [6, 6]]])
    np.testing.assert_array_equal(mean_over_steps(x, None), [[4, 30], [5, 5]])
    length = jnp.array([2, 0])
    np.testing.assert_array_equal(mean_over_steps(x, length), [[2, 15], [0, 0]])
