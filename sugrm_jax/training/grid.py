"""The runs of a sweep: which there are, where they are, which are done."""

from __future__ import annotations

import collections
import dataclasses
import pathlib
import re
from collections.abc import Callable, Sequence
from typing import Any

from ml_collections import ConfigDict

from sugrm_jax.config import plain, typed
from sugrm_jax.data.mmsa import fingerprint
from sugrm_jax.errors import UserError
from sugrm_jax.results import files
from sugrm_jax.results.sweeps import SWEEP
from sugrm_jax.training.setup import Experiment
from sugrm_jax.training.workdir import claimed, differences, identity


@dataclasses.dataclass(frozen=True)
class Cell:
    """One run of the grid.

    Attributes:
      label: of its row in the table.
      config: plain values, the seed among them.
      folder: where it is trained.
    """

    label: str
    config: dict[str, Any]
    folder: pathlib.Path

    def __str__(self) -> str:
        return f'{self.label}, seed {self.config["seed"]}'


def make_grid(
    runs: Sequence[tuple[str, ConfigDict]], workdir: pathlib.Path, seeds: int
) -> list[Cell]:
    """All runs of a sweep, label by label, so that seeds share compiled programs.

    Args:
      runs: labels and configs.
      workdir: each run's folder is `workdir/LABEL/seedK`.
      seeds: 1, 2, … up to this.

    Raises:
      UserError: a config with a field that does not fit, or labels whose folders are
        the same.
    """
    grid = []
    for label, config in runs:
        for seed in range(1, seeds + 1):
            values = plain(config) | {'seed': seed}
            typed(Experiment, values)
            grid.append(Cell(label, values, workdir / slug(label) / f'seed{seed}'))
    (folder, count), *_ = collections.Counter(x.folder for x in grid).most_common(1)
    if count > 1:
        raise UserError(f'Several labels of the sweep have the folder {folder.parent}.')
    return grid


def slug(label: str) -> str:
    """A label as the name of a folder: 'Self-MM + MRM' → 'self-mm-mrm'."""
    return re.sub('[^a-z0-9]+', '-', label.lower()).strip('-')


def finished(cell: Cell, data_sha256: Callable[[str], str | None]) -> bool:
    """Whether the run's results are there.

    Args:
      cell: the run.
      data_sha256: such as `data_fingerprint`, for it is all that is looked at of data.

    Raises:
      UserError: results are there, but of a run with other settings or other data.
    """
    path = cell.folder / files.RESULTS
    if not path.exists():
        return False
    results = files.read_json(path)
    there = results['data']['sha256']
    here = data_sha256(cell.config['data']['path']) or there
    found = differences(identity(results['config'], there), identity(cell.config, here))
    if found:
        raise UserError(
            f'{cell.folder} holds a finished run with other settings:\n  '
            + '\n  '.join(found)
            + '\nGo on with the old settings, or name another --workdir.'
        )
    return True


def data_fingerprint(path: str) -> str | None:
    """SHA-256 of the data file; None where there is none, as with simulated data."""
    file = pathlib.Path(path).expanduser()
    return fingerprint(file) if file.is_file() else None


def write_plan(
    workdir: pathlib.Path, sweep: ConfigDict, labels: Sequence[str], seeds: int
) -> None:
    """Writes `sweep.json`, which the report reads.

    Args:
      workdir: of the sweep.
      sweep: its `name`, `table` and `reference` are kept.
      labels: of the runs, in the table's order.
      seeds: of each run; an earlier command may have asked for more.

    Raises:
      UserError: the folder holds another sweep that has begun, or cannot be written.
    """
    plan = {
        'name': sweep.name,
        'table': sweep.table,
        'reference': sweep.reference,
        'runs': [{'label': label, 'folder': slug(label)} for label in labels],
    }
    path = workdir / SWEEP
    # Shards start together, and write the same.
    with claimed(workdir, wait=30):
        started = path.exists() and any(workdir.glob('*/seed*'))
        there = files.read_json(path) if started else {'seeds': []} | plan
        if there['name'] != sweep.name:
            raise UserError(
                f'{workdir} holds the sweep {there["name"]}, not {sweep.name}: name '
                'another --workdir.'
            )
        seeds = max(seeds, len(there['seeds']))
        files.write_json(path, plan | {'seeds': list(range(1, seeds + 1))})
