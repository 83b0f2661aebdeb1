"""Parameter groups, Adam against torch's formulas, schedules, accumulation."""

import dataclasses
import functools
import math

import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import traverse_util

from configs import demo, mosei, mosi
from sugrm_jax import models
from sugrm_jax.config import plain, typed
from sugrm_jax.errors import UserError
from sugrm_jax.layers.bert import BertConfig
from sugrm_jax.layers.text import TextConfig, TextEncoder
from sugrm_jax.training.optim import (
    FROZEN,
    GroupConfig,
    OptimConfig,
    assign_groups,
    drop_partial_group,
    make_optimizer,
)
from sugrm_jax.types import Batch

CONFIG = OptimConfig(
    name='adam',
    groups={'all': GroupConfig('.', 0.1, 0.0)},
    schedule='constant',
    warmup_epochs=0.0,
    clip_norm=None,
    accumulate=1,
    accumulate_sum=False,
    drop_partial=False,
    average_decay=None,
)


def changed(decay=0.0, **changes):
    groups = {'all': GroupConfig('.', 0.1, decay)}
    return dataclasses.replace(CONFIG, **{'groups': groups} | changes)


START = {'x': {'w': jnp.ones(())}}


def run(config, gradients, start=START, epochs=1, frozen=()):
    """The parameters after each gradient, and the state at the end."""
    optimizer = make_optimizer(
        config,
        start,
        epochs=epochs,
        steps_per_epoch=len(gradients) // epochs,
        frozen=frozen,
    )

    @jax.jit
    def step(params, state, gradient):
        updates, state = optimizer.update(gradient, state, params)
        return optax.apply_updates(params, updates), state

    params, state, path = start, optimizer.init(start), []
    for gradient in gradients:
        params, state = step(params, state, gradient)
        path.append(params)
    return path, state


def scalars(*gradients):
    return [{'x': {'w': jnp.float32(g)}} for g in gradients]


def values(config, gradients, **options):
    path, _ = run(config, scalars(*gradients), **options)
    return [float(params['x']['w']) for params in path]


def torch_adam(gradients, decay=0.0, decoupled=False, lr=0.1):
    """torch.optim.Adam and AdamW on one parameter that starts at 1, in doubles."""
    p, m, v, path = 1.0, 0.0, 0.0, []
    for t, g in enumerate(gradients, 1):
        if decoupled:
            p -= lr * decay * p
        else:
            g += decay * p
        m = 0.9 * m + 0.1 * g
        v = 0.999 * v + 0.001 * g * g
        denominator = math.sqrt(v / (1 - 0.999**t)) + 1e-8
        p -= lr * m / (1 - 0.9**t) / denominator
        path.append(p)
    return path


GRADIENTS = (0.3, -0.1, 0.02, 0.4)
# In float32, 1 − 0.999^t is off by 6e-8 of 0.001 t, so its root by up to 3e-5: of
# every step of 0.1, of which there are at most four.
ROUNDING = dict(abs=1.2e-5)


@pytest.mark.parametrize('decay', [0.0, 0.5])
@pytest.mark.parametrize('name', ['adam', 'adamw'])
def test_adam_is_torchs(name, decay):
    ours = values(changed(decay, name=name), GRADIENTS)
    wanted = torch_adam(GRADIENTS, decay, decoupled=name == 'adamw')
    assert ours == pytest.approx(wanted, **ROUNDING)


def test_two_steps_by_hand():
    """Decay 1/2, gradients 0.5 and −1.2.

    L2: the gradients become 1 and then, at 0.9, −0.75. So m = 0.1 and 0.015, v = 0.001
    and 0.0015615; corrected 1, 1 and 0.015/0.19, 0.0015615/0.001999: steps −0.1 and
    −0.1 · 0.0789474/0.8838280 = −0.0089324.
    Decoupled: m = 0.05 and −0.075, v = 0.00025 and 0.00168975; corrected −0.3947368
    and 0.8452976 at the second. 1 − 0.05 − 0.1 = 0.85; 0.85 − 0.0425 + 0.0429336.
    """
    gradients = (0.5, -1.2)
    l2 = values(changed(0.5, name='adam'), gradients)
    assert l2 == pytest.approx([0.9, 0.8910676], **ROUNDING)
    decoupled = values(changed(0.5, name='adamw'), gradients)
    assert decoupled == pytest.approx([0.85, 0.8504336], **ROUNDING)


def test_groups_have_their_own_rate_and_decay():
    """A first step of Adam is the learning rate, with the gradient's sign."""
    groups = {
        'slow': GroupConfig('^a/', 0.001, 0.0),
        'fast': GroupConfig('^b/', 0.5, 0.0),
        'decayed': GroupConfig('^c/', 0.01, 2.0),
    }
    start = {name: {'w': jnp.ones(2)} for name in 'abc'}
    gradient = jax.tree.map(lambda x: jnp.array([1.0, -1.0]), start)
    (params,), _ = run(dataclasses.replace(CONFIG, groups=groups), [gradient], start)
    for name, wanted in {
        'a': [0.999, 1.001],
        'b': [0.5, 1.5],
        # 2 · 1 outweighs the gradient of −1.
        'c': [0.99, 0.99],
    }.items():
        # 3e-5 of the largest step, see `ROUNDING`.
        np.testing.assert_allclose(params[name]['w'], wanted, atol=1.5e-5)


def test_frozen_parameters_do_not_move():
    groups = {'all': GroupConfig('.', 0.1, 1.0)}
    start = {'text': {'w': jnp.ones(3)}, 'rest': {'w': jnp.ones(3)}}
    gradient = jax.tree.map(jnp.ones_like, start)
    for name in ('adam', 'adamw'):
        config = changed(name=name, groups=groups)
        path, _ = run(config, [gradient] * 2, start, frozen=('text',))
        np.testing.assert_array_equal(path[-1]['text']['w'], np.ones(3))
        assert (path[-1]['rest']['w'] < 1).all()


SMALL = {'a': {'kernel': np.ones(1), 'bias': np.ones(1)}, 'b': {'bias': np.ones(1)}}


def small_groups(**patterns):
    return {name: GroupConfig(pattern, 0.1, 0.0) for name, pattern in patterns.items()}


def test_groups_by_pattern():
    groups = small_groups(first='^a/', biases='^b/bias$')
    assert assign_groups(SMALL, groups) == {
        'a': {'kernel': 'first', 'bias': 'first'},
        'b': {'bias': 'biases'},
    }
    # Frozen modules belong to no other group, whatever the patterns say.
    assert assign_groups(SMALL, small_groups(first='a'), frozen=('b',)) == {
        'a': {'kernel': 'first', 'bias': 'first'},
        'b': {'bias': FROZEN},
    }


@pytest.mark.parametrize(
    ('patterns', 'message'),
    [
        (dict(first='^a/'), 'Parameter b/bias belongs to no group'),
        (
            dict(first='^a/', biases='bias$'),
            r"Parameter a/bias belongs to \['first', 'biases'\]",
        ),
    ],
)
def test_parameters_of_no_group_or_of_two_are_refused(patterns, message):
    with pytest.raises(UserError, match=message + r'.*config\.optim\.groups'):
        make_optimizer(
            changed(groups=small_groups(**patterns)), SMALL, epochs=1, steps_per_epoch=1
        )


def parameter_shapes(config):
    """The parameters of a config's model, with a small BERT, as shapes."""
    bert = BertConfig(50, 16, 2, 2, 32, 'gelu', 0.1, 0.1, 12, 2)
    text = TextEncoder(bert, typed(TextConfig, config['text']))
    system = models.build(config['model'], config['objective'], text)
    x, length = jnp.zeros((1, 30, 5)), jnp.full(1, 30)
    tokens = jnp.ones((1, 3, 12), jnp.int32)
    one = jnp.ones(1)
    batch = Batch(tokens, x, length, x, length, label=one, index=one, weight=one)
    init = functools.partial(system.model.init, deterministic=True)
    return jax.eval_shape(init, jax.random.key(0), batch)['params']


@pytest.mark.parametrize(
    'config',
    [mosi.get_config(), mosei.get_config('released'), demo.get_config()],
    ids=['mosi', 'mosei:released', 'demo'],
)
def test_the_configs_groups_cover_the_model(config):
    config = plain(config)
    params = parameter_shapes(config)
    optim = typed(OptimConfig, config['optim'])
    make_optimizer(optim, params, epochs=1, steps_per_epoch=optim.accumulate)
    groups = assign_groups(params, optim.groups)
    found = {}
    for path, group in traverse_util.flatten_dict(groups).items():
        kind = (path[0], path[-1]) if path[0] == 'text' else path[0]
        found.setdefault(group, set()).add(kind)
    assert found == {
        'text_plain': {('text', 'bias'), ('text', 'scale')},
        'text': {('text', 'kernel'), ('text', 'embedding')},
        'encoder': {'encoder'},
        'other': {'mrm', 'head_m', 'head_t', 'head_a', 'head_v'},
    }


def factors(gradients=8, **changes):
    """Of every update on the learning rate: under a constant gradient of 1, Adam's
    steps are the learning rate itself."""
    path = np.array([1.0, *values(changed(**changes), [1.0] * gradients, epochs=2)])
    return -np.diff(path) / 0.1


@pytest.mark.parametrize(
    ('changes', 'wanted'),
    [
        ({}, [1] * 8),
        ({'schedule': 'linear'}, [1 - k / 8 for k in range(8)]),
        (
            {'schedule': 'cosine'},
            [(1 + math.cos(math.pi * k / 8)) / 2 for k in range(8)],
        ),
        # Half an epoch is two of the eight updates.
        ({'warmup_epochs': 0.5}, [0, 1 / 2, *[1] * 6]),
        (
            {'schedule': 'linear', 'warmup_epochs': 0.5},
            [0, 1 / 2, 1, 5 / 6, 4 / 6, 3 / 6, 2 / 6, 1 / 6],
        ),
        # Four updates of two batches each, where every second batch moves nothing.
        (
            {'schedule': 'linear', 'accumulate': 2},
            [0, 1, 0, 3 / 4, 0, 2 / 4, 0, 1 / 4],
        ),
        (
            {'warmup_epochs': 1.0, 'accumulate': 2},
            [0, 0, 0, 1 / 2, 0, 1, 0, 1],
        ),
    ],
)
def test_schedules(changes, wanted):
    # 3e-5 of a step, see `ROUNDING`.
    np.testing.assert_allclose(factors(**changes), wanted, atol=3e-5)


@pytest.mark.parametrize(
    ('changes', 'wanted'),
    [
        # 2 updates an epoch, 4 in all: the fifth batch of each epoch is thrown away.
        ({'schedule': 'linear'}, [1, 3 / 4, 2 / 4, 1 / 4]),
        ({'warmup_epochs': 1.0}, [0, 1 / 2, 1, 1]),
        (
            {'schedule': 'linear', 'warmup_epochs': 0.5},
            [0, 1, 2 / 3, 1 / 3],
        ),
        # Carried over, the 10 batches make 5 updates.
        (
            {'schedule': 'linear', 'drop_partial': False},
            [1, 4 / 5, 3 / 5, 2 / 5, 1 / 5],
        ),
    ],
)
def test_schedules_count_the_updates_that_are_made(changes, wanted):
    """Two epochs of five batches, of which every two make one update."""
    config = changed(**{'accumulate': 2, 'drop_partial': True} | changes)
    optimizer = make_optimizer(config, START, epochs=2, steps_per_epoch=5)
    (gradient,) = scalars(1.0)
    params, state, path = START, optimizer.init(START), [1.0]
    for batch in range(10):
        updates, state = optimizer.update(gradient, state, params)
        params = optax.apply_updates(params, updates)
        if state.mini_step == 0:
            path.append(float(params['x']['w']))
        if config.drop_partial and batch % 5 == 4:
            state = drop_partial_group(state)
    # 3e-5 of a step, see `ROUNDING`.
    np.testing.assert_allclose(-np.diff(path) / 0.1, wanted, atol=3e-5)


def test_an_epoch_without_an_update_is_refused():
    config = changed(accumulate=4, drop_partial=True)
    with pytest.raises(UserError, match='batches of an epoch are 3, and'):
        make_optimizer(config, START, epochs=2, steps_per_epoch=3)
    make_optimizer(config, START, epochs=2, steps_per_epoch=4)
    carried = dataclasses.replace(config, drop_partial=False)
    make_optimizer(carried, START, epochs=2, steps_per_epoch=3)


@pytest.mark.parametrize('summed', [True, False])
def test_accumulation_sums_or_averages(summed):
    """With a decay of 1, the sign of a first step tells one from the other:
    1 − 0.8 − 0.8 < 0 < 1 − 0.8."""
    gradients = [-0.8, -0.8, 0.3, -0.5]
    config = changed(1.0, accumulate=2, accumulate_sum=summed)
    ours = values(config, gradients)
    assert ours[0] == 1
    assert ours[1] == pytest.approx(1.1 if summed else 0.9, **ROUNDING)
    joined = [-1.6, -0.2] if summed else [-0.8, -0.1]
    assert ours[1::2] == pytest.approx(torch_adam(joined, 1.0), **ROUNDING)


def test_clipping():
    """By the norm over all parameters: (3, 4) becomes (0.6, 0.8); (0.3, −0.4) stays."""
    start = {'x': {'w': jnp.ones(1)}, 'y': {'w': jnp.ones(1)}}
    gradients = [
        {'x': {'w': jnp.array([x])}, 'y': {'w': jnp.array([y])}}
        for x, y in [(3.0, 4.0), (0.3, -0.4)]
    ]
    path, _ = run(changed(clip_norm=1.0), gradients, start)
    wanted = {'x': torch_adam([0.6, 0.3]), 'y': torch_adam([0.8, -0.4])}
    for name, steps in wanted.items():
        ours = [float(params[name]['w'][0]) for params in path]
        assert ours == pytest.approx(steps, **ROUNDING)


def test_what_is_clipped_is_the_gathered_gradient():
    gradients = [1.5, 1.5, 0.2, 0.3]
    config = changed(clip_norm=1.0, accumulate=2, accumulate_sum=True)
    wanted = torch_adam([1.0, 0.5])
    assert values(config, gradients)[1::2] == pytest.approx(wanted, **ROUNDING)


def test_dropping_a_partial_group_empties_it_and_nothing_else():
    config = changed(accumulate=3, accumulate_sum=True)
    _, full = run(config, scalars(0.3, -0.1, 0.5))
    _, partial = run(config, scalars(0.3, -0.1, 0.5, 7, 7))
    assert partial.mini_step == 2 and partial.acc_grads['x']['w'] == 14
    chex.assert_trees_all_equal(drop_partial_group(partial), full)
    # Moments and the count of updates are not what is emptied.
    assert full.gradient_step == 1
    assert any(np.any(x) for x in jax.tree.leaves(full.inner_opt_state))


@pytest.mark.parametrize(
    ('field', 'value'), [('name', 'sgd'), ('schedule', 'exponential')]
)
def test_unknown_names_are_refused(field, value):
    with pytest.raises(ValueError, match=f'{field} must be one of'):
        changed(**{field: value})
