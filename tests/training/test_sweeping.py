"""Sweeps in miniature: shared work, failures, stops and what is left of them."""

import io
import os
import pickle
import signal

import pytest
from rich.console import Console

from configs import common
from sugrm_jax import UserError
from sugrm_jax.interrupt import Interrupted
from sugrm_jax.results import files
from sugrm_jax.training import loop, programs, setup, sweeping
from sugrm_jax.training.grid import make_grid
from sugrm_jax.training.sweeping import Pace, duration, train_grid
from sugrm_jax.training.workdir import claimed
from tests.recordings import FIXTURES
from tests.training.conftest import tiny_data
from tests.training.runs import assert_alike, figures, stop_after

EVERYTHING = slice(None)


def small(data_path):
    """A system of the least work, with a frozen text encoder."""
    config = common.base(
        dict(name='tests.models.mean_text', padding='masked'), dict(loss='l1')
    )
    config.name = 'small'
    config.data.path = str(data_path)
    config.text.pretrained = str(FIXTURES / 'bert_tiny')
    config.text.finetune = False
    config.train = dict(batch=8, eval_batch=4, epochs=3, patience=8)
    return config


def broken(data_path):
    """One that cannot be built, which is not known before that."""
    config = small(data_path)
    config.objective.loss = 'l3'
    return config


@pytest.fixture(scope='module')
def lone(tmp_path_factory):
    """The small system, trained by itself: data and folder."""
    folder = tmp_path_factory.mktemp('lone')
    path = folder / 'tiny.pkl'
    path.write_bytes(pickle.dumps(tiny_data()))
    loop.train(small(path), folder / 'run', Console(quiet=True))
    return path, folder / 'run'


def sweep(grid, workdir, mine=EVERYTHING):
    """Whether nothing failed, and what was said."""
    said = io.StringIO()
    fine = train_grid(grid, mine, workdir, Console(file=said))
    return fine, said.getvalue().splitlines()


@pytest.fixture
def traced(monkeypatch):
    """Names of what was traced, one a trace."""
    seen = []
    for name in ('start_state', 'train_step', 'eval_step'):
        function = getattr(programs, name)

        def note(*args, _name=name, _function=function, **kwargs):
            seen.append(_name)
            return _function(*args, **kwargs)

        monkeypatch.setattr(programs, name, note)
    return seen


def test_a_sweep_goes_on_where_a_run_fails(lone, tmp_path, traced, monkeypatch):
    path, folder = lone
    loaded = []
    load = setup.load.load
    monkeypatch.setattr(
        setup.load, 'load', lambda *a, **k: loaded.append(1) or load(*a, **k)
    )
    runs = [('broken', broken(path)), ('small', small(path))]
    grid = make_grid(runs, tmp_path, 2)
    fine, said = sweep(grid, tmp_path)
    assert not fine
    assert said[0] == 'runs: 4, done: 0'
    reason = 'config.objective: loss must be one of'
    assert said[1].startswith(f'[1/4] broken, seed 1 failed: {reason}')
    mae = files.read_json(folder / 'results.json')['valid']['mae']
    assert said[3].startswith(f'[3/4] small, seed 1: valid MAE {mae:.3f}, ')
    assert 'left' in said[3] and 'left' not in said[4]
    assert 'test' not in said[3] + said[4]
    assert said[5] == '2 of 4 runs failed; the same command tries again:'
    error = tmp_path / 'broken' / 'seed2' / 'error.txt'
    assert said[7].startswith(f'  broken, seed 2: {reason}') and str(error) in said[7]
    assert len(said) == 8
    # The reason comes first: the report shows that line.
    assert error.read_text().startswith(reason) and 'Traceback' in error.read_text()
    assert not (tmp_path / 'small' / 'seed1' / 'error.txt').exists()
    # Of a finished run's checkpoints the best parameters are left.
    kept = [x.name for x in (tmp_path / 'small/seed1/checkpoints').glob('*/*')]
    assert kept == [str(files.read_json(folder / 'results.json')['best_epoch'])]
    # Neither the second seed nor the second label do again what was done.
    assert traced == ['start_state', 'train_step', 'eval_step']
    assert loaded == [1]


def test_a_run_of_a_sweep_is_the_lone_run_bit_for_bit(finished, tmp_path, traced):
    """Also one that finds data, weights and programs that were used before."""
    config, lone_folder, results = finished
    one, _, three = make_grid([('SUGRM', config)], tmp_path, 3)
    assert sweep([three, one], tmp_path)[0]
    assert_alike(one.folder, lone_folder)
    ours, other = (files.read_json(x.folder / 'results.json') for x in (one, three))
    assert figures(ours) == figures(results)
    assert other['test'] != ours['test']
    assert ours['inference_ms'] > 0
    # As many rows hold the packed tokens of both; not so those of seed 2.
    assert traced == ['start_state', 'train_step', 'eval_step']


def test_a_system_with_other_settings_shares_no_programs(lone, tmp_path, traced):
    path, folder = lone
    other = small(path)
    other.optim.groups.other.lr = 0.5
    runs = [('other', other), ('small', small(path))]
    assert sweep(make_grid(runs, tmp_path, 1), tmp_path)[0]
    assert_alike(tmp_path / 'small' / 'seed1', folder)
    assert traced == 2 * ['start_state', 'train_step', 'eval_step']


def test_what_is_done_is_not_touched_and_what_failed_is_tried_again(
    lone, tmp_path, monkeypatch
):
    path, _ = lone
    runs = [('small', small(path)), ('broken', broken(path))]
    grid = make_grid(runs, tmp_path, 1)
    assert not sweep(grid, tmp_path)[0]
    kept = grid[0].folder / 'results.json'
    before = kept.stat().st_mtime_ns, kept.read_bytes()
    with monkeypatch.context() as patch:
        patch.setattr(sweeping, 'train', lambda config, folder, *_, **__: {}[folder])
        fine, said = sweep(grid, tmp_path)
    assert not fine
    assert said[0] == 'runs: 2, done: 1'
    assert said[1].startswith('[2/2] broken, seed 1 failed: KeyError: ')
    grid[1].config['objective']['loss'] = 'l2'
    fine, said = sweep(grid, tmp_path)
    assert fine
    assert said[-1] == f'All is done. The report: python -m sugrm_jax.report {tmp_path}'
    assert not (grid[1].folder / 'error.txt').exists()
    assert (kept.stat().st_mtime_ns, kept.read_bytes()) == before


@pytest.mark.parametrize('signum', [signal.SIGTERM, signal.SIGINT])
def test_a_signal_stops_the_sweep_which_goes_on_in_the_middle_of_the_run(
    lone, tmp_path, monkeypatch, signum
):
    path, folder = lone
    grid = make_grid([('small', small(path))], tmp_path, 2)[::-1]
    usual = signal.getsignal(signum)
    with monkeypatch.context() as patch:
        # 9 steps a run: in the second epoch of the second one.
        stop_after(patch, 13, lambda: os.kill(os.getpid(), signum))
        with pytest.raises(Interrupted, match='same command goes on') as stopped:
            sweep(grid, tmp_path)
    assert stopped.value.signum == signum
    assert signal.getsignal(signum) is usual
    reached = []
    with monkeypatch.context() as patch:
        # The steps under way were done: to the end of that epoch.
        stop_after(patch, 3, lambda: reached.append(3))
        fine, said = sweep(grid, tmp_path)
    assert fine and reached == [3]
    assert said[0] == 'runs: 2, done: 1'
    assert_alike(tmp_path / 'small' / 'seed1', folder)


@pytest.fixture
def trained(monkeypatch):
    """Seeds that a sweep had trained, none of which really was."""
    seeds = []

    def train(config, folder, *_, **__):
        seeds.append(config['seed'])
        for name in ('latest/7', 'best/1'):
            (folder / 'checkpoints' / name).mkdir(parents=True)
        return {'valid': {'mae': 1.0}, 'best_epoch': 1, 'data': {'notes': ['odd']}}

    monkeypatch.setattr(sweeping, 'train', train)
    return seeds


def test_a_signal_between_two_runs_stops_the_sweep(
    lone, tmp_path, trained, monkeypatch
):
    grid = make_grid([('small', small(lone[0]))], tmp_path, 2)
    monkeypatch.setattr(
        Pace, 'next', lambda *_, **__: os.kill(os.getpid(), signal.SIGTERM)
    )
    with pytest.raises(Interrupted):
        sweep(grid, tmp_path)
    assert trained == [1]


def test_shards_train_their_own_runs(lone, tmp_path, trained):
    grid = make_grid([('small', small(lone[0]))], tmp_path, 3)
    fine, said = sweep(grid, tmp_path, slice(1, None, 2))
    assert fine and trained == [2]
    assert said[0] == 'runs: 1, done: 0'
    assert not any('All is done' in line for line in said)
    fine, said = sweep(grid, tmp_path, slice(0, None, 2))
    assert trained == [2, 1, 3]
    # Of data that all share it is said once.
    assert said.count('note: odd') == 1


def test_a_run_that_another_process_is_at_is_left_to_it(lone, tmp_path):
    grid = make_grid([('small', small(lone[0]))], tmp_path, 1)
    with claimed(grid[0].folder):
        fine, said = sweep(grid, tmp_path)
    assert fine and said[1] == '[1/1] small, seed 1: another process is at work on it'
    assert not (grid[0].folder / 'error.txt').exists()


def test_results_of_another_config_stop_it_before_anything_starts(lone, tmp_path):
    path, folder = lone
    one, two = make_grid([('small', small(path))], tmp_path, 2)
    two.folder.mkdir(parents=True)
    (two.folder / 'results.json').write_bytes((folder / 'results.json').read_bytes())
    with pytest.raises(UserError, match=r'seed2 holds .*\n  seed: 1 there, 2 here'):
        sweep([one, two], tmp_path)
    assert not one.folder.exists()


def test_data_that_cannot_be_read_stop_it_at_once(tmp_path):
    grid = make_grid([('small', small(tmp_path / 'none.pkl'))], tmp_path, 2)
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
    [
        (-3, '0 s'),
        (58.4, '58 s'),
        (90, '2 min'),
        (3599, '1 h 0 min'),
        (12000, '3 h 20 min'),
    ],
)
def test_durations_in_words(seconds, words):
    assert duration(seconds) == words
