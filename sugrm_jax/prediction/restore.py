"""The model of a finished run, built anew and given its best parameters."""

from __future__ import annotations

import contextlib
import pathlib
from collections.abc import Iterator
from typing import Any, NamedTuple

import jax
import numpy as np

from sugrm_jax import models
from sugrm_jax.errors import UserError
from sugrm_jax.layers import pretrained
from sugrm_jax.layers.bert import BertConfig
from sugrm_jax.layers.text import FILE, TextEncoder
from sugrm_jax.layers.weights import SAFETENSORS, TORCH
from sugrm_jax.models.system import System
from sugrm_jax.prediction.program import as_batch
from sugrm_jax.prediction.trained import Trained
from sugrm_jax.results import files
from sugrm_jax.training.checkpoint import read_best
from sugrm_jax.training.setup import Experiment, check_modalities
from sugrm_jax.types import PyTree

WEIGHTS = (SAFETENSORS, TORCH)
_LONGEST_REASON = 200  # letters


class Blank(NamedTuple):
    """A model without its parameters.

    Attributes:
      system: the model and its objective.
      text: its text encoder.
      encoder: pretrained parameters of a text encoder that is part of the model, or {}.
      frozen: of one that encodes text outside of it, or {}.
      inputs: shapes of one utterance, for `program.as_batch`.
    """

    system: System
    text: TextEncoder
    encoder: PyTree
    frozen: PyTree
    inputs: dict[str, jax.ShapeDtypeStruct]


def find_text(experiment: Experiment) -> pathlib.Path:
    """The folder of the run's text encoder."""
    return pretrained.resolve(experiment.text.pretrained)


def restore(
    run: pathlib.Path, trained: Trained
) -> tuple[System, TextEncoder, dict[str, PyTree], bool]:
    """System, text encoder, weights and whether text is encoded outside of the model.

    Args:
      run: the folder.
      trained: what its `results.json` says.

    Raises:
      UserError: the text encoder is not found, or is another one than the run's; no
        model is as the results say; the checkpoint is damaged.
    """
    experiment = trained.config
    with _building(run / files.RESULTS):
        blank = assemble_blank(experiment, trained.features.described())
        shapes = shapes_of(blank)
    encoded = bool(blank.frozen)
    if known := trained.encoder_sha256:
        _check_encoder(run, find_text(experiment), known, frozen=encoded)
    weights = {'model': read_best(run, trained.best_epoch, shapes)}
    if encoded:
        weights['text'] = blank.frozen
    return blank.system, blank.text, weights, encoded


@contextlib.contextmanager
def _building(path: pathlib.Path) -> Iterator[None]:
    """Turns whatever layers say of sizes that cannot go together into a sentence.

    Args:
      path: of the results that the sizes are from.
    """
    try:
        yield
    except UserError:
        raise
    except Exception as error:
        reason = f'{type(error).__name__}: {error}'[:_LONGEST_REASON]
        raise UserError(
            f'{path} describes a model that cannot be built ({reason}): put the file '
            'that the training wrote there.'
        ) from error


def assemble_blank(
    experiment: Experiment, features: dict[str, dict[str, Any]]
) -> Blank:
    """An experiment's model without its data.

    Args:
      experiment: the config.
      features: what it was trained on (`description.of_run`).
    """
    bert_config, encoder = _encoder(experiment)
    text = TextEncoder(bert_config, experiment.text)
    system = models.build(experiment.model, experiment.objective, text)
    check_modalities(experiment.data.modalities, system)
    inputs = _inputs(features)
    # As `training.setup.assemble` has it.
    if encoder and not experiment.text.finetune and system.text_first:
        steps = features['text']['steps']
        hidden = jax.ShapeDtypeStruct((1, steps, bert_config.hidden_size), np.float32)
        return Blank(system, text, {}, encoder, inputs | {'text': hidden})
    return Blank(system, text, {'text': encoder} if encoder else {}, {}, inputs)


def shapes_of(blank: Blank) -> dict[str, PyTree]:
    """The model's variables by collection, as shapes."""

    def variables(inputs):
        return blank.system.model.init(jax.random.key(0), as_batch(inputs), True)

    shapes = jax.eval_shape(variables, blank.inputs)
    return shapes | {'params': shapes['params'] | blank.encoder}


def _check_encoder(
    run: pathlib.Path, folder: pathlib.Path, known: dict[str, str], *, frozen: bool
) -> None:
    """Raises a `UserError` unless the folder's files are those of the training.

    Args:
      run, folder: the run and its text encoder, for the message.
      known: `pretrained.fingerprints` in training.
      frozen: whether the run has no weights of the encoder of its own.
    """
    found = pretrained.fingerprints(folder, weights=frozen)
    # Of fine-tuned ones the run has its own weights; and data that were tokenised need
    # no tokenizer, which may have been put there since.
    left_out = set() if frozen else set(WEIGHTS)
    if not known.keys() & set(pretrained.TOKENIZER_FILES):
        left_out |= set(pretrained.TOKENIZER_FILES)
    known, found = (
        {name: x for name, x in files.items() if name not in left_out}
        for files in (known, found)
    )
    others = [
        name for name in sorted(known | found) if known.get(name) != found.get(name)
    ]
    if others:
        raise UserError(
            f'{folder.absolute()} does not hold the text encoder that {run} was '
            f'trained with: {", ".join(others)} differ. Put the files of the training '
            'there.'
        )


def _encoder(experiment: Experiment) -> tuple[BertConfig | None, PyTree]:
    """Settings and pretrained parameters of the text encoder, if there is one."""
    if experiment.text.pretrained == FILE:
        return None, {}
    folder = find_text(experiment)
    bert_config = pretrained.read_config(folder)
    return bert_config, {'bert': pretrained.load_params(folder, bert_config)}


def _inputs(features: dict[str, dict[str, Any]]) -> dict[str, jax.ShapeDtypeStruct]:
    """Shapes of one utterance of a run's data, as a file has it."""

    def shape(field: str) -> jax.ShapeDtypeStruct:
        known = features[field]
        return jax.ShapeDtypeStruct((1, known['steps'], known['width']), np.float32)

    length = jax.ShapeDtypeStruct((1,), np.int32)
    tokens = jax.ShapeDtypeStruct((1, 3, features['text']['steps']), np.int32)
    inputs = {'tokens': tokens, 'audio_length': length, 'vision_length': length}
    read = ['audio', 'vision', *(['text'] if 'width' in features['text'] else [])]
    return inputs | {field: shape(field) for field in read}
