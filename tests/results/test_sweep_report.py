import base64
import json
import re

import numpy as np
import pytest

from sugrm_jax.errors import UserError
from sugrm_jax.results import figures, files, sweep_page, sweep_tables
from sugrm_jax.results.sweep_examples import furthest_apart, spread
from sugrm_jax.results.sweeps import read_sweep
from tests.results.synthetic import (
    REFERENCE,
    SENTENCES,
    SYSTEMS,
    change,
    history,
    remove,
    write_run,
    write_sweep,
)
from tests.results.test_report_page import HOSTILE, Reader


@pytest.fixture
def folder(tmp_path):
    """A finished sweep."""
    return write_sweep(tmp_path, SYSTEMS, table='2')


@pytest.fixture
def undrawn(monkeypatch):
    """Spares the tests of the words the drawing of the pictures."""
    monkeypatch.setattr(figures, 'png', lambda figure: b'picture')


def written(folder):
    """The page, and the Markdown report."""
    sweep_page.write_reports(folder)
    page = (folder / 'report.html').read_text('utf-8')
    return Reader(page), page, (folder / 'report.md').read_text('utf-8')


# What stands beside our figures, and what is refused. -----------------------------


@pytest.mark.parametrize(
    ('known', 'heading', 'mae', 'said'),
    [
        (None, 'published, on the official MOSI split', '0.703', 'another data set'),
        ('MOSI unaligned_50.pkl', 'published', '0.703', 'can be compared'),
        ('MOSEI unaligned_50.pkl', 'published', '0.544', 'can be compared'),
        (
            'MOSI aligned_50.pkl',
            'published, on the official MOSI split',
            '0.703',
            'another data set',
        ),
    ],
)
def test_published_figures_are_comparable_on_the_same_file_only(
    tmp_path, undrawn, known, heading, mae, said
):
    write_sweep(tmp_path, SYSTEMS, seeds=(1,), table='2', known=known)
    table = sweep_tables.main_table(read_sweep(tmp_path))
    assert table.groups[-1] == (heading, 4)
    assert table.rows[2][-4].text == mae
    _, page, text = written(tmp_path)
    assert said in page and said in text


def test_runs_of_one_system_with_other_settings_are_named(folder, undrawn):
    path = folder / 'run1' / 'seed3' / files.RESULTS
    change(path, config=files.read_json(path)['config'] | {'batch': 16})
    _, page, _ = written(folder)
    assert 'the runs of MulT differ in more than the seed: batch.' in page
    assert 'the runs of SUGRM differ' not in page


def test_other_utterances_are_refused(folder):
    path = folder / 'run1' / 'seed2' / files.PREDICTIONS
    rows = files.read_predictions(path)
    files.write_predictions(path, [row | {'id': f'x{row["id"]}'} for row in rows])
    with pytest.raises(UserError, match="'LF-LSTM, seed 1' and 'MulT, seed 2'"):
        read_sweep(folder)


def test_other_labels_are_refused(folder):
    path = folder / REFERENCE / 'seed3' / files.PREDICTIONS
    rows = files.read_predictions(path)
    rows[-1]['label'] += 0.2
    files.write_predictions(path, rows)
    with pytest.raises(UserError, match='not tested on the same utterances'):
        read_sweep(folder)


# Unfinished sweeps. -----------------------------------------------------------------


def test_what_failed_and_what_is_missing(folder, undrawn):
    failed, stopped = remove(folder, 'run0', 2), remove(folder, 'run1', 1)
    remove(folder, REFERENCE, 3).rmdir()
    files.write_bytes(
        failed / 'error.txt', b'no | disk\n\nTraceback:\n  <x>\nUserError: no | disk\n'
    )
    rng = np.random.default_rng(0)
    files.write_history(stopped / files.HISTORY, history(rng, 1, 4))
    found, page, text = written(folder)
    assert 'finished runs: 6 of 9' in page and 'failed: 1, missing: 2' in page
    assert found.tables[-1][1:] == [
        ['LF-LSTM', '2', 'failed', 'no | disk'],
        ['MulT', '1', 'unfinished: 4 epochs so far', ''],
        ['SUGRM', '3', 'not started', ''],
    ]
    assert 'Traceback:\n  &lt;x&gt;\nUserError: no | disk' in page
    assert r'| failed | no \| disk |' in text
    assert ['LF-LSTM', '2 of 3'] in [row[:2] for row in found.tables[0]]


def test_nothing_has_finished_yet(tmp_path):
    write_sweep(tmp_path, SYSTEMS, seeds=(1,))
    for run in ('run0', 'run1', REFERENCE):
        remove(tmp_path, run, 1)
    found, page, text = written(tmp_path)
    assert 'finished runs: 0 of 3' in page
    assert [row[2] for row in found.tables[0]] == ['state', *['not started'] * 3]
    assert '## Results' not in text


def test_the_reference_has_not_finished_yet(tmp_path, undrawn):
    write_sweep(tmp_path, SYSTEMS, seeds=(1,))
    remove(tmp_path, REFERENCE, 1)
    _, page, text = written(tmp_path)
    assert 'No other system shares a finished seed with SUGRM yet' in page
    # Nobody else generates labels.
    assert 'Generated labels' not in text and '## Cost' in text


def test_one_system_alone_is_compared_with_nothing(tmp_path, undrawn):
    write_sweep(tmp_path, {'SUGRM': 0.5}, seeds=(1, 2))
    _, page, text = written(tmp_path)
    assert 'real?' not in page and '## Results' in text


def test_failed_runs_that_were_run_again_have_finished(folder):
    files.write_bytes(folder / 'run0' / 'seed1' / 'error.txt', b'of the first try')
    sweep = read_sweep(folder)
    assert not sweep.others and {run.status for run in sweep.runs} == {'finished'}


def test_a_plan_that_does_not_fit(folder):
    path = folder / 'sweep.json'
    for fields, message in (
        ({'reference': 'Sugrm'}, "reference must be one of .*not 'Sugrm'"),
        ({'table': '5'}, "table must be one of .*not '5'"),
        ({'seeds': [1, 1]}, 'there must be seeds, each once'),
        ({'runs': [{'label': 'SUGRM'}]}, 'folder is missing'),
    ):
        before = path.read_bytes()
        change(path, **fields)
        with pytest.raises(UserError, match=message) as refused:
            read_sweep(folder)
        assert 'sweep.json' in str(refused.value)
        path.write_bytes(before)


def test_results_without_a_field(folder):
    path = folder / 'run0' / 'seed1' / files.RESULTS
    results = files.read_json(path)
    del results['versions']
    files.write_json(path, results)
    with pytest.raises(UserError, match=r'results\.json has no versions'):
        read_sweep(folder)


# Utterances. ------------------------------------------------------------------------


def test_the_furthest_apart_come_first():
    nan = float('nan')
    rows = [{'a': 1, 'b': 2}, {'a': -3, 'b': 2}, {'a': 1, 'b': nan}, {'a': 0, 'b': 0}]
    assert spread(rows[1], 'ab') == 5 and np.isnan(spread(rows[2], 'ab'))
    assert furthest_apart(rows, 'ab') == [rows[1], rows[0]]


def test_utterances_are_those_of_the_run_that_generates_labels(folder, undrawn):
    # The first system generates labels, too; the reference is shown all the same.
    write_run(folder / 'run0' / 'seed1', 1, 1.2, generates=True)
    found, page, _ = written(folder)
    assert 'Predictions of SUGRM, seed 1: the 10 utterances' in page
    test, train = [table for table in found.tables if table[1][0] == 'utterance']
    assert test[0] == ['', 'predicted']
    assert test[1][2:] == ['y_m', 'multimodal', 'text', 'audio', 'vision']
    assert train[0] == ['', 'generated', 'predicted'] and len(train) == 12
    assert train[1][2:6] == ['y_m', 'text', 'audio', 'vision']
    gaps = [np.ptp([float(x.replace('−', '-')) for x in row[4:]]) for row in test[2:]]
    assert gaps == sorted(gaps, reverse=True)
    assert test[2][1] in SENTENCES


# Pictures and files. ----------------------------------------------------------------


def test_the_page_holds_its_pictures_and_needs_nothing_else(folder):
    found, page, text = written(folder)
    saved = {path.stem: path.read_bytes() for path in (folder / 'figures').iterdir()}
    assert set(saved) == {'boxes', 'validation', 'label_paths'}
    sources = [image['src'].partition('base64,')[2] for image in found.images]
    assert {base64.b64decode(source) for source in sources} == set(saved.values())
    assert all(f'(figures/{name}.png)' in text for name in saved)
    assert 'script' not in found.tags
    assert not re.search(r'src=(?!"data:)|href=|url\(|@import', page)


def test_selection_and_method_are_stated(folder, undrawn):
    _, page, _ = written(folder)
    assert 'smallest validation error counts; the test split chooses nothing' in page
    assert 'hierarchical paired bootstrap' in page
    assert 'the price is that 3 seeds show large differences only' in page


def test_the_report_can_be_rebuilt(folder, undrawn):
    written(folder)
    first = [(folder / name).read_bytes() for name in sweep_page.REPORTS]
    written(folder)
    assert first == [(folder / name).read_bytes() for name in sweep_page.REPORTS]


def test_hostile_words_stay_words(tmp_path, undrawn):
    write_sweep(tmp_path, {'SUGRM': 0.5, HOSTILE[:-2]: 0.4}, seeds=(1, 2))
    change(tmp_path / 'sweep.json', name=HOSTILE[:-2])
    failed = remove(tmp_path, 'run0', 2)
    files.write_bytes(failed / 'error.txt', HOSTILE.encode('utf-8', 'replace'))
    found, page, text = written(tmp_path)
    assert not {'script'} & found.tags and '<script' not in page
    # Indented lines are shown as they are.
    lines = [line for line in text.splitlines() if not line.startswith('    ')]
    assert not any('<script' in line or '<img' in line for line in lines)
    assert page.count('&lt;script&gt;') >= 10


def test_plans_that_sweeps_write_are_read(tmp_path):
    write_run(tmp_path / 'lf-lstm' / 'seed1', 1, 0.5)
    plan = {'name': 'x', 'table': '', 'reference': 'LF', 'seeds': [1]}
    plan['runs'] = [{'label': 'LF', 'folder': 'lf-lstm'}]
    (tmp_path / 'sweep.json').write_text(json.dumps(plan))
    assert list(read_sweep(tmp_path).finished['LF']) == [1]
