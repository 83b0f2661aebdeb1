"""Which samples every batch of a run holds, planned so that few programs do."""

from __future__ import annotations

import numpy as np

from sugrm_jax.data.batches import batch_count, batch_index, epoch_order
from sugrm_jax.layers.text import TokenPacker
from sugrm_jax.training.setup import Setup
from sugrm_jax.types import Plan, Split

# Sequences of fewer steps are not worth another program for the short ones.
WORTH_CUTTING = 200


class Plans:
    """The batches of all epochs and of the evaluation of every split.

    Everything is a function of the config and the data, so that a run which goes on
    after a stop has the batches of one that never stopped.

    Args:
      setup: data and settings.
      devices: that share each batch; it gets rows of weight 0 until they divide it.

    Attributes:
      whole: for each split, the plans that together hold all of it: where padding is
        not seen, utterances of at most half the steps are apart from the others.
    """

    # Later epochs hardly ever need more packed rows than these.
    TYPICAL_EPOCHS = 100

    def __init__(self, setup: Setup, devices: int):
        config, splits = setup.experiment.train, setup.dataset.splits
        self._seed = setup.experiment.seed
        self._size = config.batch
        self._samples = len(splits['train'])
        self._rows = batch_count(config.batch, devices) * devices
        self._masked = setup.system.masks_padding
        self._packers: dict[str, TokenPacker] = {}
        # Text features that are there already need no packed rows.
        if self._masked and splits['train'].text is None:
            self._packers = {name: TokenPacker(x.tokens) for name, x in splits.items()}
            epochs = range(1, 1 + min(config.epochs, self.TYPICAL_EPOCHS))
            self._packed = max(
                self._packers['train'].rows(self._index(epoch)) for epoch in epochs
            )
        self._eval_rows = batch_count(config.eval_batch, devices) * devices
        self.whole = self._evaluation(splits)

    def _evaluation(self, splits: dict[str, Split]) -> dict[str, list[Plan]]:
        index = {
            (name, share): x
            for name, split in splits.items()
            for share, x in self._eval_index(split, cut=self._masked)
        }
        # Rows of packed text in a batch, by share; the keys are what is compiled. The
        # test split has no say: shapes may change the last digits of what is chosen by.
        self._eval_packed = {share: 1 for _, share in index}
        for (name, share), x in index.items():
            if self._packers and name != 'test':
                needed = self._packers[name].rows(x)
                self._eval_packed[share] = max(self._eval_packed[share], needed)
        whole = {name: [] for name in splits}
        for (name, share), x in index.items():
            whole[name].append(self._eval_plan(x, share, self._packers.get(name)))
        return whole

    def _eval_index(self, split: Split, *, cut: bool) -> list[tuple[float, np.ndarray]]:
        """Shares of the steps, and `Plan.index` of the utterances that they hold."""
        parts = by_length(split) if cut else everything(split)
        rows, fill = self._eval_rows, len(split)
        return [(share, batch_index(x, rows, rows, fill)) for share, x in parts]

    def _eval_plan(
        self, index: np.ndarray, share: float, packer: TokenPacker | None
    ) -> Plan:
        if packer is None:
            return Plan(index, share=share)
        rows = max(self._eval_packed[share], packer.rows(index))
        return Plan(index, packer(index, rows), share)

    def of(self, split: Split) -> list[Plan]:
        """Plans for all of a split with the shapes of these, but other lengths.

        The batches have the shapes of `whole`'s, unless texts that are together now
        need more packed rows.
        """
        # Where no batch is cut, one that is would be another program.
        cut = 0.5 in self._eval_packed
        packer = TokenPacker(split.tokens) if self._packers else None
        return [
            self._eval_plan(index, share, packer)
            for share, index in self._eval_index(split, cut=cut)
        ]

    @property
    def steps(self) -> int:
        """Batches in an epoch."""
        return batch_count(self._samples, self._size)

    def epoch(self, epoch: int) -> Plan:
        """The training batches of an epoch, counted from 1."""
        index = self._index(epoch)
        if not self._packers:
            return Plan(index)
        packer = self._packers['train']
        return Plan(index, packer(index, max(self._packed, packer.rows(index))))

    def _index(self, epoch: int) -> np.ndarray:
        order = epoch_order(self._seed, epoch, self._samples)
        return batch_index(order, self._size, self._rows, self._samples)


def everything(split: Split) -> list[tuple[float, np.ndarray]]:
    """All positions of a split, at their whole length."""
    return [(1.0, np.arange(len(split)))]


def by_length(split: Split) -> list[tuple[float, np.ndarray]]:
    """Shares of the steps of audio and vision, and the positions that they hold."""
    steps = split.audio.shape[1], split.vision.shape[1]
    aligned = split.tokens.shape[2] in steps
    if aligned or max(steps) < WORTH_CUTTING:
        return everything(split)
    short = (2 * split.audio_length <= steps[0]) & (2 * split.vision_length <= steps[1])
    parts = (0.5, np.flatnonzero(short)), (1.0, np.flatnonzero(~short))
    return [(share, order) for share, order in parts if len(order)]
