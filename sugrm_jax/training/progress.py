"""What the terminal shows while a model trains."""

from __future__ import annotations

from collections.abc import Callable

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)


class TrainingProgress:
    """A bar over the steps of an epoch, and a line for every epoch done.

    Without a terminal there are only the lines.
    """

    def __init__(self, console: Console):
        self.console = console
        self._bar = Progress(
            *self._columns(),
            console=console,
            transient=True,
            disable=not console.is_terminal,
        )
        self._task = None

    def _columns(self) -> tuple[ProgressColumn, ...]:
        return (
            TextColumn('epoch {task.description}'),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn('ETA'),
            TimeRemainingColumn(),
            TextColumn('{task.fields[status]}'),
        )

    def _status(self, loss: float) -> str:
        """What stands behind the bar after a step."""
        return f'loss {loss:.3f}'

    def _say(self, line: str) -> None:
        self.console.print(line, highlight=False)

    def __enter__(self) -> TrainingProgress:
        self._bar.start()
        self._task = self._bar.add_task('', total=None, status='compiling')
        if not self.console.is_terminal:
            self._say('compiling, up to a minute the first time …')
        return self

    def __exit__(self, *_) -> None:
        self._bar.stop()

    def start_epoch(self, epoch: int, epochs: int, steps: int, done: int) -> None:
        """Shows an empty bar of `steps`, of which `done` were run before."""
        self._bar.remove_task(self._task)
        self._task = self._bar.add_task(
            f'{epoch}/{epochs}', total=steps, completed=done, status=''
        )

    def step(self, loss: float) -> None:
        """One step is done."""
        self._bar.update(self._task, advance=1, status=self._status(loss))

    def end_epoch(self, row: dict) -> None:
        """Prints the epoch's line: loss, validation metrics, whether it is the best."""
        valid = row['valid']
        self._say(
            f'epoch {row["epoch"]:3d}  loss {row["train"]["loss"]:.3f}  '
            f'valid MAE {valid["mae"]:.3f}  r {valid["corr"]:.3f}  '
            f'Acc2 {100 * valid["acc2_has0"]:.1f}/{100 * valid["acc2_non0"]:.1f}  '
            f'{row["seconds"]:.1f} s{"  *" if row["best"] else ""}'
        )


class SweepProgress(TrainingProgress):
    """The bar of one run of many, with its place among them; no lines.

    Args:
      console: the terminal.
      place: which run it is.
      left: says how long all the runs will take.
    """

    def __init__(self, console: Console, place: str, left: Callable[[], str]):
        self._place = place
        self._left = left
        super().__init__(console)

    def _columns(self) -> tuple[ProgressColumn, ...]:
        return (
            TextColumn(self._place, markup=False),
            TextColumn('epoch {task.description}'),
            BarColumn(bar_width=12),
            TextColumn('{task.fields[status]}'),
        )

    def start_epoch(self, epoch: int, epochs: int, steps: int, done: int) -> None:
        # Once an epoch: it may ask a database.
        self._now = self._left()
        super().start_epoch(epoch, epochs, steps, done)

    def _status(self, loss: float) -> str:
        return self._now

    def _say(self, line: str) -> None:
        """Nothing: the bar is enough."""
