"""Whole runs in miniature: what they write, refuse, repeat and resume."""

import json
import os
import pickle
import signal
import subprocess
import sys
from types import SimpleNamespace

import jax
import numpy as np
import pytest

from sugrm_jax import UserError, train
from sugrm_jax.results import files
from sugrm_jax.training import loop
from sugrm_jax.training.checkpoint import Checkpoints, Progress
from sugrm_jax.training.interrupt import Interrupted
from tests.training.conftest import SIZES, tiny_data

FIGURES = ('valid', 'test', 'best_epoch', 'epochs', 'parameters', 'unimodal', 'seed')


def figures(results):
    return {name: results[name] for name in FIGURES}


@pytest.fixture(scope='module')
def finished(tmp_path_factory):
    """One run that nothing interrupts, shared by the tests that only look."""
    from tests.training.conftest import tiny_config

    folder = tmp_path_factory.mktemp('finished')
    path = folder / 'tiny.pkl'
    path.write_bytes(pickle.dumps(tiny_data()))
    config = tiny_config(path)
    return config, folder / 'run', train(config, folder / 'run')


def test_what_a_run_writes(finished):
    _, workdir, results = finished

    def refuse(constant):
        raise AssertionError(f'{constant} is not JSON')

    text = (workdir / 'results.json').read_text()
    assert json.loads(text, parse_constant=refuse) == results
    assert set(results['test']) == set(results['valid']) >= {'mae', 'corr', 'acc7'}
    assert results['config']['optim']['groups']['text']['lr'] == 1e-3
    assert results['data']['samples'] == SIZES
    history = files.read_history(workdir / 'metrics.jsonl')
    assert [row['epoch'] for row in history] == [1, 2, 3]
    assert [row['step'] for row in history] == [3, 6, 9]  # ceil(21 / 8) steps each
    best = min(history, key=lambda row: row['valid']['mae'])
    assert results['best_epoch'] == best['epoch']
    assert results['valid'] == best['valid']
    labels = files.read_labels(workdir / 'labels.npz')
    assert labels['t'].shape == (3, 21)
    np.testing.assert_array_equal(labels['t'][0], labels['m'])
    assert (labels['t'][1] != labels['m']).any()
    rows = files.read_predictions(workdir / 'predictions.csv')
    assert [row['split'] for row in rows] == [
        s for s, n in SIZES.items() for _ in range(n)
    ]
    test = [row for row in rows if row['split'] == 'test']
    errors = [abs(row['m'] - row['label']) for row in test]
    assert np.mean(errors) == pytest.approx(results['test']['mae'], abs=1e-6)
    for name in ('report.html', 'figures/curves.png', 'figures/label_paths.png'):
        assert (workdir / name).stat().st_size > 5000


def test_the_same_seed_gives_the_same_run_and_another_does_not(finished, tmp_path):
    config, _, results = finished
    again = train(config, tmp_path / 'again')
    assert figures(again) == figures(results)
    config = config.copy_and_resolve_references()
    config.seed = 2
    assert train(config, tmp_path / 'other')['test'] != results['test']


def test_a_finished_run_started_again_only_reports(finished, monkeypatch):
    config, workdir, results = finished

    def step(*_, **__):
        raise AssertionError('a finished run trains no more')

    monkeypatch.setattr(loop, 'train_step', step)
    assert figures(train(config, workdir)) == figures(results)


@pytest.mark.parametrize('change', ['config', 'data'])
def test_another_config_or_other_data_are_refused_with_the_difference(
    finished, tmp_path, change
):
    config, workdir, _ = finished
    config = config.copy_and_resolve_references()
    before = (workdir / 'results.json').read_bytes()
    if change == 'config':
        config.model.output_dropout = 0.25
        message = 'model.output_dropout: 0.3 there, 0.25 here'
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
    assert figures(train(config, workdir)) == figures(results)


class Stop(Exception):
    """Stands for a power cut: nothing after it runs."""


def stop_after(monkeypatch, steps, action):
    """Lets `action` happen once that many train steps were noted."""
    note, done = loop.Run._note, []

    def counting(self, *args):
        note(self, *args)
        done.append(1)
        if len(done) == steps:
            action()

    monkeypatch.setattr(loop.Run, '_note', counting)


@pytest.mark.parametrize('steps', [1, 4, 6, 8])
def test_a_signal_saves_and_the_run_goes_on_bit_for_bit(
    finished, tmp_path, monkeypatch, steps
):
    config, _, results = finished
    usual = signal.getsignal(signal.SIGTERM)
    with monkeypatch.context() as patch:
        stop_after(patch, steps, lambda: os.kill(os.getpid(), signal.SIGTERM))
        with pytest.raises(Interrupted, match='same command goes on') as stopped:
            train(config, tmp_path)
    assert stopped.value.signum == signal.SIGTERM
    assert signal.getsignal(signal.SIGTERM) is usual
    assert figures(train(config, tmp_path)) == figures(results)


@pytest.mark.parametrize('moment', ['save_best', 'save_latest'])
def test_a_crash_between_the_checkpoints_changes_nothing(
    finished, tmp_path, monkeypatch, moment
):
    config, _, results = finished

    def cut(*_):
        raise Stop

    with monkeypatch.context() as patch:
        # The first epoch is always the best so far: its best is saved, then this.
        patch.setattr(Checkpoints, moment, cut)
        with pytest.raises(Stop):
            train(config, tmp_path)
    assert figures(train(config, tmp_path)) == figures(results)


RUNNER = """
import sys
from sugrm_jax import load_config, train
from tests.training.conftest import tiny_config
train(tiny_config(sys.argv[1]), sys.argv[2])
"""


def test_sigkill_in_the_middle_of_an_epoch(finished, data_path, tmp_path):
    _, _, results = finished
    command = [sys.executable, '-c', RUNNER, data_path, tmp_path / 'run']
    # Dies in the second epoch, after its first step, wherever that leaves it.
    dying = command.copy()
    dying[2] = (
        """
import os, signal
from sugrm_jax.training import loop
note, seen = loop.Run._note, []
def dying(self, *args):
    note(self, *args)
    seen.append(1)
    if len(seen) == 4:
        os.kill(os.getpid(), signal.SIGKILL)
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


def test_a_loss_that_is_not_finite_stops_with_step_epoch_and_samples(
    config, tmp_path, monkeypatch
):
    data = tiny_data()
    # Finite in float32, but not once it has been squared.
    data['train']['audio'][5] = 3e38
    path = tmp_path / 'huge.pkl'
    path.write_bytes(pickle.dumps(data))
    config.data.path = str(path)
    with pytest.raises(UserError, match=r'not finite at step \d of epoch 1') as error:
        train(config, tmp_path / 'run')
    assert 'train1$_$5' in str(error.value)
    assert 'train0$_$1' not in str(error.value)


def test_a_validation_sample_that_overflows_is_named(config, tmp_path):
    data = tiny_data()
    data['valid']['audio'][2] = 3e38
    path = tmp_path / 'huge.pkl'
    path.write_bytes(pickle.dumps(data))
    config.data.path = str(path)
    with pytest.raises(UserError, match=r'1 of 7 predictions .* valid0\$_\$2\.'):
        train(config, tmp_path / 'run')


def test_a_gradient_that_is_not_finite_names_the_real_samples_of_its_batch():
    run = object.__new__(loop.Run)
    run.setup = SimpleNamespace(
        dataset=SimpleNamespace(train=SimpleNamespace(ids=['first', 'second']))
    )
    run.progress = Progress(epoch=3, step=4)
    # The second row only fills the batch: its index is the number of samples.
    batch = SimpleNamespace(index=np.array([1, 2]), weight=np.array([1.0, 0.0]))
    report = {'loss': 1.0, 'finite': np.ones(2, bool), 'grad_norm': np.float32(np.inf)}
    message = 'gradient is not finite at step 5 of epoch 3; samples: second'
    with pytest.raises(UserError, match=message):
        run._note(batch, report, None)


def test_with_everything_on_a_stopped_run_still_ends_alike(
    config, tmp_path, monkeypatch
):
    """Accumulation stopped half-way, moving average, schedule, clipping, AdamW."""
    config.optim.name = 'adamw'
    config.optim.accumulate = 2
    config.optim.average_decay = 0.9
    config.optim.schedule = 'cosine'
    config.optim.warmup_epochs = 1.0
    config.optim.clip_norm = 1.0
    config.data.standardize = True
    whole = train(config, tmp_path / 'whole')
    with monkeypatch.context() as patch:
        stop_after(patch, 5, lambda: os.kill(os.getpid(), signal.SIGTERM))
        with pytest.raises(Interrupted):
            train(config, tmp_path / 'stopped')
    resumed = train(config, tmp_path / 'stopped')
    assert figures(resumed) == figures(whole)
    assert (tmp_path / 'whole' / 'scaling.npz').exists()


def test_a_full_disk_while_saving_leaves_the_last_good_checkpoint(
    finished, tmp_path, monkeypatch
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
            train(config, tmp_path)
    assert saved
    assert figures(train(config, tmp_path)) == figures(results)


def test_a_workdir_that_cannot_be_written(config, tmp_path):
    (tmp_path / 'file').write_text('')
    with pytest.raises(UserError, match='cannot be written'):
        train(config, tmp_path / 'file' / 'run')


def test_released_settings_accumulate_and_drop_the_partial_group(config, tmp_path):
    from configs import common

    common.use_released(config)
    config.optim.accumulate = 2
    config.train.epochs = 2
    results = train(config, tmp_path)
    # 3 batches an epoch: one update from two, the third batch's gradient dropped.
    assert results['epochs'] == 2
    kept = Checkpoints(tmp_path, {})
    state = kept._latest.restore(6)['state']
    assert state['opt_state']['gradient_step'] == 2
    assert state['opt_state']['mini_step'] == 0
    assert all((g == 0).all() for g in jax.tree.leaves(state['opt_state']['acc_grads']))


DEVICES = """
import json, sys
import jax, numpy as np
from sugrm_jax.training import loop
from sugrm_jax import train
from tests.training.conftest import tiny_config
losses = []
note = loop.Run._note
def noting(self, batch, report, shown):
    losses.append(float(report['loss']))
    note(self, batch, report, shown)
loop.Run._note = noting
config = tiny_config(sys.argv[1])
config.train.batch = int(sys.argv[4])
config.train.epochs = 7
results = train(config, sys.argv[2])
assert len(jax.devices()) == int(sys.argv[3])
json.dump([losses, results['valid']['mae'], results['test']['mae']], sys.stdout)
"""


@pytest.mark.parametrize('batch', [6, 8])
def test_one_and_eight_devices_give_the_same_losses(data_path, tmp_path, batch):
    """At least 21 steps with dropout; neither 21 samples nor all batches divide."""
    outcomes = []
    for devices in (1, 8):
        flags = f'--xla_force_host_platform_device_count={devices}'
        done = subprocess.run(
            [
                sys.executable,
                '-c',
                DEVICES,
                data_path,
                tmp_path / str(devices),
                str(devices),
                str(batch),
            ],
            env=os.environ | {'XLA_FLAGS': flags},
            capture_output=True,
            text=True,
            check=True,
        )
        outcomes.append(json.loads(done.stdout.splitlines()[-1].split('html')[-1]))
    (one, *metrics_one), (eight, *metrics_eight) = outcomes
    assert len(one) == 7 * -(-21 // batch)
    # float32 sums in another order; losses are of order 1 to 10.
    np.testing.assert_allclose(one, eight, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(metrics_one, metrics_eight, atol=1e-5)
