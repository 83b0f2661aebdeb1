"""Runs that are stopped, killed or cut short, and started again."""

import json
import os
import pickle
import shutil
import signal
import subprocess
import sys

import pytest

from sugrm_jax import UserError, train
from sugrm_jax.interrupt import Interrupted
from sugrm_jax.results import files
from sugrm_jax.training import loop, programs
from sugrm_jax.training.checkpoint import Checkpoints
from sugrm_jax.training.shared import Shared
from tests.training.conftest import tiny_data
from tests.training.runs import Stop, assert_alike, cut, figures, stop_after


def test_a_finished_run_started_again_only_reports(finished, tmp_path, monkeypatch):
    config, workdir, results = finished

    def step(*_, **__):
        raise AssertionError('a finished run trains no more')

    monkeypatch.setattr(programs, 'train_step', step)
    # Of a copy: a run that is done is tested and written once more.
    shutil.copytree(workdir, tmp_path / 'run')
    assert figures(train(config, tmp_path / 'run')) == figures(results)


@pytest.mark.parametrize('change', ['config', 'data'])
def test_another_config_or_other_data_are_refused_with_the_difference(
    finished, tmp_path, change
):
    config, workdir, _ = finished
    config = config.copy_and_resolve_references()
    before = (workdir / 'results.json').read_bytes()
    if change == 'config':
        config.model.output_dropout.m = 0.25
        message = 'model.output_dropout.m: 0.3 there, 0.25 here'
    else:
        path = tmp_path / 'other.pkl'
        path.write_bytes(pickle.dumps(tiny_data(seed=1)))
        config.data.path = str(path)
        message = r'data file \(SHA-256\): .* there, .* here'
    with pytest.raises(UserError, match=message):
        train(config, workdir)
    assert (workdir / 'results.json').read_bytes() == before


def test_moved_data_are_the_same_data(finished, tmp_path):
    config, workdir, results = finished
    config = config.copy_and_resolve_references()
    path = tmp_path / 'moved.pkl'
    path.write_bytes(pickle.dumps(tiny_data()))
    config.data.path = str(path)
    shutil.copytree(workdir, tmp_path / 'run')
    assert figures(train(config, tmp_path / 'run')) == figures(results)


def test_a_folder_in_which_nothing_was_saved_takes_other_settings(
    config, tmp_path, monkeypatch
):
    with monkeypatch.context() as patch:
        stop_after(patch, 1, cut)
        with pytest.raises(Stop):
            train(config, tmp_path / 'run')
    config.model.output_dropout.m = 0.25
    config.train.epochs = 1
    results = train(config, tmp_path / 'run')
    assert results['config']['model']['output_dropout']['m'] == 0.25


def test_a_run_says_who_started_it_and_who_resumed_it(
    finished, shared, tmp_path, monkeypatch
):
    config, _, _ = finished
    moments = iter(['first', 'second', 'third'])
    fields = {'versions': {}, 'git_revision': None}
    monkeypatch.setattr(
        loop, 'provenance', lambda: {'command': next(moments), **fields}
    )
    with monkeypatch.context() as patch:
        stop_after(patch, 4, lambda: os.kill(os.getpid(), signal.SIGTERM))
        with pytest.raises(Interrupted):
            train(config, tmp_path, shared=shared)
    results = train(config, tmp_path, shared=shared)
    assert results['command'] == 'first'
    assert results['resumed_by'] == [{'command': 'second', **fields}]
    # One that only reports takes no step.
    assert train(config, tmp_path, shared=shared)['resumed_by'] == results['resumed_by']


@pytest.mark.parametrize('steps', [1, 4, 6, 8, 9])
def test_a_signal_saves_and_the_run_goes_on_bit_for_bit(
    finished, shared, tmp_path, monkeypatch, steps
):
    config, whole, results = finished
    usual = signal.getsignal(signal.SIGTERM)
    with monkeypatch.context() as patch:
        stop_after(patch, steps, lambda: os.kill(os.getpid(), signal.SIGTERM))
        with pytest.raises(Interrupted, match='same command goes on') as stopped:
            train(config, tmp_path, shared=shared)
    assert stopped.value.signum == signal.SIGTERM
    assert signal.getsignal(signal.SIGTERM) is usual
    assert figures(train(config, tmp_path, shared=shared)) == figures(results)
    assert_alike(tmp_path, whole)


@pytest.mark.parametrize('moment', ['save_best', 'save_latest'])
def test_a_crash_between_the_checkpoints_changes_nothing(
    finished, shared, tmp_path, monkeypatch, moment
):
    config, _, results = finished

    with monkeypatch.context() as patch:
        # The first epoch is always the best so far: its best is saved, then this.
        patch.setattr(Checkpoints, moment, cut)
        with pytest.raises(Stop):
            train(config, tmp_path, shared=shared)
    assert figures(train(config, tmp_path, shared=shared)) == figures(results)


RUNNER = """
import sys
from sugrm_jax import load_config, train
from tests.training.conftest import tiny_config
train(tiny_config(sys.argv[1]), sys.argv[2])
"""


def test_sigkill_in_the_middle_of_an_epoch(finished, data_path, tmp_path):
    _, whole, results = finished
    command = [sys.executable, '-c', RUNNER, data_path, tmp_path / 'run']
    # Dies in the second epoch, after its first step, wherever that leaves it.
    dying = command.copy()
    dying[2] = (
        """
import os, signal
from sugrm_jax.training import loop, programs
note, seen = loop.Run._note, []
def dying(self, *args):
    stop = note(self, *args)
    seen.append(1)
    if len(seen) == 4:
        os.kill(os.getpid(), signal.SIGKILL)
    return stop
loop.Run._note = dying
"""
        + RUNNER
    )
    assert subprocess.run(dying).returncode == -signal.SIGKILL
    assert not (tmp_path / 'run' / 'results.json').exists()
    assert len(files.read_history(tmp_path / 'run' / 'metrics.jsonl')) == 1
    subprocess.run(command, check=True)
    resumed = json.loads((tmp_path / 'run' / 'results.json').read_text())
    assert figures(resumed) == figures(results)
    assert_alike(tmp_path / 'run', whole)


@pytest.mark.parametrize('drop_partial', [False, True])
def test_with_everything_on_a_stopped_run_still_ends_alike(
    config, tmp_path, monkeypatch, drop_partial
):
    """Accumulation stopped half-way, moving average, schedule, clipping, AdamW."""
    config.optim.name = 'adamw'
    config.optim.accumulate = 2
    config.optim.drop_partial = drop_partial
    config.optim.average_decay = 0.9
    config.optim.schedule = 'cosine'
    config.optim.warmup_epochs = 1.0
    config.optim.clip_norm = 1.0
    config.data.standardize = True
    shared = Shared()
    whole = train(config, tmp_path / 'whole', shared=shared)
    with monkeypatch.context() as patch:
        stop_after(patch, 5, lambda: os.kill(os.getpid(), signal.SIGTERM))
        with pytest.raises(Interrupted):
            train(config, tmp_path / 'stopped', shared=shared)
    resumed = train(config, tmp_path / 'stopped', shared=shared)
    assert figures(resumed) == figures(whole)
    assert (tmp_path / 'whole' / 'scaling.npz').exists()
    assert_alike(tmp_path / 'stopped', tmp_path / 'whole')


def test_a_full_disk_while_saving_leaves_the_last_good_checkpoint(
    finished, shared, tmp_path, monkeypatch
):
    config, _, results = finished
    saved = []

    def full(_, step, **__):
        saved.append(step)
        raise OSError(28, 'No space left on device')

    with monkeypatch.context() as patch:
        stop_after(
            patch,
            5,
            lambda: patch.setattr('orbax.checkpoint.CheckpointManager.save', full),
        )
        with pytest.raises(UserError, match='No space left on device'):
            train(config, tmp_path, shared=shared)
    assert saved
    assert figures(train(config, tmp_path, shared=shared)) == figures(results)
