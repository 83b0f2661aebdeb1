"""What a prediction needs of a run's `results.json`, none of it taken on trust."""

from __future__ import annotations

import dataclasses
import pathlib
from typing import Any

from sugrm_jax.config import between, flat, typed
from sugrm_jax.data.description import LARGEST_RATE
from sugrm_jax.errors import UserError
from sugrm_jax.layers.text import FILE
from sugrm_jax.results import files, finished
from sugrm_jax.training.setup import Experiment

NEEDED = {'config', 'data', 'best_epoch'}
# Far beyond what can be trained: a file that asks for more was spoiled.
MOST_STEPS = MOST_FEATURES = 2**20
LARGEST_SETTING = 2**16
# Of what is traced piece by piece.
LOOPED = {'layers': 2**6, 'memory_layers': 2**6, 'window': 2**8}
LAST_EPOCH = 2**31


@dataclasses.dataclass(frozen=True)
class Text:
    """Shape of the text, see `description.of_run`.

    Attributes:
      steps: tokens, padding included.
      width: of fixed features; None where a text encoder reads tokens.
    """

    steps: int
    width: int | None = None

    def __post_init__(self):
        between(self.steps, 1, MOST_STEPS, 'steps')
        between(self.width or 1, 1, MOST_FEATURES, 'width')


@dataclasses.dataclass(frozen=True)
class Measured:
    """Shape of audio or vision and what their file said of them.

    Attributes: see `description.of_run`; None is what it did not say.
    """

    steps: int
    width: int
    names: tuple[str, ...] | None = None
    units: tuple[str, ...] | None = None
    rate_hz: float | None = None
    source: str | None = None

    def __post_init__(self):
        between(self.steps, 1, MOST_STEPS, 'steps')
        between(self.width, 1, MOST_FEATURES, 'width')
        if self.rate_hz is not None and not 0 < self.rate_hz <= LARGEST_RATE:
            raise ValueError(f'rate_hz must be above 0, at most {LARGEST_RATE:g}')


@dataclasses.dataclass(frozen=True)
class Features:
    """What a run was trained on, by modality."""

    text: Text
    audio: Measured
    vision: Measured

    def described(self) -> dict[str, dict[str, Any]]:
        """The same as `description.of_run` gives it."""
        return {
            field: {
                name: list(x) if isinstance(x, tuple) else x
                for name, x in known.items()
                if x is not None
            }
            for field, known in dataclasses.asdict(self).items()
        }


@dataclasses.dataclass(frozen=True)
class Trained:
    """What makes a run's model.

    Attributes:
      config: of the run.
      features: what it was trained on.
      best_epoch: whose parameters it predicts with.
      encoder_sha256: `pretrained.fingerprints` in training; {} where there is no text
        encoder, and of runs of before there were fingerprints.
    """

    config: Experiment
    features: Features
    best_epoch: int
    encoder_sha256: dict[str, str] = dataclasses.field(default_factory=dict)

    def __post_init__(self):
        between(self.best_epoch, 1, LAST_EPOCH, 'best_epoch')
        _check_sizes(self.config.model)
        for field, s in (('audio', 'a'), ('vision', 'v')):
            # Of a modality left out they are still those of its file.
            if s in self.config.data.modalities:
                _check_names(getattr(self.features, field), field)
        fixed = self.features.text.width is not None
        if (self.config.text.pretrained == FILE) != fixed:
            raise ValueError(
                'features.text must have a width where config.text.pretrained is '
                f'{FILE!r}, and nowhere else'
            )


def _check_sizes(model: dict[str, Any]) -> None:
    """Raises a `ValueError` unless a model of these settings is soon built."""
    for name, value in flat(model).items():
        limit = LOOPED.get(name.rpartition('.')[2], LARGEST_SETTING)
        for x in value if isinstance(value, list) else [value]:
            if type(x) is int:
                between(x, -limit, limit, f'config.model.{name}')


def _check_names(known: Measured, field: str) -> None:
    """Raises a `ValueError` unless each feature has a name and a unit, or none has."""
    for what in ('names', 'units'):
        said = getattr(known, what)
        if said is not None and len(said) != known.width:
            raise ValueError(
                f'features.{field}.{what} must be {known.width} texts, not {len(said)}'
            )


def read(run: pathlib.Path) -> Trained:
    """Reads it from the folder of a finished run.

    Raises:
      UserError: the run has not finished, or is of a version that kept less; a field is
        missing, of another type or out of range.
    """
    results, path = finished.read(run), run / files.RESULTS
    if (
        not isinstance(results, dict)
        or not results.keys() >= NEEDED
        or not isinstance(results['data'], dict)
    ):
        raise UserError(f"{path} holds no run's results: train the run again.")
    features = results['data'].get('features')
    if features is None:
        raise UserError(
            f'{run} is of a version that did not yet keep what predictions need: '
            'train it again.'
        )
    fields = [field.name for field in dataclasses.fields(Trained)]
    known = {name: results[name] for name in fields if name in results}
    return typed(Trained, known | {'features': features}, str(path))
