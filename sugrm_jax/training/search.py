"""Trials of settings, chosen by Optuna from what earlier trials gave.

What a trial is worth is its best validation MAE. The test split is not looked at: what
was chosen by it could not be compared with anything.
"""

from __future__ import annotations

import functools
import pathlib
import shutil
import warnings
from collections.abc import Callable, Mapping
from typing import Any

import optuna
import sqlalchemy.exc
from ml_collections import ConfigDict
from optuna.trial import FrozenTrial, TrialState
from rich.console import Console

from sugrm_jax.config import plain
from sugrm_jax.errors import UserError
from sugrm_jax.interrupt import Interrupted
from sugrm_jax.results import files
from sugrm_jax.training import loop
from sugrm_jax.training.grid import data_fingerprint
from sugrm_jax.training.progress import SweepProgress
from sugrm_jax.training.setup import prepare
from sugrm_jax.training.shared import Shared
from sugrm_jax.training.space import Axis, short
from sugrm_jax.training.sweeping import duration
from sugrm_jax.training.workdir import differences, identity

# A machine that stays silent for so long has died, and so has its trial.
HEARTBEAT_SECONDS, SILENCE_SECONDS = 60, 600
# For others that write to the same SQLite file.
WAIT_SECONDS = 60
# User attribute of a trial: why it failed.
ERROR = 'error'
# No trial is given up before so many came to their end, nor before this epoch of it.
FULL_TRIALS, FIRST_EPOCH = 5, 3


def open_study(
    store: str | pathlib.Path, config: ConfigDict, space: Mapping[str, Axis]
) -> optuna.Study:
    """The study of this config and space, new or as others have left it.

    Args:
      store: a SQLite file, or the URL of a database.
      config: what all trials share; its name is the study's.
      space: by field.

    Raises:
      UserError: there are no such data, the store cannot be opened, or it holds a
        study of other settings.
    """
    sha256 = data_fingerprint(config.data.path)
    if config.data.path and not sha256:
        raise UserError(
            f'There is no data file {config.data.path}: set --config.data.path.'
        )
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    study = _open(str(store), config.name)
    values = plain(config) | {'space': {k: vars(axis) for k, axis in space.items()}}
    ours = identity(values, sha256 or 'simulated')
    found = differences(study.user_attrs.get('identity', ours), ours)
    if found:
        raise UserError(
            f'{store} holds a study {config.name} with other settings:\n  '
            + '\n  '.join(found)
            + '\nGo on with the old settings, or name another --study.'
        )
    study.set_user_attr('identity', ours)
    return study


def _open(store: str, name: str) -> optuna.Study:
    options = {}
    try:
        if '://' not in store:
            path = pathlib.Path(store).expanduser().absolute()
            path.parent.mkdir(parents=True, exist_ok=True)
            store, options = f'sqlite:///{path}', {'timeout': WAIT_SECONDS}
        with warnings.catch_warnings():
            # Heartbeats are.
            warnings.simplefilter('ignore', optuna.exceptions.ExperimentalWarning)
            storage = optuna.storages.RDBStorage(
                store,
                engine_kwargs={'connect_args': options},
                heartbeat_interval=HEARTBEAT_SECONDS,
                grace_period=SILENCE_SECONDS,
            )
        return optuna.create_study(
            storage=storage,
            study_name=name,
            direction='minimize',
            load_if_exists=True,
            pruner=optuna.pruners.MedianPruner(FULL_TRIALS, FIRST_EPOCH),
        )
    except (sqlalchemy.exc.SQLAlchemyError, ImportError, OSError) as error:
        reason = str(error).splitlines()[0]
        raise UserError(
            f'The study {store} cannot be opened: {reason} --study takes the path of '
            'a SQLite file, or the URL of a database whose driver is installed.'
        ) from error


def over(study: optuna.Study) -> list[FrozenTrial]:
    """The trials that need not be made again.

    One that failed by itself is among them; one that was stopped or killed is not.
    """
    return [
        trial
        for trial in study.get_trials(deepcopy=False)
        if trial.state in (TrialState.COMPLETE, TrialState.PRUNED)
        or (trial.state == TrialState.FAIL and ERROR in trial.user_attrs)
    ]


def best(study: optuna.Study) -> dict[str, Any]:
    """What `best.json` holds.

    Raises:
      UserError: no trial has come to its end.
    """
    trials = over(study)
    complete = [trial for trial in trials if trial.state == TrialState.COMPLETE]
    if not complete:
        errors = [t.user_attrs[ERROR] for t in trials if ERROR in t.user_attrs]
        raise UserError(
            f'None of {len(trials)} trials came to its end.'
            + (f' The last failed: {errors[-1]}' if errors else '')
        )
    first = min(complete, key=lambda trial: trial.value)
    return {
        'study': study.study_name,
        'trial': first.number,
        'valid_mae': first.value,
        'settings': {field: short(x) for field, x in first.params.items()},
        'trials': len(trials),
        'complete': len(complete),
        'pruned': sum(trial.state == TrialState.PRUNED for trial in trials),
        'failed': sum(trial.state == TrialState.FAIL for trial in trials),
    }


class Search:
    """Makes trials until there are enough.

    Args:
      study: what was tried.
      space: by field.
      configure: from settings by field to a whole config.
      workdir: each trial's folder is `workdir/trials/NUMBER`.
      console: where to say what happens.
    """

    def __init__(
        self,
        study: optuna.Study,
        space: Mapping[str, Axis],
        configure: Callable[[Mapping[str, Any]], ConfigDict],
        workdir: pathlib.Path,
        console: Console,
    ):
        self.study = study
        self.space = space
        self.configure = configure
        self.workdir = workdir
        self.console = console
        self.shared = Shared()

    def run(self, trials: int) -> None:
        """Makes trials until so many are over, those of other processes included.

        Raises:
          UserError: what all trials share does not fit; nothing is tried then.
          Interrupted: a signal came; the trial under way is marked as failed
            and will be made up for.
        """
        self._say(f'{trials} trials, of which {len(over(self.study))} are over')
        if len(over(self.study)) < trials:
            shared = prepare(plain(self.configure({})), self.shared)
            for note in shared.dataset.notes:
                self._say(f'note: {note}')
        while len(over(self.study)) < trials:
            report = functools.partial(self._report, trials=trials)
            trial = functools.partial(self._trial, trials=trials)
            self.study.optimize(
                trial, n_trials=1, catch=(Exception,), callbacks=[report]
            )

    def _trial(self, trial: optuna.Trial, trials: int) -> float:
        """One trial: its best validation MAE."""

        def on_epoch(row: dict) -> None:
            trial.report(row['valid']['mae'], row['epoch'])
            if trial.should_prune():
                raise optuna.TrialPruned

        settings = {field: x.suggest(trial, field) for field, x in self.space.items()}
        folder = self.workdir / 'trials' / f'{trial.number:04d}'
        left = functools.partial(self._left, trials)
        try:
            with loop.fitted(
                self.configure(settings),
                folder,
                Console(quiet=True),
                shared=self.shared,
                shown=SweepProgress(self.console, self._place(trial, trials), left),
                on_epoch=on_epoch,
            ) as run:
                return run.progress.best_mae
        except optuna.TrialPruned:
            raise
        # Whatever it is, another trial may go well.
        except Exception as error:
            trial.set_user_attr(ERROR, str(error) or type(error).__name__)
            raise
        except Interrupted as stopped:
            self.study.tell(trial.number, state=TrialState.FAIL)
            raise Interrupted(
                stopped.signum,
                f'Stopped in trial {trial.number}, which is marked as failed. The same '
                'command goes on with the search.',
            ) from stopped
        finally:
            shutil.rmtree(folder / 'checkpoints', ignore_errors=True)

    def _report(self, study: optuna.Study, trial: FrozenTrial, trials: int) -> None:
        """Says how a trial went, and keeps the best."""
        words = {
            TrialState.COMPLETE: f'valid MAE {trial.value or 0:.3f}',
            TrialState.PRUNED: f'given up after epoch {trial.last_step}',
            TrialState.FAIL: f'failed: {trial.user_attrs.get(ERROR)}',
        }[trial.state]
        seconds = duration(trial.duration.total_seconds())
        parts = [f'{self._place(trial, trials)}: {words}, {seconds}']
        self._say('; '.join(filter(None, [*parts, self._left(trials)])))
        if any(t.state == TrialState.COMPLETE for t in over(study)):
            files.write_json(self.workdir / 'best.json', best(study))

    def _place(self, trial: optuna.Trial | FrozenTrial, trials: int) -> str:
        return f'trial {trial.number}, {len(over(self.study))}/{trials} over'

    def _left(self, trials: int) -> str:
        """Such as 'best 0.921 (trial 7); about 41 min left'."""
        done = over(self.study)
        complete = [trial for trial in done if trial.state == TrialState.COMPLETE]
        parts = []
        if complete:
            found = best(self.study)
            parts.append(f'best {found["valid_mae"]:.3f} (trial {found["trial"]})')
        if done and len(done) < trials:
            seconds = sum(trial.duration.total_seconds() for trial in done) / len(done)
            parts.append(f'about {duration(seconds * (trials - len(done)))} left')
        return '; '.join(parts)

    def _say(self, line: str) -> None:
        self.console.print(line, highlight=False, markup=False)
