"""Losses by hand."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from sugrm_jax.losses import LOSSES, weighted_mean


@pytest.mark.parametrize(
    ('name', 'wanted'),
    [
        ('l1', [0.5, 0, 1, 3, 3]),
        ('l2', [0.25, 0, 1, 9, 9]),
        # e² / 2 up to 1, |e| − 1/2 from there on.
        (
            'huber',
            [0.125, 0, 0.5, 2.5, 2.5],
        ),
    ],
)
def test_losses(name, wanted):
    prediction = jnp.array([1.5, -2, 0, 2, -4])
    target = jnp.array([1.0, -2, 1, -1, -1])
    np.testing.assert_array_equal(LOSSES[name](prediction, target), wanted)


def test_there_are_no_others():
    assert LOSSES.keys() == {'l1', 'l2', 'huber'}


def test_weighted_mean_leaves_out_rows_of_weight_zero():
    values, weight = jnp.array([1.0, 4, 100]), jnp.array([1.0, 1, 0])
    assert weighted_mean(values, weight) == 2.5
    np.testing.assert_array_equal(
        jax.grad(weighted_mean)(values, weight), [0.5, 0.5, 0]
    )


def test_weighted_mean_of_no_rows_is_zero():
    assert weighted_mean(jnp.array([1.0, 4]), jnp.zeros(2)) == 0
