"""Linear layers with the initial values of the original implementation."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from flax import linen as nn


def symmetric_uniform(limit: float):
    """An initialiser uniform in `[-limit, limit]`."""

    def init(key, shape, dtype=jnp.float32):
        return jax.random.uniform(key, shape, dtype, -limit, limit)

    return init


def xavier_dense(features: int, fan_in: int, name: str | None = None) -> nn.Dense:
    """A linear layer with Xavier-uniform weights and zero biases."""
    limit = (6 / (fan_in + features)) ** 0.5
    return nn.Dense(features, kernel_init=symmetric_uniform(limit), name=name)


def uniform_dense(features: int, fan_in: int, name: str | None = None) -> nn.Dense:
    """A linear layer with weights and biases uniform in ±1/sqrt(fan_in)."""
    init = symmetric_uniform(fan_in**-0.5)
    return nn.Dense(features, kernel_init=init, bias_init=init, name=name)


def xavier_rows(key, shape, dtype=jnp.float32):
    """Xavier-uniform vectors `[rows, E]`, drawn as one matrix."""
    return symmetric_uniform((6 / sum(shape)) ** 0.5)(key, shape, dtype)


class Norm(nn.LayerNorm):
    """LayerNorm as in the original: eps 1e-5, exact variance."""

    epsilon: float = 1e-5
    use_fast_variance: bool = False
