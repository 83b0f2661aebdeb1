"""Dropout from random bytes: the share that is kept, the scale, the shapes."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from sugrm_jax.layers.dropout import dropout, kept_share, random_bytes


def test_bytes_are_uniform_and_independent_of_their_place_in_a_word():
    draws = np.asarray(random_bytes(jax.random.key(0), (7, 100, 100)))
    assert draws.shape == (7, 100, 100)
    counts = np.bincount(draws.ravel(), minlength=256)
    # 70000 / 256 = 273 of each on average, standard deviation 16.5; 5 of them.
    assert counts.min() > 190 and counts.max() < 356
    flat = draws.reshape(7, -1).astype(float)
    # The correlation of 10000 independent pairs has standard deviation 0.01.
    assert np.abs(np.corrcoef(flat) - np.eye(7)).max() < 0.05


@pytest.mark.parametrize('rate', [0.1, 0.3])
def test_keeps_the_expectation(rate):
    x = jnp.ones((4, 200, 200))
    dropped = dropout(x, random_bytes(jax.random.key(1), x.shape), rate)
    assert abs(kept_share(rate) - (1 - rate)) <= 0.5 / 256
    kept = dropped != 0
    # 160000 draws: standard deviation of the share at most 0.0012.
    assert abs(kept.mean() - kept_share(rate)) < 0.006
    np.testing.assert_allclose(dropped[kept], 1 / kept_share(rate), rtol=1e-6)


def test_nothing_is_dropped_without_draws_or_at_rate_zero():
    x = jnp.arange(8.0).reshape(2, 2, 2)
    np.testing.assert_array_equal(dropout(x, None, 0.5), x)
    draws = jnp.zeros(x.shape, jnp.uint8)
    np.testing.assert_array_equal(dropout(x, draws, 0.0), x)


def test_everything_is_dropped_at_rate_one():
    x = jnp.ones((4, 10, 10))
    draws = random_bytes(jax.random.key(0), x.shape)
    assert (dropout(x, draws, 1.0) == 0).all()


def test_a_batch_filled_up_draws_the_same_for_those_it_had():
    key = jax.random.key(2)
    np.testing.assert_array_equal(
        random_bytes(key, (5, 3, 8))[..., :6], random_bytes(key, (5, 3, 6))
    )
