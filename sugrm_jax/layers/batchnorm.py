"""Batch normalisation that knows which values are real."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from flax import linen as nn

from sugrm_jax.types import Array


class BatchNorm(nn.Module):
    """Normalises each channel by its statistics over all other axes.

    In training by those of the batch, which also move the running ones; in evaluation
    by the running ones (Ioffe & Szegedy, ICML 2015; as PyTorch's BatchNorm1d, momentum
    0.1). Padded steps, absent modalities and rows that only fill a batch do not count;
    a channel of which a batch has no real value keeps its statistics. On several
    devices the statistics are those of the whole batch.

    The running statistics are the Flax collection `batch_stats`: the train state
    carries it, and evaluation reads it.

    Attributes:
      axis: of the channels.
      momentum: share of a batch's statistics in the running ones.
      epsilon: added to the variance.
    """

    axis: int
    momentum: float = 0.1
    epsilon: float = 1e-5

    @nn.compact
    def __call__(self, x: Array, real: Array, deterministic: bool) -> Array:
        """`x` normalised, of the same shape; 0 at values that are not real.

        Args:
          x: any shape.
          real: bool, of a shape that broadcasts to that of `x`.
          deterministic: use the running statistics and leave them as they are.
        """
        channels = x.shape[self.axis]
        shape = [1] * x.ndim
        shape[self.axis] = channels
        scale = self.param('scale', nn.initializers.ones, channels).reshape(shape)
        bias = self.param('bias', nn.initializers.zeros, channels).reshape(shape)
        mean = self.variable('batch_stats', 'mean', jnp.zeros, channels)
        variance = self.variable('batch_stats', 'var', jnp.ones, channels)
        centre, spread = mean.value.reshape(shape), variance.value.reshape(shape)
        if not deterministic:
            count, centre, spread = self._statistics(x, real)
            # Without bias, as PyTorch keeps it.
            unbiased = spread * count / jnp.maximum(count - 1, 1)
            for running, new in ((mean, centre), (variance, unbiased)):
                share = jnp.where(count > 0, self.momentum, 0).reshape(channels)
                new = jax.lax.stop_gradient(new).reshape(channels)
                running.value = (1 - share) * running.value + share * new
        y = (x - centre) * jax.lax.rsqrt(spread + self.epsilon) * scale + bias
        return jnp.where(real, y, 0)

    def _statistics(self, x: Array, real: Array) -> tuple[Array, Array, Array]:
        """Number, mean and variance of each channel's real values."""
        axes = [axis for axis in range(x.ndim) if axis != self.axis % x.ndim]
        real = jnp.broadcast_to(real, x.shape)
        count = real.sum(axes, keepdims=True)
        total = jnp.maximum(count, 1)
        mean = jnp.where(real, x, 0).sum(axes, keepdims=True) / total
        squares = jnp.where(real, (x - mean) ** 2, 0).sum(axes, keepdims=True)
        return count, mean, squares / total
