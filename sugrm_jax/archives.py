"""Zip archives that a stranger may have made: `.npz`, and PyTorch's weights.

None that is read here is compressed, so that none unfolds to more than its size.
"""

from __future__ import annotations

import contextlib
import io
import os
import struct
import tokenize
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from typing import BinaryIO

import numpy as np

from sugrm_jax.regular import open_regular

# What archives and the headers of arrays raise where they are damaged, beside the
# errors of the file system.
DAMAGED = (
    zipfile.BadZipFile,
    zlib.error,
    struct.error,
    SyntaxError,
    tokenize.TokenError,
    NotImplementedError,
    EOFError,
    LookupError,
    MemoryError,
    OverflowError,
    RecursionError,
    TypeError,
    UnicodeError,
)
ENCRYPTED = 1  # of an entry's flags


@contextlib.contextmanager
def opened(file: BinaryIO) -> Iterator[zipfile.ZipFile]:
    """Context with an archive that holds no more than its file does.

    Args:
      file: open for reading.

    Raises:
      ValueError: by it or in it: the archive is damaged, or made to fill the memory.
    """
    size = os.fstat(file.fileno()).st_size
    try:
        with zipfile.ZipFile(file) as archive:
            entries = archive.infolist()
            if any(entry.compress_type != zipfile.ZIP_STORED for entry in entries):
                raise ValueError('it is compressed')
            if any(entry.flag_bits & ENCRYPTED for entry in entries):
                raise ValueError('it is encrypted')
            # More where entries lie on one another.
            if sum(entry.file_size for entry in entries) > size:
                raise ValueError('it unfolds to more than its size')
            yield archive
    except DAMAGED as error:
        raise ValueError(f'{type(error).__name__}: {error}') from error
    except OSError as error:
        # Of a place before the file's beginning, which a directory may name.
        raise ValueError(f'it cannot be read: {error.strerror}') from error


def write_npz(arrays: Mapping[str, np.ndarray]) -> bytes:
    """The content of an `.npz` file."""
    content = io.BytesIO()
    np.savez(content, **arrays)
    return content.getvalue()


def read_npz(path: str | os.PathLike) -> dict[str, np.ndarray]:
    """The arrays of an `.npz` file by name; none of them of objects.

    Raises:
      OSError: there is no such file, or it cannot be opened.
      ValueError: it is damaged, or no such file.
    """
    with open_regular(path) as file, opened(file) as archive:
        arrays = {}
        for name in archive.namelist():
            with archive.open(name) as entry:
                array = np.lib.format.read_array(entry, allow_pickle=False)
            arrays[name.removesuffix('.npy')] = array
        return arrays
