"""The attention blocks of the sparse phased transformer (see `phased`).

States stand features first and batch last (see `attention`), and those of all
modalities in a row, `[E, rows, B]`: what is the same for all is one operation.
A module holds the weights of all modalities or pairs, and `sizes` says which rows
belong to which.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import jax
import jax.numpy as jnp
from flax import linen as nn

from sugrm_jax.config import at_least, choice
from sugrm_jax.layers.attention import Table, sampled_attention
from sugrm_jax.layers.dropout import check_rate, dropout, random_bytes
from sugrm_jax.layers.linear import (
    COMPUTE_TYPES,
    Linear,
    Maps,
    Norms,
    join_rows,
    projection_limit,
    side_by_side,
    split_rows,
    whiten,
    xavier,
)
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
            check_rate(getattr(self, field.name), field.name)


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
      compute_dtype: 'float32' or 'bfloat16'. Parameters, their gradients, LayerNorm
        statistics, the softmax and what comes out are float32 either way.
    """

    width: int
    heads: int
    layers: int
    input_attention: Sampling
    cross_attention: Sampling
    self_attention: Sampling
    dropout: DropoutRates
    skip_zero_steps: bool
    compute_dtype: str = 'float32'

    def __post_init__(self):
        choice(self.compute_dtype, COMPUTE_TYPES, 'compute_dtype')
        for name in ('width', 'heads', 'layers'):
            at_least(getattr(self, name), 1, name)
        if self.width % self.heads:
            raise ValueError(f'width {self.width} is no multiple of heads {self.heads}')


class FeedForward(nn.Module):
    """Pre-norm residual feed-forward, `E → 4E → E` with ReLU.

    Attributes:
      sizes: rows of hidden states that each set of weights takes.
      relu, residual: dropout after the ReLU and on what joins the residual.
    """

    sizes: tuple[int, ...]
    relu: float
    residual: float

    @nn.compact
    def __call__(self, h: Array, draws: Array | None) -> Array:
        """`[E, rows, B]` → the same; `draws` are random bytes `[5E, rows, B]`."""
        width, count = len(h), len(self.sizes)
        limits = (xavier(width, 4 * width),) * count
        expand = Linear(4 * width, limits, name='expand')(width)
        expand = expand.after_norm(*Norms(count, name='norm')(width))
        contract = Linear(width, limits, name='contract')(4 * width)
        inner, last = (None, None) if draws is None else jnp.split(draws, [4 * width])
        # Apart in between, so that the wide states are written once.
        x = [nn.relu(y) for y in expand.each(split_rows(whiten(h), self.sizes))]
        if inner is not None:
            inner = split_rows(inner, self.sizes)
            x = [dropout(y, d, self.relu) for y, d in zip(x, inner, strict=True)]
        return h + dropout(join_rows(contract.each(x)), last, self.residual)


class Block(nn.Module):
    """What follows the projections: attention, its residual, and a feed-forward.

    Attributes:
      config: sizes and rates.
      deterministic: no dropout.
      sizes: rows of hidden states that each set of weights takes.
    """

    config: PhasedConfig
    deterministic: bool
    sizes: tuple[int, ...]

    @nn.compact
    def __call__(
        self, h: Array, q: Array, k: Array, v: Array, table: Table, seen: Array | None
    ) -> Array:
        """Hidden states `[E, rows, B]` → the same shape.

        Args:
          h: the querying hidden states.
          q: their queries `[E, rows, B]`.
          k, v: keys and values `[E, K, B]`.
          table: which keys the queries read.
          seen: float `[rows, B]`, 0 where the modality that is read is absent from the
            utterance and must contribute nothing; None where all are present.
        """
        c, rates = self.config, self.config.dropout
        limits = (xavier(c.width, c.width),) * len(self.sizes)
        output = Linear(c.width, limits, name='output')(c.width)
        attention_key, draws = None, None
        if not self.deterministic and rates.attention:
            attention_key = self.make_rng('dropout')
        if not self.deterministic and (rates.relu or rates.residual):
            shape = 6 * c.width, *h.shape[1:]
            draws = random_bytes(self.make_rng('dropout'), shape)
        q, k, v = (x.reshape(c.heads, -1, *x.shape[1:]) for x in (q, k, v))
        read = sampled_attention(q, k, v, table, attention_key, rates.attention)
        read = output(read.reshape(h.shape), self.sizes)
        if seen is not None:
            read = read * seen
        first, rest = (None, None) if draws is None else jnp.split(draws, [c.width])
        h = h + dropout(read, first, rates.residual)
        feed = FeedForward(self.sizes, rates.relu, rates.residual, name='feed_forward')
        return feed(h, rest)


class InputKeys(nn.Module):
    """Keys and values of one modality's input steps."""

    config: PhasedConfig

    @nn.compact
    def __call__(self, x: Array) -> tuple[Array, Array]:
        """`[D, L, B]` → two `[E, L, B]`."""
        width, inputs = self.config.width, x.shape[0]
        limits = (projection_limit(width, inputs),)
        maps = [Linear(width, limits, name=n)(inputs) for n in ('key', 'value')]
        maps = side_by_side(maps).after_norm(*Norms(1, name='norm')(inputs))
        return jnp.split(maps(whiten(x), [x.shape[1]]), 2)


class InputAttention(nn.Module):
    """Hidden states read the input of their own modality.

    Attributes:
      config: sizes and rates.
      deterministic: no dropout.
      sizes: hidden states of each modality.
      widths: `D_s` of each modality, on which the initial values depend.
    """

    config: PhasedConfig
    deterministic: bool
    sizes: tuple[int, ...]
    widths: tuple[int, ...]

    @nn.compact
    def __call__(self, h, keys, values, table, seen) -> Array:
        """`[E, rows, B]` → the same shape."""
        c = self.config
        limits = tuple(projection_limit(c.width, d) for d in self.widths)
        query = Linear(c.width, limits, name='query')(c.width)
        query = query.after_norm(*Norms(len(limits), name='norm')(c.width))
        block = Block(c, self.deterministic, self.sizes, name='block')
        return block(h, query(whiten(h), self.sizes), keys, values, table, seen)


class CrossAttention(nn.Module):
    """Two modalities of each pair read each other's hidden states.

    In the reverse direction the query and key projections swap roles; LayerNorms,
    output and feed-forward stay.

    Attributes:
      config: sizes and rates.
      deterministic: no dropout.
      sizes: hidden states of each modality.
      pairs: indices of the modalities of each pair.
    """

    config: PhasedConfig
    deterministic: bool
    sizes: tuple[int, ...]
    pairs: tuple[tuple[int, int], ...]

    @nn.compact
    def __call__(self, h: Array, table: Table, seen: list[Array] | None) -> Array:
        """`[E, rows, B]` → the same shape.

        Args:
          h: hidden states.
          table: which states the first of each pair reads of the second's, and the
            second of the first's; keys are those of the members in this order.
          seen: float `[B]` of each modality.
        """
        c = self.config
        members = [s for pair in self.pairs for s in pair]
        partners = [s for pair in self.pairs for s in pair[::-1]]
        sizes = [self.sizes[s] for s in members]

        def of_members(x):
            states = split_rows(x, self.sizes)
            return join_rows([states[s] for s in members])

        q, k, v = jnp.split(self._projections()(of_members(whiten(h)), sizes), 3)
        if seen is not None:
            seen = by_row([seen[s] for s in partners], sizes)
        of_pairs = tuple(sum(self.sizes[s] for s in pair) for pair in self.pairs)
        block = Block(c, self.deterministic, of_pairs, name='block')
        out = split_rows(block(of_members(h), q, k, v, table, seen), sizes)
        # What both directions bring to a modality is added: residuals count twice.
        return join_rows(
            [
                sum(x for x, member in zip(out, members, strict=True) if member == s)
                for s in range(len(self.sizes))
            ]
        )

    def _projections(self) -> Maps:
        """To query, key and value, for each member of each pair.

        A member asks by the same projection by which its partner reads it: the first by
        the query's, the second by the key's.
        """
        width, count = self.config.width, len(self.pairs)
        limits = (projection_limit(width, width),) * count
        query, key, value = (
            Linear(width, limits, name=name)(width)
            for name in ('query', 'key', 'value')
        )
        norms = [Norms(count, name=f'{name}_norm')(width) for name in ('query', 'key')]

        def for_members(firsts, seconds):
            def alternate(x, y):
                return jnp.stack([x, y], 1).reshape(2 * count, *x.shape[1:])

            return jax.tree.map(alternate, firsts, seconds)

        own, value = for_members(query, key), for_members(value, value)
        query_norm, key_norm = (for_members(norm, norm) for norm in norms)
        return side_by_side(
            [
                own.after_norm(*query_norm),
                own.after_norm(*key_norm),
                value.after_norm(*key_norm),
            ]
        )


class SelfAttention(nn.Module):
    """Hidden states read those of their own modality; one LayerNorm serves both."""

    config: PhasedConfig
    deterministic: bool
    sizes: tuple[int, ...]

    @nn.compact
    def __call__(self, h: Array, table: Table) -> Array:
        """`[E, rows, B]` → the same shape."""
        c, count = self.config, len(self.sizes)
        limits = (projection_limit(c.width, c.width),) * count
        maps = side_by_side(
            [
                Linear(c.width, limits, name=n)(c.width)
                for n in ('query', 'key', 'value')
            ]
        ).after_norm(*Norms(count, name='norm')(c.width))
        q, k, v = jnp.split(maps(whiten(h), self.sizes), 3)
        block = Block(c, self.deterministic, self.sizes, name='block')
        return block(h, q, k, v, table, None)


def by_row(values: Sequence[Array], sizes: Sequence[int]) -> Array:
    """`[B]` of each sequence → `[rows, B]`."""
    return jnp.concatenate(
        [
            jnp.broadcast_to(x, (size, x.shape[0]))
            for x, size in zip(values, sizes, strict=True)
        ]
    )
