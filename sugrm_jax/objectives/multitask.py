"""The multimodal label and generated unimodal ones (SUGRM, 3.3 and 3.4; Self-MM)."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

import jax.numpy as jnp

from sugrm_jax import self_mm_labels, ulgm
from sugrm_jax.config import choice, positive
from sugrm_jax.errors import UserError
from sugrm_jax.losses import LOSSES
from sugrm_jax.objectives import Objective
from sugrm_jax.objectives.regression import RegressionConfig, regression
from sugrm_jax.types import Array, Batch, Outputs, PyTree

# What generates labels: modules with `start_memory` and `update`; the memory has
# `labels`.
GENERATORS = {'sugrm': ulgm, 'self_mm': self_mm_labels}


@dataclasses.dataclass(frozen=True)
class MultitaskConfig:
    """Settings of the loss and of label generation.

    Attributes:
      loss: 'l1' (paper), 'l2' or 'huber' (its Table 8).
      labels: whose label generation: 'sugrm' or 'self_mm'.
      label_bound: new labels are clamped to ±this before the momentum average
        (released code: 3.0, the end of MOSI's range). None: not at all with 'sugrm'
        (paper), to the largest annotated label with 'self_mm'.
      zero_is_positive: whether the positive centre takes in labels of exactly 0
        (released code) or not (paper).
    """

    loss: str
    labels: str
    label_bound: float | None
    zero_is_positive: bool

    def __post_init__(self):
        choice(self.loss, LOSSES, 'loss')
        choice(self.labels, GENERATORS, 'labels')
        if self.label_bound is not None:
            positive(self.label_bound, 'label_bound')


def multitask(config: MultitaskConfig, widths: Mapping[str, int]) -> Objective:
    """`|ŷ_m − y_m| + Σ_s tanh|y_s − y_m| |ŷ_s − y_s|`, with generated `y_s`.

    With no task but 'm' it is plain regression, and no labels are generated.

    Args:
      config: settings.
      widths: `C` of each task that is predicted, in the order of `TASKS`.

    Raises:
      UserError: ULGM is to compare features of unlike widths.
    """
    if len(widths) == 1:
        return regression(RegressionConfig(config.loss))
    if config.labels == 'sugrm' and len(set(widths.values())) > 1:
        raise UserError(
            "config.objective.labels='sugrm' compares features of all tasks in one "
            'common space: config.model.common_width must be the same for all tasks, '
            f'not {dict(widths)}.'
        )
    generator, error = GENERATORS[config.labels], LOSSES[config.loss]

    def start(multimodal: Array) -> PyTree:
        return generator.start_memory(
            multimodal, widths, zero_is_positive=config.zero_is_positive
        )

    def loss(outputs: Outputs, batch: Batch, memory: PyTree) -> dict[str, Array]:
        terms = {'m': error(outputs.prediction['m'], batch.label)}
        for s in widths:
            if s != 'm':
                label = memory.labels[s].at[batch.index].get(mode='clip')
                weight = jnp.tanh(jnp.abs(label - batch.label)) * outputs.present[s]
                terms[s] = weight * error(outputs.prediction[s], label)
        return terms

    def update(memory: PyTree, outputs: Outputs, batch: Batch, epoch: Array) -> PyTree:
        return generator.update(
            memory,
            outputs.feature,
            batch.index,
            epoch,
            present=outputs.present,
            bound=config.label_bound,
        )

    return Objective(start, loss, update, lambda memory: memory.labels)
