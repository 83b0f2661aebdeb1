"""Prediction heads: representation → common semantic space → sentiment."""

from __future__ import annotations

from flax import linen as nn

from sugrm_jax.layers.linear import uniform_dense
from sugrm_jax.types import Array

KINDS = ('paper', 'released', 'self_mm')


class Head(nn.Module):
    """One task's head.

    'paper' (SUGRM, section 3.2): `F* = relu(W_1 F + b_1)`, `ŷ = W_2 F* + b_2`.
    'released' (SUGRM's code): `F* = W_2 relu(W_1 F + b_1) + b_2`, with no ReLU on `F*`,
    and `ŷ = W_3 F* + b_3`.
    'self_mm' (Self-MM, Yu et al., AAAI 2021): `F* = relu(W_1 F + b_1)`,
    `ŷ = W_3 relu(W_2 F* + b_2) + b_3`.

    Attributes:
      width: `C`, of the common semantic space, and of the layer behind it.
      kind: one of `KINDS`.
      dropout: before the first layer in 'self_mm', behind its ReLU in the others.
    """

    width: int
    kind: str
    dropout: float

    @nn.compact
    def __call__(self, x: Array, deterministic: bool) -> tuple[Array, Array]:
        """`[B, D]` → sentiment `[B]` and `F*` `[B, C]`."""
        drop = nn.Dropout(self.dropout, deterministic=deterministic)
        if self.kind == 'self_mm':
            feature = nn.relu(self._layer(drop(x), 'project'))
            last = nn.relu(self._layer(feature, 'hidden'))
        else:
            feature = nn.relu(self._layer(x, 'project'))
            last = drop(feature)
        if self.kind == 'released':
            feature = last = self._layer(last, 'feature')
        sentiment = uniform_dense(1, self.width, name='sentiment')(last)
        return sentiment[:, 0], feature

    def _layer(self, x: Array, name: str) -> Array:
        return uniform_dense(self.width, x.shape[-1], name=name)(x)


class ResidualHead(nn.Module):
    """The head of MulT and SPT, as in the code of both.

    `ŷ = W_3 (W_2 relu(W_1 F + b_1) + b_2 + F) + b_3`, all as wide as `F`.

    Attributes:
      dropout: output dropout, behind the ReLU.
    """

    dropout: float

    @nn.compact
    def __call__(self, x: Array, deterministic: bool) -> Array:
        """`[B, D]` → sentiment `[B]`."""
        width = x.shape[-1]
        hidden = nn.relu(uniform_dense(width, width, name='expand')(x))
        hidden = nn.Dropout(self.dropout, deterministic=deterministic)(hidden)
        x = x + uniform_dense(width, width, name='contract')(hidden)
        return uniform_dense(1, width, name='sentiment')(x)[:, 0]
