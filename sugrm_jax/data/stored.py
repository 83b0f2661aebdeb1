"""Sequences that stay in a file, for data larger than memory.

Rows are read, not mapped: pages of a mapping count as this process's memory, and a
file cut short under a mapping ends the process without a word. The system's page cache
makes the second reading as fast.
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable
from typing import BinaryIO

import numpy as np

from sugrm_jax.errors import UserError

# The largest feature whose square, and a sum of some, is still finite in float32.
LARGEST = 1e18
# From values `[B, L, D]` and their rows `[B]` to other values.
Change = Callable[[np.ndarray, np.ndarray], np.ndarray]


@dataclasses.dataclass(frozen=True, eq=False)
class Stored:
    """Float32 `[N, L, D]` in a file; `x[rows]` and `x[rows, :steps]` read some of it.

    Attributes:
      file: open for reading.
      offset: bytes before the first value; `[N, steps, D]` in C order follow.
      shape: `[N, L, D]`.
      steps: of each sequence in the file; zeros make up the rest of `L`.
      changes: made, in order, to whatever is read.
    """

    file: BinaryIO
    offset: int
    shape: tuple[int, int, int]
    steps: int
    changes: tuple[Change, ...] = ()

    dtype = np.dtype('<f4')

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, key: np.ndarray | tuple[np.ndarray, slice]) -> np.ndarray:
        """Float32 `[B, steps, D]` of the rows `[B]`, as numpy would give them.

        Raises:
          UserError: the file cannot be read, is shorter than it was, or holds what
            was never written to it: a value that is not finite or beyond `LARGEST`.
        """
        rows, cut = key if isinstance(key, tuple) else (key, slice(None))
        steps = range(self.shape[1])[cut]
        if steps.start != 0 or steps.step != 1:
            raise IndexError(f'only first steps can be cut out, not {cut}')
        values = np.zeros((len(rows), len(steps), self.shape[2]), self.dtype)
        kept = min(len(steps), self.steps)
        for value, row in zip(values, rows, strict=True):
            if not 0 <= row < len(self):
                raise IndexError(f'row {row} of {len(self)}')
            self._read(value[:kept], int(row))
        if not (np.abs(values).max(initial=0) <= LARGEST):  # so is NaN
            raise UserError(
                f'{self.file.name} holds values that are not finite: it is damaged. '
                'Convert the data again.'
            )
        for change in self.changes:
            values = change(values, rows)
        return values

    def _read(self, value: np.ndarray, row: int) -> None:
        """Fills `value` with the first steps of a sequence."""
        place = self.offset + row * self.steps * self.shape[2] * self.dtype.itemsize
        rest = memoryview(value.reshape(-1).view(np.uint8))
        while rest:
            try:
                count = os.preadv(self.file.fileno(), [rest], place)
            except OSError as error:
                raise UserError(
                    f'{self.file.name} cannot be read: {error.strerror}.'
                ) from error
            if not count:
                raise UserError(
                    f'{self.file.name} ends before its row {row}: it was changed '
                    'while in use. Convert the data again.'
                )
            rest, place = rest[count:], place + count

    def then(self, change: Change) -> Stored:
        """The same with another change, made to what this one gives."""
        return dataclasses.replace(self, changes=(*self.changes, change))

    def padded(self, steps: int) -> Stored:
        """The same with zeros behind every sequence, up to `steps`.

        Must come before any change.
        """
        count, _, width = self.shape
        return dataclasses.replace(self, shape=(count, steps, width))


def chunks(count: int, size: int = 64) -> list[np.ndarray]:
    """`range(count)` in parts, so that of a large array only a part is at work."""
    return [np.arange(i, min(i + size, count)) for i in range(0, count, size)]
