"""A trained model that predicts on data it has never seen."""

from __future__ import annotations

import dataclasses
import functools
import os
import pathlib
from collections.abc import Iterator
from typing import Any

import jax
import numpy as np

from sugrm_jax.config import typed
from sugrm_jax.data import description, modalities, scaling
from sugrm_jax.data.text import make_tokenizer
from sugrm_jax.errors import UserError
from sugrm_jax.layers.text import FILE, TextEncoder
from sugrm_jax.models.system import System
from sugrm_jax.prediction.program import as_batch, bucket, make_predict, predictions
from sugrm_jax.prediction.restore import find_text, restore
from sugrm_jax.prediction.samples import Found, read_samples
from sugrm_jax.results import files
from sugrm_jax.training.setup import Experiment
from sugrm_jax.types import Array, PyTree, Split

# Utterances predicted at once.
ROWS = 32
# Modalities by the name of their field.
FIELDS = {'audio': 'a', 'vision': 'v'}


@dataclasses.dataclass(frozen=True)
class Predictor:
    """A run's best parameters and all that its features went through.

        predictor = Predictor.load('runs/demo')
        found = predictor.read('DATA.pkl')
        predictor(found.split)['m']

    Attributes:
      run: its folder.
      experiment: its typed config.
      features: what it was trained on (`description.of_run`).
      scaling: the statistics that its features are standardised with, or None.
      system: its model.
      text: the text encoder.
      weights: see `program.make_predict`.
      encoded: whether text is encoded outside of the model.
    """

    run: pathlib.Path
    experiment: Experiment
    features: dict[str, dict[str, Any]]
    scaling: scaling.Scaling | None
    system: System
    text: TextEncoder
    weights: dict[str, PyTree]
    encoded: bool

    @classmethod
    def load(cls, run: str | os.PathLike) -> Predictor:
        """Reads the folder of a finished run.

        Raises:
          UserError: it is not finished, or damaged; its text encoder is not found.
        """
        run = pathlib.Path(run).expanduser()
        results = files.read_json(run / files.RESULTS)
        experiment = typed(Experiment, results['config'])
        features = results['data'].get('features')
        if features is None:
            raise UserError(
                f'{run} is of a version that did not yet keep what predictions need: '
                'train it again.'
            )
        statistics = None
        if experiment.data.standardize:
            statistics = scaling.Scaling.load(run / 'scaling.npz')
        restored = restore(run, experiment, features, results['best_epoch'])
        return cls(run, experiment, features, statistics, *restored)

    def read(self, path: str | os.PathLike, name: str | None = None) -> Found:
        """Utterances of a file, tokenised as the run's were, and fit for it.

        Args:
          path, name: see `samples.read_samples`.

        Raises:
          UserError: the file cannot be read, or its features are others than those
            the run was trained on.
        """
        found = read_samples(
            path, name, tokenizer=self.tokenize, fixed_text=self._fixed_text
        )
        self.check(found.split, found.features, os.fspath(path))
        return found

    @property
    def _fixed_text(self) -> bool:
        return self.experiment.text.pretrained == FILE

    @property
    def modalities(self) -> tuple[str, ...]:
        """Those that the run was trained on."""
        return self.experiment.data.modalities

    def tokenize(self, texts: list[str]) -> np.ndarray:
        """`N` texts → int32 `[N, 3, L_t]`, with the run's tokenizer and length."""
        length = max(2, self.features['text']['steps'])
        return make_tokenizer(find_text(self.experiment), length)(texts)

    def check(
        self, split: Split, features: dict[str, dict[str, Any]], where: str
    ) -> None:
        """Raises a `UserError` where features differ from those of the run.

        Args:
          split: to predict on.
          features: what its file says of them (`data.description`).
          where: the file, for the message.
        """
        given = {
            field: {'width': getattr(split, field).shape[2]} | features.get(field, {})
            for field, s in FIELDS.items()
            if s in self.modalities
        }
        if self._fixed_text and 't' in self.modalities:
            given['text'] = {'width': split.text.shape[2]}
        for field, ours in given.items():
            found = description.differences(self.features[field], ours)
            if found:
                raise UserError(
                    f'{where}: {field} is not what {self.run} was trained on: '
                    f'{"; ".join(found)}. Extract the features as for the run.'
                )

    def __call__(self, split: Split) -> dict[str, np.ndarray]:
        """Predictions by task, float32 `[N]`, in units of the labels.

        'm' is the multimodal sentiment; those of 't', 'a' and 'v' are there where the
        model has them, and NaN where an utterance lacks the modality.

        Args:
          split: as it comes in a file, not standardised; labels are not read.

        Raises:
          UserError: sequences are longer than the model can read.
        """
        result: dict[str, np.ndarray] = {}
        for rows, inputs in self.batches(split):
            found = jax.device_get(self._predict(self.weights, inputs))
            for task, values in found.items():
                whole = result.setdefault(task, np.empty(len(split), np.float32))
                whole[rows] = values[: len(rows)]
        return result

    def batches(self, split: Split) -> Iterator[tuple[np.ndarray, dict[str, Array]]]:
        """Positions in the split, and `program.as_batch`'s inputs, of some utterances.

        Those of about the same length are together. Rows that only fill a batch are
        the first one's.
        """
        split = self.prepared(split)
        order = np.argsort(np.maximum(split.audio_length, split.vision_length))
        for start in range(0, len(order), ROWS):
            rows = order[start : start + ROWS]
            filled = np.resize(rows, min(ROWS, bucket(len(rows), 1)))
            yield rows, self.inputs(split, filled)

    def prepared(self, split: Split) -> Split:
        """The split as the model reads it: standardised, of the run's modalities."""
        if self.scaling:
            split = scaling.apply(split, self.scaling)
        return modalities.keep_only_of(split, self.modalities)

    def inputs(self, split: Split, rows: np.ndarray) -> dict[str, Array]:
        """Some utterances of a prepared split, padded for `program.as_batch`."""
        inputs = {'tokens': self._fitted(split.tokens[rows], 'text', 2)}
        if split.text is not None and self._fixed_text:
            inputs['text'] = self._fitted(split.text[rows], 'text', 1)
        for field in FIELDS:
            length = getattr(split, f'{field}_length')[rows]
            longest = max(1, length.max(initial=0))
            array = np.asarray(getattr(split, field)[rows, :longest])
            inputs |= {
                field: self._fitted(array, field, 1),
                f'{field}_length': length,
            }
        return inputs

    @functools.cached_property
    def _bucketed(self) -> bool:
        """Whether audio and vision may be padded to any number of steps."""
        steps = {x['steps'] for x in self.features.values()}
        return self.system.masks_padding and len(steps) > 1

    def _fitted(self, array: np.ndarray, field: str, axis: int) -> np.ndarray:
        """Padded with zeros to as many steps as the model is to be given."""
        have, wanted = array.shape[axis], self.features[field]['steps']
        if field in FIELDS and self._bucketed:
            wanted = bucket(have)
        if have > wanted:
            raise UserError(
                f'{field} has sequences of {have} steps, but {self.run} was trained '
                f'with {wanted}: cut them.'
            )
        widths = [(0, 0)] * array.ndim
        widths[axis] = (0, wanted - have)
        return np.pad(array, widths)

    @functools.cached_property
    def _predict(self):
        predict = make_predict(self.system.model, self.text, self.encoded)

        @jax.jit
        def predictions_of(weights, inputs):
            return predictions(predict(weights, as_batch(inputs)), self.modalities)

        return predictions_of
