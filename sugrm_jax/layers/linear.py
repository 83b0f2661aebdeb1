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


def xavier_dense(
    features: int, fan_in: int, fan_out: int | None = None, name: str | None = None
) -> nn.Dense:
    """A linear layer with Xavier-uniform weights and zero biases.

    Args:
      features: output width.
      fan_in, fan_out: of the matrix this layer is part of, where it is drawn as
        a slice of a larger one (query, key and value together).
      name: of its parameters.
    """
    limit = (6 / (fan_in + (fan_out or features))) ** 0.5
    return nn.Dense(features, kernel_init=symmetric_uniform(limit), name=name)


def uniform_dense(features: int, fan_in: int, name: str | None = None) -> nn.Dense:
    """A linear layer with weights and biases uniform in ±1/sqrt(fan_in)."""
    init = symmetric_uniform(fan_in**-0.5)
    return nn.Dense(features, kernel_init=init, bias_init=init, name=name)


def xavier_rows(key, shape, dtype=jnp.float32):
    """Xavier-uniform vectors `[rows, E]`, drawn as one matrix."""
    return symmetric_uniform((6 / sum(shape)) ** 0.5)(key, shape, dtype)


def layer_norm(name: str | None = None) -> nn.LayerNorm:
    """LayerNorm as in the original: eps 1e-5, exact variance."""
    return nn.LayerNorm(epsilon=1e-5, use_fast_variance=False, name=name)
