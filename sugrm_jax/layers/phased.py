"""The multimodal sparse phased transformer, SPT (Cheng et al., EMNLP 2021).

Each modality's sequence is compressed into `Q = ceil(L / stride)` hidden states.
Four layers, all with the same weights, repeat input attention (hidden states
read their own modality's input), cross attention (they read another modality's
hidden states) and self attention. Every query reads a few sampled keys only
(`sampling`).

Two exact rewritings keep it fast: LayerNorm and the key and value projections
act on single time steps, so they run before sampling; and the input and the
weights are the same in all layers, so the input's keys and values are computed
once.
"""

from __future__ import annotations

import dataclasses

import jax.numpy as jnp
from flax import linen as nn

from sugrm_jax.layers.attention import sampled_attention
from sugrm_jax.layers.linear import layer_norm, xavier_dense, xavier_rows
from sugrm_jax.layers.positions import add_positions
from sugrm_jax.layers.sampling import Sampling, hidden_count, sampled_positions
from sugrm_jax.types import MODALITIES, Array

# Factorised co-attention: one block a pair, (queries, keys) as named; in the
# reverse direction the same block lets the second query the first.
PAIRS = (('a', 't'), ('t', 'v'), ('v', 'a'))


@dataclasses.dataclass(frozen=True)
class DropoutRates:
    """Dropout of the transformer: on inputs and hidden states (embedding), on
    attention weights, after the feed-forward's ReLU, and on what joins a residual."""

    embedding: float = 0.0
    attention: float = 0.0
    relu: float = 0.0
    residual: float = 0.0


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


class FeedForward(nn.Module):
    """Pre-norm residual feed-forward, `E → 4E → E` with ReLU."""

    width: int
    dropout: DropoutRates

    @nn.compact
    def __call__(self, x: Array, deterministic: bool) -> Array:
        h = layer_norm(name='norm')(x)
        h = nn.relu(xavier_dense(4 * self.width, self.width, name='expand')(h))
        h = nn.Dropout(self.dropout.relu, deterministic=deterministic)(h)
        h = xavier_dense(self.width, 4 * self.width, name='contract')(h)
        return x + nn.Dropout(self.dropout.residual, deterministic=deterministic)(h)


class SampledBlock(nn.Module):
    """Attention over sampled keys and a feed-forward, both pre-norm and residual.

    Attributes:
      width: `E`.
      heads: `H`.
      key_width: `D`, of what the keys are made from.
      own_key_norm: whether keys have a LayerNorm of their own, or share the
        query's (self attention).
      dropout: rates.
    """

    width: int
    heads: int
    key_width: int
    own_key_norm: bool
    dropout: DropoutRates

    def setup(self):
        # The original draws query, key and value as one [E + 2D, E] matrix.
        fan_out = self.width + 2 * self.key_width
        self.query = xavier_dense(self.width, self.width, fan_out)
        self.key = xavier_dense(self.width, self.width, fan_out)
        self.value = xavier_dense(self.width, self.width, fan_out)
        self.output = xavier_dense(self.width, self.width)
        self.query_norm = layer_norm()
        self.key_norm = layer_norm() if self.own_key_norm else self.query_norm
        self.feed_forward = FeedForward(self.width, self.dropout)
        self.drop_attention = nn.Dropout(self.dropout.attention)
        self.drop_residual = nn.Dropout(self.dropout.residual)

    def keys_values(self, x: Array, reverse: bool = False) -> tuple[Array, Array]:
        """`[B, K, D]` → keys and values `[B, K, H, E / H]`.

        In reverse the query and key projections swap roles.
        """
        x = self.key_norm(x)
        key = self.query if reverse else self.key
        return self._split(key(x)), self._split(self.value(x))

    def __call__(
        self,
        h: Array,
        keys_values: tuple[Array, Array],
        table: Array,
        seen: Array | None,
        deterministic: bool,
        reverse: bool = False,
    ) -> Array:
        """Hidden states `[B, Q, E]` → the same shape.

        Args:
          h: the querying hidden states.
          keys_values: of what they read.
          table: sampled positions, `[Q, W]` or `[B, Q, W]`.
          seen: float `[B]`, 0 where the modality that is read is absent from the
            utterance and must contribute nothing; None where all are present.
          deterministic: no dropout.
          reverse: the query and key projections swap roles.
        """
        query = self.key if reverse else self.query
        attended = sampled_attention(
            self._split(query(self.query_norm(h))),
            *keys_values,
            table,
            lambda weights: self.drop_attention(weights, deterministic=deterministic),
        )
        attended = self.output(attended.reshape(h.shape))
        if seen is not None:
            attended = attended * seen[:, None, None]
        h = h + self.drop_residual(attended, deterministic=deterministic)
        return self.feed_forward(h, deterministic)

    def _split(self, x: Array) -> Array:
        return x.reshape(*x.shape[:2], self.heads, self.width // self.heads)


class PhasedTransformer(nn.Module):
    """SPT: `[B, L_s, D_s]` of three modalities → one vector `[B, E]` each.

    Attributes:
      config: sizes and settings.
      widths: `D_s` by modality.
    """

    config: PhasedConfig
    widths: dict[str, int]

    def setup(self):
        c = self.config
        self.start = self.param('start', xavier_rows, (len(MODALITIES), c.width))
        self.drop_embedding = nn.Dropout(c.dropout.embedding)
        self.norm = layer_norm()

        def blocks(names, key_widths, own_key_norm):
            return {
                name: SampledBlock(c.width, c.heads, d, own_key_norm, c.dropout)
                for name, d in zip(names, key_widths, strict=True)
            }

        hidden = [c.width] * len(MODALITIES)
        inputs = [self.widths[s] for s in MODALITIES]
        self.input_attention = blocks(MODALITIES, inputs, own_key_norm=True)
        self.cross_attention = blocks(
            [q + k for q, k in PAIRS], hidden, own_key_norm=True
        )
        self.self_attention = blocks(MODALITIES, hidden, own_key_norm=False)

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
        hidden = self.hidden_states(features, lengths, deterministic)
        seen = _presence(lengths)
        encoded = {}
        for s in MODALITIES:
            stride = self.config.input_attention.stride
            last = self.norm(_last_real(hidden[s], lengths and lengths[s], stride))
            encoded[s] = last if seen[s] is None else last * seen[s][:, None]
        return encoded

    def hidden_states(
        self,
        features: dict[str, Array],
        lengths: dict[str, Array] | None,
        deterministic: bool,
    ) -> dict[str, Array]:
        """All hidden states `[B, Q, E]`, before the final LayerNorm; as above."""
        c = self.config
        batch = features['t'].shape[0]
        inputs = {s: self._embed(features[s], deterministic) for s in MODALITIES}
        stride = c.input_attention.stride
        queries = {s: hidden_count(x.shape[1], stride) for s, x in inputs.items()}
        hidden = {}
        for i, s in enumerate(MODALITIES):
            start = jnp.broadcast_to(self.start[i], (batch, queries[s], c.width))
            hidden[s] = self._embed(start, deterministic)
        input_kv = {
            s: self.input_attention[s].keys_values(inputs[s]) for s in MODALITIES
        }
        tables = self._tables(inputs, queries, lengths, deterministic)
        seen = _presence(lengths)

        def layer(module, hidden, tables):
            return module._layer(hidden, input_kv, tables, seen, deterministic), None

        scan = nn.scan(
            layer,
            variable_broadcast='params',
            split_rngs={'params': False, 'dropout': True},
            length=c.layers,
        )
        return scan(self, hidden, tables)[0]

    def _embed(self, x: Array, deterministic: bool) -> Array:
        x = x * self.config.width**0.5
        x = add_positions(x, skip_zero_steps=self.config.skip_zero_steps)
        return self.drop_embedding(x, deterministic=deterministic)

    def _layer(self, hidden, input_kv, tables, seen, deterministic):
        """Input, cross and self attention, once."""
        h = {
            s: self.input_attention[s](
                hidden[s], input_kv[s], tables['input'][s], seen[s], deterministic
            )
            for s in MODALITIES
        }
        h = self._cross(h, tables['cross'], seen, deterministic)
        return {
            s: self.self_attention[s](
                h[s],
                self.self_attention[s].keys_values(h[s]),
                tables['self'][s],
                seen[s],
                deterministic,
            )
            for s in MODALITIES
        }

    def _cross(self, h, tables, seen, deterministic):
        """Both directions of each pair; what reaches a modality is added."""
        reached = {s: [] for s in MODALITIES}
        for first, second in PAIRS:
            block = self.cross_attention[first + second]
            for reader, read, reverse in (
                (first, second, False),
                (second, first, True),
            ):
                reached[reader].append(
                    block(
                        h[reader],
                        block.keys_values(h[read], reverse),
                        tables[reader + read],
                        seen[read],
                        deterministic,
                        reverse,
                    )
                )
        return {s: sum(both) for s, both in reached.items()}

    def _tables(self, inputs, queries, lengths, deterministic):
        """Sampled positions of all layers, stacked on the first axis."""
        c = self.config
        length = lengths or {s: x.shape[1] for s, x in inputs.items()}
        hidden = {
            s: hidden_count(length[s], c.input_attention.stride) for s in MODALITIES
        }
        random = not deterministic and 'random' in {
            *c.input_attention.shifts,
            *c.cross_attention.shifts,
            *c.self_attention.shifts,
        }

        def stack(sampling, reader, keys):
            keys = keys if lengths is None else jnp.maximum(keys, 1)
            return jnp.stack(
                [
                    sampled_positions(
                        sampling,
                        layer=layer,
                        queries=queries[reader],
                        keys=keys,
                        length=length[reader],
                        hidden=hidden[reader],
                        key=self.make_rng('sampling') if random else None,
                    )
                    for layer in range(c.layers)
                ]
            )

        directions = [d for q, k in PAIRS for d in ((q, k), (k, q))]
        return {
            'input': {s: stack(c.input_attention, s, length[s]) for s in MODALITIES},
            'cross': {
                q + k: stack(c.cross_attention, q, hidden[k]) for q, k in directions
            },
            'self': {s: stack(c.self_attention, s, hidden[s]) for s in MODALITIES},
        }


def _presence(lengths):
    """Float `[B]` by modality, 1 where present; None where padding takes part."""
    if lengths is None:
        return dict.fromkeys(MODALITIES)
    return {s: (lengths[s] > 0).astype(jnp.float32) for s in MODALITIES}


def _last_real(hidden: Array, length: Array | None, stride: int) -> Array:
    """The last hidden state `[B, E]` that stands for a real input step."""
    if length is None:
        return hidden[:, -1]
    last = jnp.maximum(hidden_count(length, stride) - 1, 0)
    return jnp.take_along_axis(hidden, last[:, None, None], axis=1)[:, 0]
