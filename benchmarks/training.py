"""Our own training, a step or an epoch at a time, and the released loop beside it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import jax
import numpy as np
from ml_collections import ConfigDict

from benchmarks.measure import Spread, ratio, temporary_bytes
from benchmarks.reference import (
    RELEASED,
    Checkout,
    Reference,
    check_same,
    encoder_params,
)
from configs import mosi
from sugrm_jax import parallel
from sugrm_jax.config import plain
from sugrm_jax.data.batches import gather, samples_of
from sugrm_jax.layers import pretrained
from sugrm_jax.training.feed import put_batch
from sugrm_jax.training.plans import Plans
from sugrm_jax.training.programs import make_programs
from sugrm_jax.training.setup import prepare
from sugrm_jax.training.state import start_state
from sugrm_jax.training.step import eval_step
from sugrm_jax.types import Batch, Plan
from tests import recordings

TEXT = 'minilm'


def config(path: str, padding: str, accumulate: int = 1) -> ConfigDict:
    """The paper's settings ('masked') or the released code's ('released').

    Args:
      path: of the data.
      padding: which.
      accumulate: batches whose gradients make one update.
    """
    settings = mosi.get_config('released' if padding == 'released' else '')
    settings.data.path = path
    settings.text.pretrained = TEXT
    settings.optim.accumulate = accumulate
    settings.optim.drop_partial = False
    return settings


class Training:
    """A run without validation, checkpoints and records.

    Attributes:
      setup: of the run.
      steps: of an epoch.
      batch: the epoch's first.
    """

    # The epoch that is timed: labels are generated from the second on.
    EPOCH = 2

    def __init__(self, config: Mapping[str, Any]):
        self.setup = setup = prepare(plain(config))
        mesh = parallel.data_mesh()
        plans = Plans(setup, mesh.size)
        self.steps = plans.steps
        self._train = make_programs(setup, mesh).train
        state = start_state(
            setup.params,
            setup.optimizer,
            setup.system.objective,
            setup.dataset.train.label,
            averaged=False,
            stats=setup.stats,
        )
        self._state = parallel.replicate(state, mesh)
        self._mesh, self._samples = mesh, samples_of(setup.dataset.train)
        self._plan = plans.epoch(self.EPOCH)
        self.batch = put_batch(self._samples, self._plan[0], mesh)

    def _arguments(self, step: int) -> tuple:
        batch = put_batch(self._samples, self._plan[step], self._mesh)
        asked = parallel.join(np.zeros(self._mesh.size, bool), self._mesh)
        return self._state, batch, np.int32(self.EPOCH), np.uint32(1), asked

    def step(self, step: int) -> dict:
        """That step of the epoch; its report."""
        self._state, report = self._train(*self._arguments(step))
        return report

    def epoch(self) -> dict:
        """All steps of the epoch; the last one's report."""
        for step in range(self.steps):
            report = self.step(step)
        return report

    def temporary_bytes(self) -> int:
        """Temporary memory of one step, as the compiler plans it."""
        return temporary_bytes(self._train, *self._arguments(0))


def start_reference(checkout: Checkout, training: Training, unit: str) -> Reference:
    """The released training loop on the same data, checked to compute the same.

    Args:
      checkout: where it is.
      training: ours, with the released code's settings.
      unit: what is timed, 'batch' or 'epoch'.
    """
    setup = training.setup
    first = np.arange(setup.experiment.train.batch, dtype=np.int32)
    batch = gather(samples_of(setup.dataset.train), Plan(first))
    inputs = {'text': batch.tokens, 'audio': batch.audio, 'vision': batch.vision}
    inputs = {f'in/{name}': np.asarray(x, np.float32) for name, x in inputs.items()}
    folder = pretrained.resolve(TEXT)
    widths = (
        pretrained.read_config(folder).hidden_size,
        batch.audio.shape[2],
        batch.vision.shape[2],
    )
    case = {
        'kind': 'training',
        'data': setup.dataset.path,
        'samples': len(setup.dataset.train),
        'widths': widths,
        'accumulate': setup.experiment.optim.accumulate,
        'unit': unit,
        'bert': str(folder),
    }
    reference = Reference(checkout, case, inputs)
    compare(training, batch, reference.outputs)
    return reference


def compare(training: Training, batch: Batch, outputs: dict) -> None:
    """Checks that both models predict the same with the same weights."""
    params = {
        'text': training.setup.params['text'],
        **encoder_params(outputs),
        **recordings.heads(recordings.group(outputs, 'param/')),
    }
    model = training.setup.system.model
    predict = jax.jit(lambda v: eval_step(v, batch, model=model).prediction)
    ours = predict({'params': params})
    ours = {f'out/{task.upper()}': x[:, None] for task, x in ours.items()}
    check_same(ours, outputs, 'the whole model')


def rows(times: dict[str, Spread], memory: dict[str, int]) -> list[dict]:
    """A row for each side: time, its multiple of the released code's, memory."""
    found = []
    for name, time in times.items():
        row = {'': name, 'time': time}
        if RELEASED in times and name != RELEASED:
            row[f'/ {RELEASED}'] = ratio(time, times[RELEASED])
        if name in memory:
            row['temporary memory, MiB'] = round(memory[name] / 2**20)
        found.append(row)
    return found
