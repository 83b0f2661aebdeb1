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

from sugrm_jax.data import description, modalities, scaling
from sugrm_jax.data.fields import some
from sugrm_jax.data.stored import Stored
from sugrm_jax.data.text import make_tokenizer, no_tokens
from sugrm_jax.errors import UserError
from sugrm_jax.layers.bert import check_tokens
from sugrm_jax.layers.text import FILE, TextEncoder
from sugrm_jax.models.system import System
from sugrm_jax.prediction import trained
from sugrm_jax.prediction.program import as_batch, bucket, make_predict, predictions
from sugrm_jax.prediction.restore import find_text, restore
from sugrm_jax.prediction.samples import Found, read_samples
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
          UserError: it is not finished, or damaged; its text encoder is not found, or
            is another one than in training.
        """
        run = pathlib.Path(run).expanduser()
        known = trained.read(run)
        experiment, features = known.config, known.features.described()
        statistics = None
        if experiment.data.standardize:
            statistics = scaling.Scaling.load(run / 'scaling.npz')
        restored = restore(run, known)
        return cls(run, experiment, features, statistics, *restored)

    def read(self, path: str | os.PathLike, name: str | None = None) -> Found:
        """Utterances of a file, tokenised as the run's were, and fit for it.

        Args:
          path, name: see `samples.read_samples`.

        Raises:
          UserError: the file cannot be read, or does not fit the run (`check`).
        """
        tokenizer = self.tokenize if 't' in self.modalities else no_tokens
        options = dict(tokenizer=tokenizer, fixed_text=self._fixed_text)
        found = read_samples(path, name, **options)
        self.check(found.split, found.features, os.fspath(path))
        return found._replace(notes=[*found.notes, *self._unsure(found.features)])

    @property
    def _fixed_text(self) -> bool:
        """Whether the file's text features are read."""
        return self.experiment.text.pretrained == FILE and 't' in self.modalities

    @property
    def _fields(self) -> list[str]:
        """Those of audio and vision that are read."""
        return [field for field, s in FIELDS.items() if s in self.modalities]

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
        """Raises a `UserError` where a split is not what the run can predict on.

        Its features must be the run's, and finite, its sequences no longer than the
        model can read, and its tokens of the text encoder's vocabulary. Modalities that
        the run was trained without are not looked at.

        Args:
          split: to predict on.
          features: what its file says of them (`data.description`).
          where: the file, for the message.
        """
        for field in [*self._fields, *(['text'] if self._fixed_text else [])]:
            said = features.get(field, {})
            self._check_features(getattr(split, field), field, said, where)
        self._check_steps(split, where)
        if self.text.bert_config and 't' in self.modalities:
            tokens = split.tokens[..., : self.features['text']['steps']]
            check_tokens(tokens, self.text.bert_config, where)

    def _check_features(
        self, array: Array | None, field: str, said: dict[str, Any], where: str
    ) -> None:
        if array is None:
            raise UserError(
                f'{where}: there are no text features, but {self.run} was trained on '
                'them: read the file with fixed_text=True.'
            )
        ours = {'width': array.shape[2]} | said
        found = description.differences(self.features[field], ours)
        if found:
            raise UserError(
                f'{where}: {field} is not what {self.run} was trained on: '
                f'{"; ".join(found)}. Extract the features as for the run; a clip '
                'needs a run that was trained on data made by sugrm_jax.extract.'
            )
        # What stays on disk is looked at when it is read.
        if not isinstance(array, Stored) and not np.isfinite(array).all():
            raise UserError(
                f'{where}: {field} has values that are not finite: put 0 in their '
                'place.'
            )

    def _check_steps(self, split: Split, where: str) -> None:
        fields = [] if self._bucketed else self._fields
        longest = {x: getattr(split, f'{x}_length').max(initial=0) for x in fields}
        if 't' in self.modalities:
            longest['text'] = split.tokens[:, 1].sum(-1).max(initial=0)
        for field, have in longest.items():
            wanted = self.features[field]['steps']
            if have > wanted:
                raise UserError(
                    f'{where}: {field} has sequences of {have} steps, but {self.run} '
                    f'was trained with {wanted}: cut them.'
                )

    def _unsure(self, features: dict[str, dict[str, Any]]) -> list[str]:
        """Notes on features of which nothing but the number could be compared."""
        notes = []
        for field in self._fields:
            known = self.features[field]
            if who := description.only_widths(known, features.get(field, {})):
                notes.append(
                    f'{field}: the {who} does not name its features, so that only '
                    'their number was compared'
                )
        return notes

    def __call__(self, split: Split) -> dict[str, np.ndarray]:
        """Predictions by task, float32 `[N]`, in units of the labels.

        'm' is the multimodal sentiment; those of 't', 'a' and 'v' are there where the
        model has them, and NaN where an utterance lacks the modality.

        Args:
          split: as it comes in a file, not standardised; labels are not read.

        Raises:
          UserError: they do not fit the run (`check`), or a multimodal prediction is
            not finite.
        """
        result: dict[str, np.ndarray] = {}
        for rows, inputs in self.batches(split):
            found = jax.device_get(self._predict(self.weights, inputs))
            for task, values in found.items():
                whole = result.setdefault(task, np.empty(len(split), np.float32))
                whole[rows] = values[: len(rows)]
        bad = np.flatnonzero(~np.isfinite(result['m']))
        if bad.size:
            raise UserError(
                f'{self.run} has no finite prediction for '
                f'{some([split.ids[i] for i in bad])}, although their features are: '
                'they may be far from all that it was trained on. Take them out.'
            )
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
        """The split as the model reads it: standardised, of the run's modalities.

        Raises:
          UserError: it does not fit the run (`check`).
        """
        self.check(split, {}, 'the given samples')
        if self.scaling:
            split = scaling.apply(split, self.scaling, self._fields)
        split = modalities.keep_only_of(split, self.modalities)
        if 'width' in self.features['text'] and split.text is None:
            # Without text, too, the model is given features of it.
            width = self.features['text']['width']
            nothing = np.zeros((len(split), split.tokens.shape[2], width), np.float32)
            split = dataclasses.replace(split, text=nothing)
        return split

    def inputs(self, split: Split, rows: np.ndarray) -> dict[str, Array]:
        """Some utterances of a prepared split, padded for `program.as_batch`."""
        steps = self.features['text']['steps']
        inputs = {'tokens': _fitted(split.tokens[rows], 2, steps)}
        if 'width' in self.features['text']:
            inputs['text'] = _fitted(split.text[rows], 1, steps)
        for field in FIELDS:
            length = getattr(split, f'{field}_length')[rows]
            longest = max(1, length.max(initial=0))
            steps = bucket(longest) if self._bucketed else self.features[field]['steps']
            array = np.asarray(getattr(split, field)[rows, :longest])
            inputs |= {field: _fitted(array, 1, steps), f'{field}_length': length}
        return inputs

    @functools.cached_property
    def _bucketed(self) -> bool:
        """Whether audio and vision may be padded to any number of steps."""
        steps = {x['steps'] for x in self.features.values()}
        return self.system.masks_padding and len(steps) > 1

    @functools.cached_property
    def _predict(self):
        predict = make_predict(self.system.model, self.text, self.encoded)

        @jax.jit
        def predictions_of(weights, inputs):
            return predictions(predict(weights, as_batch(inputs)), self.modalities)

        return predictions_of


def _fitted(array: np.ndarray, axis: int, steps: int) -> np.ndarray:
    """With so many steps: those beyond are padding, and zeros make up the rest."""
    array = array[(slice(None),) * axis + (slice(steps),)]
    widths = [(0, 0)] * array.ndim
    widths[axis] = (0, steps - array.shape[axis])
    return np.pad(array, widths)
