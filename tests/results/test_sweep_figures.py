import itertools
import re

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.text import Text

from sugrm_jax.results.figures import styled
from sugrm_jax.results.sweep_figures import boxes, validation_curves

LONG = r'MAG-BERT with a very long label, aligned by pooling of $\frac$ step'
LABELS = [f'system {i}' for i in range(8)] + [LONG, 'W' * 70]


def cut_off(figure):
    """Words of a figure that leave it."""
    canvas = FigureCanvasAgg(figure)
    styled(canvas.draw)()
    page = figure.bbox.padded(1)
    found = []
    for text in figure.findobj(Text):
        # Numbers of ticks beyond the limits are never drawn.
        if re.search('[a-z]', text.get_text(), re.I) and text.get_visible():
            box = text.get_window_extent(canvas.get_renderer())
            if not (page.contains(*box.min) and page.contains(*box.max)):
                found.append(text.get_text())
    return found


@pytest.mark.parametrize('labels', [LABELS, [LONG]])
def test_no_words_are_cut_off(labels):
    rng = np.random.default_rng(0)
    values = {title: {x: rng.random(3) for x in labels} for title in ('MAE', 'Acc2')}
    figure = boxes(values, labels[-1])
    assert not cut_off(figure)
    ticks = figure.axes[0].get_yticklabels()
    canvas = FigureCanvasAgg(figure)
    extents = [tick.get_window_extent(canvas.get_renderer()) for tick in ticks]
    # From the top down, none reaches into the next.
    for upper, lower in itertools.pairwise(extents):
        assert upper.y0 > lower.y1
    histories = {x: [rows(*rng.random(4)) for _ in range(2)] for x in labels}
    assert not cut_off(validation_curves(histories, labels[-1]))


def test_an_axis_ends_where_its_metric_does():
    metrics = {'MAE': {'a': [1.0, 1.5]}, '%': {'a': [96.0, 100.0]}}
    error, accuracy = boxes(metrics, 'a', {'%': 100}).axes
    assert accuracy.get_xlim()[1] == 100 and error.get_xlim()[1] > 1.5


def test_boxes_show_every_run_and_a_box_from_three_on():
    metrics = {'MAE': {'a': [1, 2, 4], 'b': [3, float('nan')], 'c': []}}
    (ax,) = boxes(metrics, 'a').axes
    labels = [label.get_text() for label in ax.get_yticklabels()]
    assert labels == ['a', 'b', 'c'] and len(ax.patches) == 1
    points = np.concatenate([x.get_offsets() for x in ax.collections])
    # Runs and, on top of them, means.
    assert sorted(points.tolist()) == sorted(
        [[1, 0], [2, 0], [4, 0], [7 / 3, 0], [3, 1], [3, 1]]
    )
    (line,) = [x for x in ax.lines if x.get_linestyle() == ':']
    assert line.get_xdata()[0] == pytest.approx(7 / 3)


def rows(*maes):
    return [{'valid': {'mae': mae}} for mae in maes]


def test_validation_mean_ends_with_the_shortest_seed():
    histories = {
        'long label of a system that needs two lines': [rows(3, 2), rows(5, 4, 1)],
        'SUGRM': [rows(2, 1)],
    }
    first, second, *_ = validation_curves(histories, 'SUGRM').axes
    assert '\n' in first.get_title()
    reference, mean, *single = first.lines
    assert list(reference.get_ydata()) == [2, 1]
    assert list(mean.get_xdata()) == [1, 2] and list(mean.get_ydata()) == [4, 3]
    assert list(single[2].get_ydata()) == [5, 4, 1]
    assert list(single[3].get_xdata()) == [3]  # its best epoch
    assert len(second.lines) == 3  # its mean, its seed, the best epoch
