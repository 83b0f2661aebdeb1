"""Many pieces at once, in processes of their own, and what is done already kept."""

from __future__ import annotations

import functools
import multiprocessing
import os
import signal
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import (
    FIRST_COMPLETED,
    Executor,
    Future,
    ProcessPoolExecutor,
    wait,
)
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from sugrm_jax.errors import UserError
from sugrm_jax.extract import parts
from sugrm_jax.extract.types import Features, Piece
from sugrm_jax.interrupt import holding

Duration = Callable[[str], float]
Extract = Callable[[Piece], Features]
# Number of jobs → context of an executor.
Pool = Callable[[int], Any]
# What is worked on, and what is found.
S, T = TypeVar('S'), TypeVar('T')

CRASHED = 'decoding it ended the process: the file is damaged, or memory ran out'


@contextmanager
def processes(jobs: int) -> Iterator[Executor]:
    """Worker processes, ended at once where the context is left by an exception."""
    before = set(multiprocessing.active_children())
    # Spawned, not forked: a progress bar's thread would be copied half.
    pool = _Workers(jobs, multiprocessing.get_context('spawn'), initializer=_quiet)
    try:
        yield pool
    except BaseException:
        for child in set(multiprocessing.active_children()) - before:
            child.terminate()
        raise
    finally:
        pool.shutdown(cancel_futures=True)


class _Workers(ProcessPoolExecutor):
    """Processes that leave Ctrl-C to the parent."""

    def submit(self, *task: Any, **named: Any) -> Future:
        # Each call may start a process. It inherits what is blocked, and is whole when
        # a signal comes to the parent.
        blocked = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        try:
            with holding():
                return super().submit(*task, **named)
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, blocked)


def _quiet() -> None:
    """Silences the libraries, whose own notes would bury ours."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)


def lengths(
    paths: Iterable[str], duration: Duration, *, jobs: int, pool: Pool = processes
) -> dict[str, float | None]:
    """How long files are, seconds, by path; None of one that cannot be read.

    Args:
      paths: the files.
      duration: of one; runs in a process of the pool, since opening a file decodes its
        beginning and can end in a crash, too.
      jobs, pool: see `extract_all`.

    Raises:
      UserError: what `duration` raises.
    """
    measure = functools.partial(_length, duration)
    return dict(_run({path: path for path in paths}, jobs, measure, pool, None))


def _length(duration: Duration, path: str) -> float | None:
    try:
        return duration(path)
    except UserError:  # concerns all files, as a missing library does
        raise
    except Exception:  # extracting will say what is wrong with the file
        return None


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
      folder: where features are kept, see `parts.claimed`; those that are there are
        not made again. Of what could not be read nothing is kept: a second run may
        have more luck.
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
    crashed = _given_up(description, CRASHED)
    for name, features in _run(missing, jobs, attempt, pool, crashed):
        if features.readable:
            parts.save(folder, name, features)
        found[name] = features
        for _ in range(count[name]):
            advance()
    return [found[name] for name in names]


def _run(
    tasks: Mapping[str, S], jobs: int, work: Callable[[S], T], pool: Pool, crashed: T
) -> Iterator[tuple[str, T]]:
    """What is found for each task, by name, as it is finished.

    A file that makes a decoder crash takes the whole pool with it. Those that were
    under way are then tried alone; for the one that crashes again `crashed` is found.
    """
    waiting = dict(tasks)
    while waiting:
        suspects: dict[str, S] = {}
        yield from _until_crash(waiting, jobs, work, pool, suspects)
        for name, task in suspects.items():
            again: dict[str, S] = {}
            yield from _until_crash({name: task}, 1, work, pool, again)
            if again:
                yield name, crashed


def _until_crash(
    waiting: dict[str, S],
    jobs: int,
    work: Callable[[S], T],
    pool: Pool,
    suspects: dict[str, S],
) -> Iterator[tuple[str, T]]:
    """What is found, as it is finished, until all is or the pool breaks.

    Args:
      waiting: tasks by name; those that were begun are taken out.
      jobs, work, pool: how many are done at a time, what is done, and where.
      suspects: gets the tasks that were under way when the pool broke.
    """
    under_way: dict[Any, tuple[str, S]] = {}
    with pool(jobs) as executor:
        while waiting or under_way:
            try:
                while waiting and len(under_way) < jobs:
                    name = next(iter(waiting))
                    future = executor.submit(work, waiting[name])
                    under_way[future] = name, waiting.pop(name)
                for future in wait(under_way, return_when=FIRST_COMPLETED).done:
                    found = future.result()
                    yield under_way.pop(future)[0], found
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
