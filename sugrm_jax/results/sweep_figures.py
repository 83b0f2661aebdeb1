"""The pictures of a sweep: spread over seeds, and validation by epoch."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator

from sugrm_jax.results.figures import styled

REFERENCE, OTHER = '#d55e00', '#0072b2'
WRAP = 26  # letters of a label in one line
COLUMNS = 3  # of the panels of validation curves


def _wrapped(label: str) -> str:
    # Two dollar signs would make a formula.
    return '\n'.join(textwrap.wrap(label, WRAP)).replace('$', r'\$')


@styled
def boxes(
    metrics: Mapping[str, Mapping[str, Sequence[float]]],
    reference: str,
    most: Mapping[str, float] | None = None,
) -> Figure:
    """Every run as a point, a box per system, one panel per metric.

    Args:
      metrics: by the panel's title, by label, one value a seed; NaN is left out.
      reference: label drawn in the other colour, with a line at its mean.
      most: by title, the largest value that a metric can have, where there is one.
    """
    labels = [_wrapped(label) for label in next(iter(metrics.values()))]
    # Rows are equally high, high enough for the label of most lines.
    row = max(0.42, 0.08 + 0.17 * max(label.count('\n') + 1 for label in labels))
    figure = Figure(figsize=(11, 0.9 + row * len(labels)), layout='constrained')
    axes = figure.subplots(1, len(metrics), sharey=True, squeeze=False)[0]
    for ax, (title, values) in zip(axes, metrics.items(), strict=True):
        for row, (label, found) in enumerate(values.items()):
            x = np.array([value for value in found if not math.isnan(value)])
            colour = REFERENCE if label == reference else OTHER
            _box(ax, row, x, colour)
            if label == reference and len(x):
                ax.axvline(x.mean(), color=colour, linewidth=1, linestyle=':')
        ax.set_title(title)
        ax.set_xlim(right=min(ax.get_xlim()[1], (most or {}).get(title, math.inf)))
        ax.xaxis.set_major_locator(MaxNLocator(nbins=6))
        ax.grid(axis='y', visible=False)
    axes[0].set_yticks(range(len(labels)), labels)
    axes[0].set_ylim(len(labels) - 0.4, -0.6)
    return figure


def _box(ax: Axes, row: int, x: np.ndarray, colour: str) -> None:
    """Points, their mean, and from three on the box of their quartiles."""
    if len(x) >= 3:
        line = {'color': colour, 'linewidth': 1}
        ax.boxplot(
            x,
            positions=[row],
            orientation='horizontal',
            widths=0.55,
            showfliers=False,
            patch_artist=True,
            manage_ticks=False,
            boxprops={'facecolor': f'{colour}22', 'edgecolor': colour, 'linewidth': 1},
            medianprops=line,
            whiskerprops=line,
            capprops=line,
        )
    style = {'color': colour, 'alpha': 0.75, 'linewidths': 0, 'zorder': 3}
    style['clip_on'] = False  # of a point on the edge one half would be missing
    ax.scatter(x, np.full(len(x), row), s=26, **style)
    if len(x):
        ax.scatter(x.mean(), row, marker='|', s=260, color=colour, zorder=4)


@styled
def validation_curves(
    histories: Mapping[str, Sequence[Sequence[Mapping[str, Any]]]], reference: str
) -> Figure:
    """Validation MAE by epoch, one panel per system, all on the same scales.

    Args:
      histories: by label, for each seed the rows of its `metrics.jsonl`, at least one.
      reference: label whose mean is repeated in every panel.
    """
    rows = math.ceil(len(histories) / COLUMNS)
    columns = min(COLUMNS, len(histories))
    figure = Figure(figsize=(11, 0.7 + 2.5 * rows), layout='constrained')
    axes = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False)
    for ax in axes.flat[len(histories) :]:
        ax.set_visible(False)
    for ax, (label, seeds) in zip(axes.flat, histories.items(), strict=False):
        if label != reference and reference in histories:
            epochs, mean, _ = _band(histories[reference])
            ax.plot(epochs, mean, color='#888888', linestyle='--', linewidth=1.4)
        _seeds(ax, seeds, REFERENCE if label == reference else OTHER)
        ax.set_title(_wrapped(label), fontsize=10)
        ax.xaxis.set_major_locator(MaxNLocator(nbins=6, integer=True, min_n_ticks=1))
    for i, ax in enumerate(axes.flat[: len(histories)]):
        # The last panel of a column names the axis, also where the grid has gaps.
        if i + columns >= len(histories):
            ax.set_xlabel('epoch')
            ax.tick_params(labelbottom=True)
    for ax in axes[:, 0]:
        ax.set_ylabel('validation MAE')
    _key(figure, reference)
    return figure


def _valid(history: Sequence[Mapping[str, Any]]) -> np.ndarray:
    return np.array([row['valid']['mae'] for row in history], float)


def _band(
    seeds: Sequence[Sequence[Mapping[str, Any]]],
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Epochs that every seed reached, mean `[E]` and all values `[S, E]` there."""
    shortest = min(map(len, seeds))
    values = np.stack([_valid(history)[:shortest] for history in seeds])
    return np.arange(1, shortest + 1), values.mean(0), values


def _seeds(ax: Axes, seeds: Sequence[Sequence[Mapping[str, Any]]], colour: str) -> None:
    """Mean and band where all seeds go on, thin lines to the end of each."""
    epochs, mean, values = _band(seeds)
    ax.fill_between(
        epochs, values.min(0), values.max(0), color=colour, alpha=0.18, linewidth=0
    )
    ax.plot(epochs, mean, color=colour, marker='o' if len(epochs) == 1 else None)
    for history in seeds:
        y = _valid(history)
        ax.plot(range(1, len(y) + 1), y, color=colour, linewidth=0.6, alpha=0.7)
        best = int(np.nanargmin(y)) if np.isfinite(y).any() else 0
        ax.plot(best + 1, y[best], '.', color=colour, markersize=7)


def _key(figure: Figure, reference: str) -> None:
    name = _wrapped(textwrap.shorten(reference, WRAP, placeholder='…'))
    handles = [
        Line2D([], [], color=OTHER, label='mean over seeds'),
        Patch(color=OTHER, alpha=0.18, label='smallest to largest'),
        Line2D([], [], color=OTHER, linewidth=0.6, marker='.', label='each, its best'),
        Line2D([], [], color='#888888', linestyle='--', label=f'mean of {name}'),
    ]
    figure.legend(handles=handles, loc='outside lower center', ncols=len(handles))
