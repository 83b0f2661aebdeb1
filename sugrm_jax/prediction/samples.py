"""Reading what to predict on: MMSA files, labelled or not."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from sugrm_jax.data import description, fields, mmsa
from sugrm_jax.data.splits import (
    NEEDED_TO_PREDICT,
    Tokenizer,
    check_fields,
    listed,
    make_split,
)
from sugrm_jax.errors import UserError
from sugrm_jax.terminal import printable
from sugrm_jax.types import Split

# The split of a file that was made only to predict on, and else the one to choose.
UNLABELLED, USUAL = 'predict', 'test'


class Found(NamedTuple):
    """Utterances of a file.

    Attributes:
      split: without labels: they are NaN.
      features: what the file says of audio and vision (`data.description`).
      start, end: seconds in the clip they are of, float32 `[N]`; None where the file
        does not say.
      notes: a sentence for every repair, and for what the file says was wrong with an
        utterance.
    """

    split: Split
    features: dict[str, dict[str, Any]]
    start: np.ndarray | None
    end: np.ndarray | None
    notes: list[str]


def read_samples(
    path: str | os.PathLike,
    name: str | None = None,
    *,
    tokenizer: Tokenizer,
    fixed_text: bool,
) -> Found:
    """The utterances of one split.

    Args:
      path: a pickle in MMSA format, or the folder that `data.convert` made of it. It
        needs no labels, and no other split.
      name: of the split; by default 'predict' where there is one, and else 'test'.
      tokenizer: for texts that are not tokenised.
      fixed_text: read the file's text features, too.

    Raises:
      UserError: the file cannot be read or used; see `mmsa.load_dataset`.
    """
    raw, _ = mmsa.read(path)
    path = os.fspath(path)
    if not isinstance(raw, Mapping):
        raise UserError(f'{path} holds a {type(raw).__name__}, no dict of splits.')
    name = name or (UNLABELLED if UNLABELLED in raw else USUAL)
    if name not in raw:
        raise UserError(
            f'{path} has no split {name!r}; it has {listed(raw)}: choose with --split.'
        )
    where = f'{path}, split {name}'
    check_fields(raw[name], where, NEEDED_TO_PREDICT)
    split, notes = make_split(
        raw[name],
        where,
        label_range=1.0,
        tokenizer=tokenizer,
        fixed_text=fixed_text,
        labelled=False,
    )
    notes += _problems(raw[name], split.ids, where)
    start, end = (_seconds(raw[name], field, len(split), where) for field in _TIMES)
    return Found(split, description.read(raw, split, path), start, end, notes)


_TIMES = ('start', 'end')
# By utterance, what was wrong when its features were measured; '' where nothing was.
_PROBLEMS = 'problems'
_LONGEST_NOTE = 300  # characters


def _problems(raw: Mapping, ids: list[str], where: str) -> list[str]:
    if _PROBLEMS not in raw:
        return []
    where = f'{where}: {_PROBLEMS}'
    fields.check_count(raw[_PROBLEMS], len(ids), where)
    problems = fields.strings(raw[_PROBLEMS], where)
    return [
        _note(f'{id}: {problem}')
        for id, problem in zip(ids, problems, strict=True)
        if problem
    ]


def _note(text: str) -> str:
    """One printable line, cut where it goes on and on."""
    if len(text) > _LONGEST_NOTE:
        text = f'{text[: _LONGEST_NOTE - 1]}…'
    return printable(text).replace('\n', ' ')


def _seconds(raw: Mapping, field: str, count: int, where: str) -> np.ndarray | None:
    if field not in raw:
        return None
    where = f'{where}: {field}'
    fields.check_count(raw[field], count, where)
    with np.errstate(over='ignore'):  # what leaves float32 is refused below
        seconds = fields.numbers(raw[field], where).astype(np.float32)
    if seconds.ndim != 1 or not np.isfinite(seconds).all():
        raise UserError(f'{where} must be {count} finite numbers of seconds.')
    return seconds
