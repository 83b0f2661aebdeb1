"""What runs in one process have in common, so that it is made only once."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

T = TypeVar('T')


class Latest:
    """Keeps what was made last, for whoever asks for the same again.

    Nothing else is kept: data and compiled programs are large.
    """

    def __init__(self):
        self._key = self._made = None

    def __call__(self, key: Any, make: Callable[[], T]) -> T:
        """What `make` gives, unless the last call had an equal key: then what it gave.

        Args:
          key: all that decides what `make` gives; not None.
          make: what to call where there is nothing.
        """
        if key != self._key:
            # Freed before there is another.
            self._key = self._made = None
            self._made = make()
            self._key = key
        return self._made


class Shared:
    """What runs that follow each other share, such as those of a sweep.

    Attributes:
      source: data and pretrained weights (`setup.Source`).
      programs: compiled (`programs.Programs`).
    """

    def __init__(self):
        self.source, self.programs = Latest(), Latest()
