"""From features to a file in MMSA's layout."""

from __future__ import annotations

import os
import pickle
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from sugrm_jax.extract import parts
from sugrm_jax.extract.types import Features, Utterance

# The newest that Python before 3.8 can read, too: other projects read this format.
PROTOCOL = 4


def assemble(
    utterances: Sequence[Utterance],
    features: Sequence[Features],
    description: Mapping[str, Any],
) -> dict[str, dict]:
    """The splits of the utterances, and the description of their features.

    Args:
      utterances: of one split or several, in any order.
      features: of each.
      description: kept as `features`.

    Returns:
      By split `id`, `raw_text`, `audio` and `vision` `[N, L, D]` with `L` the longest
      of all splits (1 at least), `audio_lengths`, `vision_lengths`, and the labels. In
      `predict`, which has none, `start` and `end`, float32 `[N]`, seconds, and
      `problems`, texts `[N]`, '' where all went well.
    """
    longest = {
        modality: max([1, *(len(getattr(f, modality)) for f in features)])
        for modality in ('audio', 'vision')
    }
    file: dict[str, dict] = {}
    for split in dict.fromkeys(u.split for u in utterances):
        pairs = [
            (u, f)
            for u, f in zip(utterances, features, strict=True)
            if u.split == split
        ]
        file[split] = _split([u for u, _ in pairs], [f for _, f in pairs], longest)
    return file | {'features': dict(description)}


def _split(
    utterances: Sequence[Utterance],
    features: Sequence[Features],
    longest: Mapping[str, int],
) -> dict[str, Any]:
    split: dict[str, Any] = {
        'id': np.array([u.id for u in utterances]),
        'raw_text': np.array([u.text for u in utterances]),
    }
    for modality, size in longest.items():
        rows = [getattr(f, modality) for f in features]
        split[modality] = pad(rows, size)
        split[f'{modality}_lengths'] = [len(row) for row in rows]
    for field in utterances[0].labels:
        values = [u.labels[field] for u in utterances]
        split[field] = np.array(values, np.float32)
    if not utterances[0].labels:
        for field in ('start', 'end'):
            values = [getattr(u.piece, field) for u in utterances]
            split[field] = np.array(values, np.float32)
        split['problems'] = np.array(['; '.join(f.problems) for f in features])
    return split


def pad(rows: Sequence[np.ndarray], size: int) -> np.ndarray:
    """`N` sequences `[L_i, D]` as float32 `[N, size, D]`, zeros behind each."""
    array = np.zeros((len(rows), size, rows[0].shape[1]), np.float32)
    for i, row in enumerate(rows):
        array[i, : len(row)] = row
    return array


def write(path: Path, content: Mapping[str, Any]) -> None:
    """Writes a pickle, whole or not at all. Raises a `UserError`: the disk."""
    partial = path.with_name(f'.{path.name}.partial')
    with (
        parts.writing(path),
        parts.replacing(partial, path),
        open(partial, 'wb') as file,
    ):
        pickle.dump(content, file, protocol=PROTOCOL)
        file.flush()
        os.fsync(file.fileno())  # or a power cut could leave the name without content
