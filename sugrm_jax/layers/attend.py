"""Dense attention: every query sees every key that it may see."""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp

from sugrm_jax.types import Array


def attend(
    q: Array, k: Array, v: Array, see: Array, drop: Callable[[Array], Array]
) -> Array:
    """Scaled dot-product attention with dropout on its weights.

    Args:
      q: queries `[B, Q, H, D]`.
      k, v: keys and values `[B, K, H, D]`.
      see: bool `[1 or B, 1 or Q, K]`: may this query see this key?
      drop: dropout on the attention weights `[B, H, Q, K]`.

    Returns:
      `[B, Q, H, D]`. A query that may see no key gets the mean of all values.
    """
    scores = jnp.einsum('bqhd,bkhd->bhqk', q, k, preferred_element_type=jnp.float32)
    scores = scores * q.shape[-1] ** -0.5
    scores = jnp.where(see[:, None], scores, jnp.finfo(scores.dtype).min)
    weights = drop(jax.nn.softmax(scores).astype(v.dtype))
    return jnp.einsum('bhqk,bkhd->bqhd', weights, v)
