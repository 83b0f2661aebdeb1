"""One split of an MMSA file, its fields read and checked."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from sugrm_jax.data import fields, remarks
from sugrm_jax.data.stored import Stored
from sugrm_jax.errors import UserError
from sugrm_jax.types import MODALITIES, Split

NEEDED = ('raw_text', 'id', 'audio', 'vision', 'regression_labels')
# What a split has where nothing is to be learnt from it.
NEEDED_TO_PREDICT = NEEDED[:-1]
OPTIONAL = (
    'text_bert',
    'audio_lengths',
    'vision_lengths',
    *(f'regression_labels_{s.upper()}' for s in MODALITIES),
    'classification_labels',
    'annotations',
)

Tokenizer = Callable[[list[str]], np.ndarray]


def check_fields(split: Any, where: str, needed: tuple[str, ...]) -> None:
    """Raises a `UserError` unless `split` has these fields."""
    if not isinstance(split, Mapping):
        raise UserError(
            f'{where} must be a dict of arrays, not {type(split).__name__}.'
        )
    for field in needed:
        if field not in split:
            raise UserError(f'{where} has no field {field!r}; it has {listed(split)}.')


def make_split(
    raw: Mapping,
    where: str,
    *,
    label_range: float,
    tokenizer: Tokenizer | None,
    fixed_text: bool,
    labelled: bool = True,
) -> tuple[Split, list[str]]:
    """One split, and notes on what was mended or is odd in it.

    Args:
      raw: has the needed fields (`check_fields`).
      where: the file and the split, for messages.
      label_range, tokenizer, fixed_text: see `load_dataset`.
      labelled: whether to read the labels; else they are NaN.

    Raises:
      UserError: see `make_dataset`.
    """
    fields.check_array(raw['id'], f'{where}: id')
    ids = fields.strings(raw['id'], f'{where}: id')
    if not ids:
        raise UserError(f'{where} is empty.')
    for field in (*NEEDED, *OPTIONAL):
        if field in raw:
            fields.check_count(raw[field], len(ids), f'{where}: {field}')
    label = np.full(len(ids), np.nan, np.float32)
    if labelled:
        label = _label(raw, ids, label_range, where)
    raw_text = fields.strings(raw['raw_text'], f'{where}: raw_text')
    arrays, notes = {}, []
    if fixed_text:
        found = _fixed_text(raw, where)
        arrays['text'] = found.array
        notes += remarks.mended('text', found)
        if 'text_bert' not in raw:
            arrays['tokens'] = _mask_only(found)
    if 'tokens' not in arrays:
        arrays['tokens'] = _tokens(raw, raw_text, where, tokenizer)
    if fixed_text:
        _check_steps(arrays['text'], arrays['tokens'], where)
    for field in ('audio', 'vision'):
        found = fields.sequences(raw[field], f'{where}: {field}')
        claimed = raw.get(f'{field}_lengths')
        length = fields.lengths(found, claimed, f'{where}: {field}_lengths')
        arrays |= {field: found.array, f'{field}_length': length}
        notes += remarks.mended(field, found) + remarks.beyond(field, found, length)
    unimodal = {
        s: fields.labels(raw[field], ids, label_range, f'{where}: {field}')
        for s in MODALITIES
        if labelled and (field := f'regression_labels_{s.upper()}') in raw
    }
    split = Split(ids=ids, raw_text=raw_text, label=label, unimodal=unimodal, **arrays)
    return split, notes


def _label(raw: Mapping, ids: list[str], label_range: float, where: str) -> np.ndarray:
    where = f'{where}: regression_labels'
    label = fields.labels(raw['regression_labels'], ids, label_range, where)
    if (label == label[0]).all():
        raise UserError(
            f'{where} are all {label[0]:g}: there is nothing to learn or to measure.'
        )
    return label


def _fixed_text(raw: Mapping, where: str) -> fields.Sequences:
    if 'text' not in raw:
        raise UserError(
            f"{where} has no field 'text', which text.pretrained='file' asks for; name "
            'a BERT there, or use a file with fixed text features. A converted file '
            'has them where it was converted with --fixed_text.'
        )
    fields.check_count(raw['text'], len(raw['id']), f'{where}: text')
    return fields.sequences(raw['text'], f'{where}: text')


def _mask_only(text: fields.Sequences) -> np.ndarray:
    """Tokens that are nothing but the mask of fixed features."""
    steps = text.array.shape[1]
    tokens = np.zeros((len(text), 3, steps), np.int32)
    tokens[:, 1] = np.arange(steps) < text.last[:, None]
    return tokens


def _check_steps(text: np.ndarray | Stored, tokens: np.ndarray, where: str) -> None:
    if text.shape[1] != tokens.shape[2]:
        raise UserError(
            f'{where}: text has {text.shape[1]} steps and text_bert {tokens.shape[2]}; '
            'they must be the same tokens.'
        )


def _tokens(
    raw: Mapping, raw_text: list[str], where: str, tokenizer: Tokenizer | None
) -> np.ndarray:
    if 'text_bert' in raw:
        return fields.tokens(raw['text_bert'], f'{where}: text_bert')
    if tokenizer is None:
        raise UserError(
            f'{where} has no text_bert: give a tokenizer for its raw_text '
            '(text.pretrained names one), or a file that has text_bert.'
        )
    return fields.tokens(tokenizer(raw_text), f'{where}: tokenised raw_text')


def listed(names: Mapping) -> str:
    """The keys in order, no more of them and of each than there is use for."""
    return fields.some(sorted(f'{name!s:.40}' for name in names), 20) or 'nothing'
