"""Trains one model: order, stopping, checkpoints, records. No maths."""

from __future__ import annotations

import contextlib
import pathlib
import signal
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import jax
import numpy as np
from rich.console import Console

from sugrm_jax import parallel, processes
from sugrm_jax.config import plain
from sugrm_jax.data.batches import samples_of
from sugrm_jax.errors import UserError
from sugrm_jax.interrupt import Interrupted, StopRequest
from sugrm_jax.terminal import Terminal
from sugrm_jax.training import evaluate, record
from sugrm_jax.training.checkpoint import Checkpoints, Progress
from sugrm_jax.training.feed import put_batch
from sugrm_jax.training.optim import drop_partial_group
from sugrm_jax.training.plans import Plans
from sugrm_jax.training.programs import compile_both, compile_evaluation, make_programs
from sugrm_jax.training.progress import TrainingProgress
from sugrm_jax.training.robustness import Robustness, robustness
from sugrm_jax.training.setup import Setup, prepare
from sugrm_jax.training.shared import Shared
from sugrm_jax.training.workdir import (
    STOPPED,
    check_alike,
    claimed,
    identity,
    provenance,
)
from sugrm_jax.types import Plan, PyTree, Split

# Passes over the test split, of which the median tells the time of inference.
TIMED_PASSES = 3


def train(
    config: Mapping[str, Any],
    workdir: str | pathlib.Path,
    console: Console | None = None,
    *,
    shared: Shared | None = None,
    shown: TrainingProgress | None = None,
    on_epoch: Callable[[dict[str, Any]], None] | None = None,
) -> dict[str, Any] | None:
    """Trains one model, tests it once and writes the results.

    On a folder where the same run was stopped, it goes on from the latest
    checkpoint and ends with the figures of a run that never stopped.

    Args:
      config: as the files in `configs/` give it.
      workdir: the run's folder; made when it does not exist.
      console: where to say what happens; the terminal by default.
      shared: what is given to all runs of a process, so that they load the same data
        and compile the same programs only once; no run's numbers depend on it.
      shown: the progress on the console; a bar and a line for every epoch by default.
      on_epoch: called after every epoch that this call trains, once it is saved, with
        its row of `metrics.jsonl`. What it raises ends the run there.

    Returns:
      What `results.json` holds; of several processes only the first one is told.

    Raises:
      UserError: bad data, settings, weights or folder (before any training); a
        loss that is not finite; a full disk.
      Interrupted: a signal came (`interrupt`); all steps that were done are saved.
    """
    options = dict(shared=shared, shown=shown, on_epoch=on_epoch)
    with fitted(config, workdir, console, **options) as run:
        return run.finish(plain(config))


@contextlib.contextmanager
def fitted(
    config: Mapping[str, Any],
    workdir: str | pathlib.Path,
    console: Console | None = None,
    *,
    shared: Shared | None = None,
    shown: TrainingProgress | None = None,
    on_epoch: Callable[[dict[str, Any]], None] | None = None,
) -> Iterator[Run]:
    """Context with a run that is trained and not tested; for the rest see `train`."""
    config, shared = plain(config), shared or Shared()
    console = console or Terminal(quiet=not processes.leads())
    with contextlib.ExitStack() as stack:
        claim = claimed(workdir)
        folder = processes.agree(lambda: stack.enter_context(claim))
        stop = stack.enter_context(StopRequest(STOPPED))
        setup = processes.agree(lambda: prepare(config, shared))
        this_run = identity(config, setup.dataset.sha256)
        check_alike(this_run)
        for note in setup.dataset.notes:
            console.print(f'note: {note}', highlight=False, markup=False)
        checkpoints = Checkpoints(folder, this_run)
        stack.callback(checkpoints.close)
        run = Run(setup, checkpoints, folder, console, shared)
        if processes.leads():
            record.write_scaling(folder, setup.scaling)
        run.fit(stop, shown or TrainingProgress(console), on_epoch)
        yield run


class Run:
    """One run: its compiled steps, its train state and where it stands."""

    def __init__(
        self,
        setup: Setup,
        checkpoints: Checkpoints,
        workdir: pathlib.Path,
        console: Console,
        shared: Shared,
    ):
        self.setup = setup
        self.checkpoints = checkpoints
        self.workdir = workdir
        self.console = console
        self.mesh = parallel.data_mesh()
        self.plans = Plans(setup, self.mesh.size)
        self.programs = shared.programs(
            setup.experiment.unseeded, lambda: make_programs(setup, self.mesh)
        )
        # Where training is over; else `_compile` has begun with it.
        self.compile_evaluation: Callable[[], None] | None = lambda: compile_evaluation(
            self.programs, self._evaluations()
        )
        self.provenance = provenance()
        self._start()

    def _start(self) -> None:
        """A new state, or the one that an earlier process of this run left."""
        setup = self.setup
        # From the host, where processes cannot see each other's devices.
        params, stats = jax.device_get((setup.params, setup.stats))
        self.state = self.programs.start(
            params, labels=setup.dataset.train.label, stats=stats
        )
        self.progress = Progress()
        # Row 0: the labels before the first epoch.
        self.labels = self._labels()
        kept = self.checkpoints.restore_latest(self.state)
        if kept:
            self.state, self.progress, labels = kept
            self.labels = {s: np.asarray(x) for s, x in labels.items()}
            self.console.print(
                f'resuming at epoch {self.progress.epoch}, step {self.progress.step}',
                highlight=False,
            )

    def _labels(self) -> dict[str, np.ndarray]:
        """Generated labels as they are now, `[1, N]` by modality."""
        labels = self.setup.system.objective.labels(self.state.memory)
        return {s: x[None] for s, x in jax.device_get(labels).items()}

    @property
    def done(self) -> bool:
        """No epoch is left, or patience is at its end."""
        config, progress = self.setup.experiment.train, self.progress
        completed = progress.epoch - 1
        waited = completed - progress.best_epoch
        return completed >= config.epochs or waited >= config.patience

    def fit(
        self,
        stop: StopRequest,
        shown: TrainingProgress,
        on_epoch: Callable[[dict[str, Any]], None] | None,
    ) -> None:
        """Trains until patience or epochs are used up, or a signal asks to stop."""
        if self.done:
            return
        with stop.deferred(), shown:
            self._compile()
            while not self.done:
                stopped = self._epoch(stop, shown)
                if self.progress.step == self.plans.steps:
                    row = self._end_epoch()
                    shown.end_epoch(row)
                    if on_epoch:
                        on_epoch(row)
                else:
                    self._save_latest()
                if stopped:
                    raise self._interrupted(stop)
            if stop.signum:
                raise self._interrupted(stop)

    def _compile(self) -> None:
        plan = self.plans.epoch(self.progress.epoch)
        self.compile_evaluation = compile_both(
            self.programs,
            train=self._arguments(plan[0], asked=False),
            evaluate=self._evaluations(),
        )
        processes.wait_for_all('training compiled')

    def _wait_for_evaluation(self) -> None:
        """Returns once every process has compiled it, for all of its calls."""
        if self.compile_evaluation:
            self.compile_evaluation()
            processes.wait_for_all('evaluation compiled')
            self.compile_evaluation = None

    def _evaluations(self) -> list[tuple]:
        """What the evaluate program is given for a batch of every shape."""
        valid = samples_of(self.setup.dataset.valid)
        return [
            (self.state.variables, put_batch(valid, plan[0], self.mesh))
            for plan in self.plans.whole['valid']
        ]

    def _arguments(self, plan: Plan, asked: bool) -> tuple:
        """What the train program is given for one batch."""
        setup = self.setup
        batch = put_batch(samples_of(setup.dataset.train), plan, self.mesh)
        asked = parallel.share(np.full(self.mesh.size, asked), self.mesh)
        epoch, seed = np.int32(self.progress.epoch), np.uint32(setup.experiment.seed)
        return self.state, batch, epoch, seed, parallel.join(asked, self.mesh)

    def _epoch(self, stop: StopRequest, shown: TrainingProgress) -> bool:
        """The rest of the current epoch, or its next steps if a signal asks to stop.

        While the devices take a step the host reads the next batch; only then does it
        look at the report of the step before. So there are never more than two steps
        under way, and all processes stop after the same one.

        Returns:
          Whether a signal, to any process, asked to stop.
        """
        config, progress = self.setup.experiment, self.progress
        steps, plan = self.plans.steps, self.plans.epoch(progress.epoch)
        shown.start_epoch(progress.epoch, config.train.epochs, steps, progress.step)
        started, under_way, stopped = time.monotonic(), [], False
        for i in range(progress.step, steps):
            given = self._arguments(plan[i], asked=bool(stop.signum))
            self.state, report = self.programs.train(*given)
            under_way.append((plan.index[i], report))
            if len(under_way) == 2:
                stopped = self._note(*under_way.pop(0), shown)
            if stopped:
                break
        for index, report in under_way:
            stopped |= self._note(index, report, shown)
        if self.provenance not in progress.processes[-1:]:
            progress.processes.append(self.provenance)
        progress.seconds += time.monotonic() - started
        return stopped

    def _note(self, index: np.ndarray, report: dict, shown: TrainingProgress) -> bool:
        """Keeps what a step reports; raises when that is not finite.

        Returns:
          Whether any process asked to stop.
        """
        report = jax.device_get(report)
        finite, grad_norm = report.pop('finite'), report.pop('grad_norm')
        stop = bool(report.pop('stop'))
        progress = self.progress
        real = index < len(self.setup.dataset.train)
        if not finite.all():
            raise self._not_finite('loss', index[~finite])
        if not np.isfinite(grad_norm):
            raise self._not_finite('gradient', index[real])
        terms = {name: float(x) for name, x in report.items()}
        progress.batches.append([float(real.sum()), terms])
        progress.step += 1
        shown.step(terms['loss'])
        return stop

    def _not_finite(self, what: str, index: np.ndarray) -> UserError:
        progress = self.progress
        ids = [self.setup.dataset.train.ids[i] for i in index]
        return UserError(
            f'The {what} is not finite at step {progress.step + 1} of epoch '
            f'{progress.epoch}; samples: {", ".join(ids)}. Look at these samples '
            '(python -m sugrm_jax.data check FILE); or, in a new --workdir, start '
            'anew, lower config.optim.groups.*.lr or set config.optim.clip_norm.'
        )

    def _interrupted(self, stop: StopRequest) -> Interrupted:
        return Interrupted(
            # Another process had the signal where this one had none.
            stop.signum or signal.SIGTERM,
            f'Stopped at step {self.progress.step} of epoch {self.progress.epoch}; all '
            f'is saved in {self.workdir}. The same command goes on from there.',
        )

    def _save_latest(self) -> None:
        self.checkpoints.save_latest(self.state, self.progress, self.labels)

    def predict(self, split_name: str, variables: PyTree) -> dict[str, np.ndarray]:
        """Predictions by task for a whole split."""
        split = self.setup.dataset.splits[split_name]
        return self._predict(split, self.plans.whole[split_name], variables)

    def _predict(
        self, split: Split, plans: list[Plan], variables: PyTree
    ) -> dict[str, np.ndarray]:
        self._wait_for_evaluation()
        step = self.programs.evaluate
        return evaluate.predict(step, variables, split, plans, self.mesh)

    def _robustness(self, variables: PyTree) -> Robustness:
        """Metrics of the test split without a modality, or with another's."""
        dataset, system = self.setup.dataset, self.setup.system

        def predict(split: Split) -> dict[str, np.ndarray]:
            return self._predict(split, self.plans.of(split), variables)

        return robustness(predict, dataset.test, system, dataset.label_range)

    def _end_epoch(self) -> dict[str, Any]:
        """Validates, records, and keeps the checkpoints; gives the epoch's row."""
        started = time.monotonic()
        setup, progress = self.setup, self.progress
        optim = setup.experiment.optim
        if optim.drop_partial and optim.accumulate > 1:
            opt_state = drop_partial_group(self.state.opt_state)
            self.state = self.state.replace(opt_state=opt_state)
        predictions = self.predict('valid', self.state.variables)
        dataset = setup.dataset
        valid = evaluate.evaluate(predictions, dataset.valid, dataset.label_range)
        best = valid['mae'] < progress.best_mae
        if best:
            progress.best_epoch, progress.best_mae = progress.epoch, valid['mae']
        for s, row in self._labels().items():
            self.labels[s] = np.concatenate([self.labels[s], row])
        row = {
            'epoch': progress.epoch,
            'step': int(self.state.step),
            'seconds': progress.seconds + time.monotonic() - started,
            'best': best,
            'train': record.epoch_means(progress.batches),
            'valid': valid,
        }
        progress.history.append(row)
        progress.epoch, progress.step = progress.epoch + 1, 0
        progress.batches, progress.seconds = [], 0.0
        # In this order: a run killed in between computes the same best again.
        if best:
            self.checkpoints.save_best(row['epoch'], self.state.variables)
        self._save_latest()
        if processes.leads():
            record.write_progress(self.workdir, progress.history)
        return row

    def finish(self, config: Mapping[str, Any]) -> dict[str, Any] | None:
        """Tests the best variables and writes results, predictions and report.

        Returns:
          What `results.json` holds; None in processes that do not write.
        """
        variables = self.state.variables
        variables = self.checkpoints.restore_best(self.progress.best_epoch, variables)
        predictions = {
            name: self.predict(name, variables) for name in self.setup.dataset.splits
        }
        inference_ms = self._inference_ms(variables)
        robust = self._robustness(variables)
        if not processes.leads():
            return None
        return record.write_results(
            self.workdir,
            config,
            self.setup,
            self.progress,
            self.labels,
            predictions,
            inference_ms,
            robust,
            self.console,
        )

    def _inference_ms(self, variables: PyTree) -> float:
        """Milliseconds to predict one test utterance; what is compiled must be so."""
        seconds = []
        for _ in range(TIMED_PASSES):
            started = time.perf_counter()
            self.predict('test', variables)
            seconds.append(time.perf_counter() - started)
        return 1000 * float(np.median(seconds)) / len(self.setup.dataset.test)
