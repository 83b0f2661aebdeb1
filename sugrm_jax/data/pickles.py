"""Reading a stranger's pickle without running it.

A pickle is a program: it may name any function on this machine and call it. The
unpickler below knows only the names that numpy (1 or 2) writes for arrays and scalars
and refuses every other before anything is called. Even those names stand for code of
ours, never for numpy's own, which believes the file's word about a type's layout:
enough to crash the process or to take it over. And what a file may take of memory and
time is measured by its size.
"""

from __future__ import annotations

import os
import pickle
import re
import sys
from collections.abc import Callable
from typing import Any

import numpy as np

from sugrm_jax.errors import UserError
from sugrm_jax.regular import open_regular
from sugrm_jax.unpickling import FREE_BYTES, TooMuch, Unpickler, elements

# Booleans, integers, floats, bytes, text, objects; no dates, no records.
_TYPE_CODE = re.compile(r'b1|[iu][1248]|f[248]|[SU]\d+|O[48]?')
_ATOMS = (type(None), bool, int, float, str, bytes)
# What unpickling malformed bytes raises; MemoryError for a length that cannot be.
_MALFORMED = (
    pickle.UnpicklingError,
    AttributeError,
    EOFError,
    LookupError,
    MemoryError,
    OverflowError,
    RecursionError,
    TypeError,
    ValueError,
)
# How other files begin, and what they are.
_FOREIGN = {
    b'PK\3\4': 'a zip archive, such as .npz',
    b'\x93NUMPY': 'a numpy .npy file',
    b'\x89HDF': 'an HDF5 file',
    b'\x1f\x8b': 'a gzip archive',
    b'version https://git-lfs': 'a Git LFS pointer, without the file it stands for',
    b'<': 'a web page or XML',
}
_START = 32  # bytes to judge by
_REASON = 200  # letters, of what a file may have chosen itself
# Bytes, roughly, that an object takes for each text of an array.
_OBJECT = 128
_TEXT = re.compile(rb'[^\0-\x08\x0b\x0c\x0e-\x1f\x7f]+')
# A protocol's number; 0 and 1 begin with text: a mark, a container, a name to look up.
_PICKLE = re.compile(rb'\x80|[(}\])]|c[\w.]+\n')


def load(path: str | os.PathLike) -> Any:
    """The content of a pickle of arrays and plain values.

    Args:
      path: a file in MMSA's format, though its layout is not looked at here.

    Returns:
      dicts, lists and tuples of numpy arrays (possibly read-only), numpy scalars,
      str, bytes, numbers and None.

    Raises:
      UserError: the file is missing, unreadable, truncated, not a pickle (then what it
        looks like), asks for anything else, which is then named and not executed, or
        would take far more memory than its size.
    """
    start = b''
    try:
        with open_regular(path) as file:
            start = file.peek(_START)[:_START]
            size = os.fstat(file.fileno()).st_size
            content = _plain(_Unpickler(file, size).load(), {})
            # Lists of one list have little in them until something counts it all.
            if _unfolded(content, {}) > 4 * size + 2 * FREE_BYTES:
                raise TooMuch('unfolds to far more than its size')
            return content
    except FileNotFoundError as error:
        raise UserError(
            f'There is no data file {path}: name one in MMSA format. README, "Real '
            'data", says where they come from; only the demo needs none.'
        ) from error
    except OSError as error:
        raise UserError(f'{path} cannot be read: {error.strerror}.') from error
    except _MALFORMED as error:
        raise UserError(_complaint(path, start, error)) from error


def _complaint(path: str | os.PathLike, start: bytes, error: Exception) -> str:
    """Why the file cannot be read, judging by its first bytes too."""
    # A table's first letter may be the code of an instruction that is then refused.
    if kind := _foreign(start):
        return (
            f'{path} is not a pickle but looks like {kind}: it begins with {start!r}. '
            'Data are read from a pickle in MMSA format, a dict of the splits train, '
            'valid and test (README, "Real data").'
        )
    reason = f'{error}'[:_REASON] or type(error).__name__
    if isinstance(error, _Refused):
        return (
            f'{path} {reason}, which is not data; nothing of it was executed. Only '
            'numpy arrays, text, numbers, lists, dicts and tuples are read.'
        )
    if isinstance(error, TooMuch):
        return f'{path} {reason}. It is not read any further.'
    return (
        f'{path} is empty, truncated or not a pickle of arrays '
        f'({reason}): fetch it again.'
    )


def _foreign(start: bytes) -> str | None:
    """What a file that begins so looks like, where it is clearly no pickle."""
    for mark, kind in _FOREIGN.items():
        if start.startswith(mark):
            return kind
    text = _TEXT.fullmatch(start) and not _PICKLE.match(start)
    return 'text, such as CSV or JSON' if text else None


class _Refused(pickle.UnpicklingError):
    """The file holds or asks for something that is not data."""


class _Unpickler(Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in _KNOWN:
            raise _Refused(f'asks for {module}.{name}')
        return _KNOWN[module, name]


class _Function:
    """A function a pickle may call but not change."""

    __slots__ = ('call',)

    def __init__(self, call: Callable) -> None:
        self.call = call

    def __call__(self, *args: Any) -> Any:
        return self.call(*args)

    def __setstate__(self, state: Any) -> None:
        raise _Refused('changes a function')


class _Dtype:
    """`numpy.dtype(code)`, whose state then says the byte order and nothing else."""

    __slots__ = ('value',)

    def __init__(self, code: str, align: bool = False, copy: bool = True) -> None:
        if not _TYPE_CODE.fullmatch(code):
            raise _Refused(f'asks for numpy.dtype({code!r})')
        self.value = np.dtype('O' if code.startswith('O') else code)

    def __setstate__(self, state: tuple) -> None:
        self.value = self.value.newbyteorder(state[1])


class _Array:
    """An array on its way: numpy writes an empty one, then its state."""

    __slots__ = ('value',)

    def __sizeof__(self) -> int:
        """Numbers lie where the file's bytes are; objects need room of their own."""
        value = getattr(self, 'value', None)
        return value.nbytes if value is not None and value.dtype.hasobject else 0

    def __setstate__(self, state: tuple) -> None:
        _, shape, dtype, fortran, data = state
        self.value = _array(shape, dtype, data, 'F' if fortran else 'C')


def _array(shape: tuple, dtype: _Dtype, data: Any, order: str) -> np.ndarray:
    """The array of `shape` whose memory, or whose list of objects, is `data`."""
    count, size = elements(shape), dtype.value.itemsize
    if dtype.value.hasobject:
        fits = type(data) is list and len(data) == count
    else:
        fits = type(data) in (bytes, bytearray) and len(data) == count * size
        # Elements of no size would make an array of any shape out of nothing.
        fits = fits and (size > 0 or count <= 1)
    if not fits:
        raise pickle.UnpicklingError(f'an array of shape {shape!s:.80} has other data')
    if dtype.value.hasobject:
        flat = np.empty(count, object)
        for i, item in enumerate(data):
            flat[i] = item
    else:
        flat = np.ndarray((count,), dtype.value, data)
    if dtype.value.kind == 'U':
        codes = np.frombuffer(data, np.dtype('u4').newbyteorder(dtype.value.byteorder))
        if codes.max(initial=0) > sys.maxunicode:
            raise pickle.UnpicklingError('a text has a code that is no character')
    return flat.reshape(shape, order=order)


def _reconstruct(kind: object, shape: tuple, code: bytes) -> _Array:
    if kind is not _NDARRAY or shape != (0,):
        raise _Refused('asks for a numpy array of its own kind')
    return _Array()


def _frombuffer(
    data: bytes, dtype: _Dtype, shape: tuple, order: str, axes: tuple | None = None
) -> _Array:
    """An array as protocol 5 writes it; `axes` are those of a transposed one."""
    array = _Array()
    array.value = _array(shape, dtype, data, 'C' if order == 'K' else order)
    if axes is not None:
        array.value = array.value.transpose(axes)
    return array


def _scalar(dtype: _Dtype, data: bytes) -> Any:
    return _array((), dtype, data, 'C')[()]


def _encode(text: str, encoding: str) -> bytes:
    """Bytes as protocols 0 to 2 write them."""
    if encoding != 'latin1':
        raise _Refused('asks for another encoding than latin1')
    return text.encode('latin1')


def _plain(value: Any, done: dict[int, Any]) -> Any:
    """`value` with its arrays finished and nothing left that is not data.

    Args:
      value: what the unpickler returned, or a part of it.
      done: results by identity, since a part may be shared by very many.
    """
    if type(value) in _ATOMS or isinstance(value, np.generic):
        return value
    if id(value) not in done:
        done[id(value)] = _plain_parts(value, done)
    return done[id(value)]


def _plain_parts(value: Any, done: dict[int, Any]) -> Any:
    if type(value) is dict:
        return {_plain(k, done): _plain(v, done) for k, v in value.items()}
    if type(value) in (list, tuple):
        return type(value)([_plain(item, done) for item in value])
    if type(value) is not _Array:
        raise _Refused(f'holds a value of type {type(value).__name__.lstrip("_")}')
    array = value.value
    if array.dtype.hasobject:
        for i, item in enumerate(array.flat):
            array.flat[i] = _plain(item, done)
    return array


def _unfolded(value: Any, done: dict[int, int]) -> int:
    """Bytes of `value`, roughly, if nothing in it were shared."""
    if isinstance(value, np.ndarray) and not value.dtype.hasobject:
        return value.nbytes + _OBJECT * value.size * (value.dtype.kind in 'SU')
    if isinstance(value, str | bytes):
        return len(value)
    if isinstance(value, dict):
        parts = [*value, *value.values()]
    elif isinstance(value, list | tuple | np.ndarray):
        parts = value.flat if isinstance(value, np.ndarray) else value
    else:
        return sys.getsizeof(value)
    if id(value) not in done:
        done[id(value)] = sum(8 + _unfolded(part, done) for part in parts)
    return done[id(value)]


# What is handed out where a file names `numpy.ndarray`: a mark, nothing to call.
_NDARRAY = object()
_RECONSTRUCT, _FROMBUFFER, _SCALAR = map(
    _Function, (_reconstruct, _frombuffer, _scalar)
)
_KNOWN = {
    ('numpy', 'ndarray'): _NDARRAY,
    ('numpy', 'dtype'): _Function(_Dtype),
    ('numpy.core.multiarray', '_reconstruct'): _RECONSTRUCT,
    ('numpy._core.multiarray', '_reconstruct'): _RECONSTRUCT,
    ('numpy.core.multiarray', 'scalar'): _SCALAR,
    ('numpy._core.multiarray', 'scalar'): _SCALAR,
    ('numpy.core.numeric', '_frombuffer'): _FROMBUFFER,
    ('numpy._core.numeric', '_frombuffer'): _FROMBUFFER,
    ('_codecs', 'encode'): _Function(_encode),
    # Protocols 0 to 2 write the memory of an empty array as `bytes()`.
    ('__builtin__', 'bytes'): _Function(lambda: b''),
}
