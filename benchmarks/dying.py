"""`sugrm_jax.main` that dies at a chosen write, and always says what it is at.

python -m benchmarks.dying WRITE SIGNAL PHASE_FILE --config=… --workdir=…

Every write in the run's folder that Python sees is counted: an open for writing, a
folder made, a name changed or removed. Before the one of number WRITE, counted from 1,
the process sends itself SIGNAL; WRITE 0 is none. PHASE_FILE holds the present phase
at any time, and at the end the number of writes.
"""

from __future__ import annotations

import functools
import os
import pathlib
import sys
from collections.abc import Callable
from typing import Any

START, END = 'start', 'end'
WRITING = ('os.mkdir', 'os.rename', 'os.remove', 'os.rmdir', 'os.truncate')


class Phase:
    """What the process is at, kept in a file that outlives it."""

    def __init__(self, path: str) -> None:
        self._file = os.open(path, os.O_CREAT | os.O_WRONLY)
        self._name = START
        self.enter(START)

    def enter(self, name: str) -> str:
        """Begins a phase; returns the one before."""
        before, self._name = self._name, name
        os.pwrite(self._file, f'{name:<40}'.encode(), 0)
        return before

    def stay(self) -> None:
        """Keeps what the file says: the phase that a signal came in."""
        os.close(self._file)
        self._file = os.open(os.devnull, os.O_WRONLY)

    def during(self, name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        """The function, whose calls are a phase."""

        @functools.wraps(function)
        def phased(*args: Any, **options: Any) -> Any:
            before = self.enter(name)
            result = function(*args, **options)
            self.enter(before)  # not where an exception leaves it
            return result

        return phased


def follow(phase: Phase) -> None:
    """Lets the parts of a run say when they are at work."""
    from sugrm_jax.results import page
    from sugrm_jax.training import checkpoint, loop, record

    parts = [
        (loop, 'prepare', 'loading'),
        (loop.Run, '_start', 'restoring'),
        (loop.Run, '_compile', 'compiling'),
        (loop.Run, '_epoch', 'steps'),
        (loop.Run, 'predict', 'evaluation'),
        (checkpoint.Checkpoints, 'save_latest', 'checkpoint'),
        (checkpoint.Checkpoints, 'save_best', 'checkpoint'),
        (record, 'write_progress', 'history'),
        (record, 'write_results', 'results'),
        (page, 'write_report', 'figures'),
    ]
    for place, name, told in parts:
        setattr(place, name, phase.during(told, getattr(place, name)))


def die_at(write: int, signum: int, folder: str, phase: Phase) -> list[int]:
    """Sends the signal before that write; the list has the writes so far."""
    count = [0]

    def watch(event: str, details: tuple) -> None:
        if is_write(event, details) and folder in target(event, details):
            count[0] += 1
            if count[0] == write:
                phase.stay()
                os.kill(os.getpid(), signum)

    sys.addaudithook(watch)
    return count


def is_write(event: str, details: tuple) -> bool:
    """Whether an audit event changes a file or folder, its `target`."""
    if event != 'open':
        return event in WRITING
    _, mode, flags = details
    return bool((flags or 0) & (os.O_WRONLY | os.O_RDWR)) or any(
        letter in (mode or '') for letter in 'wax+'
    )


def target(event: str, details: tuple) -> str:
    """The path that a write changes, whole also where a folder is emptied."""
    path, opened = str(details[0]), details[-1]
    if event in ('os.remove', 'os.rmdir') and opened >= 0:
        return os.path.join(os.readlink(f'/proc/self/fd/{opened}'), path)
    return path


def main() -> None:
    write, signum, path = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
    del sys.argv[1:4]
    (folder,) = [x for x in sys.argv if x.startswith('--workdir=')]
    phase = Phase(path)
    from sugrm_jax import main

    follow(phase)
    count = die_at(write, signum, folder.removeprefix('--workdir='), phase)
    try:
        main.run()
    except SystemExit as end:
        if not end.code:
            pathlib.Path(path).write_text(f'{END} {count[0]}')
        raise


if __name__ == '__main__':
    main()
