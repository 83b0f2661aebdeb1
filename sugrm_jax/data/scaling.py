"""Standardising audio and vision with the train split's statistics.

Raw acoustic and facial features differ in scale by orders of magnitude, between
features as well as between data sets.
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from sugrm_jax import archives
from sugrm_jax.data.stored import Stored, chunks
from sugrm_jax.errors import UserError
from sugrm_jax.types import Array, Split

_WHOLE = 'Copy its folder again, whole, or make it anew.'


class Scaling(NamedTuple):
    """Mean and standard deviation of each feature, float32.

    Attributes:
      audio_mean, audio_std: `[D_a]`.
      vision_mean, vision_std: `[D_v]`.
    """

    audio_mean: np.ndarray
    audio_std: np.ndarray
    vision_mean: np.ndarray
    vision_std: np.ndarray

    def to_bytes(self) -> bytes:
        """The content of an `.npz` file, for `load`."""
        return archives.write_npz(self._asdict())

    @classmethod
    def load(cls, path: str | os.PathLike) -> Scaling:
        """Reads a file of `to_bytes`.

        Raises:
          UserError: the file is missing or does not hold these statistics.
        """
        try:
            stored = archives.read_npz(path)
            return cls(*(_checked(stored[name], name) for name in cls._fields))
        except FileNotFoundError as error:
            raise UserError(
                f'There are no feature statistics at {path}. {_WHOLE}'
            ) from error
        except (OSError, KeyError, ValueError) as error:
            raise UserError(
                f'{path} does not hold feature statistics ({error}). {_WHOLE}'
            ) from error


def _checked(array: np.ndarray, name: str) -> np.ndarray:
    """One of the statistics, fit to standardise with."""
    if array.dtype != np.float32 or array.ndim != 1 or not np.isfinite(array).all():
        raise ValueError(f'{name} is not finite float32 [D]')
    if name.endswith('_std') and not (array > 0).all():
        raise ValueError(f'{name} is not positive')
    return array


def fit(split: Split) -> Scaling:
    """Statistics over the real steps of all utterances, padding left out.

    A feature that does not vary gets the standard deviation 1, and one without any
    real step the mean 0 as well.
    """
    return Scaling(
        *_statistics(split.audio, split.audio_length),
        *_statistics(split.vision, split.vision_length),
    )


def apply(
    split: Split, scaling: Scaling, fields: Sequence[str] = ('audio', 'vision')
) -> Split:
    """The split with standardised audio and vision; padding is exactly 0.

    The released code knows padding by its zeros: a step whose first feature is 0 gets
    no position.

    Args:
      split: to standardise.
      scaling: the statistics.
      fields: those to change; the others stay as they are.

    Raises:
      UserError: the statistics are of other feature widths.
    """
    changed = {}
    for field in fields:
        array, length = getattr(split, field), getattr(split, f'{field}_length')
        mean, std = (getattr(scaling, f'{field}_{x}') for x in ('mean', 'std'))
        if array.shape[2] != len(mean):
            raise UserError(
                f'{field} has {array.shape[2]} features, but the statistics to '
                f'standardise it with have {len(mean)}: they belong to other data.'
            )
        changed[field] = _standardized(array, length, mean, std)
    return dataclasses.replace(split, **changed)


def _real(array: np.ndarray, length: np.ndarray) -> np.ndarray:
    """Which steps are within their utterance's length, bool `[N, L]`."""
    return np.arange(array.shape[1]) < length[:, None]


def _statistics(array: Array, length: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard deviation, float32 `[D]`, of features `[N, L, D]`.

    Summed in parts, so that the result is the same in memory and on disk.
    """

    def parts() -> Iterator[np.ndarray]:
        for rows in chunks(len(array)):
            part = array[rows]
            yield np.ascontiguousarray(part[_real(part, length[rows])])

    width, count = array.shape[2], int(length.sum())
    if not count:
        return np.zeros(width, np.float32), np.ones(width, np.float32)
    total, largest = np.zeros(width), np.zeros(width, np.float32)
    for steps in parts():
        total += steps.sum(axis=0, dtype=np.float64)
        largest = np.maximum(largest, np.abs(steps).max(axis=0, initial=0))
    mean = total / count
    squares = sum(np.square(steps - mean).sum(axis=0) for steps in parts())
    std = np.sqrt(squares / count)
    # A spread below float32's resolution of the values is rounding, not information.
    std = np.where(std > np.finfo(np.float32).eps * largest, std, 1.0)
    return mean.astype(np.float32), std.astype(np.float32)


def _standardized(
    array: Array, length: np.ndarray, mean: np.ndarray, std: np.ndarray
) -> Array:
    def change(values: np.ndarray, rows: np.ndarray) -> np.ndarray:
        real = _real(values, length[rows])[..., None]
        return np.where(real, (values - mean) / std, np.float32(0))

    if isinstance(array, Stored):
        return array.then(change)
    result = np.empty_like(array)
    for rows in chunks(len(array), 8):
        result[rows] = change(array[rows], rows)
    return result
