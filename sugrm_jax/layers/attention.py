"""Multi-head attention over sampled keys.

`sampled_attention` is the readable reference: gather the keys of the table,
then attend. Nothing above this file knows how it is computed.
"""

from __future__ import annotations

from collections.abc import Callable

import chex
import jax
import jax.numpy as jnp

from sugrm_jax.types import Array


def gather_keys(x: Array, table: Array) -> Array:
    """`[B, K, ...]` at `table` (`[Q, W]`, or `[B, Q, W]`) → `[B, Q, W, ...]`."""
    if table.ndim == 2:
        return jnp.take(x, table, axis=1)
    return jax.vmap(lambda x_b, table_b: jnp.take(x_b, table_b, axis=0))(x, table)


def sampled_attention(
    q: Array,
    k: Array,
    v: Array,
    table: Array,
    drop: Callable[[Array], Array] = lambda weights: weights,
) -> Array:
    """Each query attends to the keys of its row in the table, and to no others.

    A position that stands twice in a row counts twice, as in the paper's code.

    Args:
      q: queries `[B, Q, H, D]`; scores are scaled by `1 / sqrt(D)` here.
      k: keys `[B, K, H, D]`.
      v: values `[B, K, H, D]`.
      table: int `[Q, W]`, or `[B, Q, W]` when utterances sample differently;
        every position in `[0, K)`.
      drop: dropout on the attention weights `[B, Q, W, H]`.

    Returns:
      `[B, Q, H, D]`.
    """
    chex.assert_rank([q, k, v], 4)
    chex.assert_equal_shape([k, v])
    k, v = gather_keys(k, table), gather_keys(v, table)
    scores = (q[:, :, None] * k).sum(-1) * q.shape[-1] ** -0.5
    weights = drop(jax.nn.softmax(scores, axis=2))
    return (weights[..., None] * v).sum(2)
