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
    """One batch, on the host or, compiled, on a device.

    Args:
      samples: `[N, ...]` each.
      plan: of one batch, index `[B]`. Rows that only fill it get no tokens and
        weight 0; all else in them is the first sample's. Steps beyond its `share` are
        cut.
    """

    def rows(x: Array) -> Array:
        return x[plan.index * real]

    def sequence(x: Array) -> Array:
        return rows(x[:, : math.ceil(plan.share * x.shape[1])])

    real = plan.index < len(samples.label)
    return Batch(
        tokens=rows(samples.tokens) * real[:, None, None],
        audio=sequence(samples.audio),
        audio_length=rows(samples.audio_length),
        vision=sequence(samples.vision),
        vision_length=rows(samples.vision_length),
        label=rows(samples.label),
        text=None if samples.text is None else rows(samples.text),
        index=plan.index,
        weight=real.astype('float32'),
        packing=plan.packing,
    )
