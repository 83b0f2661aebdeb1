"""Predictions and metrics of a whole split."""

from __future__ import annotations

from collections.abc import Callable

import jax
import numpy as np
from jax.sharding import Mesh

from sugrm_jax.data.batches import samples_of
from sugrm_jax.errors import UserError
from sugrm_jax.metrics import regression_metrics
from sugrm_jax.training.feed import put_batch
from sugrm_jax.types import MODALITIES, Batch, Outputs, Plan, PyTree, Split

EvalStep = Callable[[PyTree, Batch], Outputs]


def predict(
    eval_step: EvalStep, variables: PyTree, split: Split, plans: list[Plan], mesh: Mesh
) -> dict[str, np.ndarray]:
    """Predictions by task, float32 `[N]`; NaN where a modality is absent.

    The tasks are those that the model predicts.

    Args:
      eval_step: compiled `step.eval_step`.
      variables: of the model.
      split: on the host.
      plans: of batches that hold each sample of the split once.
      mesh: the devices.
    """
    predictions, samples = {}, samples_of(split)
    for one in [plan[i] for plan in plans for i in range(len(plan.index))]:
        batch = put_batch(samples, one, mesh)
        outputs = jax.device_get(eval_step(variables, batch))
        real = one.index < len(split)
        for task, values in outputs.prediction.items():
            if task in MODALITIES:
                values = np.where(outputs.present[task], values, np.nan)
            whole = predictions.setdefault(task, np.empty(len(split), np.float32))
            whole[one.index[real]] = values[real]
    return predictions


def evaluate(
    predictions: dict[str, np.ndarray], split: Split, label_range: float
) -> dict[str, float]:
    """Metrics of the multimodal prediction on the whole split.

    Raises:
      UserError: a prediction is not finite; the message names the samples.
    """
    bad = np.flatnonzero(~np.isfinite(predictions['m']))
    if len(bad):
        names = ', '.join(split.ids[i] for i in bad[:10])
        raise UserError(
            f'{len(bad)} of {len(split)} predictions are not finite: {names}'
            f'{", …" if len(bad) > 10 else ""}. Look at the features of these samples '
            '(python -m sugrm_jax.data check FILE); if it is all of them, lower '
            'config.optim.groups.*.lr or set config.optim.clip_norm.'
        )
    return regression_metrics(predictions['m'], split.label, label_range)
