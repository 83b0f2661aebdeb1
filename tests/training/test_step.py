"""The train step by hand: one weight `w`, prediction `w x`, loss `|w x − y|`."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from sugrm_jax.objectives import Objective
from sugrm_jax.training.state import start_state
from sugrm_jax.training.step import eval_step, train_step
from sugrm_jax.types import Batch, Outputs

DRAWS = ('dropout', 'sampling')


class Line:
    """A model of one weight that can show what it was given.

    It counts the samples that it was trained on, and in evaluation adds their number.
    """

    def apply(self, variables, batch, deterministic, rngs=None, mutable=None):
        product = variables['params']['w'] * batch.audio.reshape(-1)
        count = variables['batch_stats']['count']
        if deterministic:
            return Outputs({'m': product + count}, {'m': product})
        assert mutable == ['batch_stats']
        draws = {name: jax.random.uniform(key) for name, key in rngs.items()}
        outputs = Outputs({'m': product}, draws | {'m': product})
        return outputs, {'batch_stats': {'count': count + batch.weight.sum()}}


LINE = Line()


def line_objective():
    """`|ŷ − y| + memory`, and a memory that is the forward's features, plus one."""

    def loss(outputs, batch, memory):
        return {
            'm': jnp.abs(outputs.prediction['m'] - batch.label),
            'memory': jnp.full(len(batch.label), memory['value']),
        }

    def update(memory, outputs, batch, epoch):
        draws = {name: outputs.feature[name] for name in DRAWS}
        return {'value': outputs.feature['m'].sum() + epoch, **draws}

    start = dict.fromkeys(('value', *DRAWS), 0.0)
    return Objective(
        start=lambda labels: jax.tree.map(jnp.float32, start),
        loss=loss,
        update=update,
        labels=lambda memory: {},
    )


def line_batch(x, y, weight):
    x, y, weight = (jnp.array(a, jnp.float32) for a in (x, y, weight))
    index = jnp.arange(len(x))
    return Batch(None, x, None, None, None, y, index=index, weight=weight)


@pytest.fixture
def stepping():
    """A state before the first step, and one step of plain gradient descent."""
    optimizer, objective = optax.sgd(0.1), line_objective()
    params = {'w': jnp.float32(2)}
    stats = {'batch_stats': {'count': jnp.float32(0)}}
    state = start_state(
        params, optimizer, objective, jnp.zeros(2), averaged=True, stats=stats
    )

    def step(state, batch, epoch=1, seed=0, model=LINE):
        return train_step(
            state,
            batch,
            jnp.int32(epoch),
            jax.random.key(seed),
            model=model,
            objective=objective,
            optimizer=optimizer,
            average_decay=0.75,
        )

    return state, step


BATCH = line_batch([1, 3, 100], [1, 0, 0], [1, 1, 0])


def test_two_steps_by_hand(stepping):
    state, step = stepping
    # ŷ = 2, 6 against 1, 0: losses 1, 6, mean 3.5; the third row has no weight.
    # dL/dw = (1 + 3) / 2 = 2, so w = 2 − 0.1 · 2.
    state, report = step(state, BATCH)
    assert report['loss'] == pytest.approx(3.5)
    assert report['m'] == pytest.approx(3.5)
    assert report['grad_norm'] == pytest.approx(2)
    assert state.step == 1
    assert state.params['w'] == pytest.approx(1.8)
    # 0.75 · 2 + 0.25 · 1.8
    assert state.average['w'] == pytest.approx(1.95)
    # The forward's features, from before the update: 2 · (1 + 3 + 100), plus epoch 1.
    assert state.memory['value'] == pytest.approx(209)
    assert state.stats['batch_stats']['count'] == 2

    # ŷ = 1.8, 5.4: losses 0.8, 5.4, mean 3.1, and the memory of the step before.
    state, report = step(state, BATCH, epoch=5)
    assert report['m'] == pytest.approx(3.1)
    assert report['memory'] == pytest.approx(209)
    assert report['loss'] == pytest.approx(212.1)
    assert state.params['w'] == pytest.approx(1.6)
    assert state.average['w'] == pytest.approx(0.75 * 1.95 + 0.25 * 1.6)
    assert state.memory['value'] == pytest.approx(1.8 * 104 + 5)
    assert state.stats['batch_stats']['count'] == 4
    # Evaluation sees the average of the parameters, and the statistics as they are.
    assert state.variables['params'] is state.average
    assert state.variables['batch_stats'] is state.stats['batch_stats']
    assert state.replace(average=None).variables['params'] is state.params


def test_keys_differ_by_step_by_use_and_by_seed_and_repeat(stepping):
    state, step = stepping
    first, _ = step(state, BATCH)
    second, _ = step(first, BATCH)
    other, _ = step(state, BATCH, seed=1)
    draws = [float(s.memory[n]) for s in (first, second, other) for n in DRAWS]
    assert len(set(draws)) == len(draws) == 6
    again, _ = step(state, BATCH)
    chex.assert_trees_all_equal(again, first)


def test_rows_without_weight_change_nothing_but_what_the_objective_sees(stepping):
    state, step = stepping
    one, report = step(state, BATCH)
    other, other_report = step(state, line_batch([1, 3, -7], [1, 0, 50], [1, 1, 0]))
    chex.assert_trees_all_equal(one.params, other.params)
    assert report['loss'] == other_report['loss']


def test_finite_is_by_sample_and_true_for_rows_without_weight(stepping):
    state, step = stepping
    batch = line_batch([1, np.inf, np.nan], [1, 0, 0], [1, 1, 0])
    _, report = step(state, batch)
    np.testing.assert_array_equal(report['finite'], [True, False, True])


def test_evaluation_is_deterministic():
    stats = {'batch_stats': {'count': jnp.float32(5)}}
    variables = {'params': {'w': jnp.float32(2)}, **stats}
    outputs = eval_step(variables, BATCH, model=Line())
    np.testing.assert_array_equal(outputs.prediction['m'], [7, 11, 205])
    assert not outputs.feature and not outputs.losses


@pytest.mark.parametrize('name', ['m', 'loss', 'grad_norm'])
def test_a_model_may_not_take_the_name_of_another_term(stepping, name):
    class Own(Line):
        def apply(self, *args, **kwargs):
            outputs, stats = super().apply(*args, **kwargs)
            return outputs.replace(losses={name: outputs.prediction['m']}), stats

    state, step = stepping
    with pytest.raises(ValueError, match=f'losses of its own .*{name}'):
        step(state, BATCH, model=Own())
