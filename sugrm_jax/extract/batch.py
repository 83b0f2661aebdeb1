"""Many pieces at once, in processes of their own, and what is done already kept."""

from __future__ import annotations

import functools
import multiprocessing
import os
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Executor, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from sugrm_jax.errors import UserError
from sugrm_jax.extract import parts
from sugrm_jax.extract.types import Features, Piece

Extract = Callable[[Piece], Features]
# Number of jobs → context of an executor.
Pool = Callable[[int], Any]

CRASHED = 'decoding it ended the process: the file is damaged, or memory ran out'


@contextmanager
def processes(jobs: int) -> Iterator[Executor]:
    """Worker processes, ended at once where the context is left by an exception."""
    before = set(multiprocessing.active_children())
    # Spawned, not forked: a progress bar's thread would be copied half.
    pool = ProcessPoolExecutor(
        jobs, multiprocessing.get_context('spawn'), initializer=_quiet
    )
    try:
        yield pool
    except BaseException:
        for child in set(multiprocessing.active_children()) - before:
            child.terminate()
        raise
    finally:
        pool.shutdown(cancel_futures=True)


def _quiet() -> None:
    """Leaves Ctrl-C to the parent; the libraries' own notes would bury ours."""
    import signal

    signal.signal(signal.SIGINT, signal.SIG_IGN)
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)


def extract_all(
    pieces: Sequence[Piece],
    description: dict,
    folder: Path,
    *,
    decoding: Mapping[str, Any],
    jobs: int,
    extract: Extract,
    advance: Callable[[], None],
    pool: Pool = processes,
) -> list[Features]:
    """The features of all pieces, in their order.

    Args:
      pieces: what to decode.
      description: of the features.
      folder: where features are kept; those that are there are not made again. Of
        what could not be read nothing is kept: a second run may have more luck.
      decoding: what decodes, and how; other features are kept for another.
      jobs: how many pieces are decoded at a time.
      extract: of one piece; runs in a process of the pool.
      advance: called after each piece.
      pool: the pool of `jobs` workers.

    Raises:
      UserError: the disk is full, or what `extract` raises.
    """
    made_with = {'features': description, 'decoding': decoding}
    names = [parts.key(piece, made_with) for piece in pieces]
    with parts.writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
    found: dict[str, Features] = {}
    for name in names:
        kept = found.get(name) or parts.load(folder, name)
        if kept is not None:
            found[name] = kept
            advance()
    missing = {
        name: piece
        for name, piece in zip(names, pieces, strict=True)
        if name not in found
    }
    count = Counter(names)
    attempt = functools.partial(_attempt, extract, description)
    for name, features in _run(missing, jobs, attempt, pool, description):
        if features.readable:
            parts.save(folder, name, features)
        found[name] = features
        for _ in range(count[name]):
            advance()
    return [found[name] for name in names]


def _run(
    missing: dict[str, Piece],
    jobs: int,
    extract: Extract,
    pool: Pool,
    description: dict,
) -> Iterator[tuple[str, Features]]:
    """Features as they are finished.

    A file that makes a decoder crash takes the whole pool with it. Those that were
    under way are then tried alone, and the one that crashes again is given up.
    """
    waiting = dict(missing)
    while waiting:
        suspects: dict[str, Piece] = {}
        yield from _until_crash(waiting, jobs, extract, pool, suspects)
        for name, piece in suspects.items():
            crashed: dict[str, Piece] = {}
            yield from _until_crash({name: piece}, 1, extract, pool, crashed)
            if crashed:
                yield name, _given_up(description, CRASHED)


def _until_crash(
    waiting: dict[str, Piece],
    jobs: int,
    extract: Extract,
    pool: Pool,
    suspects: dict[str, Piece],
) -> Iterator[tuple[str, Features]]:
    """Features as they are finished, until all are or the pool breaks.

    Args:
      waiting: pieces by name; those that were begun are taken out.
      jobs, extract, pool: see `extract_all`.
      suspects: gets the pieces that were under way when the pool broke.
    """
    under_way: dict[Any, tuple[str, Piece]] = {}
    with pool(jobs) as executor:
        while waiting or under_way:
            try:
                while waiting and len(under_way) < jobs:
                    name = next(iter(waiting))
                    future = executor.submit(extract, waiting[name])
                    under_way[future] = name, waiting.pop(name)
                for future in wait(under_way, return_when=FIRST_COMPLETED).done:
                    features = future.result()
                    yield under_way.pop(future)[0], features
            except BrokenProcessPool:
                suspects.update(under_way.values())
                return


def _attempt(extract: Extract, description: dict, piece: Piece) -> Features:
    """The features of a piece, or none and what went wrong, of whatever kind it was."""
    try:
        return extract(piece)
    except UserError:  # concerns all pieces, as a missing library does
        raise
    except Exception as error:
        words = filter(None, [type(error).__name__, str(error)])
        return _given_up(description, f'unreadable: {": ".join(words)}')


def _given_up(description: dict, problem: str) -> Features:
    """No features, of the widths that the others have."""
    empty = {
        modality: np.zeros((0, len(about['names'])), np.float32)
        for modality, about in description.items()
    }
    return Features(**empty, problems=(problem,), readable=False)
