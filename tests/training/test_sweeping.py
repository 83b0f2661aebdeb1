"""Sweeps in miniature: shared work, failures, stops and what is left of them."""

import io
import os
import pickle
import signal

import pytest
from rich.console import Console

from sugrm_jax import UserError
from sugrm_jax.training import loop, programs, sweeping
from sugrm_jax.training.grid import make_grid
from sugrm_jax.training.interrupt import Interrupted
from sugrm_jax.training.sweeping import Pace, duration, train_grid
from sugrm_jax.training.workdir import claimed
from tests.training.conftest import tiny_config, tiny_data
from tests.training.runs import assert_alike, figures, stop_after

EVERYTHING = slice(None)


@pytest.fixture(scope='module')
def data_path(tmp_path_factory):
    path = tmp_path_factory.mktemp('data') / 'tiny.pkl'
    path.write_bytes(pickle.dumps(tiny_data()))
    return path


def two_systems(data_path):
    """SUGRM, which is the run of `finished`, and one that cannot be built."""
    broken = tiny_config(data_path)
    broken.model.spt.heads = 3
    return [('broken', broken), ('SUGRM', tiny_config(data_path))]


def sweep(grid, workdir, mine=EVERYTHING):
    """Whether nothing failed, and what was said."""
    said = io.StringIO()
    fine = train_grid(grid, mine, workdir, Console(file=said, width=1000))
    return fine, said.getvalue().splitlines()


@pytest.fixture
def traced(monkeypatch):
    """The steps that were traced, by name, one entry a trace."""
    seen = []
    for name in ('train_step', 'eval_step', 'start_state'):
        function = getattr(programs, name)

        def note(*args, _name=name, _function=function, **kwargs):
            seen.append(_name)
            return _function(*args, **kwargs)

        monkeypatch.setattr(programs, name, note)
    return seen


def test_a_sweep_goes_on_where_one_run_fails(finished, data_path, tmp_path, traced):
    _, lone, results = finished
    grid = make_grid(two_systems(data_path), tmp_path, 2)
    fine, said = sweep(grid, tmp_path)
    assert not fine
    assert said[0] == 'runs: 4, done: 0'
    reason = 'config.model.spt: width 8 is no multiple of heads 3'
    assert said[1].startswith(f'[1/4] broken, seed 1: failed: {reason}')
    mae = results['valid']['mae']
    assert said[3].startswith(f'[3/4] SUGRM, seed 1: valid MAE {mae:.3f}, ')
    assert 'left' in said[3] and 'left' not in said[4]
    assert said[5] == '2 of 4 runs failed; the same command tries again:'
    error = tmp_path / 'broken' / 'seed2' / 'error.txt'
    assert said[7].startswith(f'  broken, seed 2: {reason}') and str(error) in said[7]
    assert not any('report' in line for line in said)
    assert 'Traceback' in error.read_text() and reason in error.read_text()
    assert not (tmp_path / 'sugrm' / 'seed1' / 'error.txt').exists()
    # A run among others is the lone run, bit for bit.
    assert_alike(tmp_path / 'sugrm' / 'seed1', lone)
    # The second seed traces nothing anew.
    assert traced == ['start_state', 'train_step', 'eval_step']


def test_seeds_of_a_sweep_are_the_lone_runs(data_path, tmp_path):
    config = tiny_config(data_path)
    grid = make_grid([('SUGRM', config)], tmp_path, 2)
    assert sweep(grid, tmp_path)[0]
    config.seed = 2
    config.name = 'tiny'
    lone = loop.train(config, tmp_path / 'lone', Console(quiet=True))
    assert_alike(tmp_path / 'sugrm' / 'seed2', tmp_path / 'lone')


def test_what_is_done_is_not_touched_and_what_failed_is_tried_again(
    finished, data_path, tmp_path, monkeypatch
):
    broken, good = make_grid(two_systems(data_path), tmp_path, 1)
    grid = [good, broken]
    assert not sweep(grid, tmp_path)[0]
    kept = good.folder / 'results.json'
    before = kept.stat().st_mtime_ns, kept.read_bytes()
    monkeypatch.setattr(sweeping, 'train', lambda config, folder, *_, **__: {}[folder])
    fine, said = sweep(grid, tmp_path)
    assert not fine
    assert said[0] == 'runs: 2, done: 1'
    assert said[1].startswith('[2/2] broken, seed 1: failed: KeyError: ')
    monkeypatch.undo()
    broken.config['model']['spt']['heads'] = 2
    fine, said = sweep(grid, tmp_path)
    assert fine
    assert said[-1] == f'All is done. The report: python -m sugrm_jax.report {tmp_path}'
    assert not (broken.folder / 'error.txt').exists()
    assert (kept.stat().st_mtime_ns, kept.read_bytes()) == before


@pytest.mark.parametrize('signum', [signal.SIGTERM, signal.SIGINT])
def test_a_signal_stops_the_sweep_which_goes_on_in_the_middle_of_the_run(
    finished, data_path, tmp_path, monkeypatch, signum
):
    _, lone, _ = finished
    grid = make_grid([('SUGRM', tiny_config(data_path))], tmp_path, 2)[::-1]
    usual = signal.getsignal(signum)
    with monkeypatch.context() as patch:
        # 9 steps a run: in the second epoch of the second one.
        stop_after(patch, 13, lambda: os.kill(os.getpid(), signum))
        with pytest.raises(Interrupted, match='same command goes on') as stopped:
            sweep(grid, tmp_path)
    assert stopped.value.signum == signum
    assert signal.getsignal(signum) is usual
    notes = []
    with monkeypatch.context() as patch:
        stop_after(patch, 5, lambda: notes.append('five steps'))
        fine, said = sweep(grid, tmp_path)
    assert fine and notes == ['five steps']
    assert said[0] == 'runs: 2, done: 1'
    assert_alike(tmp_path / 'sugrm' / 'seed1', lone)


def test_a_signal_between_two_runs_stops_the_sweep(data_path, tmp_path, monkeypatch):
    grid = make_grid([('SUGRM', tiny_config(data_path))], tmp_path, 2)
    trained = []

    def train(config, *_, **__):
        trained.append(config['seed'])
        os.kill(os.getpid(), signal.SIGTERM)

    monkeypatch.setattr(sweeping, 'train', train)
    with pytest.raises(Interrupted):
        sweep(grid, tmp_path)
    assert trained == [1]


def test_shards_train_their_own_runs(data_path, tmp_path, monkeypatch):
    grid = make_grid([('SUGRM', tiny_config(data_path))], tmp_path, 3)
    trained = []

    def train(config, *_, **__):
        trained.append(config['seed'])
        return {'valid': {'mae': 1.0}, 'data': {'notes': ['odd']}}

    monkeypatch.setattr(sweeping, 'train', train)
    fine, said = sweep(grid, tmp_path, slice(1, None, 2))
    assert fine and trained == [2]
    assert said[0] == 'runs: 1, done: 0'
    assert not any('All is done' in line for line in said)
    fine, said = sweep(grid, tmp_path, slice(0, None, 2))
    assert trained == [2, 1, 3]
    # Of data that all share it is said once.
    assert said.count('note: odd') == 1


def test_a_run_that_another_process_is_at_is_left_to_it(data_path, tmp_path):
    grid = make_grid([('SUGRM', tiny_config(data_path))], tmp_path, 1)
    with claimed(grid[0].folder):
        fine, said = sweep(grid, tmp_path)
    assert fine and 'seed 1: another process is at work on it' in said[1]
    assert not (grid[0].folder / 'error.txt').exists()


def test_results_of_another_config_stop_it_before_anything_starts(
    finished, data_path, tmp_path
):
    grid = make_grid([('SUGRM', tiny_config(data_path))], tmp_path, 2)
    other = make_grid([('SUGRM', tiny_config(data_path))], tmp_path, 2)
    other[1].config['train']['epochs'] = 1
    assert sweep(other[1:], tmp_path)[0]
    with pytest.raises(UserError, match=r'train\.epochs: 1 there, 3 here'):
        sweep(grid, tmp_path)
    assert not grid[0].folder.exists()


def test_data_that_cannot_be_read_stop_it_at_once(tmp_path):
    grid = make_grid([('SUGRM', tiny_config(tmp_path / 'none.pkl'))], tmp_path, 2)
    with pytest.raises(UserError, match=r'no data file .*none\.pkl'):
        sweep(grid, tmp_path)
    assert not grid[0].folder.exists()


# How long it will take. ----------------------------------------------------------


@pytest.fixture
def clock(monkeypatch):
    now = [0.0]
    monkeypatch.setattr(sweeping.time, 'monotonic', lambda: now[0])
    return now


def test_the_time_left_is_told_by_the_runs_of_the_same_label(clock):
    pace = Pace(['a', 'a', 'b', 'b'])
    assert pace.left() == ''
    clock[0] = 600
    assert pace.next(counts=True) == 600
    # 600 s for each of a, b and b.
    assert pace.left() == 'about 30 min left'
    clock[0] = 900
    assert pace.left() == 'about 25 min left'
    clock[0] = 1000
    pace.next(counts=True)
    # a takes 500 s on average, and b may.
    assert pace.left() == 'about 17 min left'
    clock[0] = 4000
    pace.next(counts=True)
    assert pace.left() == 'about 50 min left'
    clock[0] = 4001
    pace.next(counts=True)
    assert pace.left() == ''


def test_a_run_that_failed_tells_no_pace(clock):
    pace = Pace(['a', 'a'])
    clock[0] = 2
    pace.next(counts=False)
    assert pace.left() == ''


@pytest.mark.parametrize(
    ('seconds', 'words'),
    [(-3, '0 s'), (58.4, '58 s'), (90, '2 min'), (3599, '1 h 0 min'), (12000, '3 h 20 min')],
)
def test_durations_in_words(seconds, words):
    assert duration(seconds) == words
