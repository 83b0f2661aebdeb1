"""Opens what a stranger may have put into a folder: regular files, and no others.

Whoever reads a pipe waits for ever where nobody writes to it, and a device has no end.
"""

from __future__ import annotations

import errno
import os
import stat
from typing import BinaryIO


def open_regular(path: str | os.PathLike) -> BinaryIO:
    """A regular file, open to read its bytes.

    Raises:
      OSError: it is not there, is no regular file or cannot be opened.
    """
    file = open(path, 'rb', opener=_open_at_once)  # noqa: SIM115 - the caller closes it
    if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
        file.close()
        raise _not_regular(path)
    return file


def read_bytes(path: str | os.PathLike) -> bytes:
    """The content of a regular file, of no more bytes than it says it has.

    Raises:
      OSError: see `open_regular`.
    """
    with open_regular(path) as file:
        return file.read(os.fstat(file.fileno()).st_size)


def check(folder: str | os.PathLike) -> None:
    """Makes sure that a folder holds nothing that a library could not just read.

    Raises:
      OSError: something in it, at any depth, is neither a regular file nor a folder.
    """
    for within, _, names in os.walk(folder):
        for path in (os.path.join(within, name) for name in names):
            if os.path.exists(path) and not os.path.isfile(path):
                raise _not_regular(path)


def _open_at_once(path: str, flags: int) -> int:
    # Opening a pipe waits, too.
    return os.open(path, flags | os.O_NONBLOCK)


def _not_regular(path: str | os.PathLike) -> OSError:
    return OSError(errno.EINVAL, 'it is no regular file', os.fspath(path))
