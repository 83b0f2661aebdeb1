"""From a split to batches. The order is a function of the seed and the epoch."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from sugrm_jax.types import Batch, PyTree, Split

# Token ids, mask, segment ids `[B, 3, L_t]` → how to pack them into rows.
Packer = Callable[[np.ndarray], PyTree]


def epoch_order(seed: int, epoch: int, samples: int) -> np.ndarray:
    """A permutation of `range(samples)`, the same wherever it is asked for."""
    return np.random.default_rng([seed, epoch]).permutation(samples)


def batch_count(samples: int, size: int) -> int:
    """Batches of `size` that hold `samples`, a last partial one included."""
    return -(-samples // size)


def make_batch(
    split: Split, index: np.ndarray, size: int, packer: Packer | None = None
) -> Batch:
    """The samples at `index`, filled up to `size` rows of weight 0.

    Args:
      split: on the host.
      index: int, at most `size` positions in the split.
      size: rows of the batch.
      packer: plans packed text rows; None for one utterance a row.
    """
    missing = size - len(index)
    rows = np.concatenate([index, np.zeros(missing, index.dtype)])
    real = np.arange(size) < len(index)
    tokens = split.tokens[rows]
    tokens[~real] = 0
    return Batch(
        tokens=tokens,
        audio=split.audio[rows],
        audio_length=split.audio_length[rows],
        vision=split.vision[rows],
        vision_length=split.vision_length[rows],
        label=split.label[rows],
        # Outside of the split, so that the memory ignores it.
        index=np.where(real, rows, len(split)).astype(np.int32),
        weight=real.astype(np.float32),
        packing=packer(tokens) if packer else None,
    )


def batches(
    split: Split,
    order: np.ndarray,
    size: int,
    *,
    rows: int,
    packer: Packer | None = None,
    start: int = 0,
) -> Iterator[Batch]:
    """All samples of `order`, `size` at a time.

    Args:
      split: on the host.
      order: int, positions in the split.
      size: samples of each batch; the last may have fewer.
      rows: rows of each batch, at least `size`.
      packer: see `make_batch`.
      start: batches to skip.
    """
    for first in range(start * size, len(order), size):
        yield make_batch(split, order[first : first + size], rows, packer)
