"""Predictions for people and for other programs."""

from __future__ import annotations

import csv
import io
import pathlib
from typing import Any

import numpy as np
from rich.table import Table
from rich.text import Text

from sugrm_jax.prediction.samples import Found
from sugrm_jax.results import files
from sugrm_jax.terminal import cell
from sugrm_jax.types import TASKS

# Utterances that the table on the terminal shows; files have them all.
SHOWN = 40
# What to do about a file that cannot be written, besides making room.
OTHERWISE = 'name another file'
TIMES = ('start', 'end')
# What gives way on a narrow terminal: numbers are shown whole.
WORDS = ('id', 'text')

Row = dict[str, Any]


def rows(found: Found, predictions: dict[str, np.ndarray]) -> list[Row]:
    """By utterance: `id`, `text`, where known `start` and `end` in seconds, and tasks.

    Args:
      found: the utterances.
      predictions: by task, `[N]`; None stands for what is NaN.
    """
    columns = {'id': found.split.ids, 'text': found.split.raw_text}
    for name in TIMES:
        if (times := getattr(found, name)) is not None:
            columns[name] = times.tolist()
    for task in TASKS:
        if task in predictions:
            columns[task] = files.json_ready(predictions[task])
    return [
        dict(zip(columns, row, strict=True))
        for row in zip(*columns.values(), strict=True)
    ]


def table(found: list[Row]) -> Table:
    """The first rows; m is the multimodal sentiment, the others the modalities' own."""
    shown = Table(box=None, pad_edge=False)
    names = list(found[0])
    cells = [[_cell(name, row[name]) for name in names] for row in found[:SHOWN]]
    for name, column in zip(names, zip(*cells, strict=True), strict=True):
        if name in WORDS:
            shown.add_column(name, max_width=40, overflow='ellipsis')
        else:
            width = max(5, *map(len, column))
            shown.add_column(name, justify='right', no_wrap=True, min_width=width)
    for row in cells:
        shown.add_row(*row)
    if len(found) > SHOWN:
        shown.caption = f'and {len(found) - SHOWN} more, which --out=FILE.csv holds'
    return shown


def _cell(name: str, value: Any) -> Text:
    text = cell(value) if name in WORDS else Text(_number(name, value))
    # Of columns, the table narrows only those that may wrap.
    text.no_wrap = True
    return text


def _number(name: str, value: float | None) -> str:
    if value is None:
        return '–'
    return f'{value:.1f}' if name in TIMES else f'{value:+.2f}'


def write(path: pathlib.Path, found: list[Row]) -> None:
    """Writes all rows as CSV or JSON, by the path's ending.

    Raises:
      UserError: the disk refused.
    """
    if path.suffix == '.json':
        return files.write_json(path, found, OTHERWISE)
    out = io.StringIO(newline='')
    writer = csv.DictWriter(out, list(found[0]))
    writer.writeheader()
    # None stays empty; the shortest text that reads back as the same float32.
    writer.writerows(
        {k: str(np.float32(x)) if isinstance(x, float) else x for k, x in row.items()}
        for row in found
    )
    content = out.getvalue().encode('utf-8', 'backslashreplace')
    files.write_bytes(path, content, OTHERWISE)
