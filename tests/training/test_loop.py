"""Whole runs in miniature: what they write, repeat and refuse."""

import json
from types import SimpleNamespace

import jax
import numpy as np
import pytest

from sugrm_jax import UserError, train
from sugrm_jax.results import files
from sugrm_jax.training import loop
from sugrm_jax.training.checkpoint import Checkpoints, Progress
from tests.training.conftest import SIZES
from tests.training.runs import figures


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


def test_the_same_seed_gives_the_same_run_and_another_does_not(
    finished, shared, tmp_path
):
    config, _, results = finished
    again = train(config, tmp_path / 'again', shared=shared)
    assert figures(again) == figures(results)
    config = config.copy_and_resolve_references()
    config.seed = 2
    other = train(config, tmp_path / 'other', shared=shared)
    assert other['test'] != results['test']


def test_a_loss_that_is_not_finite_stops_with_step_and_epoch(config, tmp_path):
    for group in config.optim.groups.values():
        group.lr = 1e30
    with pytest.raises(UserError, match=r'loss is not finite at step \d of epoch 1'):
        train(config, tmp_path)


class Ids(list):
    """A split of which nothing but the ids is asked."""

    @property
    def ids(self):
        return self


def one_batch(**report):
    """A run, the index of a batch of two rows, and what its step reported."""
    run = object.__new__(loop.Run)
    run.setup = SimpleNamespace(dataset=SimpleNamespace(train=Ids(['first', 'second'])))
    run.progress = Progress(epoch=3, step=4)
    # The second row only fills the batch: its index is the number of samples.
    return (
        run,
        np.array([1, 2]),
        {'finite': np.ones(2, bool), 'grad_norm': np.ones(()), 'stop': False} | report,
    )


def test_a_loss_that_is_not_finite_names_its_samples():
    run, index, report = one_batch(loss=np.nan, finite=np.array([False, True]))
    message = 'loss is not finite at step 5 of epoch 3; samples: second. '
    with pytest.raises(UserError, match=message):
        run._note(index, report, None)


def test_a_gradient_that_is_not_finite_names_the_real_samples_of_its_batch():
    run, index, report = one_batch(loss=1.0, grad_norm=np.float32(np.inf))
    message = 'gradient is not finite at step 5 of epoch 3; samples: second. '
    with pytest.raises(UserError, match=message):
        run._note(index, report, None)


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


def test_every_epoch_is_told_once_it_is_saved(finished, shared, tmp_path):
    config, _, _ = finished

    class Enough(Exception):
        pass

    told = []

    def on_epoch(row):
        told.append(row)
        assert files.read_history(tmp_path / 'metrics.jsonl') == told
        if len(told) == 2:
            raise Enough

    with pytest.raises(Enough):
        train(config, tmp_path, on_epoch=on_epoch, shared=shared)
    # The run goes on from there, and only tells what is new.
    told.clear()
    results = train(config, tmp_path, on_epoch=told.append, shared=shared)
    assert results['epochs'] == 3
    assert [row['epoch'] for row in told] == [3]
