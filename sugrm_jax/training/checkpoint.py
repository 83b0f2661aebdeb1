"""Checkpoints with orbax: the best parameters, and all of the latest state.

Two folders, each of which keeps one: `best/` holds the parameters to predict with,
`latest/` everything a run needs to go on as if it had never stopped.
"""

from __future__ import annotations

import dataclasses
import pathlib
from typing import Any

import jax
import orbax.checkpoint as ocp

from sugrm_jax.errors import UserError
from sugrm_jax.training.state import TrainState
from sugrm_jax.types import PyTree


@dataclasses.dataclass
class Progress:
    """Where a run is, beside its train state; plain values, saved as JSON.

    Attributes:
      epoch: the current one, counted from 1.
      step: batches of it that are done.
      batches: the train report of each, `(samples, loss terms by name)`.
      seconds: spent in it.
      history: a row for every epoch done (`metrics.jsonl`).
      best_epoch: with the lowest validation MAE so far; 0 before the first.
      best_mae: that MAE.
    """

    epoch: int = 1
    step: int = 0
    batches: list = dataclasses.field(default_factory=list)
    seconds: float = 0.0
    history: list = dataclasses.field(default_factory=list)
    best_epoch: int = 0
    best_mae: float = float('inf')


class Checkpoints:
    """The checkpoints of one run.

    Args:
      workdir: the run's folder.
      identity: config and data fingerprint, kept in every checkpoint.
    """

    def __init__(self, workdir: pathlib.Path, identity: dict[str, Any]):
        self.folder = workdir.absolute() / 'checkpoints'
        self._identity = identity
        self._latest = _manager(self.folder / 'latest')
        self._best = _manager(self.folder / 'best')

    def save_best(self, epoch: int, params: PyTree) -> None:
        """Keeps the parameters of a new best epoch."""
        _save(self._best, epoch, {'params': params}, {'identity': self._identity})

    def save_latest(
        self, state: TrainState, progress: Progress, labels: dict[str, Any]
    ) -> None:
        """Keeps everything, under the number of steps done.

        Args:
          state: train state.
          progress: where the run is.
          labels: generated labels by modality, `[1 + epochs, N]`.
        """
        meta = {'identity': self._identity, 'progress': dataclasses.asdict(progress)}
        trees = {'state': state, 'labels': labels}
        _save(self._latest, int(state.step), trees, meta)

    def restore_latest(
        self, state: TrainState
    ) -> tuple[TrainState, Progress, dict[str, Any]] | None:
        """What `save_latest` kept last, or None for a new run.

        Args:
          state: one of the same shapes and placement.
        """
        step = self._latest.latest_step()
        if step is None:
            return None
        args = {
            'state': ocp.args.StandardRestore(_abstract(state)),
            'labels': ocp.args.StandardRestore(),
            'meta': ocp.args.JsonRestore(),
        }
        kept = self._latest.restore(step, args=ocp.args.Composite(**args))
        return kept['state'], Progress(**kept['meta']['progress']), kept['labels']

    def restore_best(self, params: PyTree) -> PyTree:
        """The parameters of the best epoch, placed like `params`."""
        args = ocp.args.Composite(params=ocp.args.StandardRestore(_abstract(params)))
        return self._best.restore(self._best.latest_step(), args=args)['params']

    def close(self) -> None:
        self._latest.close()
        self._best.close()


def _manager(folder: pathlib.Path) -> ocp.CheckpointManager:
    options = ocp.CheckpointManagerOptions(
        max_to_keep=1, enable_async_checkpointing=False, create=True
    )
    return ocp.CheckpointManager(folder, options=options)


def _save(manager, step: int, trees: dict[str, PyTree], meta: dict) -> None:
    items = {name: ocp.args.StandardSave(tree) for name, tree in trees.items()}
    items['meta'] = ocp.args.JsonSave(meta)
    # A run that was killed after this very save comes here again, with the same.
    if step in manager.all_steps():
        return
    try:
        manager.save(step, args=ocp.args.Composite(**items))
    except (OSError, ValueError) as error:
        raise UserError(
            f'Could not write the checkpoint of step {step} in {manager.directory}: '
            f'{error}. The checkpoint before it is intact; make room and start the '
            'same command again to go on from there.'
        ) from error


def _abstract(tree: PyTree) -> PyTree:
    return jax.tree.map(ocp.utils.to_shape_dtype_struct, tree)
