"""Which runs a sweep has, where they are and which are done."""

import hashlib
import json

import pytest
from ml_collections import ConfigDict

from sugrm_jax import UserError
from sugrm_jax.config import plain
from sugrm_jax.results.sweeps import read_sweep
from sugrm_jax.training.grid import (
    data_fingerprint,
    finished,
    make_grid,
    slug,
    write_plan,
)
from sugrm_jax.training.workdir import claimed
from tests.training.conftest import tiny_config


def sweep(name='both'):
    return ConfigDict(dict(name=name, table='', reference='SUGRM', runs=()))


def test_the_grid_is_in_order_label_by_label(tmp_path):
    runs = [(label, tiny_config('x.pkl')) for label in ('SUGRM', 'M,T')]
    grid = make_grid(runs, tmp_path, 2)
    assert [str(cell) for cell in grid] == [
        'SUGRM, seed 1', 'SUGRM, seed 2', 'M,T, seed 1', 'M,T, seed 2',
    ]  # fmt: skip
    assert [cell.folder.relative_to(tmp_path).as_posix() for cell in grid] == [
        'sugrm/seed1', 'sugrm/seed2', 'm-t/seed1', 'm-t/seed2',
    ]  # fmt: skip
    assert grid[1].config == plain(tiny_config('x.pkl')) | {'seed': 2}


def test_folders_have_plain_names():
    assert slug('Self-MM, LSTM→SPT') == 'self-mm-lstm-spt'
    assert slug('EF-LSTM+CTC') == 'ef-lstm-ctc'


def test_labels_with_one_folder_are_refused(tmp_path):
    runs = [(label, tiny_config('x.pkl')) for label in ('a', 'M,T', 'M-T')]
    with pytest.raises(UserError, match=f'Several labels .* {tmp_path}/m-t'):
        make_grid(runs, tmp_path, 2)


def test_a_setting_that_does_not_fit_is_refused_before_anything_starts(tmp_path):
    config = tiny_config('x.pkl')
    config.train.epochs = 0
    with pytest.raises(UserError, match=r'config\.train: epochs must be at least 1'):
        make_grid([('a', config)], tmp_path, 1)


# What is done. -------------------------------------------------------------------


@pytest.fixture
def cell(tmp_path):
    """A run whose results are there, of a file that holds b'data'."""
    path = tmp_path / 'x.pkl'
    path.write_bytes(b'data')
    (cell,) = make_grid([('a', tiny_config(path))], tmp_path, 1)
    cell.folder.mkdir(parents=True)
    results = {
        'config': cell.config,
        'data': {'sha256': hashlib.sha256(b'data').hexdigest()},
    }
    (cell.folder / 'results.json').write_text(json.dumps(results))
    return cell


def test_a_run_is_done_once_its_results_are_there(cell):
    assert finished(cell, data_fingerprint)
    (cell.folder / 'results.json').unlink()
    assert not finished(cell, data_fingerprint)


def test_results_of_other_settings_are_refused_with_the_difference(cell):
    cell.config['train']['batch'] = 9
    with pytest.raises(UserError, match=f'{cell.folder} .*\n  train.batch: 8 there, 9'):
        finished(cell, data_fingerprint)


def test_results_of_other_data_are_refused_but_data_may_move_or_go(cell, tmp_path):
    moved = tmp_path / 'moved.pkl'
    (tmp_path / 'x.pkl').rename(moved)
    assert finished(cell, data_fingerprint)
    cell.config['data']['path'] = str(moved)
    assert finished(cell, data_fingerprint)
    moved.write_bytes(b'other data')
    with pytest.raises(UserError, match=r'data file \(SHA-256\)'):
        finished(cell, data_fingerprint)


# The plan. -----------------------------------------------------------------------


def test_the_plan_is_what_the_report_reads(tmp_path):
    write_plan(tmp_path, sweep(), ['SUGRM', 'M,T'], 3)
    assert json.loads((tmp_path / 'sweep.json').read_text()) == {
        'name': 'both',
        'table': '',
        'reference': 'SUGRM',
        'runs': [
            {'label': 'SUGRM', 'folder': 'sugrm'},
            {'label': 'M,T', 'folder': 'm-t'},
        ],
        'seeds': [1, 2, 3],
    }
    assert read_sweep(tmp_path).labels == ['SUGRM', 'M,T']


def test_another_sweep_is_not_written_over(tmp_path):
    write_plan(tmp_path, sweep('nothing of it was trained'), ['SUGRM'], 3)
    write_plan(tmp_path, sweep(), ['SUGRM'], 1)
    (tmp_path / 'sugrm' / 'seed1').mkdir(parents=True)
    # The same with more seeds is the same.
    write_plan(tmp_path, sweep(), ['SUGRM'], 2)
    with pytest.raises(UserError, match=f'{tmp_path} holds the sweep both, not other'):
        write_plan(tmp_path, sweep('other'), ['SUGRM'], 1)
    # And with fewer it forgets none.
    write_plan(tmp_path, sweep(), ['SUGRM'], 1)
    assert json.loads((tmp_path / 'sweep.json').read_text())['seeds'] == [1, 2]
    with claimed(tmp_path):
        pass  # it was let go of
