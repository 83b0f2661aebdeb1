"""The attention blocks of the sparse phased transformer (see `phased`)."""

from __future__ import annotations

import dataclasses

import jax
import jax.numpy as jnp
from flax import linen as nn

from sugrm_jax.config import at_least, between
from sugrm_jax.layers.attention import sampled_attention
from sugrm_jax.layers.linear import Norm, symmetric_uniform, xavier_dense
from sugrm_jax.layers.sampling import Sampling
from sugrm_jax.types import Array


@dataclasses.dataclass(frozen=True)
class DropoutRates:
    """Dropout of the transformer: on inputs and hidden states (embedding), on
    attention weights, after the feed-forward's ReLU, and on what joins a residual."""

    embedding: float = 0.0
    attention: float = 0.0
    relu: float = 0.0
    residual: float = 0.0

    def __post_init__(self):
        for field in dataclasses.fields(self):
            between(getattr(self, field.name), 0, 1, field.name)


@dataclasses.dataclass(frozen=True)
class PhasedConfig:
    """Sizes and settings of the SPT encoder (paper, Table 7).

    Attributes:
      width: `E`, embed size.
      heads: attention heads.
      layers: repetitions of the layer; all share their weights.
      input_attention, cross_attention, self_attention: how each kind samples its
        keys. The input stride is also the number of input steps per hidden state.
      dropout: rates.
      skip_zero_steps: a step whose first feature is exactly 0 gets no position.
    """

    width: int
    heads: int
    layers: int
    input_attention: Sampling
    cross_attention: Sampling
    self_attention: Sampling
    dropout: DropoutRates
    skip_zero_steps: bool

    def __post_init__(self):
        for name in ('width', 'heads', 'layers'):
            at_least(getattr(self, name), 1, name)
        if self.width % self.heads:
            raise ValueError(f'width {self.width} is no multiple of heads {self.heads}')


class FeedForward(nn.Module):
    """Pre-norm residual feed-forward, `E → 4E → E` with ReLU."""

    config: PhasedConfig
    deterministic: bool

    @nn.compact
    def __call__(self, x: Array) -> Array:
        width, rates = self.config.width, self.config.dropout
        h = Norm(name='norm')(x)
        h = nn.relu(xavier_dense(4 * width, width, name='expand')(h))
        h = nn.Dropout(rates.relu, deterministic=self.deterministic)(h)
        h = xavier_dense(width, 4 * width, name='contract')(h)
        return x + nn.Dropout(rates.residual, deterministic=self.deterministic)(h)


class Block(nn.Module):
    """What follows the projections: attention, its residual, and a feed-forward."""

    config: PhasedConfig
    deterministic: bool

    def setup(self):
        c = self.config
        self.output = xavier_dense(c.width, c.width)
        self.feed_forward = FeedForward(c, self.deterministic)
        self.drop_weights = nn.Dropout(
            c.dropout.attention, deterministic=self.deterministic
        )
        self.drop_residual = nn.Dropout(
            c.dropout.residual, deterministic=self.deterministic
        )

    def __call__(
        self, h: Array, q: Array, k: Array, v: Array, table: Array, seen: Array | None
    ) -> Array:
        """Hidden states `[B, Q, E]` → the same shape.

        Args:
          h: the querying hidden states.
          q: their queries `[B, Q, E]`.
          k, v: keys and values `[B, K, E]`.
          table: sampled positions, `[Q, W]` or `[B, Q, W]`.
          seen: float `[B]`, 0 where the modality that is read is absent from the
            utterance and must contribute nothing; None where all are present.
        """
        heads = self.config.heads
        q, k, v = (x.reshape(*x.shape[:2], heads, -1) for x in (q, k, v))
        attended = sampled_attention(q, k, v, table, self.drop_weights)
        attended = self.output(attended.reshape(h.shape))
        if seen is not None:
            attended = attended * seen[:, None, None]
        return self.feed_forward(h + self.drop_residual(attended))


def _drawn_with(width: int, key_width: int):
    """Initial values of a query, key or value projection.

    The original draws the three as one [E + 2D, E] matrix.
    """
    return symmetric_uniform((6 / (2 * width + 2 * key_width)) ** 0.5)


def _projection(config: PhasedConfig, key_width: int, name: str) -> nn.Dense:
    init = _drawn_with(config.width, key_width)
    return nn.Dense(config.width, kernel_init=init, name=name)


def stacked(module):
    """The module for several modalities or pairs at once, each with its own weights."""
    return nn.vmap(
        module,
        variable_axes={'params': 0},
        split_rngs={'params': True, 'dropout': True},
    )


class InputKeys(nn.Module):
    """Keys and values of one modality's input steps."""

    config: PhasedConfig

    @nn.compact
    def __call__(self, x: Array) -> tuple[Array, Array]:
        """`[B, L, D]` → two `[B, L, E]`."""
        width = x.shape[-1]
        x = Norm(name='norm')(x)
        return tuple(_projection(self.config, width, n)(x) for n in ('key', 'value'))


class InputQueries(nn.Module):
    """Queries that hidden states put to the input of their own modality.

    Attributes:
      config: sizes.
      widths: `D_s` in the order t, a, v, on which the initial values depend.
    """

    config: PhasedConfig
    widths: tuple[int, ...]

    @nn.compact
    def __call__(self, h: Array) -> Array:
        """`[S, B, Q, E]` → the same shape."""
        width = self.config.width
        kernels = [_drawn_with(width, d) for d in self.widths]

        def init(key, shape, dtype=jnp.float32):
            keys = jax.random.split(key, len(kernels))
            draws = (
                draw(k, shape[1:], dtype) for draw, k in zip(kernels, keys, strict=True)
            )
            return jnp.stack(list(draws))

        kernel = self.param('kernel', init, (len(kernels), width, width))
        bias = self.param('bias', nn.initializers.zeros, (len(kernels), 1, 1, width))
        h = stacked(Norm)(name='norm')(h)
        return jnp.einsum('sbqe,sef->sbqf', h, kernel) + bias


class CrossAttention(nn.Module):
    """Two modalities read each other's hidden states.

    In the reverse direction the query and key projections swap roles; LayerNorms,
    output and feed-forward stay.
    """

    config: PhasedConfig
    deterministic: bool

    @nn.compact
    def __call__(self, first, second, tables, seen) -> tuple[Array, Array]:
        """Both `[B, Q, E]`; what the first read and what the second read.

        Args:
          first, second: hidden states.
          tables: of the first's queries and of the second's.
          seen: whether the second is present, for the first, and the other way round.
        """
        query, key, value = (
            _projection(self.config, self.config.width, name)
            for name in ('query', 'key', 'value')
        )
        query_norm, key_norm = Norm(name='query_norm'), Norm(name='key_norm')
        block = Block(self.config, self.deterministic, name='block')

        def read(reader, read, query, key, table, seen):
            x = key_norm(read)
            return block(
                reader, query(query_norm(reader)), key(x), value(x), table, seen
            )

        return (
            read(first, second, query, key, tables[0], seen[0]),
            read(second, first, key, query, tables[1], seen[1]),
        )


class SelfAttention(nn.Module):
    """Hidden states read those of their own modality; one LayerNorm serves both."""

    config: PhasedConfig
    deterministic: bool

    @nn.compact
    def __call__(self, h, table) -> Array:
        """`[B, Q, E]` → the same shape."""
        x = Norm(name='norm')(h)
        qkv = (
            _projection(self.config, self.config.width, name)(x)
            for name in ('query', 'key', 'value')
        )
        return Block(self.config, self.deterministic, name='block')(
            h, *qkv, table, None
        )
