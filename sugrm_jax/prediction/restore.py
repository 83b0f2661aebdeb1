"""The model of a finished run, built anew and given its best parameters."""

from __future__ import annotations

import pathlib
from typing import Any

import jax
import numpy as np

from sugrm_jax.layers import pretrained
from sugrm_jax.layers.bert import BertConfig
from sugrm_jax.layers.text import FILE, TextEncoder
from sugrm_jax.models.system import System
from sugrm_jax.training.checkpoint import read_best
from sugrm_jax.training.setup import Experiment, Source, assemble
from sugrm_jax.types import Dataset, PyTree, Split


def find_text(experiment: Experiment) -> pathlib.Path:
    """The folder of the run's text encoder."""
    return pretrained.resolve(experiment.text.pretrained)


def restore(
    run: pathlib.Path,
    experiment: Experiment,
    features: dict[str, dict[str, Any]],
    best_epoch: int,
) -> tuple[System, TextEncoder, dict[str, PyTree], bool]:
    """System, text encoder, weights and whether text is encoded outside of the model.

    Args:
      run: the folder.
      experiment: its config.
      features: what it was trained on (`description.of_run`).
      best_epoch: whose checkpoint to read.

    Raises:
      UserError: the text encoder is not found, or the checkpoint damaged.
    """
    bert_config, encoder = _encoder(experiment)
    blank = blank_split(features)
    dataset = Dataset(blank, blank, blank, str(run), '', experiment.data.label_range)
    parts = assemble(experiment, Source(dataset, None, bert_config, encoder))
    params, stats = jax.eval_shape(parts.init, jax.random.key(0))
    shapes = {'params': params | parts.encoder, **stats}
    weights = {'model': read_best(run, best_epoch, shapes)}
    if parts.frozen:
        weights['text'] = parts.frozen
    text = TextEncoder(bert_config, experiment.text)
    return parts.system, text, weights, bool(parts.frozen)


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
