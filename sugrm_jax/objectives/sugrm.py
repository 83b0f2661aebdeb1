"""SUGRM's objective: multimodal and generated unimodal labels (paper, 3.3 and 3.4)."""

from __future__ import annotations

import dataclasses

import jax.numpy as jnp

from sugrm_jax import ulgm
from sugrm_jax.config import choice, positive
from sugrm_jax.losses import LOSSES
from sugrm_jax.objectives import Objective
from sugrm_jax.types import MODALITIES, Array, Batch, Outputs


@dataclasses.dataclass(frozen=True)
class SugrmObjectiveConfig:
    """Settings of the loss and of label generation.

    Attributes:
      loss: 'l1' (paper), 'l2' or 'huber' (its Table 8).
      label_bound: new labels are clamped to ±this before the momentum average
        (released code: 3.0, the end of MOSI's range), or not at all (paper): None.
      zero_is_positive: whether the positive centre takes in labels of exactly 0
        (released code) or not (paper).
    """

    loss: str
    label_bound: float | None
    zero_is_positive: bool

    def __post_init__(self):
        choice(self.loss, LOSSES, 'loss')
        if self.label_bound is not None:
            positive(self.label_bound, 'label_bound')


def sugrm(config: SugrmObjectiveConfig, common_width: int) -> Objective:
    """`|ŷ_m − y_m| + Σ_s tanh|y_s − y_m| |ŷ_s − y_s|` and ULGM.

    Args:
      config: settings.
      common_width: `C`, of the common semantic space.
    """

    def start(multimodal: Array) -> ulgm.Memory:
        return ulgm.start_memory(
            multimodal, common_width, zero_is_positive=config.zero_is_positive
        )

    def loss(outputs: Outputs, batch: Batch, memory: ulgm.Memory) -> dict[str, Array]:
        error = LOSSES[config.loss]
        terms = {'m': error(outputs.prediction['m'], batch.label)}
        for s in MODALITIES:
            label = memory.labels[s].at[batch.index].get(mode='clip')
            weight = jnp.tanh(jnp.abs(label - batch.label)) * outputs.present[s]
            terms[s] = weight * error(outputs.prediction[s], label)
        return terms

    def update(
        memory: ulgm.Memory, outputs: Outputs, batch: Batch, epoch: Array
    ) -> ulgm.Memory:
        memory = ulgm.regenerate(
            memory,
            outputs.feature,
            batch.index,
            epoch,
            present=outputs.present,
            bound=config.label_bound,
        )
        return ulgm.remember(memory, outputs.feature['m'], batch.index)

    return Objective(start, loss, update, lambda memory: memory.labels)
