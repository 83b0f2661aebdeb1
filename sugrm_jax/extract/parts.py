"""Features of single clips, kept until the whole is written.

Each is a file of its own, named by what it was made from: another clip under the same
name, other times or another version of a library are another file.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import filelock
import numpy as np

from sugrm_jax import archives
from sugrm_jax.errors import UserError
from sugrm_jax.extract.types import Features, Piece

_LOCK = '.lock'
_NAME = re.compile(rf'\.?[0-9a-f]{{64}}\.npz(\.partial)?|{re.escape(_LOCK)}')


@contextlib.contextmanager
def claimed(folder: Path) -> Iterator[None]:
    """Context in which no other process keeps features there; made when missing.

    A process that dies lets go of it, however it dies.

    Raises:
      UserError: another process is at work there, or the disk refused.
    """
    lock = filelock.FileLock(folder / _LOCK, timeout=0)
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
        try:
            lock.acquire()
        except filelock.Timeout as error:
            raise UserError(
                f'Another process is extracting into {folder}: wait for it, or name '
                'another file to write.'
            ) from error
    try:
        yield
    finally:
        if os.path.isdir(folder) and os.listdir(folder) == [_LOCK]:
            clear(folder)
        lock.release()


def key(piece: Piece, made_with: Mapping[str, Any]) -> str:
    """The name of a piece's features: 64 hexadecimal digits.

    Args:
      piece: its file's path, size and time of change count.
      made_with: what features depend on besides, such as the libraries' versions.

    Raises:
      UserError: the file is gone.
    """
    try:
        status = os.stat(piece.path)
    except OSError as error:
        raise UserError(f'{piece.path} cannot be read: {error.strerror}.') from error
    facts = [piece.path, status.st_size, status.st_mtime_ns, piece.start, piece.end]
    text = json.dumps([*facts, made_with], sort_keys=True)
    return hashlib.sha256(text.encode('utf-8', 'surrogatepass')).hexdigest()


def load(folder: Path, name: str) -> Features | None:
    """Features kept under a name; None where there are none or they are damaged."""
    try:
        file = archives.read_npz(folder / f'{name}.npz')
    except (OSError, ValueError):
        return None
    audio, vision, problems = (file.get(k) for k in ('audio', 'vision', 'problems'))
    for features in (audio, vision):
        if features is None or features.dtype != np.float32 or features.ndim != 2:
            return None
    if problems is None or problems.dtype.kind != 'U' or problems.ndim != 1:
        return None
    return Features(audio, vision, tuple(problems.tolist()))


def save(folder: Path, name: str, features: Features) -> None:
    """Keeps features of what was readable under a name, whole or not at all.

    Raises a `UserError`: the disk.
    """
    target = folder / f'{name}.npz'
    partial = folder / f'.{name}.npz.partial'
    with writing(target), replacing(partial, target), open(partial, 'wb') as file:
        np.savez(
            file,
            audio=features.audio,
            vision=features.vision,
            problems=np.array(features.problems, dtype=str),
        )


def clear(folder: Path) -> None:
    """Removes what `save` wrote, and the folder if it held nothing else."""
    for path in folder.iterdir():
        if _NAME.fullmatch(path.name):
            path.unlink(missing_ok=True)
    with contextlib.suppress(OSError):
        folder.rmdir()


@contextlib.contextmanager
def replacing(partial: Path, target: Path):
    """`partial`, written inside, takes the place of `target`, or is cleared away."""
    try:
        yield
        os.replace(partial, target)
    except BaseException:
        with contextlib.suppress(OSError):
            partial.unlink()
        raise


@contextlib.contextmanager
def writing(path: Path):
    """Turns a refusal of the disk into a sentence for the user."""
    try:
        yield
    except OSError as error:
        raise UserError(
            f'{path} could not be written: {error.strerror or error}. Free space there '
            'or name another place; the same command then goes on.'
        ) from error
