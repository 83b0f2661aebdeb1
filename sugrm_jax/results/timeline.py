"""Sentiment over the time of a clip."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from sugrm_jax.results.figures import COLOURS, NAMES, png, styled
from sugrm_jax.types import TASKS

__all__ = ['png', 'timeline']


@styled
def timeline(rows: Sequence[Mapping[str, Any]], limit: float, title: str) -> Figure:
    """A panel for each task, with a step for every utterance.

    Args:
      rows: `text` and predictions by task, None where there is none; `start` and `end`
        in seconds, or else utterances stand side by side.
      limit: labels lie in ± this.
      title: of the picture.
    """
    tasks = [task for task in TASKS if task in rows[0]]
    figure = Figure(figsize=(9, 1.2 + 1.3 * len(tasks)), layout='constrained')
    axes = figure.subplots(len(tasks), 1, sharex=True, squeeze=False)[:, 0]
    timed = 'start' in rows[0] and 'end' in rows[0]
    start = np.array([r['start'] if timed else i for i, r in enumerate(rows)], float)
    end = np.array([r['end'] if timed else i + 1 for i, r in enumerate(rows)], float)
    values = np.array([[row[task] for row in rows] for task in tasks], float)
    # One scale for all: bars compare from panel to panel.
    reach = 1.05 * max(limit, np.nanmax(np.abs(values), initial=0))
    for ax, task, found in zip(axes, tasks, values, strict=True):
        _panel(ax, start, end, found, COLOURS[task])
        ax.set_ylim(-reach, reach)
        ax.set_ylabel(NAMES[task])
    axes[-1].set_xlabel('seconds' if timed else 'utterance')
    axes[-1].set_xlim(start.min(), end.max())
    # A file may have dollar signs in its name, which are no formula.
    words = f'Predicted sentiment: {title}'
    figure.suptitle(words, fontweight='bold', parse_math=False)
    return figure


def _panel(
    ax: Axes, start: np.ndarray, end: np.ndarray, values: np.ndarray, colour: str
) -> None:
    """Bars from 0 to each value over its time, with a line along their ends."""
    known = np.isfinite(values)
    bars = dict(align='edge', color=colour, alpha=0.25, linewidth=0)
    ax.bar(start[known], values[known], (end - start)[known], **bars)
    ax.hlines(values[known], start[known], end[known], color=colour, linewidth=2)
    ax.axhline(0, color='#666666', linewidth=0.8)
