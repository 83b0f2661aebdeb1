"""Word representations that audio and vision shift (MAG, and RAVEN's rule)."""

from __future__ import annotations

import functools

import jax.numpy as jnp
import optax
from flax import linen as nn

from sugrm_jax.types import Array


def shift(x: Array, displacement: Array, beta: float) -> Array:
    """`x + min(β ‖x‖ / ‖h‖, 1) · h`: a shift of at most β times the length of x.

    Wang et al., AAAI 2019 (RAVEN, multimodal shifting); Rahman et al., ACL 2020 (MAG,
    section 3).

    Args:
      x: `[..., D]`.
      displacement: `h`, `[..., D]`; where it is 0, x stays as it is.
      beta: `β`.
    """
    length = optax.safe_norm(x, 0.0, axis=-1, keepdims=True)
    # The official MAG adds 1e-6 to ‖h‖, with the same effect.
    reach = optax.safe_norm(displacement, 1e-6, axis=-1, keepdims=True)
    return x + jnp.minimum(beta * length / reach, 1) * displacement


class AdaptationGate(nn.Module):
    """The multimodal adaptation gate (MAG; Rahman et al., ACL 2020, section 3).

    `h = Σ_s relu(G_s [x_s; t]) ⊙ W_s x_s` shifts the text, which is then normalised.
    Official code github.com/WasifurRahman/BERT_multimodal_transformer, modeling.py; as
    there, weights start normal with 0.02 and biases at 0.

    Attributes:
      beta_shift: `β` of `shift`.
      dropout: of the result.
    """

    beta_shift: float
    dropout: float

    @nn.compact
    def __call__(
        self,
        text: Array,
        others: dict[str, Array],
        real: dict[str, Array],
        deterministic: bool,
    ) -> Array:
        """Shifts every step of the text by what goes with it.

        Args:
          text: `[..., D_t]`.
          others: audio and vision at the same steps, `[..., D_s]` by modality.
          real: bool `[...]` by modality; elsewhere it contributes nothing.
          deterministic: no dropout.

        Returns:
          `[..., D_t]`.
        """
        dense = functools.partial(
            nn.Dense, text.shape[-1], kernel_init=nn.initializers.normal(0.02)
        )
        displacement = jnp.zeros_like(text)
        for s, x in others.items():
            both = jnp.concatenate([x, text], axis=-1)
            part = nn.relu(dense(name=f'gate_{s}')(both)) * dense(name=f'map_{s}')(x)
            displacement += jnp.where(real[s][..., None], part, 0)
        text = shift(text, displacement, self.beta_shift)
        text = nn.LayerNorm(1e-5, use_fast_variance=False, name='norm')(text)
        return nn.Dropout(self.dropout, deterministic=deterministic)(text)
