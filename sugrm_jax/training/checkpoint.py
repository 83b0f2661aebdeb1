"""Checkpoints with orbax: the best parameters, and all of the latest state.

Two folders: `best/` holds the variables to predict with, `latest/` everything a run
needs to go on as if it had never stopped. `best/` keeps two: while a new best is there
and `latest/` does not know of it yet, a stopped run goes on from the one before.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import logging
import pathlib
import re
import shutil
import sys
import warnings
from collections.abc import Iterator
from typing import Any

import jax
import orbax.checkpoint as ocp

from sugrm_jax import processes, regular
from sugrm_jax.config import at_least, between, typed
from sugrm_jax.errors import UserError
from sugrm_jax.training.state import TrainState
from sugrm_jax.training.workdir import differences
from sugrm_jax.types import PyTree

# Where a checkpoint goes in one step to be deleted, so that none with holes is ever
# left under its own name.
GONE = '.gone'
# Of a run's folder, the part with both.
ALL = 'checkpoints'
_LONGEST_REASON = 200  # letters
_LATE = ('Event loop is closed', 'error while reading array')


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
      processes: `workdir.provenance` of those that took steps, where it changed.
    """

    epoch: int = 1
    step: int = 0
    batches: list = dataclasses.field(default_factory=list)
    seconds: float = 0.0
    history: list = dataclasses.field(default_factory=list)
    best_epoch: int = 0
    best_mae: float = float('inf')
    processes: list = dataclasses.field(default_factory=list)

    def __post_init__(self):
        at_least(self.epoch, 1, 'epoch')
        at_least(self.step, 0, 'step')
        between(self.best_epoch, 0, self.epoch + 1, 'best_epoch')


class Checkpoints:
    """The checkpoints of one run.

    Args:
      workdir: the run's folder.
      identity: config and data fingerprint, kept in every checkpoint.

    Raises:
      UserError: the folders cannot be made, or what they hold is damaged.
    """

    def __init__(self, workdir: pathlib.Path, identity: dict[str, Any]):
        self.folder = workdir.absolute() / ALL
        self._identity = identity
        _settle()
        self._latest = _manager(self.folder / 'latest', keep=1)
        self._best = _manager(self.folder / 'best', keep=2)

    def save_best(self, epoch: int, variables: PyTree) -> None:
        """Keeps the variables of a new best epoch, and those of the best before it."""
        # Of a run that was killed before `latest` knew; elsewhere it may have gone on
        # with other rounding.
        if epoch in self._best.all_steps():
            with _writing(self._best, epoch):
                self._best.delete(epoch)
        kept = {'variables': variables}
        _save(self._best, epoch, kept, {'identity': self._identity})

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
        trees = {'state': state}
        if labels:  # orbax refuses an empty tree
            trees['labels'] = labels
        _save(self._latest, int(state.step), trees, meta)

    def restore_latest(
        self, state: TrainState
    ) -> tuple[TrainState, Progress, dict[str, Any]] | None:
        """What `save_latest` kept last, or None for a new run.

        Args:
          state: one of the same shapes and placement.

        Raises:
          UserError: it is of a run with another config or other data, or damaged.
        """
        step = self._latest.latest_step()
        if step is None:
            return None
        meta = _restore(self._latest, step, meta=ocp.args.JsonRestore())['meta']
        with _understanding(self._latest.directory / str(step)):
            found = differences(meta['identity'], self._identity)
            progress = typed(Progress, meta['progress'], 'progress')
        if found:
            raise UserError(
                f'{self.folder.parent} holds a run with other settings:\n  '
                + '\n  '.join(found)
                + '\nGo on with the old settings, or name another --workdir.'
            )
        wanted = {'state': ocp.args.StandardRestore(_abstract(state))}
        if (self._latest.directory / str(step) / 'labels').exists():
            wanted['labels'] = ocp.args.StandardRestore()
        kept = _restore(self._latest, step, **wanted)
        return kept['state'], progress, kept.get('labels', {})

    def restore_best(self, epoch: int, variables: PyTree) -> PyTree:
        """The variables of that best epoch, placed like `variables`.

        Raises:
          UserError: they are damaged or gone.
        """
        args = ocp.args.StandardRestore(_abstract(variables))
        return _restore(self._best, epoch, variables=args)['variables']

    def close(self) -> None:
        self._latest.close()
        self._best.close()


def read_best(workdir: pathlib.Path, epoch: int, shapes: PyTree) -> PyTree:
    """The variables of a best epoch, on one device; changes nothing in the folder.

    Args:
      workdir: the run's folder.
      epoch: the best.
      shapes: of the variables.

    Raises:
      UserError: they are damaged, gone, or of other shapes.
    """
    folder = workdir.absolute() / ALL / 'best' / str(epoch)
    if not folder.is_dir():
        raise UserError(
            f'There is no {folder}, which the best parameters of the run were in: name '
            'the folder of a run that has finished.'
        )
    _settle()
    place = jax.sharding.SingleDeviceSharding(jax.devices()[0])
    target = jax.tree.map(
        lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=place), shapes
    )
    with ocp.StandardCheckpointer() as reader, _understanding(folder):
        regular.check(folder)
        return reader.restore(folder / 'variables', target)


def keep_best_only(workdir: pathlib.Path, epoch: int) -> None:
    """Deletes the checkpoints of a finished run but for the best parameters.

    The latest state is several times their size. A run without it starts anew.

    Args:
      workdir: the run's folder.
      epoch: the best.
    """
    folder = workdir / ALL
    _delete_gone(folder)
    for old in [folder / 'latest', *(folder / 'best').iterdir()]:
        if old.name != str(epoch):
            old.rename(folder / GONE)
            _delete_gone(folder)


@functools.cache
def _settle() -> None:
    """Settings of orbax that hold for the whole process."""
    _tell_once()
    # Otherwise each device writes a part of what all of them hold, and cutting it out
    # takes a program for every shape: seconds at the first save, for a small model.
    ocp.type_handlers.register_type_handler(
        jax.Array,
        ocp.type_handlers.ArrayHandler(use_replica_parallel=False),
        override=True,
    )


def _tell_once() -> None:
    """Keeps orbax from telling by itself what it also raises.

    It works on all arrays at once and raises the first failure, which we tell in one
    sentence; it, asyncio and tensorstore would put thousands of lines around that.
    """
    usual = sys.unraisablehook

    def unless_late(late: sys.UnraisableHookArgs) -> None:
        # Of an array whose turn comes after the first failure has ended all.
        if not any(words in str(late.exc_value) for words in _LATE):
            usual(late)

    sys.unraisablehook = unless_late
    logging.getLogger('absl').addFilter(_is_news)
    logging.getLogger('asyncio').addFilter(_is_news)
    unawaited = "coroutine '.*write_fragment' was never awaited"
    warnings.filterwarnings('ignore', unawaited, RuntimeWarning)


def _is_news(record: logging.LogRecord) -> bool:
    raised = record.exc_info and 'orbax' in record.pathname
    said = record.getMessage()
    return not (raised or 'never retrieved' in said or 'handler registry' in said)


def _reason(error: Exception) -> str:
    """What went wrong, without the specification of the array it happened to."""
    refused = re.search(r'\[OS error \d+: \w+ ([^\]]+)\]', str(error))
    reason = refused[1] if refused else str(error).split(' [')[0].rstrip('.')
    if len(reason) > _LONGEST_REASON:
        # It may quote a damaged file in whole; what happened stands first or last.
        half = _LONGEST_REASON // 2
        reason = f'{reason[:half]} … {reason[-half:]}'
    return reason or type(error).__name__


def _manager(folder: pathlib.Path, keep: int) -> ocp.CheckpointManager:
    options = ocp.CheckpointManagerOptions(
        max_to_keep=keep,
        enable_async_checkpointing=False,
        create=True,
        todelete_subdir=GONE,
    )
    try:
        _delete_gone(folder)
        if processes.leads():
            # Of a process that was killed while it saved.
            for partial in folder.glob('*.orbax-checkpoint-tmp*'):
                shutil.rmtree(partial)
        with _understanding(folder):
            regular.check(folder)
        with _understanding(folder, apart=OSError):
            return ocp.CheckpointManager(folder, options=options)
    except OSError as error:
        raise UserError(
            f'The folder {folder} cannot be written: {_reason(error)}. Make room, or '
            'name another --workdir.'
        ) from error


def _delete_gone(folder: pathlib.Path) -> None:
    """Deletes what is only kept until it is deleted, of an earlier process too."""
    if processes.leads() and (folder / GONE).exists():
        shutil.rmtree(folder / GONE)


@contextlib.contextmanager
def _writing(manager: ocp.CheckpointManager, step: int) -> Iterator[None]:
    """Ends what the manager deletes; turns a refusal of the disk into a sentence."""
    try:
        yield
        _delete_gone(manager.directory)
    except (OSError, ValueError) as error:
        # A full disk is helped by giving the space back.
        for partial in manager.directory.glob(f'{step}.*'):
            shutil.rmtree(partial, ignore_errors=True)
        raise UserError(
            f'Could not write the checkpoint of step {step} in {manager.directory}: '
            f'{_reason(error)}. The checkpoint before it is intact; make room and '
            'start the same command again to go on from there.'
        ) from error


def _save(
    manager: ocp.CheckpointManager, step: int, trees: dict[str, PyTree], meta: dict
) -> None:
    items = {name: ocp.args.StandardSave(tree) for name, tree in trees.items()}
    items['meta'] = ocp.args.JsonSave(meta)
    with _writing(manager, step):
        manager.save(step, args=ocp.args.Composite(**items))


def _restore(manager: ocp.CheckpointManager, step: int, **items) -> Any:
    with _understanding(manager.directory / str(step)):
        return manager.restore(step, args=ocp.args.Composite(**items))


@contextlib.contextmanager
def _understanding(
    folder: pathlib.Path, apart: type[Exception] | tuple[()] = ()
) -> Iterator[None]:
    """Turns whatever orbax stumbles over in a folder into a sentence.

    It reads what it finds as it stands: spoiled metadata lead it to errors of any type.

    Args:
      folder: of one checkpoint, or of those of one kind.
      apart: errors that say nothing of what the folder holds.
    """
    try:
        yield
    except apart:
        raise
    except Exception as error:
        raise UserError(
            f'The checkpoint in {folder} cannot be read: it is damaged, or of another '
            f'version of this package ({_reason(error)}). Put a whole copy of '
            f'{_whole(folder)} in its place, or name another --workdir.'
        ) from error


def _whole(folder: pathlib.Path) -> pathlib.Path:
    """The folder of all checkpoints of a run, of which `folder` is a part."""
    return next(x for x in folder.parents if x.name == ALL)


def _abstract(tree: PyTree) -> PyTree:
    return jax.tree.map(ocp.utils.to_shape_dtype_struct, tree)
