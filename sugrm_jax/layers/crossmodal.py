"""MulT's encoder, the crossmodal transformer (Tsai et al., ACL 2019, section 3).

A temporal convolution brings each modality's sequence to width `d`. Then each modality
reads each of the two others in a crossmodal transformer, whose every layer reads the
other's convolved sequence; what the two give is joined to width `2d` and read by a
transformer of its own. The last (real) step is the modality's representation.

The official code (github.com/yaohungt/Multimodal-Transformer) and MMSA's copy go
beyond the paper in what is fixed here: LayerNorm stands before attention and
feed-forward, one for queries, keys and values; no padding at the convolution; inputs
are multiplied by the root of their width; keys and values get a dropout each.

As in `phased`, the sequences of all transformers stand in a row, `[E, rows, B]`: what
is the same for all is one operation, which compiles several times faster.
"""

from __future__ import annotations

import dataclasses
import math

import jax.numpy as jnp
import numpy as np
from flax import linen as nn

from sugrm_jax.config import at_least
from sugrm_jax.layers.attend import attend
from sugrm_jax.layers.attention import take_rows
from sugrm_jax.layers.blocks import FeedForward, by_row
from sugrm_jax.layers.dropout import check_rate, dropout, random_bytes
from sugrm_jax.layers.lengths import real_steps
from sugrm_jax.layers.linear import (
    Linear,
    Maps,
    Norms,
    join_rows,
    projection_limit,
    split_rows,
    symmetric_uniform,
    whiten,
    xavier,
)
from sugrm_jax.layers.positions import sinusoids
from sugrm_jax.types import MODALITIES, Array

# Who reads whom: the crossmodal transformers, and those behind them.
PAIRS = ((0, 1), (0, 2), (1, 0), (1, 2), (2, 0), (2, 1))
OWN = ((0, 0), (1, 1), (2, 2))


@dataclasses.dataclass(frozen=True)
class CrossmodalDropout:
    """Dropout of the crossmodal transformer.

    Attributes:
      text: on the text's features, before the convolution.
      embedding: on the inputs of every transformer.
      attention: on attention weights, by the modality that is read, in the order
        t, a, v; what reads the joined sequences uses the first.
      relu: after the feed-forward's ReLU.
      residual: on what joins a residual.
    """

    text: float = 0.0
    embedding: float = 0.0
    attention: tuple[float, ...] = (0.0, 0.0, 0.0)
    relu: float = 0.0
    residual: float = 0.0

    def __post_init__(self):
        _check_by_modality(self.attention, 'attention')
        for rate in self.attention:
            check_rate(rate, 'attention')
        for name in ('text', 'embedding', 'relu', 'residual'):
            check_rate(getattr(self, name), name)


@dataclasses.dataclass(frozen=True)
class CrossmodalConfig:
    """Sizes and settings of the crossmodal transformer.

    Attributes:
      width: `d`, of a convolved sequence; representations are twice as wide.
      heads: attention heads, of all transformers.
      layers: of each of the six crossmodal transformers.
      memory_layers: of each of the three that read the joined sequences.
      kernels: steps that the convolutions span, in the order t, a, v.
      positions: add sinusoidal positions to the inputs of every transformer, as in the
        paper (section 3.1) and the official code; in MMSA's there are none.
      causal: a query sees the keys up to its own position and, where the sequences
        differ in length, as many further as they differ by, as in the code; the paper
        says nothing of this: every key.
      dropout: rates.
    """

    width: int
    heads: int
    layers: int
    memory_layers: int
    kernels: tuple[int, ...]
    positions: bool
    causal: bool
    dropout: CrossmodalDropout

    def __post_init__(self):
        for name in ('width', 'heads', 'layers', 'memory_layers'):
            at_least(getattr(self, name), 1, name)
        _check_by_modality(self.kernels, 'kernels')
        at_least(min(self.kernels), 1, 'kernels')
        if self.width % self.heads:
            raise ValueError(f'width {self.width} is no multiple of heads {self.heads}')


def _check_by_modality(values: tuple, name: str) -> None:
    if len(values) != len(MODALITIES):
        raise ValueError(f'{name} must have one value for each of t, a, v: {values}')


class TemporalConvolution(nn.Module):
    """Convolution over time, without padding and bias (paper, equation 1).

    Attributes:
      width: of the result.
      kernel: steps it spans.
    """

    width: int
    kernel: int

    @nn.compact
    def __call__(self, x: Array, length: Array | None) -> tuple[Array, Array | None]:
        """`[B, L, D]` → `[width, max(L - kernel + 1, 1), B]`, and its lengths.

        Args:
          x: a sequence.
          length: its real steps `[B]`, or None. A sequence shorter than the kernel is
            filled up with zeros and gives one step; an empty one gives none.
        """
        if length is not None:
            real = real_steps(length, x.shape[1])
            x = jnp.where(real[..., None], x, 0)
            length = jnp.maximum(length - self.kernel + 1, jnp.minimum(length, 1))
        missing = max(self.kernel - x.shape[1], 0)
        x = jnp.pad(x, ((0, 0), (0, missing), (0, 0)))
        convolution = nn.Conv(
            self.width,
            (self.kernel,),
            padding='VALID',
            use_bias=False,
            kernel_init=symmetric_uniform((self.kernel * x.shape[-1]) ** -0.5),
            name='steps',
        )
        return convolution(x).transpose(2, 1, 0), length


def sight(
    queries: int, keys: int, lengths: tuple[Array, Array] | None, causal: bool
) -> Array:
    """Which keys a query sees, bool `[1 or B, 1 or queries, keys]`.

    Args:
      queries, keys: steps of the two sequences.
      lengths: real steps `[B]` of the two, or None where padding takes part.
      causal: see `CrossmodalConfig`.
    """
    query, key = jnp.arange(queries)[:, None], jnp.arange(keys)[None, None]
    if lengths is not None:
        queries, keys = (n[:, None, None] for n in lengths)
    see = key < keys
    return see & (key <= query + abs(keys - queries)) if causal else see


class Layer(nn.Module):
    """Attention and feed-forward of several transformers (paper, equation 4).

    Attributes:
      config: sizes and settings.
      deterministic: no dropout.
      sizes: rows of each transformer.
      key_sizes: rows that each of them reads.
      rates: dropout on the attention weights of each.
    """

    config: CrossmodalConfig
    deterministic: bool
    sizes: tuple[int, ...]
    key_sizes: tuple[int, ...]
    rates: tuple[float, ...]

    @nn.compact
    def __call__(
        self, h: Array, source: tuple | None, see: list[Array], present: Array | None
    ) -> tuple[Array, None]:
        """`[E, rows, B]` → the same shape, in the form `nn.scan` asks for.

        Args:
          h: the sequences that read, in a row.
          source: those that are read, for keys and for values, whitened,
            `[E, key rows, B]` each; None: each reads itself.
          see: bool `[1 or B, 1 or L, K]` of each transformer: which keys a step sees.
          present: bool `[rows, B]`, false where there is nothing to read; or None.
        """
        rates, width = self.config.dropout, len(h)
        norms = Norms(len(self.sizes), name='norm')(width)
        limit = projection_limit(width, width)
        query, key, value = (
            self._maps(name, width, limit).after_norm(*norms)
            for name in ('query', 'key', 'value')
        )
        draws, rest = None, None
        if not self.deterministic and (rates.relu or rates.residual):
            draws = random_bytes(self.make_rng('dropout'), (6 * width, *h.shape[1:]))
            draws, rest = jnp.split(draws, [width])
        own = whiten(h)
        keys, values = (own, own) if source is None else source
        read = map(
            self._attend,
            query.each(split_rows(own, self.sizes)),
            key.each(split_rows(keys, self.key_sizes)),
            value.each(split_rows(values, self.key_sizes)),
            see,
            self._attention_draws(h.shape[-1]),
            self.rates,
        )
        output = self._maps('output', width, xavier(width, width))
        read = join_rows(output.each(list(read)))
        if present is not None:
            read = read * present
        h = h + dropout(read, draws, rates.residual)
        feed = FeedForward(self.sizes, rates.relu, rates.residual, name='feed_forward')
        return feed(h, rest), None

    def _maps(self, name: str, width: int, limit: float) -> Maps:
        return Linear(width, (limit,) * len(self.sizes), name=name)(width)

    def _attend(self, q, k, v, see, draws, rate):
        """Queries `[E, L, B]`, keys and values `[E, K, B]` → `[E, L, B]`."""

        def by_head(x):
            x = x.reshape(self.config.heads, -1, *x.shape[1:])
            return x.transpose(3, 2, 0, 1)

        heads = (by_head(x) for x in (q, k, v))
        out = attend(*heads, see, lambda w: dropout(w, draws, rate))
        return out.transpose(2, 3, 1, 0).reshape(q.shape)

    def _attention_draws(self, batch: int) -> list[Array | None]:
        """Random bytes for each transformer's attention weights, `[B, H, L, K]`."""
        if self.deterministic or not any(self.rates):
            return [None] * len(self.rates)
        ends = zip(self.sizes, self.key_sizes, self.rates, strict=True)
        shapes = [
            (self.config.heads, queries, keys) if rate else (0,)
            for queries, keys, rate in ends
        ]
        counts = [math.prod(shape) for shape in shapes]
        draws = random_bytes(self.make_rng('dropout'), (sum(counts), batch)).T
        draws = jnp.split(draws, np.cumsum(counts)[:-1], axis=1)
        return [x.reshape(batch, *y) for x, y in zip(draws, shapes, strict=True)]


class Transformers(nn.Module):
    """Transformers of the same depth, each with its own weights.

    Attributes:
      config: sizes and settings.
      deterministic: no dropout.
      layers: how many each has.
      pairs: for each, which sequence reads which.
      rates: dropout on the attention weights of each.
    """

    config: CrossmodalConfig
    deterministic: bool
    layers: int
    pairs: tuple[tuple[int, int], ...]
    rates: tuple[float, ...]

    @nn.compact
    def __call__(self, x: list[Array], counts: list[Array] | None) -> list[Array]:
        """Sequences `[E, L, B]` and their real steps `[B]` → what each pair's first is
        after reading."""
        c = self.config
        x = [_embed(y, c.positions) for y in x]
        ends = tuple(zip(*self.pairs, strict=True))
        sizes, key_sizes = (tuple(x[s].shape[1] for s in end) for end in ends)
        rows, keys = (join_rows([x[s] for s in end]) for end in ends)
        h, *source = self._drop([rows] if self.pairs == OWN else [rows, keys, keys])
        source = tuple(whiten(y) for y in source) or None
        # Attention weights would need gigabytes if they were kept for the gradient.
        layers = nn.scan(
            nn.remat(Layer, prevent_cse=False),
            variable_axes={'params': 0},
            split_rngs={'params': True, 'dropout': True},
            in_axes=nn.broadcast,
            length=self.layers,
        )(c, self.deterministic, sizes, key_sizes, self.rates, name='layers')
        see, present = [], None
        for queries, keys, (s, o) in zip(sizes, key_sizes, self.pairs, strict=True):
            real = None if counts is None else (counts[s], counts[o])
            see.append(sight(queries, keys, real, c.causal))
        if counts is not None:
            present = by_row([counts[s] > 0 for s in ends[1]], sizes)
        h, _ = layers(h, source, see, present)
        norms = zip(*Norms(len(sizes), name='norm')(len(h)), strict=True)
        return [
            y * scale[:, None, None] + bias[:, None, None]
            for y, (scale, bias) in zip(
                split_rows(whiten(h), sizes), norms, strict=True
            )
        ]

    def _drop(self, inputs: list[Array]) -> list[Array]:
        rate = self.config.dropout.embedding
        if self.deterministic or not rate:
            return inputs
        x = join_rows(inputs)
        draws = random_bytes(self.make_rng('dropout'), x.shape)
        return split_rows(dropout(x, draws, rate), [y.shape[1] for y in inputs])


class CrossmodalTransformer(nn.Module):
    """MulT's encoder: `[B, L_s, D_s]` of three modalities → one vector `[B, 2d]` each.

    Attributes:
      config: sizes and settings.
    """

    config: CrossmodalConfig

    @nn.compact
    def __call__(
        self,
        features: dict[str, Array],
        lengths: dict[str, Array] | None,
        deterministic: bool,
    ) -> dict[str, Array]:
        """Encodes the three modalities.

        Args:
          features: `[B, L_s, D_s]` by modality.
          lengths: real steps `[B]` by modality: padded steps are not seen, the
            result for an utterance is that of the utterance alone, and an absent
            modality (length 0) contributes nothing and is encoded as 0. None: padded
            steps take part like any other, as in the original code.
          deterministic: no dropout.

        Returns:
          The last (real) step of each modality's last transformer.
        """
        c, rates = self.config, self.config.dropout.attention
        drop = nn.Dropout(c.dropout.text, deterministic=deterministic)
        features = {**features, 't': drop(features['t'])}
        x, counts = [], []
        for s, kernel in zip(MODALITIES, c.kernels, strict=True):
            convolution = TemporalConvolution(c.width, kernel, name=f'convolution_{s}')
            y, count = convolution(features[s], None if lengths is None else lengths[s])
            x.append(y)
            counts.append(count)
        counts = None if lengths is None else counts
        pair_rates = tuple(rates[source] for _, source in PAIRS)
        parts = c, deterministic
        read = Transformers(*parts, c.layers, PAIRS, pair_rates, name='crossmodal')
        h = read(x, counts)
        # What a modality has read of the two others, side by side.
        h = [jnp.concatenate(h[i : i + 2]) for i in range(0, len(h), 2)]
        own_rates = rates[:1] * len(OWN)
        read = Transformers(*parts, c.memory_layers, OWN, own_rates, name='memory')
        h = read(h, counts)
        last = map(_last_step, h, counts or [None] * len(h))
        return dict(zip(MODALITIES, last, strict=True))


def _embed(x: Array, positions: bool) -> Array:
    """Scale, and positions: `[E, L, B]` → the same shape."""
    x = x * len(x) ** 0.5
    return x + sinusoids(x.shape[1], len(x)).T[..., None] if positions else x


def _last_step(x: Array, count: Array | None) -> Array:
    """The last of all, or of the real steps of `[E, L, B]`, `[B, E]`; 0 of none."""
    if count is None:
        return x[:, -1].T
    last = take_rows(x, jnp.maximum(count - 1, 0)[None])[:, 0]
    return (last * (count > 0)).T
