"""The results of a run to work with, or what to do where there are none."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from sugrm_jax.errors import UserError
from sugrm_jax.results import files
from sugrm_jax.results.sweeps import SWEEP


def read(run: Path) -> Any:
    """What the `results.json` of a run's folder holds.

    Raises:
      UserError: the run has not finished, or that is no folder of one; the file is
        damaged.
    """
    if reason := _why_none(run):
        raise UserError(reason)
    return files.read_json(run / files.RESULTS)


def _why_none(run: Path) -> str | None:
    """Why there are no results, where that is plain to see."""
    if os.path.isfile(run):
        return f'{run} is a file: name the folder of a run, such as {run.parent}.'
    if os.path.exists(run / SWEEP):
        return f'{run} is the folder of a sweep: name a run in it, {run}/LABEL/seedK.'
    if os.path.isdir(run / 'checkpoints') and not os.path.exists(run / files.RESULTS):
        return (
            f'The run in {run} has not finished: the command that trains it goes on '
            'with it.'
        )
    return None
