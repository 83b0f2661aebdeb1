"""Which keys a query sees: the index maths of the sparse phased transformer.

Query `i` of layer `l` reads `W` consecutive keys at positions
`((i + 1) * stride - W + shift + j) mod K`, `j = 0 ... W - 1` (Cheng et al., EMNLP
2021, section 3). Nothing here touches a feature: functions take sizes and give
positions. Where sizes are Python integers the positions are numpy constants of
the compiled program; where they are arrays `[B]` (each utterance has its own
real length) they are traced.
"""

from __future__ import annotations

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np

from sugrm_jax.config import at_least
from sugrm_jax.layers.positions import check_table
from sugrm_jax.types import Array

SHIFTS = ('stride', 'phase', 'random')


@dataclasses.dataclass(frozen=True)
class Sampling:
    """How one kind of attention (input, cross or self) samples its keys.

    Attributes:
      stride: keys the window moves from one query to the next.
      window: keys one query reads, `W`.
      shifts: the parts of the shift that are on, out of `SHIFTS`.
      stride_step: keys the window moves from one layer to the next.
      phase_step: angle between two queries, in radians.
      random_share: the random part reaches over this share of `L / Q`.
    """

    stride: int
    window: int
    shifts: tuple[str, ...]
    stride_step: int = 1
    phase_step: float = 0.25
    random_share: float = 0.05

    def __post_init__(self):
        at_least(self.stride, 1, 'stride')
        at_least(self.window, 1, 'window')
        at_least(self.random_share, 0, 'random_share')
        unknown = set(self.shifts) - set(SHIFTS)
        if unknown:
            raise ValueError(f'unknown shifts {sorted(unknown)}; known: {SHIFTS}')


def hidden_count(length: int | Array, stride: int) -> int | Array:
    """`Q = ceil(L / stride)`, the hidden states of a sequence of `length` steps."""
    return -(-length // stride)


def phase_shift(queries: int, length: int | Array, step: float) -> Array:
    """`trunc(L * sin(step * i))` in float32, as int32 `[Q]` or `[B, Q]`."""
    wave = np.sin(np.arange(queries, dtype=np.float32) * np.float32(step))
    if isinstance(length, int):
        return np.trunc(np.float32(length) * wave).astype(np.int32)
    return jnp.trunc(length.astype(jnp.float32)[:, None] * wave).astype(jnp.int32)


def random_shift(
    key: jax.Array, queries: int, length: int | Array, hidden: int | Array, share: float
) -> Array:
    """Uniform integers in `[0, ceil(share * L / Q))`, int32 `[Q]` or `[B, Q]`."""
    if isinstance(length, int):
        bound = int(np.ceil(share * length / hidden))
        return jax.random.randint(key, (queries,), 0, bound)
    bound = jnp.ceil(share * length / jnp.maximum(hidden, 1)).astype(jnp.int32)
    return jax.random.randint(key, (len(length), queries), 0, bound[:, None])


def sampled_positions(
    sampling: Sampling,
    *,
    layer: int,
    queries: int,
    keys: int | Array,
    length: int | Array,
    hidden: int | Array,
    key: jax.Array | None = None,
) -> Array:
    """Positions of the keys that each query of one layer reads.

    Args:
      sampling: the kind of attention.
      layer: `l`, counted from 0.
      queries: rows of the result; hidden states of the query's modality,
        padded ones included.
      keys: `K`, real keys: an integer, or int32 `[B]`, at least 1.
      length: `L`, real input steps of the *query's* modality; like `keys`.
      hidden: `Q`, real hidden states of the query's modality; like `keys`.
      key: draws the random part; without it the random part is 0, as in
        evaluation.

    Returns:
      int32 `[queries, W]`, or `[B, queries, W]` when sizes are arrays.
    """
    check_table(queries, sampling.window)
    start = (np.arange(queries) + 1) * sampling.stride - sampling.window
    if 'stride' in sampling.shifts:
        start = start + layer * sampling.stride_step
    if 'phase' in sampling.shifts:
        start = start + phase_shift(queries, length, sampling.phase_step)
    if 'random' in sampling.shifts and key is not None:
        share = sampling.random_share
        start = start + random_shift(key, queries, length, hidden, share)
    positions = start[..., None] + np.arange(sampling.window)
    if isinstance(keys, int):
        return (positions % keys).astype(np.int32)
    return (positions % keys[:, None, None]).astype(jnp.int32)
