"""The function that predicts, from tokens and features as they come in a file."""

from __future__ import annotations

from collections.abc import Callable

import jax.numpy as jnp
import numpy as np
from flax import linen as nn

from sugrm_jax.layers.text import TextEncoder
from sugrm_jax.types import Array, Batch, Outputs, PyTree

# From weights and a batch to what the model returns.
Predict = Callable[[dict[str, PyTree], Batch], Outputs]


def as_batch(inputs: dict[str, Array]) -> Batch:
    """A batch of nothing but what a prediction depends on.

    Args:
      inputs: `tokens`, `audio`, `audio_length`, `vision`, `vision_length` and, of fixed
        features, `text`; see `types.Samples`.
    """
    count = inputs['tokens'].shape[0]
    return Batch(
        label=jnp.zeros(count),
        index=jnp.arange(count),
        weight=jnp.ones(count),
        **inputs,
    )


def make_predict(model: nn.Module, text: TextEncoder, encoded: bool) -> Predict:
    """What predicts from weights `{'model': variables, 'text': params}`.

    Args:
      model: of the system.
      text: its text encoder.
      encoded: whether the model is given text that `text` has encoded before, as in
        training with a frozen encoder.
    """

    def predict(weights: dict[str, PyTree], batch: Batch) -> Outputs:
        if encoded:
            hidden = text.apply({'params': weights['text']}, batch, True)
            batch = batch.replace(text=hidden)
        return model.apply(weights['model'], batch, True)

    return predict


def predictions(outputs: Outputs, modalities: tuple[str, ...]) -> dict[str, Array]:
    """Predictions by task, `[B]`; NaN where a sample lacks the task's modality.

    Args:
      outputs: of the model.
      modalities: that it was trained on; of others there is no prediction.
    """
    return {
        task: jnp.where(outputs.present[task], x, jnp.nan)
        if task in outputs.present
        else x
        for task, x in outputs.prediction.items()
        if task in ('m', *modalities)
    }


def bucket(steps: int, least: int = 16) -> int:
    """The number of steps to pad to, so that few programs serve all lengths."""
    return max(least, 1 << int(np.ceil(np.log2(max(steps, 1)))))
