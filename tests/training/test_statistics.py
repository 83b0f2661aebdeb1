"""Whole steps and runs of a model that keeps running statistics."""

import os
import pickle
import signal

import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from configs.baselines import tfn
from sugrm_jax import models, train
from sugrm_jax.config import plain
from sugrm_jax.interrupt import Interrupted
from sugrm_jax.layers.text import TextConfig, TextEncoder
from sugrm_jax.training.state import start_state
from sugrm_jax.training.step import eval_step, train_step
from sugrm_jax.types import Batch
from tests.recordings import FIXTURES
from tests.training.conftest import tiny_data
from tests.training.runs import assert_alike, figures, stop_after


def small_config(**optim):
    config = tfn.get_config()
    widths = {name: 4 for name in config.model if name.endswith('_width')}
    config.model.update(widths)
    config.optim.update(optim)
    return config


def make_batch(weight, seed=0):
    rng = np.random.default_rng(seed)
    rows = len(weight)
    tokens = np.ones((rows, 3, 5), np.int32)
    return Batch(
        tokens=tokens,
        audio=rng.normal(3, 1, (rows, 4, 2)).astype(np.float32),
        audio_length=np.full(rows, 4),
        vision=rng.normal(3, 1, (rows, 4, 3)).astype(np.float32),
        vision_length=np.full(rows, 4),
        label=rng.uniform(-3, 3, rows).astype(np.float32),
        text=rng.normal(size=(rows, 5, 6)).astype(np.float32),
        index=np.arange(rows),
        weight=np.float32(weight),
    )


@pytest.fixture(scope='module')
def stepping():
    """A model on fixed text, its state before the first step, and a step."""
    config = plain(small_config())
    text = TextEncoder(None, TextConfig('file', False, 'float32', 5))
    system = models.build(config['model'], config['objective'], text)
    stats = system.model.init(jax.random.key(0), make_batch([1, 1]), True)
    params = stats.pop('params')
    optimizer = optax.sgd(0.1)
    state = start_state(
        params, optimizer, system.objective, jnp.zeros(3), averaged=True, stats=stats
    )

    @jax.jit
    def step(state, batch):
        given = dict(model=system.model, objective=system.objective)
        key = jax.random.key(0)
        return train_step(
            state, batch, 1, key, **given, optimizer=optimizer, average_decay=0.9
        )[0]

    return system.model, state, step


def test_a_step_moves_the_statistics_and_evaluation_reads_them(stepping):
    model, state, step = stepping
    batch = make_batch([1, 1, 1])
    after = step(state, batch)
    mean = after.stats['batch_stats']['subnet_a']['norm']['mean']
    # From 0 a tenth of the way to the batch's mean.
    np.testing.assert_allclose(mean, 0.1 * batch.audio.mean((0, 1)), rtol=1e-5)
    before = {**after.variables, 'batch_stats': state.stats['batch_stats']}
    predictions = [
        eval_step(variables, batch, model=model).prediction['m']
        for variables in (after.variables, before)
    ]
    assert (predictions[0] != predictions[1]).all()


def test_rows_without_weight_move_nothing(stepping):
    _, state, step = stepping
    batch = make_batch([1, 1, 0])
    other = make_batch([1, 1, 0], seed=1)
    mixed = jax.tree.map(lambda x, y: np.concatenate([x[:2], y[2:]]), batch, other)
    ours, theirs = step(state, batch), step(state, mixed)
    chex.assert_trees_all_equal(ours.stats, theirs.stats)
    chex.assert_trees_all_equal(ours.params, theirs.params)
    assert not np.array_equal(batch.audio, mixed.audio)


def test_the_optimiser_leaves_the_statistics_alone(stepping):
    _, state, step = stepping
    after = step(state, make_batch([1, 1, 1]))
    assert jax.tree.structure(after) == jax.tree.structure(state)
    assert after.average.keys() == after.params.keys() == state.params.keys()
    assert 'batch_stats' not in after.params


@pytest.mark.parametrize('average_decay', [None, 0.9])
def test_a_run_goes_on_bit_for_bit(tmp_path, monkeypatch, average_decay):
    path = tmp_path / 'tiny.pkl'
    path.write_bytes(pickle.dumps(tiny_data()))
    config = small_config(average_decay=average_decay)
    config.data.path = str(path)
    config.text.pretrained = str(FIXTURES / 'bert_tiny')
    config.train.update(batch=8, eval_batch=4, epochs=3)
    whole = train(config, tmp_path / 'whole')
    with monkeypatch.context() as patch:
        stop_after(patch, 5, lambda: os.kill(os.getpid(), signal.SIGTERM))
        with pytest.raises(Interrupted):
            train(config, tmp_path / 'run')
    assert figures(train(config, tmp_path / 'run')) == figures(whole)
    assert_alike(tmp_path / 'run', tmp_path / 'whole')
