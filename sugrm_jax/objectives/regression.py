"""Plain regression: every prediction learns the annotated label."""

from __future__ import annotations

import dataclasses

from sugrm_jax.config import choice
from sugrm_jax.losses import LOSSES
from sugrm_jax.objectives import Objective
from sugrm_jax.types import Array, Batch, Outputs


@dataclasses.dataclass(frozen=True)
class RegressionConfig:
    """Settings of the loss.

    Attributes:
      loss: 'l1', 'l2' or 'huber'.
    """

    loss: str

    def __post_init__(self):
        choice(self.loss, LOSSES, 'loss')


def regression(config: RegressionConfig) -> Objective:
    """`|ŷ − y_m|`, or another loss, for each task that the model predicts.

    A modality's own prediction does not learn from samples that lack the modality.
    There is nothing to remember.

    Args:
      config: settings.
    """

    def loss(outputs: Outputs, batch: Batch, memory: tuple) -> dict[str, Array]:
        del memory
        error = LOSSES[config.loss]
        return {
            task: error(prediction, batch.label) * outputs.present.get(task, 1)
            for task, prediction in outputs.prediction.items()
        }

    return Objective(
        start=lambda multimodal: (),
        loss=loss,
        update=lambda memory, outputs, batch, epoch: memory,
        labels=lambda memory: {},
    )
