"""The model of a finished run, built anew and given its best parameters."""

from __future__ import annotations

import pathlib
from typing import Any

import jax
import numpy as np

from sugrm_jax.errors import UserError
from sugrm_jax.layers import pretrained
from sugrm_jax.layers.bert import BertConfig
from sugrm_jax.layers.text import FILE, TextEncoder
from sugrm_jax.layers.weights import SAFETENSORS, TORCH
from sugrm_jax.models.system import System
from sugrm_jax.training.checkpoint import read_best
from sugrm_jax.training.setup import Assembly, Experiment, Source, assemble
from sugrm_jax.types import Dataset, PyTree, Split

WEIGHTS = (SAFETENSORS, TORCH)


def find_text(experiment: Experiment) -> pathlib.Path:
    """The folder of the run's text encoder."""
    return pretrained.resolve(experiment.text.pretrained)


def restore(
    run: pathlib.Path,
    experiment: Experiment,
    results: dict[str, Any],
) -> tuple[System, TextEncoder, dict[str, PyTree], bool]:
    """System, text encoder, weights and whether text is encoded outside of the model.

    Args:
      run: the folder.
      experiment: its config.
      results: content of its `results.json`.

    Raises:
      UserError: the text encoder is not found, or is another one than the run's; the
        checkpoint is damaged.
    """
    parts, text = assemble_blank(experiment, results['data']['features'])
    # Runs of before there were fingerprints have none.
    if known := results.get('encoder_sha256'):
        _check_encoder(run, find_text(experiment), known, frozen=bool(parts.frozen))
    weights = {'model': read_best(run, results['best_epoch'], shapes_of(parts))}
    if parts.frozen:
        weights['text'] = parts.frozen
    return parts.system, text, weights, bool(parts.frozen)


def assemble_blank(
    experiment: Experiment, features: dict[str, dict[str, Any]]
) -> tuple[Assembly, TextEncoder]:
    """An experiment's system without its data, and its text encoder.

    Args:
      experiment: the config.
      features: what it was trained on (`description.of_run`).
    """
    bert_config, encoder = _encoder(experiment)
    blank = blank_split(features)
    dataset = Dataset(blank, blank, blank, '', '', experiment.data.label_range)
    parts = assemble(experiment, Source(dataset, None, bert_config, encoder))
    return parts, TextEncoder(bert_config, experiment.text)


def shapes_of(parts: Assembly) -> dict[str, PyTree]:
    """The model's variables by collection, as shapes."""
    params, stats = jax.eval_shape(parts.init, jax.random.key(0))
    return {'params': params | parts.encoder, **stats}


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


def blank_split(features: dict[str, dict[str, Any]]) -> Split:
    """One utterance without any modality, in the shapes of a run's data."""

    def zeros(field: str) -> np.ndarray:
        known = features[field]
        return np.zeros((1, known['steps'], known['width']), np.float32)

    nothing = np.zeros(1, np.int32)
    return Split(
        ids=[''],
        raw_text=[''],
        tokens=np.zeros((1, 3, features['text']['steps']), np.int32),
        audio=zeros('audio'),
        audio_length=nothing,
        vision=zeros('vision'),
        vision_length=nothing,
        label=np.zeros(1, np.float32),
        unimodal={},
        text=zeros('text') if 'width' in features['text'] else None,
    )
