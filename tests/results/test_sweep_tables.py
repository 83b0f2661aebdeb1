import csv
import re

import numpy as np
import pytest

from sugrm_jax.results import files, sweep_origin, sweep_tables
from sugrm_jax.results.sweeps import read_sweep
from tests.results.synthetic import (
    REFERENCE,
    SYSTEMS,
    change,
    change_test,
    remove,
    write_sweep,
)


@pytest.fixture
def folder(tmp_path):
    """A finished sweep."""
    return write_sweep(tmp_path, SYSTEMS, table='2')


def texts(table):
    return [[cell.text for cell in row] for row in table.rows]


# The main table. --------------------------------------------------------------------


def test_mean_and_std_over_seeds_best_in_bold(folder):
    change_test(folder, 'run0', (1, 2, 3), mae=(1, 1, 4), acc2_non0=(0.7, 0.8, 0.9))
    change_test(folder, 'run1', (1, 2, 3), mae=(2, 2, 2), acc2_non0=(0.75, 0.8, 0.85))
    change_test(folder, REFERENCE, (1, 2, 3), mae=(3, 3, 3), acc2_non0=(0, 0, 0.3))
    table = sweep_tables.main_table(read_sweep(folder))
    mae, acc2 = table.heads.index('MAE ↓'), table.heads.index('Acc2 non0 ↑')
    assert [row[mae][:3] for row in table.rows] == [
        ('2.000', '± 1.732', True),
        ('2.000', '± 0.000', True),  # shows the same, so is the best, too
        ('3.000', '± 0.000', False),
    ]
    assert [row[acc2][:3] for row in table.rows] == [
        ('80.0', '± 10.0', True),
        ('80.0', '± 5.0', True),
        ('10.0', '± 17.3', False),
    ]
    assert [row[1].text for row in table.rows] == ['3 of 3'] * 3


def test_one_seed_has_no_std(tmp_path):
    write_sweep(tmp_path, SYSTEMS, seeds=(7,))
    rows = sweep_tables.main_table(read_sweep(tmp_path)).rows
    assert not any(cell.note for row in rows for cell in row)


def test_an_undefined_correlation_is_shown_and_never_best(folder):
    change_test(folder, 'run0', (1, 2, 3), corr=(0.5, None, 0.7))
    change_test(folder, 'run0', (1, 2, 3), acc7=(None, None, None))
    change_test(folder, 'run1', (1, 2, 3), acc7=(None, None, None))
    change_test(folder, REFERENCE, (1, 2, 3), acc7=(None, None, None))
    table = sweep_tables.main_table(read_sweep(folder))
    assert table.rows[0][table.heads.index('Corr ↑')] == ('–', '', False, 0.0)
    seven = table.heads.index('Acc7 ↑')
    assert not any(row[seven].bold for row in table.rows)


def test_published_rows_without_a_run_are_listed_apart(folder):
    sweep = read_sweep(folder)
    rest = texts(sweep_tables.published_rest(sweep))
    assert ['Self-MM', '0.733', '0.780', '82.9/84.6', '82.8/84.6'] in rest
    assert ['SPT', '–', '–', '–/81.2', '–/81.3'] in rest
    assert not {'SUGRM', 'MulT', 'LF-LSTM'} & {row[0] for row in rest}


def test_a_sweep_of_no_table_has_no_published_figures(tmp_path):
    sweep = read_sweep(write_sweep(tmp_path, SYSTEMS, seeds=(1,)))
    assert len(sweep_tables.main_table(sweep).heads) == 10
    assert sweep_tables.published_rest(sweep) is None


def test_every_seed_is_shown(folder):
    change_test(folder, 'run1', (1, 2, 3), mae=(1.25, 1.5, 1.75))
    rows = texts(sweep_tables.seed_table(read_sweep(folder)))
    assert [row[:3] for row in rows[3:6]] == [
        ['MulT', '1', '1.250'], ['MulT', '2', '1.500'], ['MulT', '3', '1.750'],
    ]  # fmt: skip


# Comparison with the reference. ----------------------------------------------------


def test_differences_are_those_of_the_results(folder):
    sweep = read_sweep(folder)
    found = sweep_tables.comparisons(sweep)
    assert list(found) == ['LF-LSTM', 'MulT']
    for label, differences in found.items():
        for metric, difference in differences.items():
            ours, theirs = (
                np.mean(sweep_tables.values_by_seed(sweep, x, metric))
                for x in (label, 'SUGRM')
            )
            # predictions.csv holds float32.
            assert difference.value == pytest.approx(ours - theirs, abs=1e-6)
    assert found['LF-LSTM']['mae'].p < 0.05
    table = sweep_tables.comparison_table(sweep, found)
    mae = table.rows[0][2]
    assert mae.text.startswith('+') and mae.bold and re.match(r'\[0\.\d', mae.note)


def test_only_seeds_that_both_have_are_compared(folder):
    remove(folder, 'run0', 2)
    sweep = read_sweep(folder)
    found = sweep_tables.comparisons(sweep)
    ours, theirs = (
        [sweep.finished[x][seed].results['test']['mae'] for seed in (1, 3)]
        for x in ('LF-LSTM', 'SUGRM')
    )
    expected = np.mean(ours) - np.mean(theirs)
    assert found['LF-LSTM']['mae'].value == pytest.approx(expected, abs=1e-6)
    assert texts(sweep_tables.comparison_table(sweep, found))[0][1] == '2'


def test_p_is_corrected_for_the_number_of_systems(folder):
    sweep = read_sweep(folder)
    same = sweep_tables.Difference(0.1, 0.05, 0.2, 0.03)
    found = {x: dict.fromkeys(sweep_tables.COMPARED, same) for x in ('MulT', 'LF-LSTM')}
    row = sweep_tables.comparison_table(sweep, found).rows[0]
    assert [cell.text for cell in row[2:5]] == ['+0.100', '0.030', '0.060']
    assert row[2].note == '[0.050, 0.200]' and not row[2].bold
    assert [cell.text for cell in row[8:]] == ['+10.0', '0.030', '0.060']


# Cost, origin, settings. ------------------------------------------------------------


def test_costs(folder):
    rows = sweep_tables.cost_table(read_sweep(folder)).rows
    _, total, trained, epoch, inference, best = rows[0]
    assert (total.text, trained.text) == ('22,713,216', '1,234')
    assert epoch[:2] == ('2.2', '2.1 to 2.3') and inference[:2] == ('1.5', '')
    assert re.fullmatch(r'\d+/\d+(, \d+/\d+){2}', best.text)


def test_runs_of_before_inference_was_timed(folder):
    path = folder / 'run0' / 'seed1' / files.RESULTS
    results = files.read_json(path)
    del results['inference_ms']
    files.write_json(path, results)
    assert sweep_tables.cost_table(read_sweep(folder)).rows[0][4].text == '1.5'


def test_settings_that_differ_from_the_reference_and_no_others(folder):
    for seed in (1, 2, 3):
        config = {'seed': seed, 'name': 'mult', 'model': {'name': 'mult', 'heads': 8}}
        change(folder / 'run1' / f'seed{seed}' / files.RESULTS, config=config)
    tables = sweep_origin.settings_tables(read_sweep(folder))
    assert tables['LF-LSTM'].rows == []
    assert tables['MulT'].heads == ['field', 'SUGRM', 'MulT']
    assert texts(tables['MulT']) == [
        ['model.heads', '–', '8'],
        ['model.mrm', 'true', '–'],
        ['model.name', '"sugrm"', '"mult"'],
    ]


def test_origins_are_counted_where_they_differ(folder):
    change(folder / 'run0' / 'seed1' / files.RESULTS, git_revision='def')
    rows = texts(sweep_origin.origin_table(read_sweep(folder)))
    assert ['git revision', 'def (1 runs); abc (8 runs)'] in rows
    assert ['jax', '0.10.2'] in rows and ['flax', 'not installed'] in rows
    assert ['seeds', '1, 2, 3'] in rows


def test_csv_holds_every_run_at_full_precision(folder):
    remove(folder, 'run1', 2)
    change_test(folder, 'run0', (1, 2, 3), corr=(None, 0.5, 0.25))
    sweep = read_sweep(folder)
    rows = list(csv.DictReader(sweep_tables.csv_text(sweep).splitlines()))
    assert len(rows) == 9
    first = sweep.finished['LF-LSTM'][1].results
    assert float(rows[0]['test_mae']) == first['test']['mae']
    assert rows[0]['test_corr'] == '' and rows[1]['test_corr'] == '0.5'
    assert rows[0]['folder'] == 'run0/seed1'
    missing = rows[4]
    assert (missing['label'], missing['status']) == ('MulT', 'not started')
    assert missing['test_mae'] == '' and missing['folder'] == 'run1/seed2'
