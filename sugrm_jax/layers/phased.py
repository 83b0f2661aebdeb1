"""The multimodal sparse phased transformer, SPT (Cheng et al., EMNLP 2021).

Each modality's sequence is compressed into `Q = ceil(L / stride)` hidden states.
Four layers, all with the same weights, repeat input attention (hidden states
read their own modality's input), cross attention (they read another modality's
hidden states) and self attention. Every query reads a few sampled keys only
(`sampling`).

The modalities are stacked on the first axis, `S`, in the order t, a, v, and padded to
the longest, so that each attention is one program for all of them (`nn.vmap`); rows
past a modality's own hidden states are never read. Two exact rewritings keep it
fast: LayerNorm and the key and value projections act on single time steps, so they
run before sampling; and the input and the weights are the same in all layers, so the
input's keys and values are computed once.
"""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np
from flax import linen as nn

from sugrm_jax.layers.blocks import (
    Block,
    CrossAttention,
    InputKeys,
    InputQueries,
    PhasedConfig,
    SelfAttention,
    stacked,
)
from sugrm_jax.layers.linear import Norm, xavier_rows
from sugrm_jax.layers.positions import add_positions
from sugrm_jax.layers.sampling import hidden_count, sampled_positions
from sugrm_jax.types import MODALITIES, Array

# Factorised co-attention: one block a pair. The first queries the second, and in the
# reverse direction the same block lets the second query the first.
PAIRS = (('a', 't'), ('t', 'v'), ('v', 'a'))
FIRST, SECOND = (
    np.array([MODALITIES.index(pair[end]) for pair in PAIRS]) for end in (0, 1)
)


class Layer(nn.Module):
    """Input, cross and self attention, once."""

    config: PhasedConfig
    deterministic: bool
    widths: tuple[int, ...]

    @nn.compact
    def __call__(self, h: Array, tables: dict, input_kv: tuple, seen: Array | None):
        """Hidden states `[S, B, Q, E]` → the same, in the form `nn.scan` asks for.

        Args:
          h: hidden states.
          tables: sampled positions: `input`, `self` `[S, (B,) Q, W]`; `cross`, of both
            directions of the pairs.
          input_kv: keys and values of the inputs, `[S, B, L, E]` each.
          seen: float `[S, B]`, 0 where a modality is absent; None where padding takes
            part.
        """
        parts = (self.config, self.deterministic)
        q = InputQueries(self.config, self.widths, name='input_queries')(h)
        h = stacked(Block)(*parts, name='input')(h, q, *input_kv, tables['input'], seen)
        pair_seen = (None, None) if seen is None else (seen[SECOND], seen[FIRST])
        first, second = stacked(CrossAttention)(*parts, name='cross')(
            h[FIRST], h[SECOND], tables['cross'], pair_seen
        )
        # What both directions bring to a modality is added: residuals count twice.
        h = first[np.argsort(FIRST)] + second[np.argsort(SECOND)]
        return stacked(SelfAttention)(*parts, name='self')(h, tables['self']), None


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
          The last (real) hidden state, `[B, E]` by modality.
        """
        c = self.config
        steps = {s: features[s].shape[1] for s in MODALITIES}
        queries = {s: hidden_count(steps[s], c.input_attention.stride) for s in steps}
        h = self._start_states(features['t'].shape[0], queries, deterministic)
        input_kv = [
            InputKeys(c, name=f'keys_{s}')(self._embed(features[s], deterministic))
            for s in MODALITIES
        ]
        seen = None
        if lengths is not None:
            seen = jnp.stack([lengths[s] > 0 for s in MODALITIES]).astype(h.dtype)
        layers = nn.scan(
            Layer,
            variable_broadcast='params',
            split_rngs={'params': False, 'dropout': True},
            in_axes=(0, nn.broadcast, nn.broadcast),
            length=c.layers,
        )
        widths = tuple(features[s].shape[2] for s in MODALITIES)
        tables = self._tables(steps, queries, lengths, deterministic)
        input_kv = tuple(_stack_padded(x) for x in zip(*input_kv, strict=True))
        layer = layers(c, deterministic, widths, name='layer')
        h, _ = layer(h, tables, input_kv, seen)
        last = self._last_states(Norm(name='norm')(h), queries, lengths)
        if seen is not None:
            last = last * seen[..., None]
        return dict(zip(MODALITIES, last, strict=True))

    def _embed(self, x: Array, deterministic: bool) -> Array:
        """Scale, positions and dropout, for inputs and start states."""
        x = x * self.config.width**0.5
        x = add_positions(x, skip_zero_steps=self.config.skip_zero_steps)
        rate = self.config.dropout.embedding
        return nn.Dropout(rate, deterministic=deterministic)(x)

    def _start_states(self, batch: int, queries: dict, deterministic: bool) -> Array:
        """Every modality's learned start vector, at each of its positions."""
        width = self.config.width
        start = self.param('start', xavier_rows, (len(MODALITIES), width))
        shape = (batch, max(queries.values()), width)
        # One modality at a time: with utterances first, a batch filled up for more
        # devices draws the same dropout.
        states = [self._embed(jnp.broadcast_to(x, shape), deterministic) for x in start]
        return jnp.stack(states)

    def _last_states(self, h: Array, queries: dict, lengths: dict | None) -> Array:
        """The last hidden states that stand for real steps, `[S, B, E]`."""
        if lengths is None:
            return jnp.stack(
                [h[i, :, queries[s] - 1] for i, s in enumerate(MODALITIES)]
            )
        length = jnp.stack([lengths[s] for s in MODALITIES])
        last = hidden_count(length, self.config.input_attention.stride) - 1
        last = jnp.maximum(last, 0)[..., None, None]
        return jnp.take_along_axis(h, last, axis=2)[:, :, 0]

    def _tables(self, steps, queries, lengths, deterministic) -> dict:
        """Sampled positions of all layers, `[layers, S, (B,) Q, W]`."""
        c = self.config
        length = lengths or steps
        hidden = {s: hidden_count(length[s], c.input_attention.stride) for s in steps}
        kinds = (c.input_attention, c.cross_attention, c.self_attention)
        draw = not deterministic and any('random' in kind.shifts for kind in kinds)

        def positions(sampling, reader, keys, layer):
            return sampled_positions(
                sampling,
                layer=layer,
                queries=max(queries.values()),
                keys=keys if lengths is None else jnp.maximum(keys, 1),
                length=length[reader],
                hidden=hidden[reader],
                key=self.make_rng('sampling') if draw else None,
            )

        def tables(sampling, readers, keys):
            return jnp.stack(
                [
                    jnp.stack(
                        [
                            positions(sampling, reader, keys[read], layer)
                            for reader, read in readers
                        ]
                    )
                    for layer in range(c.layers)
                ]
            )

        own = [(s, s) for s in MODALITIES]
        return {
            'input': tables(c.input_attention, own, length),
            'cross': (
                tables(c.cross_attention, PAIRS, hidden),
                tables(c.cross_attention, [pair[::-1] for pair in PAIRS], hidden),
            ),
            'self': tables(c.self_attention, own, hidden),
        }


def _stack_padded(arrays: tuple[Array, ...]) -> Array:
    """`[B, L_s, E]` of each modality → `[S, B, L, E]`, 0 beyond its own length."""
    most = max(x.shape[1] for x in arrays)
    return jnp.stack(
        [jnp.pad(x, ((0, 0), (0, most - x.shape[1]), (0, 0))) for x in arrays]
    )
