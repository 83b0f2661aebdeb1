"""SUGRM with dense attention, for timing: parameters are random, without dropout."""

from __future__ import annotations

import jax.numpy as jnp
from flax import linen as nn

from sugrm_jax.layers.heads import Head
from sugrm_jax.layers.positions import add_positions
from sugrm_jax.layers.text import TextEncoder
from sugrm_jax.types import MODALITIES, TASKS, Array, Batch, Outputs


class DenseLayer(nn.Module):
    """Each modality reads the two others whole, then itself, as in MulT."""

    heads: int

    @nn.compact
    def __call__(self, h: dict[str, Array]) -> dict[str, Array]:
        read = {
            s: sum(self._attend(h[s], h[other]) for other in MODALITIES if other != s)
            for s in MODALITIES
        }
        h = {s: self._feed(x + read[s]) for s, x in h.items()}
        return {s: self._feed(x + self._attend(x, x)) for s, x in h.items()}

    def _attend(self, h, keys):
        attention = nn.MultiHeadDotProductAttention(self.heads, deterministic=True)
        return attention(
            nn.LayerNorm(epsilon=1e-5)(h), nn.LayerNorm(epsilon=1e-5)(keys)
        )

    def _feed(self, x):
        width = x.shape[-1]
        h = nn.relu(nn.Dense(4 * width)(nn.LayerNorm(epsilon=1e-5)(x)))
        return x + nn.Dense(width)(h)


class DenseTransformer(nn.Module):
    """SPT's width, heads, depth and shared weights, but every step reads every step."""

    width: int
    heads: int
    layers: int

    @nn.compact
    def __call__(self, features: dict[str, Array]) -> dict[str, Array]:
        """`[B, L_s, D_s]` by modality → `[B, E]`, the last state of each."""
        h = {
            s: add_positions(nn.Dense(self.width)(x), skip_zero_steps=False)
            for s, x in features.items()
        }
        layer = DenseLayer(self.heads)
        for _ in range(self.layers):
            h = layer(h)
        return {s: nn.LayerNorm(epsilon=1e-5)(x[:, -1]) for s, x in h.items()}


class DenseSugrm(nn.Module):
    """SUGRM with the dense transformer in place of MRM and SPT."""

    text: TextEncoder
    heads: int

    @nn.compact
    def __call__(self, batch: Batch, deterministic: bool) -> Outputs:
        """Predictions of all tasks, as in evaluation whatever `deterministic` says."""
        del deterministic
        features = {'t': self.text(batch, True), 'a': batch.audio, 'v': batch.vision}
        encoded = DenseTransformer(32, self.heads, 4)(features)
        encoded['m'] = jnp.concatenate([encoded[s] for s in MODALITIES], axis=-1)
        heads = {task: Head(32, 'paper', 0.0)(encoded[task], True) for task in TASKS}
        return Outputs({task: prediction for task, (prediction, _) in heads.items()})
