"""The skeleton and the paper's ablations, one config field each."""

import functools
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from sugrm_jax import models
from sugrm_jax.config import plain
from sugrm_jax.errors import UserError
from sugrm_jax.main import load_config
from sugrm_jax.training.optim import GroupConfig, assign_groups
from tests.models import fusing

MOSI, SELF_MM = 'configs/mosi.py', 'configs/baselines/self_mm.py'
# Of every encoder, small ones.
SMALL = [
    'spt.width=4',
    'spt.heads=2',
    'spt.layers=2',
    'transformer.width=4',
    'transformer.heads=2',
    'transformer.layers=1',
    'transformer.memory_layers=1',
    'lstm.a.hidden=3',
    'common_width.m=6',
]
ONE_SPACE = [f'model.common_width.{task}=32' for task in 'mtav']
# MRM by hand: see test_configs.
MRM = 315_019


def config_of(file, *overrides):
    return plain(load_config(file, [f'--config.{field}' for field in overrides]))


def system(file, *overrides):
    config = config_of(file, *overrides)
    return models.build(config['model'], config['objective'], text=None)


@functools.cache
def small(encoder='lstm', **changes):
    """A small model."""
    changes = [f'{field}={value}' for field, value in changes.items()]
    fields = [*SMALL, *changes, f'encoder={encoder}']
    return system(MOSI, *(f'model.{field}' for field in fields)).model


@functools.cache
def start():
    """Initial parameters of the small model with all tasks and MRM."""
    return fusing.start(small(), fusing.features())['params']


def predict(model, params):
    x, real = fusing.features(), fusing.lengths()
    return fusing.predict(model, {'params': params}, x, real)


def mosi_params(file, *overrides):
    """Shapes of the parameters for MOSI and BERT-base."""
    widths, rows = {'t': (50, 768), 'a': (375, 5), 'v': (500, 20)}, 2
    x = {s: jnp.zeros((rows, *shape)) for s, shape in widths.items()}
    lengths = {s: jnp.full(rows, steps) for s, (steps, _) in widths.items()}
    model = system(file, *overrides).model
    init = functools.partial(model.init, deterministic=True, method='fuse')
    return jax.eval_shape(init, jax.random.key(0), x, lengths)['params']


# Ablation → parameters of MRM, of the encoder, and of the heads; worked out by hand.
PAPER_HEADS = {'m': 3_137, 't': 1_089, 'a': 1_089, 'v': 1_089}
SELF_MM_HEADS = {'m': 121_217, 't': 25_697, 'a': 561, 'v': 2_145}
SPT = 160_882
LSTM = 1_472 + 272 + 6_912 + 1_056
COUNTS = [
    (MOSI, [], MRM, SPT, PAPER_HEADS),
    # Table 3.
    *(
        (MOSI, [f'model.tasks={tasks}'], MRM, SPT, {t: PAPER_HEADS[t] for t in tasks})
        for tasks in (
            ('m',),
            ('m', 'v'),
            ('m', 'a'),
            ('m', 't'),
            ('m', 'a', 'v'),
            ('m', 't', 'a'),
            ('m', 't', 'v'),
        )
    ),
    # Table 4. MulT's transformer of width 32: convolutions of 793 features, six times
    # four layers of width 32 and three times four of width 64, each with two norms and
    # 12 E² + 9 E in linear maps, and a norm behind every four.
    (MOSI, ['model.mrm=False'], 0, SPT, PAPER_HEADS),
    (
        MOSI,
        ['model.encoder=transformer'],
        MRM,
        793 * 32 + 6 * (4 * 12_704 + 64) + 3 * (4 * 49_984 + 128),
        {'m': 6_209, 't': 2_113, 'a': 2_113, 'v': 2_113},
    ),
    (
        MOSI,
        ['model.encoder=lstm'],
        MRM,
        LSTM,
        {'m': 26_177, 't': 24_641, 'a': 577, 'v': 1_089},
    ),
    (MOSI, ['objective.labels=self_mm'], MRM, SPT, PAPER_HEADS),
    (SELF_MM, [], 0, LSTM, SELF_MM_HEADS),
    (SELF_MM, ['model.mrm=True'], MRM, LSTM, SELF_MM_HEADS),
    # Table 8.
    (MOSI, ['objective.loss=l2'], MRM, SPT, PAPER_HEADS),
    (MOSI, ['objective.loss=huber'], MRM, SPT, PAPER_HEADS),
]


def size(tree):
    return sum(math.prod(x.shape) for x in jax.tree.leaves(tree))


@pytest.mark.parametrize(('file', 'overrides', 'mrm', 'encoder', 'heads'), COUNTS)
def test_an_ablation_has_the_parameters_of_its_parts(
    file, overrides, mrm, encoder, heads
):
    params = mosi_params(file, *overrides)
    wanted = {'encoder': encoder} | {f'head_{task}': n for task, n in heads.items()}
    wanted |= {'mrm': mrm} if mrm else {}
    assert {name: size(tree) for name, tree in params.items()} == wanted


@pytest.mark.parametrize(
    ('file', 'overrides', 'empty'),
    [
        (MOSI, ['model.mrm=False', "model.tasks=('m',)"], set()),
        (MOSI, ['model.encoder=lstm'], set()),
        (MOSI, ['model.encoder=transformer'], set()),
        (SELF_MM, ['model.mrm=True'], set()),
        (SELF_MM, ['model.encoder=spt'], {'audio', 'vision'}),
        (SELF_MM, ['objective.labels=sugrm', *ONE_SPACE], set()),
    ],
)
def test_optimiser_groups_cover_every_ablation(file, overrides, empty):
    groups = config_of(file, *overrides)['optim']['groups']
    groups = {name: GroupConfig(**group) for name, group in groups.items()}
    used = set(jax.tree.leaves(assign_groups(mosi_params(file, *overrides), groups)))
    assert used == groups.keys() - {'text', 'text_plain'} - empty


def test_self_mms_groups_are_its_encoders():
    config = config_of(SELF_MM)['optim']['groups']
    groups = {name: GroupConfig(**group) for name, group in config.items()}
    names = assign_groups(mosi_params(SELF_MM), groups)
    assert set(jax.tree.leaves(names['encoder']['lstm_a'])) == {'audio'}
    assert set(jax.tree.leaves(names['encoder']['output_v'])) == {'vision'}
    assert set(jax.tree.leaves(names['head_a'])) == {'other'}


def test_a_task_leaves_the_others_as_they_are():
    params = start()
    every = predict(small(), params)
    some = {k: v for k, v in params.items() if k not in ('head_a', 'head_t')}
    two = predict(small(tasks=('m', 'v')), some)
    assert two.keys() == {'m', 'v'}
    for task, prediction in two.items():
        # float32, compiled otherwise.
        np.testing.assert_allclose(prediction, every[task], rtol=1e-6)


def test_without_mrm_features_stay_as_they_are():
    """With all of MRM's parameters 0 it multiplies by 2 · sigmoid(0) = 1."""
    params = start()
    idle = params | {'mrm': jax.tree.map(jnp.zeros_like, params['mrm'])}
    wanted, recalibrated = predict(small(), idle), predict(small(), params)
    rest = {k: v for k, v in params.items() if k != 'mrm'}
    for task, prediction in predict(small(mrm=False), rest).items():
        # float32, compiled otherwise.
        np.testing.assert_allclose(prediction, wanted[task], rtol=1e-6)
        assert (np.abs(prediction - recalibrated[task]) > 1e-4).any()


def test_each_head_has_its_own_dropout():
    """Those of t and v follow m's."""
    model = small(**{'output_dropout.m': 0.0, 'output_dropout.a': 0.9})
    still = predict(model, start())
    dropped = model.apply(
        {'params': start()},
        fusing.features(),
        fusing.lengths(),
        False,
        rngs={'dropout': jax.random.key(0)},
        method='fuse',
    )
    for task, prediction in dropped.prediction.items():
        moved = np.abs(prediction - still[task]) > 1e-5
        assert moved.any() == (task == 'a')


def test_each_task_reaches_what_it_is_computed_from():
    """Its own head and no other's; a modality's task only its modality, m all three."""
    x, params = fusing.features(), {k: v for k, v in start().items() if k != 'mrm'}

    def predictions(params, x):
        prediction = fusing.predict(small(mrm=False), {'params': params}, x, None)
        return jnp.stack([prediction[task].sum() for task in 'mtav'])

    gradients = jax.jit(jax.jacrev(predictions, (0, 1)))(params, x)
    for i, task in enumerate('mtav'):
        of_params, of_inputs = jax.tree.map(lambda g, i=i: g[i], gradients)
        reached = {name for name, tree in of_params.items() if any_nonzero(tree)}
        assert reached - {'encoder'} == {f'head_{task}'}
        reached = {s for s, g in of_inputs.items() if g.any()}
        assert reached == ({'t', 'a', 'v'} if task == 'm' else {task})


def any_nonzero(tree):
    return any(np.any(x) for x in jax.tree.leaves(tree))


@pytest.mark.parametrize('encoder', ['spt', 'lstm'])
def test_padding_is_not_seen(encoder):
    fusing.assert_padding_is_not_seen(small(encoder), fusing.features())


@pytest.mark.parametrize('encoder', ['spt', 'lstm'])
def test_an_absent_modality_does_no_harm(encoder):
    fusing.assert_absence_is_harmless(small(encoder), fusing.features())


@pytest.mark.parametrize(
    'tasks', [(), ('t',), ('m', 'm'), ('m', 'v', 'a'), ('t', 'm'), ('m', 'x')]
)
def test_tasks_are_m_and_others_in_their_order(tasks):
    config = config_of(MOSI)
    config['model']['tasks'] = tasks
    with pytest.raises(UserError, match='tasks must be m and any of t, a, v'):
        models.build(config['model'], config['objective'], text=None)


@pytest.mark.parametrize(
    ('field', 'message'),
    [
        ('model.encoder=gru', 'encoder must be one of'),
        ('model.heads=own', 'heads must be one of'),
        ('model.padding=none', 'padding must be one of'),
        ('objective.labels=own', 'labels must be one of'),
    ],
)
def test_unknown_names_are_refused(field, message):
    with pytest.raises(UserError, match=message):
        system(MOSI, field)


def test_sugrms_labels_for_self_mm_need_one_space():
    with pytest.raises(UserError, match='common_width must be the same'):
        system(SELF_MM, 'objective.labels=sugrm')
    system(SELF_MM, 'objective.labels=sugrm', *ONE_SPACE)
