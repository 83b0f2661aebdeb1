"""What is in this file? A report on a data file in MMSA format, for a reader."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from sugrm_jax.data import fields, mmsa
from sugrm_jax.data.stored import Stored
from sugrm_jax.data.text import no_tokens
from sugrm_jax.types import Dataset, Split

_BAR = 16


def report(path: str | os.PathLike, *, label_range: float = 3.0) -> str:
    """Describes a data file: shapes, lengths, labels, bad values, shared ids.

    Args:
      path: a pickle in MMSA format, or the folder that `convert` made of it.
      label_range: labels lie in `[-label_range, label_range]`.

    Raises:
      UserError: the file cannot be read or used (`mmsa.load_dataset`).
    """
    raw, sha256 = mmsa.read(path)
    dataset = mmsa.make_dataset(
        raw,
        path=os.fspath(path),
        sha256=sha256,
        label_range=label_range,
        tokenizer=no_tokens,
    )
    known = mmsa.KNOWN_FILES.get(dataset.sha256)
    sections = [
        f'{path}\nSHA-256 {dataset.sha256}\n'
        + (f'This is {known}.' if known else 'This is not one of the known files.'),
        'Fields as stored (N utterances first)\n' + _table(_field_rows(raw)),
        'Lengths in steps, without absent modalities (min / median / max)\n'
        + _table(_length_rows(dataset, raw)),
        'Utterances by label\n' + _table(_label_rows(dataset)),
        f'Unimodal labels: {_unimodal(dataset.train)}',
        'What was mended or is odd (looked for: features not finite or too large,\n'
        'absent modalities, features beyond the length, ids in more than one split)\n'
        + _bullets(dataset.notes),
    ]
    return '\n\n'.join(sections)


def histogram(label: np.ndarray, label_range: float) -> list[tuple[float, int]]:
    """Labels counted by the nearest of seven sentiments, halves to the even one.

    Args:
      label: `[N]`.
      label_range: labels lie in `[-label_range, label_range]`.

    Returns:
      Sentiment and count, from strongly negative to strongly positive.
    """
    nearest = np.round(label * 3 / label_range).astype(int)
    return [(k * label_range / 3, int((nearest == k).sum())) for k in range(-3, 4)]


def _field_rows(raw: Mapping) -> list[list[str]]:
    names = dict.fromkeys(field for split in mmsa.SPLITS for field in raw[split])
    return [['', *mmsa.SPLITS]] + [
        [str(name), *(_stored(raw[split].get(name)) for split in mmsa.SPLITS)]
        for name in names
    ]


def _stored(value: Any) -> str:
    if value is None:
        return '—'
    if isinstance(value, fields.Sequences):
        value = value.array
    if isinstance(value, np.ndarray | Stored):
        kind = {'U': 'text', 'S': 'bytes', 'O': 'objects'}
        return f'{kind.get(value.dtype.kind, value.dtype.name)} {fields.shape(value)}'
    if isinstance(value, list | tuple):
        return f'{type(value).__name__} [{len(value)}]'
    return type(value).__name__


def _length_rows(dataset: Dataset, raw: Mapping) -> list[list[str]]:
    rows = [['', *mmsa.SPLITS]]
    if all('text_bert' in raw[name] for name in mmsa.SPLITS):
        texts = [split.tokens[:, 1].sum(axis=1) for split in dataset.splits.values()]
        rows.append(['text tokens', *map(_spread, texts)])
    else:
        rows.append(['text tokens', *['not tokenised'] * 3])
    for field in ('audio', 'vision'):
        lengths = [getattr(s, f'{field}_length') for s in dataset.splits.values()]
        source = 'stored' if f'{field}_lengths' in raw['train'] else 'by last step'
        rows.append([f'{field} ({source})', *map(_spread, lengths)])
        rows.append([f'{field} absent', *(str((n == 0).sum()) for n in lengths)])
    return rows


def _spread(length: np.ndarray) -> str:
    real = length[length > 0]
    if not len(real):
        return 'none'
    return f'{real.min()} / {np.median(real):g} / {real.max()}'


def _label_rows(dataset: Dataset) -> list[list[str]]:
    splits, limit = dataset.splits.values(), dataset.label_range
    counts = [histogram(split.label, limit) for split in splits]
    rows = [['nearest', *mmsa.SPLITS]]
    for bins in zip(*counts, strict=True):
        cells = [
            _bar(count, max(n for _, n in column))
            for (_, count), column in zip(bins, counts, strict=True)
        ]
        rows.append([f'{bins[0][0]:.3g}', *cells])
    for value in (limit, -limit):
        exact = (int((split.label == value).sum()) for split in splits)
        rows.append([f'exactly {value:g}', *(f'{count:5d}' for count in exact)])
    moments = (f'{s.label.mean():5.2f} ± {s.label.std():.2f}' for s in splits)
    rows.append(['mean ± std', *moments])
    return rows


def _unimodal(split: Split) -> str:
    names = {'t': 'text', 'a': 'audio', 'v': 'vision'}
    return ', '.join(names[s] for s in split.unimodal) or 'none'


def _bar(count: int, largest: int) -> str:
    return f'{count:5d} {"█" * round(_BAR * count / largest)}'


def _table(rows: list[list[str]]) -> str:
    """Rows of cells as lines with aligned columns."""
    columns = max(map(len, rows))
    rows = [row + [''] * (columns - len(row)) for row in rows]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = (
        '  '.join(cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        for row in rows
    )
    return '\n'.join(f'  {line}'.rstrip() for line in lines)


def _bullets(notes: Sequence[str]) -> str:
    return '\n'.join(f'  - {note}' for note in notes) or '  nothing'
