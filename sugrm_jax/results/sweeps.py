"""Reads the folder of a sweep: what was planned, what has finished, what has not."""

from __future__ import annotations

import dataclasses
import functools
from pathlib import Path
from typing import Any

import numpy as np

from sugrm_jax.config import choice, typed
from sugrm_jax.errors import UserError
from sugrm_jax.results import files
from sugrm_jax.results.paper import PUBLISHED

SWEEP = 'sweep.json'
ERROR = 'error.txt'

# What the report reads of a run's results.
FIELDS = (
    'valid', 'test', 'best_epoch', 'epochs', 'seconds_per_epoch', 'config', 'versions',
    'git_revision', 'data', 'parameters',
)  # fmt: skip


@dataclasses.dataclass(frozen=True)
class Entry:
    """One system, or one variant of a system.

    Attributes:
      label: what readers call it.
      folder: its folder in the sweep's, which has one for each seed.
    """

    label: str
    folder: str


@dataclasses.dataclass(frozen=True)
class Plan:
    """The content of `sweep.json`.

    Attributes:
      name: of the sweep.
      table: number of the paper's table that it reruns, or ''.
      reference: label that the others are compared with.
      runs: systems in the order of the table.
      seeds: each system is trained once with each.
    """

    name: str
    table: str
    reference: str
    runs: tuple[Entry, ...]
    seeds: tuple[int, ...]

    def __post_init__(self):
        labels = [entry.label for entry in self.runs]
        choice(self.table, ('', *PUBLISHED), 'table')
        choice(self.reference, labels, 'reference')
        for name, values in (
            ('labels', labels),
            ('folders', [entry.folder for entry in self.runs]),
            ('seeds', self.seeds),
        ):
            if len(set(values)) < len(values) or not values:
                raise ValueError(f'there must be {name}, each once, not {values}')


@dataclasses.dataclass(frozen=True)
class Run:
    """One system with one seed.

    Attributes:
      label: of the system.
      seed: of the run.
      folder: where its files are, or will be.
      results: content of `results.json`; None where the run has not finished.
      error: content of `error.txt` of a run that failed, else ''.
      history: epochs so far, see `files.read_history`.
      prediction: float64 `[N]` of the test utterances; empty where not finished.
    """

    label: str
    seed: int
    folder: Path
    results: dict[str, Any] | None
    error: str
    history: list[dict[str, Any]]
    prediction: np.ndarray

    @property
    def name(self) -> str:
        return f'{self.label}, seed {self.seed}'

    @property
    def status(self) -> str:
        """In words: 'finished', 'failed', how far it came, or 'not started'."""
        if self.results:
            return 'finished'
        if self.error:
            return 'failed'
        epochs = len(self.history)
        return f'unfinished: {epochs} epochs so far' if epochs else 'not started'

    @property
    def reason(self) -> str:
        """What went wrong, the first line of `error.txt`; '' where nothing has."""
        return self.error.partition('\n')[0].strip()


@dataclasses.dataclass(frozen=True)
class Sweep:
    """What a sweep's folder holds by now.

    Attributes:
      folder: of the sweep.
      plan: see `Plan`.
      runs: every planned run, by system and then seed.
      truth: float64 `[N]`, labels of the test utterances, the same for every run; empty
        while none has finished.
    """

    folder: Path
    plan: Plan
    runs: tuple[Run, ...]
    truth: np.ndarray

    @property
    def labels(self) -> list[str]:
        return [entry.label for entry in self.plan.runs]

    @functools.cached_property
    def finished(self) -> dict[str, dict[int, Run]]:
        """By label and seed, the runs that have finished."""
        return {
            label: {r.seed: r for r in self.runs if r.label == label and r.results}
            for label in self.labels
        }

    @property
    def others(self) -> list[Run]:
        """The runs that have not finished."""
        return [run for run in self.runs if not run.results]


def read_sweep(folder: str | Path) -> Sweep:
    """Reads a sweep, finished or not.

    Raises:
      UserError: `sweep.json` or a file of a run is missing, damaged or unfit; runs were
        tested on different utterances.
    """
    folder = Path(folder)
    plan = typed(Plan, files.read_json(folder / SWEEP), str(folder / SWEEP))
    runs, tested = [], {}
    for entry in plan.runs:
        for seed in plan.seeds:
            run, test = _read_run(folder, entry, seed)
            runs.append(run)
            if test:
                tested[run.name] = test
    return Sweep(folder, plan, tuple(runs), _shared_truth(tested))


def _read_run(folder: Path, entry: Entry, seed: int) -> tuple[Run, dict[str, float]]:
    """The run, and by test utterance its label; empty where it has not finished."""
    path = folder / entry.folder / f'seed{seed}'
    results, test, prediction = None, {}, np.zeros(0)
    if (path / files.RESULTS).exists():
        results = _read_results(path / files.RESULTS)
        rows = files.read_predictions(path / files.PREDICTIONS)
        rows = [row for row in rows if row['split'] == 'test']
        test = {row['id']: row['label'] for row in rows}
        prediction = np.array([row['m'] for row in rows])
    error = files.read_text(path / ERROR)
    history = files.read_history(path / files.HISTORY)
    return Run(entry.label, seed, path, results, error, history, prediction), test


def _read_results(path: Path) -> dict[str, Any]:
    results = files.read_json(path)
    missing = [field for field in FIELDS if field not in results]
    if missing:
        raise UserError(
            f'{path} has no {", ".join(missing)}: run the same command again to '
            'rewrite it.'
        )
    # Runs of before it was measured have no such field.
    return {'inference_ms': None} | results


def _shared_truth(tested: dict[str, dict[str, float]]) -> np.ndarray:
    """Labels `[N]` of the utterances that all runs were tested on."""
    if not tested:
        return np.zeros(0)
    (first, expected), *rest = tested.items()
    for name, found in rest:
        if list(found.items()) != list(expected.items()):
            raise UserError(
                f'The runs {first!r} and {name!r} were not tested on the same '
                f'utterances with the same labels ({len(expected)} and {len(found)} of '
                'them): their figures cannot be compared. Give every run of a sweep '
                'the same data.'
            )
    return np.array(list(expected.values()))
