"""The multimodal sparse phased transformer, SPT (Cheng et al., EMNLP 2021).

Each modality's sequence is compressed into `Q = ceil(L / stride)` hidden states.
Four layers, all with the same weights, repeat input attention (hidden states
read their own modality's input), cross attention (they read another modality's
hidden states) and self attention. Every query reads a few sampled keys only
(`sampling`).

Hidden states are `[E, rows, B]`: those of t, a and v in a row, so that each attention
is one program for all of them, and the batch last, which suits `attention`. Two exact
rewritings keep it fast: LayerNorm and the key and value projections act on single
time steps, so they run before sampling; and the input and the weights are the same in
all layers, so the input's keys and values are computed once.
"""

from __future__ import annotations

import jax.numpy as jnp
from flax import linen as nn

from sugrm_jax.layers.attention import take_rows
from sugrm_jax.layers.blocks import (
    CrossAttention,
    InputAttention,
    InputKeys,
    PhasedConfig,
    SelfAttention,
    by_row,
)
from sugrm_jax.layers.dropout import dropout, random_bytes
from sugrm_jax.layers.linear import (
    Norms,
    join_rows,
    split_rows,
    whiten,
    wide,
    xavier_rows,
)
from sugrm_jax.layers.positions import add_positions
from sugrm_jax.layers.sampling import hidden_count
from sugrm_jax.layers.tables import draws, layer_tables
from sugrm_jax.types import MODALITIES, Array

# Factorised co-attention: one block a pair. The first queries the second, and in the
# reverse direction the same block lets the second query the first.
PAIRS = tuple(
    (MODALITIES.index(first), MODALITIES.index(second))
    for first, second in (('a', 't'), ('t', 'v'), ('v', 'a'))
)


class Layer(nn.Module):
    """Input, cross and self attention, once.

    Attributes:
      config: sizes and settings.
      deterministic: no dropout.
      sizes: hidden states of each modality.
      widths: `D_s` of each.
    """

    config: PhasedConfig
    deterministic: bool
    sizes: tuple[int, ...]
    widths: tuple[int, ...]

    @nn.compact
    def __call__(self, h: Array, tables: dict, inputs: tuple, seen: list | None):
        """Hidden states `[E, rows, B]` → the same, in the form `nn.scan` asks for.

        Args:
          h: hidden states of the modalities in a row.
          tables: which keys the queries of `input`, `cross` and `self` read.
          inputs: keys and values of the inputs, `[E, L_t + L_a + L_v, B]`.
          seen: float `[B]` of each modality, 0 where it is absent; None where padding
            takes part.
        """
        parts = (self.config, self.deterministic, self.sizes)
        rows = None if seen is None else by_row(seen, self.sizes)
        h = InputAttention(*parts, self.widths, name='input')(
            h, *inputs, tables['input'], rows
        )
        h = CrossAttention(*parts, PAIRS, name='cross')(h, tables['cross'], seen)
        return SelfAttention(*parts, name='self')(h, tables['self']), None


class PhasedTransformer(nn.Module):
    """SPT: `[B, L_s, D_s]` of three modalities → one vector `[B, E]` each.

    Attributes:
      config: sizes and settings.
    """

    config: PhasedConfig

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
            modality (length 0) contributes nothing and is encoded as 0. None:
            padded steps take part like any other, as in the released code.
          deterministic: no dropout and no random shift.

        Returns:
          The last (real) hidden state, float32 `[B, E]` by modality.
        """
        c = self.config
        x = [self._embed(features[s], deterministic) for s in MODALITIES]
        steps, widths = [y.shape[1] for y in x], tuple(len(y) for y in x)
        sizes = tuple(hidden_count(n, c.input_attention.stride) for n in steps)
        h = self._start_states(x[0].shape[-1], sizes, deterministic)
        inputs = [
            InputKeys(c, name=f'keys_{s}')(y)
            for s, y in zip(MODALITIES, x, strict=True)
        ]
        inputs = tuple(join_rows(part) for part in zip(*inputs, strict=True))
        seen = None
        if lengths is not None:
            lengths = [lengths[s] for s in MODALITIES]
            seen = [(length > 0).astype(h.dtype) for length in lengths]
        layers = nn.scan(
            Layer,
            variable_broadcast='params',
            split_rngs={'params': False, 'dropout': True},
            in_axes=(0, nn.broadcast, nn.broadcast),
            length=c.layers,
        )
        tables = self._tables(steps, sizes, lengths, deterministic)
        layer = layers(c, deterministic, sizes, widths, name='layer')
        h, _ = layer(h, tables, inputs, seen)
        scale, bias = Norms(1, name='norm')(c.width)
        h = whiten(wide(h)) * scale[0, :, None, None] + bias[0, :, None, None]
        self.sow('intermediates', 'states', h)
        last = self._last_states(split_rows(h, sizes), lengths)
        if seen is not None:
            last = [x * present for x, present in zip(last, seen, strict=True)]
        return {s: x.T for s, x in zip(MODALITIES, last, strict=True)}

    def _embed(self, x: Array, deterministic: bool) -> Array:
        """Scale, positions and dropout: `[B, L, D]` → `[D, L, B]`."""
        x = x * self.config.width**0.5
        x = add_positions(x, skip_zero_steps=self.config.skip_zero_steps)
        return self._enter(x.transpose(2, 1, 0), deterministic)

    def _enter(self, x: Array, deterministic: bool) -> Array:
        """In the compute type, which all that follows takes over, and dropout."""
        x, rate = x.astype(self.config.compute_dtype), self.config.dropout.embedding
        if deterministic or not rate:
            return x
        return dropout(x, random_bytes(self.make_rng('dropout'), x.shape), rate)

    def _start_states(
        self, batch: int, sizes: tuple[int, ...], deterministic: bool
    ) -> Array:
        """Every modality's learned start vector, at each of its positions."""
        width = self.config.width
        start = self.param('start', xavier_rows, (len(sizes), width))
        start = jnp.broadcast_to(start[:, None], (len(sizes), max(sizes), width))
        start = start * width**0.5
        start = add_positions(start, skip_zero_steps=self.config.skip_zero_steps)
        h = jnp.concatenate(
            [x[:count] for x, count in zip(start, sizes, strict=True)]
        ).T
        h = jnp.broadcast_to(h[..., None], (*h.shape, batch))
        return self._enter(h, deterministic)

    def _last_states(self, h: list[Array], lengths: list | None) -> list[Array]:
        """The last hidden states that stand for real steps, `[E, B]` each."""
        if lengths is None:
            return [x[:, -1] for x in h]
        last = [
            hidden_count(n, self.config.input_attention.stride) - 1 for n in lengths
        ]
        return [
            take_rows(x, jnp.maximum(i, 0)[None])[:, 0]
            for x, i in zip(h, last, strict=True)
        ]

    def _tables(self, steps, queries, lengths, deterministic) -> dict:
        """Which keys are read, by kind of attention; of all layers."""
        c = self.config
        stride = c.input_attention.stride
        length = steps if lengths is None else lengths
        hidden = [hidden_count(n, stride) for n in length]

        def tables(sampling, readers, keys, firsts):
            random = not deterministic and draws(sampling, stride)
            sequences = [
                {
                    'first': first,
                    'queries': queries[reader],
                    'keys': keys[s] if lengths is None else jnp.maximum(keys[s], 1),
                    'length': length[reader],
                    'hidden': hidden[reader],
                }
                for (reader, s), first in zip(readers, firsts, strict=True)
            ]
            draw = (lambda: self.make_rng('sampling')) if random else None
            return layer_tables(sampling, c.layers, sequences, draw)

        def firsts(counts):
            return [sum(counts[:i]) for i in range(len(counts))]

        own = [(s, s) for s in range(len(steps))]
        both = [ends for pair in PAIRS for ends in (pair, pair[::-1])]
        members = firsts([queries[s] for s, _ in both])
        partners = [members[i ^ 1] for i in range(len(members))]
        return {
            'input': tables(c.input_attention, own, length, firsts(steps)),
            'cross': tables(c.cross_attention, both, hidden, partners),
            'self': tables(c.self_attention, own, hidden, firsts(queries)),
        }
