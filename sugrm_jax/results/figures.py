"""The pictures of a run, one function each, drawn from the files of the run.

Every function returns a matplotlib `Figure` made without pyplot, so nothing global
is touched and no display is needed; `png` turns it into bytes.
"""

from __future__ import annotations

import io
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import LinearSegmentedColormap, Normalize
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from sugrm_jax.metrics import pearson
from sugrm_jax.results.numbers import minus, number
from sugrm_jax.results.unimodal import error, known
from sugrm_jax.types import MODALITIES

NAMES = {'m': 'multimodal', 't': 'text', 'a': 'audio', 'v': 'vision'}
# Okabe and Ito's colours, told apart by colour-blind readers too.
COLOURS = {'m': '#222222', 't': '#0072b2', 'a': '#d55e00', 'v': '#009e73'}
SENTIMENT = LinearSegmentedColormap.from_list(
    'sentiment', ['#b2182b', '#d6604d', '#777777', '#4393c3', '#2166ac']
)
PATHS = 9  # single samples drawn in `label_paths`

STYLE = {
    'font.size': 10,
    'axes.titlesize': 11,
    'axes.titleweight': 'bold',
    'axes.spines.top': False,
    'axes.spines.right': False,
    'axes.edgecolor': '#666666',
    'axes.grid': True,
    'axes.axisbelow': True,
    'grid.color': '#e6e6e6',
    'legend.frameon': False,
    'lines.linewidth': 1.8,
    'figure.constrained_layout.w_pad': 0.1,
    'figure.constrained_layout.h_pad': 0.08,
}
styled = matplotlib.rc_context(STYLE)


@styled
def png(figure: Figure) -> bytes:
    """The figure as a PNG of 150 dots per inch."""
    out = io.BytesIO()
    figure.savefig(out, format='png', dpi=150)
    return out.getvalue()


def _figure(width: float, height: float) -> Figure:
    return Figure(figsize=(width, height), layout='constrained')


def _epochs(ax: Axes, count: int) -> None:
    ax.set_xlim(0.5, count + 0.5)
    ax.xaxis.set_major_locator(MaxNLocator(nbins=8, integer=True, min_n_ticks=1))


def _say(ax: Axes, words: str) -> None:
    ax.grid(False)
    style = {'transform': ax.transAxes, 'ha': 'center', 'color': '#666666'}
    ax.text(0.5, 0.5, words, bbox={'color': 'white'}, **style)


def _number(value: float) -> str:
    return minus(number(value, undefined='undefined'))


def _reach(*arrays: np.ndarray) -> float:
    """The largest finite magnitude, rounded up to the next half."""
    values = np.abs(np.concatenate([np.ravel(array) for array in arrays]))
    return max(math.ceil(2 * values[np.isfinite(values)].max(initial=0)) / 2, 0.5)


def _line(ax: Axes, x: Sequence[int], y: Sequence[float | None], **style: Any) -> None:
    # As float, None becomes NaN, which leaves a gap. Markers keep a lone epoch, or one
    # between undefined ones, in sight.
    ax.plot(x, np.array(y, float), **{'marker': 'o', 'markersize': 3.5} | style)


def _terms(names: Iterable[str]) -> Iterator[tuple[str, dict[str, Any]]]:
    """The loss, then its terms by task, then any others, each with its style."""
    order = ('loss', *NAMES)
    for name in sorted(names, key=lambda x: order.index(x) if x in order else 9):
        if name == 'loss':
            style = {'color': '#999999', 'linestyle': '--', 'label': 'all together'}
            yield name, style
        elif name in NAMES:
            yield name, {'color': COLOURS[name], 'label': NAMES[name]}
        else:
            yield name, {'label': name}


@styled
def curves(history: Sequence[Mapping[str, Any]]) -> Figure:
    """Training loss and validation metrics per epoch, the best epoch marked.

    Args:
      history: the rows of `metrics.jsonl`, at least one.
    """
    figure = _figure(11, 3.9)
    loss, mae, corr = figure.subplots(1, 3)
    epochs = [row['epoch'] for row in history]
    for part, style in _terms(history[0]['train']):
        _line(loss, epochs, [row['train'][part] for row in history], **style)
    loss.set(title='Training loss', ylabel='loss per sample')
    # Below, where no line passes: that of the best epoch may be anywhere.
    drawn = loss.get_legend_handles_labels()
    figure.legend(*drawn, loc='outside lower left', ncols=len(drawn[0]), fontsize=9)
    for ax, name in ((mae, 'mae'), (corr, 'corr')):
        values = [row['valid'][name] for row in history]
        _line(ax, epochs, values, color=COLOURS['m'])
        if np.isnan(np.array(values, float)).all():
            _say(ax, 'undefined: constant predictions')
    mae.set(title='Validation error', ylabel='mean absolute error (label points)')
    corr.set(title='Validation correlation', ylabel="Pearson's r")
    best = max((row['epoch'] for row in history if row['best']), default=None)
    for ax in (loss, mae, corr):
        _epochs(ax, max(epochs))
        ax.set_xlabel('epoch')
        if best is not None:
            ax.axvline(best, color='#cc79a7', linewidth=1.5, zorder=0)
            place = {'xy': (best, 1), 'xycoords': ax.get_xaxis_transform()}
            style = {'va': 'bottom', 'ha': 'center', 'color': '#a3477c'}
            ax.annotate(f'best epoch: {best}', **place, **style)
            ax.set_title(ax.get_title(), pad=18)
    return figure


def _distribution(ax: Axes, generated: np.ndarray, reach: float) -> Any:
    """Heat map of `[epochs, N]` labels: smoothed density, quartiles as lines."""
    rows = [row[np.isfinite(row)] for row in generated]
    edges = np.linspace(-reach, reach, 121)
    centres = (edges[:-1] + edges[1:]) / 2
    counts = np.stack([np.histogram(row, edges)[0] for row in rows])
    # Annotators' labels lie on a grid of steps, which bins alone would show as stripes.
    kernel = np.exp(-0.5 * ((centres[:, None] - centres) / (0.05 * reach)) ** 2)
    kernel /= kernel.sum(axis=1, keepdims=True) * (edges[1] - edges[0])
    density = 100 * counts / counts.sum(axis=1, keepdims=True) @ kernel
    x = np.arange(1, len(rows) + 1)
    for q, dash in ((25, ':'), (50, '-'), (75, ':')):
        values = [np.percentile(row, q) for row in rows]
        _line(ax, x, values, color='#d55e00', linestyle=dash, markersize=2)
    steps = np.arange(len(rows) + 1) + 0.5
    return ax.pcolormesh(steps, edges, density.T, cmap='Blues', vmin=0)


def _sentiments(m: np.ndarray) -> ScalarMappable:
    """The colours of the labels `y_m`."""
    reach = _reach(m)
    return ScalarMappable(Normalize(-reach, reach), SENTIMENT)


def _paths(ax: Axes, generated: np.ndarray, picks: np.ndarray, m: np.ndarray) -> None:
    """Single samples' `[epochs, N]` labels, coloured by their `y_m`."""
    epochs = np.arange(1, len(generated) + 1)
    for i, colour in zip(picks, _sentiments(m).to_rgba(m[picks]), strict=True):
        _line(ax, epochs, generated[:, i], color=colour)


def _generated(labels: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Generated labels `[epochs, N]` of the modalities that have them."""
    return {s: labels[s] for s in MODALITIES if s in labels}


def _picks(labels: Mapping[str, np.ndarray]) -> np.ndarray:
    """Samples spread evenly over `y_m`, among those with the most modalities."""
    last = [np.isfinite(x[-1]).astype(int) for x in _generated(labels).values()]
    present = sum(last)
    fullest = np.flatnonzero(present == present.max())
    order = fullest[np.argsort(labels['m'][fullest], kind='stable')]
    spread = np.linspace(0, len(order) - 1, min(PATHS, len(order)))
    return order[spread.round().astype(int)]


@styled
def label_paths(labels: Mapping[str, np.ndarray]) -> Figure:
    """How the generated labels of each modality move and settle (paper, figure 4).

    Rows: their distribution at every epoch; the paths of a few samples; the mean
    change from one epoch to the next. Columns: text, audio, vision, those of them
    that have generated labels.

    Args:
      labels: the arrays of `labels.npz`.
    """
    figure = _figure(11, 9)
    every = _generated(labels)
    axes = figure.subplots(3, len(every), sharex=True, sharey='row', squeeze=False)
    reach = 1.05 * _reach(*every.values())
    picks, meshes = _picks(labels), []
    for (s, generated), (spread, single, change) in zip(
        every.items(), axes.T, strict=True
    ):
        spread.set_title(f'{NAMES[s]}: all samples')
        single.set_title(f'{NAMES[s]}: {len(picks)} single samples')
        change.set_title(f'{NAMES[s]}: change per epoch')
        if not np.isfinite(generated).any():
            for ax in (spread, single, change):
                _say(ax, 'absent from this data')
            continue
        meshes.append(_distribution(spread, generated, reach))
        _paths(single, generated, picks, labels['m'])
        step = np.abs(np.diff(generated, axis=0))[:, np.isfinite(generated[-1])]
        epochs = range(2, len(generated) + 1)
        _line(change, epochs, step.mean(axis=1), color=COLOURS[s])
        if len(generated) == 1:
            _say(change, 'one epoch: no change yet')
    _finish_paths(figure, axes, meshes, reach, labels)
    return figure


def _finish_paths(
    figure: Figure,
    axes: np.ndarray,
    meshes: list[Any],
    reach: float,
    labels: Mapping[str, np.ndarray],
) -> None:
    """Scales shared by the panels of `label_paths`, and their names."""
    top = max((mesh.get_array().max() for mesh in meshes), default=1)
    for mesh in meshes:
        mesh.set_clim(0, top)
    if meshes:
        for row, colours, name in (
            (axes[0], meshes[0], 'samples (% per label point)'),
            (axes[1], _sentiments(labels['m']), 'multimodal label $y_m$'),
        ):
            figure.colorbar(colours, ax=row, label=name, pad=0.01)
    for ax in axes[:2].flat:
        ax.set_ylim(-reach, reach)
    axes[2, 0].set_ylim(bottom=0)
    for ax in axes[2]:
        _epochs(ax, len(next(iter(_generated(labels).values()))))
        ax.set_xlabel('epoch')
    axes[0, 0].set_ylabel('generated label')
    axes[1, 0].set_ylabel('generated label')
    axes[2, 0].set_ylabel('mean change (label points)')


def _scatter(ax: Axes, x: np.ndarray, y: np.ndarray, reach: float, colour: str) -> None:
    """Points around the identity line, denser sets drawn fainter and smaller."""
    ax.plot([-reach, reach], [-reach, reach], color='#888888', linewidth=1, zorder=1)
    faint = float(np.clip(12 / math.sqrt(max(len(x), 1)), 0.15, 0.8))
    size = float(np.clip(400 / math.sqrt(max(len(x), 1)), 6, 36))
    ax.scatter(x, y, s=size, color=colour, alpha=faint, linewidths=0, zorder=2)
    ax.set(xlim=(-reach, reach), ylim=(-reach, reach), aspect='equal')


@styled
def predicted_true(predictions: Sequence[Mapping[str, Any]]) -> Figure:
    """Predicted against annotated sentiment, test and valid, wrong signs shaded.

    Args:
      predictions: the rows of `predictions.csv`.
    """
    figure = _figure(10, 5.2)
    every = [(row['label'], row['m']) for row in predictions]
    reach = 1.08 * _reach(np.array(every))
    for ax, split in zip(figure.subplots(1, 2), ('test', 'valid'), strict=True):
        pairs = [
            (row['label'], row['m']) for row in predictions if row['split'] == split
        ]
        y, p = np.array(pairs).reshape(-1, 2).T
        for x in (-reach, 0):
            corner = [x, x + reach], -x - reach, -x
            ax.fill_between(*corner, color='#f1e4d8', linewidth=0, zorder=0)
        style = {'transform': ax.transAxes, 'color': '#8a5a2b', 'fontsize': 9}
        ax.text(0.02, 0.97, 'wrongly positive', va='top', **style)
        ax.text(0.98, 0.03, 'wrongly negative', ha='right', **style)
        _scatter(ax, y, p, reach, COLOURS['t'])
        r, mae = _number(pearson(p, y)), _number(error(p, y))
        ax.set_title(f'{split}: MAE {mae}, r {r}, n = {len(y)}')
        ax.set(xlabel='annotated sentiment', ylabel='predicted sentiment')
    return figure


@styled
def planted(labels: Mapping[str, np.ndarray], epoch: int | None = None) -> Figure:
    """Generated labels, and below them `y_m`, against known unimodal labels.

    Args:
      labels: the arrays of `labels.npz`, some `truth_s` among them.
      epoch: whose generated labels, counted from 1; the last by default.
    """
    figure = _figure(11, 8)
    axes = figure.subplots(2, 3, sharex=True, sharey=True)
    triples = {s: known(labels, s, epoch) for s in MODALITIES}
    reach = _reach(*(array for three in triples.values() for array in three or ()))
    for s, column in zip(MODALITIES, axes.T, strict=True):
        if triples[s] is None:
            for ax in column:
                _say(ax, 'no known labels')
                ax.set_aspect('equal')
            continue
        *guesses, truth = triples[s]
        for ax, guess, name in zip(
            column, guesses, ('generated', '$y_m$'), strict=True
        ):
            colour = COLOURS[s] if name == 'generated' else '#666666'
            _scatter(ax, truth, guess, reach * 1.05, colour)
            r, mae = _number(pearson(guess, truth)), _number(error(guess, truth))
            ax.set_title(f'{NAMES[s]}: {name}\nr {r}, MAE {mae}')
        column[1].set_xlabel(f'known {NAMES[s]} label')
    axes[0, 0].set_ylabel('generated label')
    axes[1, 0].set_ylabel('multimodal label $y_m$')
    return figure
