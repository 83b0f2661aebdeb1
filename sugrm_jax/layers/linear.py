"""Linear layers with the initial values of the original implementation."""

from __future__ import annotations

from collections.abc import Sequence

import flax.struct
import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn

from sugrm_jax.types import Array

# What an encoder can compute in; its parameters are float32 either way.
COMPUTE_TYPES = ('float32', 'bfloat16')


def wide(x: Array) -> Array:
    """In float32 or wider: sums of many terms, and what is divided by them."""
    return x.astype(jnp.promote_types(x.dtype, jnp.float32))


def symmetric_uniform(limit: float):
    """An initialiser uniform in `[-limit, limit]`."""

    def init(key, shape, dtype=jnp.float32):
        return jax.random.uniform(key, shape, dtype, -limit, limit)

    return init


def uniform_dense(features: int, fan_in: int, name: str | None = None) -> nn.Dense:
    """A linear layer with weights and biases uniform in ±1/sqrt(fan_in)."""
    init = symmetric_uniform(fan_in**-0.5)
    return nn.Dense(features, kernel_init=init, bias_init=init, name=name)


def xavier_rows(key, shape, dtype=jnp.float32):
    """Xavier-uniform vectors `[rows, E]`, drawn as one matrix."""
    return symmetric_uniform((6 / sum(shape)) ** 0.5)(key, shape, dtype)


def xavier(fan_in: int, fan_out: int) -> float:
    """Xavier-uniform initial values lie within this."""
    return (6 / (fan_in + fan_out)) ** 0.5


def projection_limit(width: int, key_width: int) -> float:
    """Initial values of a query, key or value projection lie within this.

    The original draws the three as one [E + 2D, E] matrix.
    """
    return xavier(width, width + 2 * key_width)


@flax.struct.dataclass
class Maps:
    """Linear maps of the leading axis, one for each of several sequences in a row.

    They compute in the type of what they are applied to, whatever their own.

    Attributes:
      kernel: `[S, in, out]`.
      bias: `[S, out]`.
    """

    kernel: Array
    bias: Array

    def __call__(self, x: Array, sizes: Sequence[int]) -> Array:
        """`[in, rows, B]`, of which each map has `sizes` rows → `[out, rows, B]`."""
        return join_rows(self.each(split_rows(x, sizes)))

    def each(self, sequences: Sequence[Array]) -> list[Array]:
        """`[in, rows, B]` for each map → `[out, rows, B]` of each."""
        return [
            _apply(kernel, bias, x)
            for kernel, bias, x in zip(self.kernel, self.bias, sequences, strict=True)
        ]

    def after_norm(self, scale: Array, bias: Array) -> Maps:
        """With the scales and biases of LayerNorms that stand in front of them."""
        kernel = scale[..., None] * self.kernel
        return Maps(kernel, self.bias + jnp.einsum('si,sio->so', bias, self.kernel))


def side_by_side(maps: Sequence[Maps]) -> Maps:
    """Maps that read the same as one, whose outputs follow each other."""
    return jax.tree.map(lambda *x: jnp.concatenate(x, axis=-1), *maps)


@jax.custom_vjp
def _apply(kernel, bias, x):
    kernel, bias = kernel.astype(x.dtype), bias.astype(x.dtype)
    return jnp.tensordot(kernel.T, x, 1) + bias[:, None, None]


def _apply_backward(saved, g):
    """As usual, but for the gradient of the kernel on the CPU.

    Its sum runs over all axes but the first. XLA would transpose both sides for that;
    not if they are matrices. Where a batch lies on several devices matrices would
    gather it, so this is for the CPU only. Sums over utterances are in the parameters'
    type.
    """
    kernel, x = saved

    def flat(x, g):
        x, g = x.reshape(len(x), -1), g.reshape(len(g), -1)
        return jnp.matmul(x, g.T, preferred_element_type=kernel.dtype)

    def plain(x, g):
        axes = ((1, 2), (1, 2))
        return jnp.tensordot(x, g, axes, preferred_element_type=kernel.dtype)

    d_kernel = jax.lax.platform_dependent(x, g, cpu=flat, default=plain)
    d_bias = g.sum((1, 2), dtype=kernel.dtype)
    return d_kernel, d_bias, jnp.tensordot(kernel.astype(g.dtype), g, 1)


_apply.defvjp(
    lambda kernel, bias, x: (_apply(kernel, bias, x), (kernel, x)), _apply_backward
)


def join_rows(sequences: Sequence[Array]) -> Array:
    """Sequences `[E, Q_s, B]` in a row, `[E, rows, B]`."""
    return jnp.concatenate(sequences, axis=1)


def split_rows(x: Array, sizes: Sequence[int]) -> list[Array]:
    """The opposite of `join_rows`."""
    return jnp.split(x, np.cumsum(sizes)[:-1], axis=1)


class Linear(nn.Module):
    """Parameters of several linear maps.

    Attributes:
      features: outputs of each.
      limits: initial weights of each are uniform within this, biases zero.
    """

    features: int
    limits: tuple[float, ...]

    @nn.compact
    def __call__(self, inputs: int) -> Maps:
        def init(key, shape, dtype=jnp.float32):
            keys = jax.random.split(key, len(self.limits))
            draws = [
                symmetric_uniform(limit)(key, shape[1:], dtype)
                for key, limit in zip(keys, self.limits, strict=True)
            ]
            return jnp.stack(draws)

        count = len(self.limits)
        kernel = self.param('kernel', init, (count, inputs, self.features))
        bias = self.param('bias', nn.initializers.zeros, (count, self.features))
        return Maps(kernel, bias)


class Norms(nn.Module):
    """Parameters of several LayerNorms: scales and biases, `[S, E]` each."""

    count: int

    @nn.compact
    def __call__(self, width: int) -> tuple[Array, Array]:
        shape = self.count, width
        return (
            self.param('scale', nn.initializers.ones, shape),
            self.param('bias', nn.initializers.zeros, shape),
        )


def whiten(x: Array, epsilon: float = 1e-5) -> Array:
    """LayerNorm over the leading axis, without scale and bias; exact variance.

    Mean and variance are taken in float32 whatever the type.
    """
    exact = wide(x)
    centred = exact - exact.mean(0)
    white = centred * jax.lax.rsqrt((centred * centred).mean(0) + epsilon)
    return white.astype(x.dtype)
