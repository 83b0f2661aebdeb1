"""Which samples every batch of a run holds, planned so that few programs do."""

from __future__ import annotations

import numpy as np

from sugrm_jax.data.batches import batch_count, batch_index, epoch_order
from sugrm_jax.layers.text import TokenPacker
from sugrm_jax.training.setup import Setup
from sugrm_jax.types import Plan


class Plans:
    """The batches of all epochs and of the evaluation of every split.

    Everything is a function of the config and the data, so that a run which goes on
    after a stop has the batches of one that never stopped.

    Args:
      setup: data and settings.
      devices: that share each batch; it gets rows of weight 0 until they divide it.
    """

    # Later epochs hardly ever need more packed rows than these.
    TYPICAL_EPOCHS = 100

    def __init__(self, setup: Setup, devices: int):
        config, splits = setup.experiment.train, setup.dataset.splits
        self._seed = setup.experiment.seed
        self._size = config.batch
        self._samples = len(splits['train'])
        self._rows = batch_count(config.batch, devices) * devices
        eval_rows = batch_count(config.eval_batch, devices) * devices
        whole = {
            name: batch_index(np.arange(len(split)), eval_rows, eval_rows)
            for name, split in splits.items()
        }
        if not setup.system.packs_text:
            self._packer = None
            self.whole = {name: Plan(index) for name, index in whole.items()}
            return
        packers = {name: TokenPacker(split.tokens) for name, split in splits.items()}
        packed = max(packers[name].rows(index) for name, index in whole.items())
        self.whole = {
            name: Plan(index, packers[name](index, packed))
            for name, index in whole.items()
        }
        self._packer = packers['train']
        epochs = range(1, 1 + min(config.epochs, self.TYPICAL_EPOCHS))
        self._packed = max(self._packer.rows(self._index(e)) for e in epochs)

    @property
    def steps(self) -> int:
        """Batches in an epoch."""
        return batch_count(self._samples, self._size)

    def epoch(self, epoch: int) -> Plan:
        """The training batches of an epoch, counted from 1."""
        index = self._index(epoch)
        if self._packer is None:
            return Plan(index)
        packed = max(self._packed, self._packer.rows(index))
        return Plan(index, self._packer(index, packed))

    def _index(self, epoch: int) -> np.ndarray:
        order = epoch_order(self._seed, epoch, self._samples)
        return batch_index(order, self._size, self._rows)
