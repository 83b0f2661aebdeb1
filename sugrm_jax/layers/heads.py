"""Prediction heads: representation → common semantic space → sentiment."""

from __future__ import annotations

from flax import linen as nn

from sugrm_jax.layers.linear import uniform_dense
from sugrm_jax.types import Array


class Head(nn.Module):
    """One task's head.

    As in the paper (section 3.2), `F* = relu(W_1 F + b_1)`, `ŷ = W_2 F* + b_2`.
    With `released`, as in the released code, `F* = W_2 relu(W_1 F + b_1) + b_2`
    (no ReLU on `F*`) and `ŷ = W_3 F* + b_3`.

    Attributes:
      width: `C`, of the common semantic space.
      released: which of the two.
      dropout: output dropout, before the layer that follows the ReLU.
    """

    width: int
    released: bool
    dropout: float

    @nn.compact
    def __call__(self, x: Array, deterministic: bool) -> tuple[Array, Array]:
        """`[B, D]` → sentiment `[B]` and `F*` `[B, C]`."""
        drop = nn.Dropout(self.dropout, deterministic=deterministic)
        feature = nn.relu(uniform_dense(self.width, x.shape[-1], name='project')(x))
        last = drop(feature)
        if self.released:
            feature = last = uniform_dense(self.width, self.width, name='feature')(last)
        sentiment = uniform_dense(1, self.width, name='sentiment')(last)
        return sentiment[:, 0], feature
