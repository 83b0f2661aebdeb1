import io

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.image import imread
from matplotlib.text import Text

from sugrm_jax.results import figures


def every_figure(tiny, epochs=3):
    labels = tiny['labels'](epochs)
    return {
        'curves': figures.curves(tiny['history'](epochs)),
        'label_paths': figures.label_paths(labels),
        'predicted_true': figures.predicted_true(tiny['predictions']()),
        'planted': figures.planted(labels),
    }


def line(ax, i=0):
    return ax.lines[i].get_ydata()


@pytest.mark.parametrize('epochs', [1, 3])
def test_figures_are_pictures_with_something_on_them(tiny, epochs):
    for figure in every_figure(tiny, epochs).values():
        content = figures.png(figure)
        assert content.startswith(b'\x89PNG\r\n\x1a\n')
        pixels = imread(io.BytesIO(content))
        width, height = figure.get_size_inches()
        assert pixels.shape[:2] == (round(150 * height), round(150 * width))
        # At least a percent of the picture is not its white ground.
        assert (pixels[..., :3] < 0.9).any(axis=-1).mean() > 0.01


def test_no_words_are_cut_off(tiny):
    for name, figure in every_figure(tiny).items():
        canvas = FigureCanvasAgg(figure)
        figures.styled(canvas.draw)()
        renderer = canvas.get_renderer()
        page = figure.bbox.padded(1)
        # Ticks outside the axes' limits are texts that are never drawn.
        ticks = {id(t) for ax in figure.axes for t in (*ax.get_xticklabels(),)}
        ticks |= {id(t) for ax in figure.axes for t in (*ax.get_yticklabels(),)}
        for text in figure.findobj(Text):
            if text.get_text() and text.get_visible() and id(text) not in ticks:
                box = text.get_window_extent(renderer)
                assert page.contains(box.x0, box.y0), (name, text)
                assert page.contains(box.x1, box.y1), (name, text)


def test_axes_are_named(tiny):
    for figure in every_figure(tiny).values():
        axes = [ax for ax in figure.axes if ax.get_subplotspec() is not None]
        for ax in axes:
            place = ax.get_subplotspec()
            # Panels that share a scale name it once, at the outer edge.
            if place.is_last_row():
                assert ax.get_xlabel()
            if place.is_first_col():
                assert ax.get_ylabel()


def test_curves_mark_the_best_epoch_and_leave_undefined_values_out(tiny):
    figure = figures.curves(tiny['history']())
    loss, mae, corr = figure.axes
    np.testing.assert_allclose(line(mae), [1, 1 / 2, 1 / 3])
    np.testing.assert_array_equal(line(corr), [np.nan, 0.5, 0.5])
    assert [text.get_text() for text in mae.texts] == ['best epoch: 2']
    legend = [text.get_text() for text in figure.legends[0].get_texts()]
    assert legend == ['all together', 'multimodal', 'text', 'audio', 'vision']
    # No line passes through it.
    figure.draw_without_rendering()
    assert not figure.legends[0].get_window_extent().overlaps(loss.bbox)


def test_curves_name_terms_in_one_order_and_by_their_own_names(tiny):
    """A compiled step reports its terms by the alphabet."""
    rows = tiny['history']()
    for row in rows:
        row['train'] = dict(sorted(row['train'].items())) | {'cycle': 2.0}
    figure = figures.curves(rows)
    loss, *_ = figure.axes
    legend = [text.get_text() for text in figure.legends[0].get_texts()]
    names = ['all together', 'multimodal', 'text', 'audio', 'vision', 'cycle']
    assert legend == names
    np.testing.assert_allclose(line(loss, 0), [4, 2, 4 / 3])


def test_curves_say_that_no_correlation_is_defined(tiny):
    *_, corr = figures.curves(tiny['history'](1)).axes
    assert 'undefined: constant predictions' in [t.get_text() for t in corr.texts]


def test_label_paths_show_how_far_labels_move(tiny):
    axes = np.array(figures.label_paths(tiny['labels']()).axes[:9]).reshape(3, 3)
    # Text moves by 1, then by 0.5; audio twice as far; vision not at all.
    for column, expected in enumerate(([1, 0.5], [2, 1], [0, 0])):
        np.testing.assert_allclose(line(axes[2, column]), expected)
        np.testing.assert_array_equal(axes[2, column].lines[0].get_xdata(), [2, 3])


def test_label_paths_density_counts_every_sample(tiny):
    spread = figures.label_paths(tiny['labels']()).axes[0]
    (mesh,) = spread.collections
    density = mesh.get_array()  # [bins, epochs], percent per label point
    low, high = spread.get_ylim()
    total = density.sum(axis=0) * (high - low) / len(density)
    # The kernel sums to one per bin of origin; edges take the part they would lose.
    np.testing.assert_allclose(total, 100, rtol=1e-9)
    # Median of y_m is 0; all text labels move up together.
    medians = [found for found in spread.lines if found.get_linestyle() == '-']
    np.testing.assert_allclose(medians[0].get_ydata(), [0, 1, 1.5])


def test_label_paths_pick_samples_over_the_whole_range(tiny):
    single = figures.label_paths(tiny['labels']()).axes[3]
    # Sample 0 lacks vision, so the other five are shown, in order of y_m.
    starts = [found.get_ydata()[0] for found in single.lines]
    assert starts == [-1, -0.5, 0.5, 1, 3]


def test_label_paths_have_a_key_to_the_colours(tiny):
    figure = figures.label_paths(tiny['labels']())
    density, sentiment = figure.axes[9:]
    assert density.get_ylabel() == 'samples (% per label point)'
    assert sentiment.get_ylabel() == 'multimodal label $y_m$'
    assert sentiment.get_ylim() == (-3, 3)
    # Of samples 1 to 5 the last, of y_m = 3, has the colour of the key's upper end.
    colour = figure.axes[3].lines[4].get_color()
    assert tuple(colour) == figures.SENTIMENT(1.0)


def test_label_paths_with_an_absent_modality(tiny):
    labels = tiny['labels']() | {'v': np.full((3, 6), np.nan, np.float32)}
    figure = figures.label_paths(labels)
    figures.png(figure)
    said = [[text.get_text() for text in ax.texts] for ax in figure.axes[:9]]
    assert said == [[], [], ['absent from this data']] * 3


def test_predicted_true_titles(tiny):
    predictions = [{'label': 1.0, 'm': 1.25, 'split': 'test'}]
    predictions += [{'label': -2.0, 'm': 1.0, 'split': 'test'}]
    test, valid = figures.predicted_true(predictions).axes
    assert test.get_title() == 'test: MAE 1.625, r 1.000, n = 2'
    assert valid.get_title() == 'valid: MAE undefined, r undefined, n = 0'


def test_wrong_signs_are_shaded(tiny):
    test, _ = figures.predicted_true(
        [{'label': 1.0, 'm': 1.25, 'split': 'test'}, {'label': 2, 'm': 1, 'split': 'x'}]
    ).axes
    shades = [found.get_paths()[0] for found in test.collections[:2]]
    inside = [[path.contains_point(p) for path in shades] for p in ((-1, 1), (1, -1))]
    assert inside == [[True, False], [False, True]]
    assert not any(
        path.contains_point(p) for path in shades for p in ((1, 1), (-1, -1))
    )


def test_planted_titles(tiny):
    titles = [ax.get_title() for ax in figures.planted(tiny['labels'](), 2).axes]
    assert titles == [
        'text: generated\nr 1.000, MAE 0.000',
        'audio: generated\nr −1.000, MAE 3.333',
        'vision: generated\nr 1.000, MAE 0.000',
        'text: $y_m$\nr 1.000, MAE 1.000',
        'audio: $y_m$\nr −1.000, MAE 3.000',
        'vision: $y_m$\nr 1.000, MAE 0.000',
    ]


def test_planted_without_one_truth(tiny):
    labels = tiny['labels']()
    del labels['truth_a']
    axes = figures.planted(labels).axes
    assert [text.get_text() for text in axes[1].texts] == ['no known labels']


def test_labels_of_some_modalities_only(tiny):
    """A model of fewer tasks: one column for each that has generated labels."""
    some = {k: x for k, x in tiny['labels']().items() if k not in ('t', 'v')}
    figure = figures.label_paths(some)
    titles = [ax.get_title() for ax in figure.axes if ax.get_title()]
    assert [title.split(':')[0] for title in titles] == ['audio'] * 3
