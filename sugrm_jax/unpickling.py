"""An unpickler that takes no more memory or time than a file of that size may.

A pickle is a program, and a short one can ask for far more than it holds: room for a
billion things that are not there, the same bytes decoded again and again, a table of
keys made to collide. Which names a file may use is up to those who derive from this.
"""

from __future__ import annotations

import math
import pickle
import sys
from collections.abc import Callable, Iterable
from typing import Any, BinaryIO

# What any file may ask for, whatever its size.
FREE_STEPS, FREE_BYTES = 2**18, 2**24
# Below it a dict finds a free place in a few tries.
LARGEST_KEY = 2**31
# Of an array: more axes than numpy 1 had, and more numbers than a disk holds.
_AXES, _LONGEST = 32, 2**48


class TooMuch(pickle.UnpicklingError):
    """The file asks for more than a file of its size may."""


class Unpickler(pickle._Unpickler):
    """Python's own unpickler, on a meter; raises `TooMuch` when that runs out.

    The one written in C fills a table as long as the largest number that a file puts
    into it; this one has a dict. It is slower by the instruction, of which a file of
    arrays has few.

    Args:
      file: read from where it stands.
      size: bytes that are left of it.
    """

    def __init__(self, file: BinaryIO, size: int) -> None:
        super().__init__(_Rest(file, size))
        # Arrays are a few instructions each, however large they are.
        self._steps = FREE_STEPS + size // 32
        self._bytes = FREE_BYTES + size

    def _step(self) -> None:
        self._steps -= 1
        if self._steps < 0:
            raise TooMuch('is made of too many small parts; save numbers as arrays')

    def _charge_last(self) -> None:
        """What a function or a state makes may be larger than the instruction."""
        self._bytes -= sys.getsizeof(self.stack[-1])
        if self._bytes < 0:
            raise TooMuch('unfolds to far more than its size')

    def load_reduce(self) -> None:
        super().load_reduce()
        self._charge_last()

    def load_build(self) -> None:
        super().load_build()
        self._charge_last()

    def _instantiate(self, function: Callable, args: list[Any]) -> None:
        """What the instructions of protocols 0 and 1 make an object by."""
        super()._instantiate(function, args)
        self._charge_last()

    def load_bytearray8(self) -> None:
        """Reads before it makes room."""
        self.append(bytearray(self.read(int.from_bytes(self.read(8), 'little'))))

    def load_setitem(self) -> None:
        _check_keys(self.stack[-2:-1])
        super().load_setitem()

    def load_setitems(self) -> None:
        _check_keys(self.stack[::2])
        super().load_setitems()

    def load_dict(self) -> None:
        _check_keys(self.stack[::2])
        super().load_dict()

    def load_empty_set(self) -> None:
        raise pickle.UnpicklingError('it holds a value of type set')


def check_sizes(sizes: Any) -> None:
    """Raises an `UnpicklingError` unless that may be a shape, or strides.

    Before anything is computed of it: a file can repeat one number of many digits.
    """
    known = type(sizes) is tuple and len(sizes) <= _AXES
    if not known or not all(type(n) is int and 0 <= n < _LONGEST for n in sizes):
        raise pickle.UnpicklingError('an array has a shape that none can have')


def elements(shape: Any) -> int:
    """Of an array of that shape, which `check_sizes` checks."""
    check_sizes(shape)
    return math.prod(shape)


def _check_keys(keys: Iterable[Any]) -> None:
    """Refuses what can be chosen so that a dict takes for ever; text cannot."""
    for key in keys:
        small = type(key) is int and abs(key) < LARGEST_KEY
        if not small and not isinstance(key, str | bytes):
            raise TooMuch(f'has a dict with a large key of type {type(key).__name__}')


def _metered(run: Callable[[Unpickler], None]) -> Callable[[Unpickler], None]:
    def metered(unpickler: Unpickler) -> None:
        unpickler._step()
        run(unpickler)

    return metered


_OWN = {
    pickle.REDUCE: Unpickler.load_reduce,
    pickle.BUILD: Unpickler.load_build,
    pickle.BYTEARRAY8: Unpickler.load_bytearray8,
    pickle.SETITEM: Unpickler.load_setitem,
    pickle.SETITEMS: Unpickler.load_setitems,
    pickle.DICT: Unpickler.load_dict,
    pickle.EMPTY_SET: Unpickler.load_empty_set,
    pickle.FROZENSET: Unpickler.load_empty_set,
}
Unpickler.dispatch = {
    code: _metered(_OWN.get(bytes([code]), run))
    for code, run in pickle._Unpickler.dispatch.items()
}


class _Rest:
    """A file of which no more can be asked for than is left."""

    def __init__(self, file: BinaryIO, size: int) -> None:
        self._file, self._left = file, size

    def read(self, size: int) -> bytes:
        if size > self._left:
            raise EOFError('Ran out of input')
        return self._count(self._file.read(size))

    def readline(self) -> bytes:
        line = self._count(self._file.readline())
        if not line.endswith(b'\n'):
            raise EOFError('Ran out of input')
        return line

    def _count(self, data: bytes) -> bytes:
        self._left -= len(data)
        return data
