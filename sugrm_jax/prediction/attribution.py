"""Which time steps of an utterance mattered to its prediction: input × gradient.

The gradient of the multimodal prediction with respect to every feature, times the
feature, summed over a step's features (Shrikumar et al., Not Just a Black Box, 2016,
arXiv:1605.01713). In a linear model that is exactly what the step adds to the
prediction. In any other it is a first-order estimate: it tells what would change if the
step's features moved a little towards zero, not what would be predicted without the
step; where the model saturates it is near zero though the step counts; and what only
several steps do together it may give to all of them or to none. "Zero" is the mean of
the training data where features are standardised. It says what this model used, not
what is true of the speaker, nor that the prediction is right.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable

import jax
import numpy as np

from sugrm_jax.prediction.predictor import FIELDS, Predictor
from sugrm_jax.prediction.program import as_batch
from sugrm_jax.types import Array, Batch, PyTree, Split


@dataclasses.dataclass(frozen=True)
class Attribution:
    """Contributions of time steps to a predictor's multimodal sentiment.

        attribution = Attribution(predictor)
        attribution(predictor.prepared(found.split), 0)['t']

    Audio and vision are taken as the model reads them, standardised where the run did
    so; text as the hidden states that the text encoder gives, one for each token, or as
    the file's fixed features. A hidden state has seen its neighbours: what a token adds
    came through its place, not from its letters alone.

    Attributes:
      predictor: whose prediction is explained.
    """

    predictor: Predictor

    def __call__(self, split: Split, row: int) -> dict[str, np.ndarray]:
        """By modality, float32 `[real steps]`, in units of the labels.

        A modality that the utterance lacks is left out, and so is text where it enters
        the encoder together with the others (MAG-BERT): there its hidden states are
        not text's alone. Where padding takes part in the model, what padded steps add
        is left out, too.

        Args:
          split: `Predictor.prepared`.
          row: of the utterance.

        Raises:
          UserError: sequences are longer than the model can read.
        """
        inputs = self.predictor.inputs(split, np.array([row]))
        found = jax.device_get(self._program(self.predictor.weights, inputs))
        steps = {s: int(inputs[f'{field}_length'][0]) for field, s in FIELDS.items()}
        steps['t'] = int(inputs['tokens'][0, 1].sum())
        return {s: x[0, : steps[s]] for s, x in found.items() if steps[s]}

    @functools.cached_property
    def _program(self) -> Callable[[dict[str, PyTree], dict[str, Array]], PyTree]:
        model = self.predictor.system.model

        @jax.jit
        def attribute(weights: dict[str, PyTree], inputs: dict[str, Array]) -> PyTree:
            batch = as_batch(inputs)
            features = {s: getattr(batch, field) for field, s in FIELDS.items()}
            if self.predictor.system.text_first:
                features['t'] = self._encode(weights, batch)

            def sentiment(features: dict[str, Array]) -> Array:
                given = batch.replace(
                    audio=features['a'],
                    vision=features['v'],
                    text=features.get('t'),
                )
                # One row is one utterance, so the sum is of one prediction.
                return model.apply(weights['model'], given, True).prediction['m'].sum()

            return input_times_gradient(sentiment, features)

        return attribute

    def _encode(self, weights: dict[str, PyTree], batch: Batch) -> Array:
        """What the model is given as text where it is not to encode it itself."""
        if self.predictor.encoded:
            params = weights['text']
        else:
            params = weights['model']['params'].get('text', {})
        return self.predictor.text.apply({'params': params}, batch, True)


def input_times_gradient(function: Callable[[PyTree], Array], x: PyTree) -> PyTree:
    """How much each step of sequences adds to a number, to first order.

    Args:
      function: from sequences to one number.
      x: arrays `[..., L, D]`.

    Returns:
      `x · ∂function/∂x`, summed over features: `[..., L]` for each array.
    """
    gradient = jax.grad(function)(x)
    return jax.tree.map(lambda a, b: (a * b).sum(-1), x, gradient)
