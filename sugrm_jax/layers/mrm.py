"""Modality recalibration module (paper, section 3.2.1)."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from flax import linen as nn

from sugrm_jax.layers.lengths import mean_over_steps
from sugrm_jax.layers.linear import uniform_dense
from sugrm_jax.types import MODALITIES, Array


class ModalityRecalibration(nn.Module):
    """Rescales each modality's features by what all modalities say together.

    `Z = relu(W_z [S_t; S_a; S_v] + b_z)`, `E_s = W_s Z + b_s`,
    `F̃_s = 2 sigmoid(E_s) ⊙ F_s`, with `S_s` the mean of `F_s` over time and `Z`
    of width `(D_t + D_a + D_v) // 4`.
    """

    @nn.compact
    def __call__(
        self, features: dict[str, Array], lengths: dict[str, Array] | None = None
    ) -> dict[str, Array]:
        """`[B, L_s, D_s]` by modality → the same shapes.

        Args:
          features: by modality.
          lengths: real steps `[B]` by modality; None where padding takes part.
        """
        lengths = lengths or dict.fromkeys(MODALITIES)
        squeezed = jnp.concatenate(
            [mean_over_steps(features[s], lengths[s]) for s in MODALITIES], axis=-1
        )
        joint = squeezed.shape[-1]
        z = nn.relu(uniform_dense(joint // 4, joint, name='joint')(squeezed))
        recalibrated = {}
        for s in MODALITIES:
            width = features[s].shape[-1]
            excite = uniform_dense(width, joint // 4, name=f'excite_{s}')
            recalibrated[s] = 2 * jax.nn.sigmoid(excite(z))[:, None] * features[s]
        return recalibrated
