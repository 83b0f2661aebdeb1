"""Trains the runs of a sweep one after the other; one that fails stops no other."""

from __future__ import annotations

import functools
import pathlib
import time
import traceback
from collections.abc import Sequence

from rich.console import Console

from sugrm_jax.config import typed
from sugrm_jax.errors import UserError
from sugrm_jax.interrupt import StopRequest
from sugrm_jax.results import files
from sugrm_jax.results.sweeps import ERROR
from sugrm_jax.training.checkpoint import keep_best_only
from sugrm_jax.training.grid import Cell, data_fingerprint, finished
from sugrm_jax.training.loop import train
from sugrm_jax.training.progress import SweepProgress
from sugrm_jax.training.setup import Experiment, read
from sugrm_jax.training.shared import Shared
from sugrm_jax.training.workdir import STOPPED, Claimed


def train_grid(
    grid: Sequence[Cell], mine: slice, workdir: pathlib.Path, console: Console
) -> bool:
    """Trains the runs that are not done, and says how each went.

    Args:
      grid: all runs of the sweep.
      mine: those of them that this process trains.
      workdir: of the sweep.
      console: where to say it.

    Returns:
      Whether none of them failed.

    Raises:
      UserError: the data cannot be read, or a folder holds results of another config;
        nothing is trained then.
      Interrupted: a signal came (`interrupt`); all steps that were done are saved.
    """
    say = functools.partial(_say, console)
    done = functools.partial(finished, data_sha256=functools.cache(data_fingerprint))
    with StopRequest(STOPPED):
        is_done = {cell.folder: done(cell) for cell in grid}
        todo = [cell for cell in grid[mine] if not is_done[cell.folder]]
        total = len(grid[mine])
        say(f'runs: {total}, done: {total - len(todo)}')
        shared = Shared()
        # What is wrong with the data would be wrong with every run.
        for cell in todo[:1]:
            read(typed(Experiment, cell.config), shared)
        failures = _train_all(todo, total, shared, console)
    if failures:
        say(f'{len(failures)} of {total} runs failed; the same command tries again:')
    for cell, reason in failures:
        say(f'  {cell}: {reason} ({cell.folder / ERROR})')
    if all(done(cell) for cell in grid):
        say(f'All is done. The report: python -m sugrm_jax.report {workdir}')
    return not failures


def _train_all(
    todo: Sequence[Cell], total: int, shared: Shared, console: Console
) -> list[tuple[Cell, str]]:
    """Trains the runs; gives those that failed, and why."""
    pace = Pace([cell.label for cell in todo])
    failures, notes, quiet = [], set(), Console(quiet=True)
    for number, cell in enumerate(todo, start=1 + total - len(todo)):
        place = f'[{number}/{total}] {cell}'
        shown = SweepProgress(console, place, pace.left)
        results = None
        try:
            (cell.folder / ERROR).unlink(missing_ok=True)
            results = train(cell.config, cell.folder, quiet, shared=shared, shown=shown)
            keep_best_only(cell.folder, results['best_epoch'])
            words = f'{place}: valid MAE {results["valid"]["mae"]:.3f}'
        except Claimed:
            words = f'{place}: another process is at work on it'
        # Whatever it is, the other runs can still be trained.
        except Exception as error:
            failures.append((cell, _keep_error(cell, error)))
            words = f'{place} failed: {failures[-1][1]}'
        seconds = pace.next(counts=results is not None)
        if results:
            new = [note for note in results['data']['notes'] if note not in notes]
            for note in new:
                _say(console, f'note: {note}')
            notes.update(new)
            words += f', {duration(seconds)}'
        _say(console, '; '.join(filter(None, [words, pace.left()])))
    return failures


def _say(console: Console, line: str) -> None:
    console.print(line, highlight=False, markup=False, soft_wrap=True)


def _keep_error(cell: Cell, error: Exception) -> str:
    """Writes the error in one line, and its traceback; gives the line."""
    line, *_ = str(error).splitlines() or ['']
    if not isinstance(error, UserError):
        line = f'{type(error).__name__}: {line}'
    content = f'{line}\n\n{traceback.format_exc()}'
    files.write_bytes(cell.folder / ERROR, content.encode())
    return line


class Pace:
    """Tells from the runs that are done how long those that are not will take.

    Args:
      labels: of all runs that are not done, in their order.
    """

    def __init__(self, labels: Sequence[str]):
        self._left = list(labels)
        self._seconds: dict[str, list[float]] = {}
        self._since = time.monotonic()

    def next(self, *, counts: bool) -> float:
        """The first of those left is over.

        Args:
          counts: whether the others of its label will take as long.

        Returns:
          The seconds it took.
        """
        now = time.monotonic()
        seconds, self._since = now - self._since, now
        label = self._left.pop(0)
        if counts:
            self._seconds.setdefault(label, []).append(seconds)
        return seconds

    def left(self) -> str:
        """Such as 'about 41 min left'; empty while nothing is known."""
        if not self._seconds or not self._left:
            return ''
        known = {label: sum(x) / len(x) for label, x in self._seconds.items()}
        typical = sum(known.values()) / len(known)
        left = sum(known.get(label, typical) for label in self._left)
        return f'about {duration(left - (time.monotonic() - self._since))} left'


def duration(seconds: float) -> str:
    """Seconds in words: '58 s', '41 min', '3 h 20 min'."""
    if seconds < 90:
        return f'{max(seconds, 0):.0f} s'
    hours, minutes = divmod(round(seconds / 60), 60)
    return f'{hours} h {minutes} min' if hours else f'{minutes} min'
