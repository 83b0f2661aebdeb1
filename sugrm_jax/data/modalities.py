"""Leaving modalities out: text only, audio and vision, and so on."""

from __future__ import annotations

import dataclasses
import functools

import numpy as np

from sugrm_jax.types import MODALITIES, Dataset, Split


def check(modalities: tuple[str, ...]) -> None:
    """Makes sure that these are modalities, each once.

    Raises:
      ValueError: they are not.
    """
    known = set(modalities) <= set(MODALITIES)
    if not modalities or not known or len(set(modalities)) < len(modalities):
        raise ValueError(
            f'modalities must be some of {MODALITIES}, each once, not {modalities}'
        )


def keep_only(dataset: Dataset, modalities: tuple[str, ...]) -> Dataset:
    """The data set as if no utterance had the other modalities.

    A modality left out is an empty sequence of one feature, and of as many steps as the
    text, so that systems which read aligned data can do without it, too. Text left out
    has one step; where all three are aligned the steps stay.

    Args:
      dataset: whole.
      modalities: to keep.
    """
    return dataset.map(functools.partial(keep_only_of, modalities=modalities))


def keep_only_of(split: Split, modalities: tuple[str, ...]) -> Split:
    """`keep_only` of one split."""
    gone = [s for s in MODALITIES if s not in modalities]
    steps = [split.tokens.shape[2], split.audio.shape[1], split.vision.shape[1]]
    if 't' in gone and len(set(steps)) > 1:
        steps[0] = 1
    for s in gone:
        split = _without(split, s, steps[0])
    return split


def _without(split: Split, s: str, steps: int) -> Split:
    nothing = np.zeros((len(split), steps, 1), np.float32)
    if s == 't':
        return dataclasses.replace(
            split,
            tokens=np.zeros((len(split), 3, steps), np.int32),
            text=None if split.text is None else nothing,
        )
    field = {'a': 'audio', 'v': 'vision'}[s]
    length = np.zeros(len(split), np.int32)
    return dataclasses.replace(split, **{field: nothing, f'{field}_length': length})
