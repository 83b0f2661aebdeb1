"""The report's table of what happens without a modality."""

import pytest

from sugrm_jax.results import figures, files, page
from tests.results.conftest import METRICS
from tests.results.test_report_page import read

TITLE = 'What happens without a modality'


@pytest.fixture
def report(run, tiny, monkeypatch):
    """The page's path, given the field `robustness` of the results."""
    monkeypatch.setattr(figures, 'png', lambda figure: b'picture')

    def write(field):
        files.write_json(run / files.RESULTS, tiny['results']() | field)
        return page.write_report(run)

    return write


def test_figures_and_their_differences_to_the_unchanged_split(report):
    worse = METRICS | {'mae': 1.0, 'corr': 0.5, 'acc2_non0': 0.7, 'f1_non0': 0.804}
    field = {
        'removed': {'t': worse, 'a': METRICS, 'v': None},
        'noise': {'t': None, 'a': None, 'v': worse | {'corr': None}},
    }
    path = report({'robustness': field})
    assert TITLE in path.read_text('utf-8')
    tables = [x for x in read(path).tables if x[0][0] == 'test split']
    ((heads, plain, *others),) = tables
    assert [head.partition(',')[0] for head in heads[1:]] == [
        'mean absolute error',
        'correlation',
        'accuracy',
        'F1',
    ]
    assert plain == ['unchanged', '0.812', '–', '80.3 %', '80.4 %']
    # A correlation with none to compare with has no difference.
    assert others == [
        ['without text', '1.000+0.188', '0.500', '70.0 %−10.3', '80.4 %+0.0'],
        ['without audio', '0.812+0.000', '0.750', '80.3 %+0.0', '80.4 %+0.0'],
        [
            'vision of another utterance',
            '1.000+0.188',
            '–',
            '70.0 %−10.3',
            '80.4 %+0.0',
        ],
    ]


NOTHING = dict.fromkeys('tav')


@pytest.mark.parametrize(
    # As in runs of before it was measured, and of a system that can do nothing of it.
    'field',
    [{}, {'robustness': {'removed': NOTHING, 'noise': NOTHING}}],
)
def test_nothing_is_said_where_nothing_was_measured(report, field):
    assert TITLE not in report(field).read_text('utf-8')
