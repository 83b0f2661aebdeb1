"""Regression losses (paper, section 3.4 and Table 8)."""

from __future__ import annotations

import functools

import jax.numpy as jnp
import optax

from sugrm_jax.types import Array

# By name: elementwise functions of prediction and target.
LOSSES = {
    'l1': lambda prediction, target: jnp.abs(prediction - target),
    'l2': lambda prediction, target: jnp.square(prediction - target),
    'huber': functools.partial(optax.losses.huber_loss, delta=1.0),
}


def weighted_mean(values: Array, weight: Array) -> Array:
    """Mean of `[B]` over the rows of weight 1; rows of weight 0 only fill the batch."""
    return (values * weight).sum() / jnp.maximum(weight.sum(), 1)
