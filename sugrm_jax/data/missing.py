"""A modality gone from every utterance, or that of another utterance in its place.

Shapes stay, so that a compiled model which reads the split reads these, too.
"""

from __future__ import annotations

import dataclasses

import numpy as np

from sugrm_jax.types import Array, Split

# By modality: its arrays in a `Split`. The second says how long the first is.
FIELDS = {
    't': ('text', 'tokens'),
    'a': ('audio', 'audio_length'),
    'v': ('vision', 'vision_length'),
}


class Reordered:
    """Rows of an array in another order, read when they are asked for.

    Args:
      x: `[N, L, D]`, in memory or on disk.
      order: `[N]`; row `i` is row `order[i]` of `x`.
    """

    def __init__(self, x: Array, order: np.ndarray):
        self._x, self._order = x, order
        self.shape, self.dtype = x.shape, x.dtype

    def __len__(self) -> int:
        return len(self._order)

    def __getitem__(self, key: np.ndarray | tuple[np.ndarray, slice]) -> np.ndarray:
        """The rows, or their first steps, as `Split` allows."""
        if isinstance(key, tuple):
            return self._x[self._order[key[0]], key[1]]
        return self._x[self._order[key]]


def has(split: Split, s: str) -> bool:
    """Whether any utterance of the split has the modality."""
    x = split.tokens[:, 1] if s == 't' else getattr(split, FIELDS[s][1])
    return bool(x.any())


def removed(split: Split, s: str) -> Split:
    """The split as if no utterance had the modality."""
    features, length = FIELDS[s]
    changed = {length: np.zeros_like(getattr(split, length))}
    if (x := getattr(split, features)) is not None:
        # One zero in memory, however large the features are.
        changed[features] = np.broadcast_to(np.float32(0), x.shape)
    return dataclasses.replace(split, **changed)


def swapped(split: Split, s: str, donors: np.ndarray) -> Split:
    """The split with each utterance's modality replaced by its donor's.

    Args:
      split: whole.
      s: the modality.
      donors: `[N]`, positions in the split.
    """
    features, length = FIELDS[s]
    changed = {length: getattr(split, length)[donors]}
    if (x := getattr(split, features)) is not None:
        changed[features] = Reordered(x, donors)
    return dataclasses.replace(split, **changed)


def others(count: int, seed: int) -> np.ndarray:
    """A random permutation of `range(count)` in which nothing stays in its place.

    It is one cycle through all, with every such cycle as likely as any other.

    Args:
      count: at least 2, for one alone has no other.
      seed: of the draw.
    """
    if count < 2:
        raise ValueError(f'{count} utterances: there is no other one')
    circle = np.random.default_rng(seed).permutation(count)
    donors = np.empty(count, int)
    donors[circle] = np.roll(circle, 1)
    return donors
