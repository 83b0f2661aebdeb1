"""What features are: their number and names, and how many a second.

A file in MMSA format may say so beside its splits, as those that `sugrm_jax.extract`
writes do. Its key `features` holds, for audio and vision,

    {'names': [D texts], 'units': [D texts], 'rate_hz': number, 'source': text}

A run keeps that together with the shapes it was trained on, so that it can refuse what
it could only misread.
"""

from __future__ import annotations

import math
import numbers
from collections.abc import Mapping
from typing import Any

from sugrm_jax.errors import UserError
from sugrm_jax.types import Array, Dataset, Split

KEY = 'features'
_TEXTS = ('names', 'units')
_COMPARED = ('names', 'units', 'rate_hz', 'source')
LARGEST_RATE = 1e6


def read(raw: Mapping[str, Any], split: Split, path: str) -> dict[str, dict[str, Any]]:
    """What a file says of its audio and vision; {} where it says nothing.

    Args:
      raw: what the file holds.
      split: one of its splits.
      path: of the file, for messages.

    Raises:
      UserError: what it says is no such description, or of another width.
    """
    said = raw.get(KEY, {})
    if not isinstance(said, Mapping):
        raise UserError(f'{path}: {KEY} must be a dict, not {type(said).__name__}.')
    return {
        field: _checked(
            said[field], getattr(split, field).shape[2], f'{path}: {KEY}.{field}'
        )
        for field in ('audio', 'vision')
        if field in said
    }


def _checked(said: Any, width: int, where: str) -> dict[str, Any]:
    if not isinstance(said, Mapping):
        raise UserError(f'{where} must be a dict, not {type(said).__name__}.')
    found: dict[str, Any] = {}
    for name in _TEXTS:
        texts = said.get(name, [])
        if (
            not isinstance(texts, list | tuple)
            or len(texts) not in (0, width)
            or not all(isinstance(text, str) for text in texts)
        ):
            raise UserError(f'{where}.{name} must be a list of {width} texts.')
        if texts:
            found[name] = list(texts)
    if 'rate_hz' in said:
        found['rate_hz'] = _rate(said['rate_hz'], f'{where}.rate_hz')
    if 'source' in said:
        if not isinstance(said['source'], str):
            kind = type(said['source']).__name__
            raise UserError(f'{where}.source must be a text, not {kind}.')
        found['source'] = said['source']
    return found


def _rate(said: Any, where: str) -> float:
    # Numpy's numbers are real ones, too; but so is a bool.
    real = isinstance(said, numbers.Real) and not isinstance(said, bool)
    if not real or not 0 < said <= LARGEST_RATE:
        raise UserError(f'{where} must be a number above 0, at most {LARGEST_RATE:g}.')
    return float(said)


def of_run(dataset: Dataset, *, fixed_text: bool) -> dict[str, dict[str, Any]]:
    """What a run was trained on, for `results.json`.

    Args:
      dataset: as the model reads it.
      fixed_text: whether its text features are the file's.

    Returns:
      For text, audio and vision the steps `L` that they were padded to (those of test
      may be more than others), for audio, vision and fixed text features their width
      `D`, and what the file says of them.
    """
    splits = dataset.splits.values()
    text = {'steps': max(split.tokens.shape[2] for split in splits)}
    if fixed_text and dataset.train.text is not None:
        text['width'] = dataset.train.text.shape[2]
    return {'text': text} | {
        field: _shape([getattr(split, field) for split in splits])
        | dataset.features.get(field, {})
        for field in ('audio', 'vision')
    }


def _shape(arrays: list[Array]) -> dict[str, int]:
    return {'steps': max(x.shape[1] for x in arrays), 'width': arrays[0].shape[2]}


def differences(trained: dict[str, Any], given: dict[str, Any]) -> list[str]:
    """How features differ from those of a run, a sentence each.

    Args:
      trained: of one modality, as in `of_run`.
      given: the same, for other data. What only one of them says is no difference.
    """
    if given['width'] != trained['width']:
        return [f'{given["width"]} features where the run had {trained["width"]}']
    found = []
    for name in _COMPARED:
        ours, theirs = trained.get(name), given.get(name)
        if ours is None or theirs is None or _same(ours, theirs):
            continue
        if isinstance(ours, list):
            i = next(i for i in range(len(ours)) if ours[i] != theirs[i])
            ours, theirs = f'{i}: {ours[i]}', f'{i}: {theirs[i]}'
        found.append(f'{name} {theirs} where the run had {ours}')
    return found


def _same(ours: Any, theirs: Any) -> bool:
    # A rate may have been kept as float32.
    both = isinstance(ours, float) and isinstance(theirs, float)
    return math.isclose(ours, theirs, rel_tol=1e-6) if both else ours == theirs


def only_widths(trained: dict[str, Any], given: dict[str, Any]) -> str | None:
    """Which of two, 'run' or 'file', does not name features that the other names.

    Args:
      trained, given: see `differences`.
    """
    named = 'names' in trained, 'names' in given
    return {(False, True): 'run', (True, False): 'file'}.get(named)
