"""From a split to batches. The order is a function of the seed and the epoch."""

from __future__ import annotations

import dataclasses
import math

import numpy as np

from sugrm_jax.types import Array, Batch, Plan, Samples, Split


def epoch_order(seed: int, epoch: int, samples: int) -> np.ndarray:
    """A permutation of `range(samples)`, the same wherever it is asked for."""
    return np.random.default_rng([seed, epoch]).permutation(samples)


def batch_count(samples: int, size: int) -> int:
    """Batches of `size` that hold `samples`, a last partial one included."""
    return -(-samples // size)


def batch_index(order: np.ndarray, size: int, rows: int, fill: int) -> np.ndarray:
    """All samples of `order`, `size` at a time, as `Plan.index`.

    Args:
      order: int, positions in a split.
      size: samples of each batch; the last may have fewer.
      rows: rows of each batch, at least `size`.
      fill: the split's size, which stands in rows that only fill a batch.
    """
    count = batch_count(len(order), size)
    index = np.full((count, rows), fill, np.int32)
    real = np.arange(count * size).reshape(count, size) < len(order)
    index[:, :size][real] = order
    return index


def samples_of(split: Split) -> Samples:
    """The arrays of a split that steps need."""
    names = [field.name for field in dataclasses.fields(Samples)]
    return Samples(**{name: getattr(split, name) for name in names})


def gather(samples: Samples, plan: Plan) -> Batch:
    """One batch; of what stays on disk only its rows are read.

    Args:
      samples: `[N, ...]` each, on the host.
      plan: of one batch, index `[B]`. Rows that only fill it get no tokens and
        weight 0; all else in them is the first sample's. Steps beyond its `share` are
        cut.
    """

    def sequence(x: Array) -> Array:
        return x[rows, : math.ceil(plan.share * x.shape[1])]

    real = plan.index < len(samples.label)
    rows = plan.index * real
    return Batch(
        tokens=samples.tokens[rows] * real[:, None, None],
        audio=sequence(samples.audio),
        audio_length=samples.audio_length[rows],
        vision=sequence(samples.vision),
        vision_length=samples.vision_length[rows],
        label=samples.label[rows],
        text=None if samples.text is None else samples.text[rows],
        index=plan.index,
        weight=real.astype('float32'),
        packing=plan.packing,
    )
