"""EF-LSTM: what padding, absence, fillers and the shape of the data may do."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from sugrm_jax.config import plain
from sugrm_jax.errors import UserError
from sugrm_jax.main import load_config
from sugrm_jax.models import ef_lstm
from tests.models import fusing


def settings(**changed):
    model = plain(load_config('configs/baselines/ef_lstm.py').model)
    return model | {'width': 4, 'layers': 2} | changed


def system(**changed):
    return ef_lstm.build(settings(**changed), {'loss': 'l1'}, fusing.TEXT)


def test_padding_is_not_seen():
    fusing.assert_padding_is_not_seen(system().model, fusing.features())


def test_absence_is_harmless():
    fusing.assert_absence_is_harmless(system().model, fusing.features())


def test_padding_takes_part_where_it_is_released():
    model, x = system(padding='released').model, fusing.features()
    variables = fusing.start(model, x)
    before = fusing.predict(model, variables, x, None)['m']
    x = fusing.nudged(x, 'a', 1, -1)
    after = fusing.predict(model, variables, x, None)['m']
    np.testing.assert_array_equal(before != after, [False, True, False, False])


def test_real_values_by_hand():
    x = {s: np.zeros((2, 3, width)) for s, width in (('t', 1), ('a', 2), ('v', 1))}
    lengths = {'t': jnp.array([2, 3]), 'a': jnp.array([0, 3]), 'v': jnp.array([3, 3])}
    first = [[1, 0, 0, 1], [1, 0, 0, 1], [0, 0, 0, 1]]
    got = ef_lstm.real_values(x, lengths, jnp.array([1.0, 0.0]))
    np.testing.assert_array_equal(got, [first, np.zeros((3, 4))])
    got = ef_lstm.real_values(x, None, jnp.array([0.0, 1.0]))
    np.testing.assert_array_equal(got, [np.zeros((3, 4)), np.ones((3, 4))])


@pytest.mark.parametrize('padding', ['masked', 'released'])
def test_rows_that_only_fill_the_batch_move_no_statistics(padding):
    model, x = system(padding=padding).model, fusing.features()
    variables, real = fusing.start(model, x), fusing.lengths()
    real = real if padding == 'masked' else None
    weight = jnp.array([1.0, 1, 1, 0])

    def after(x):
        _, kept = model.apply(
            variables,
            x,
            real,
            weight,
            False,
            rngs={'dropout': jax.random.key(0)},
            mutable=['batch_stats'],
            method='fuse_batch',
        )
        return kept['batch_stats']['norm']

    other = {s: np.concatenate([y[:3], 9 + y[3:]]) for s, y in x.items()}
    for name, kept in after(x).items():
        np.testing.assert_array_equal(kept, after(other)[name])
        assert (kept != variables['batch_stats']['norm'][name]).all()


def test_a_step_counts_as_long_as_one_modality_has_it():
    model, x = system().model, fusing.features()
    variables = fusing.start(model, x)
    real = fusing.lengths(t=[2] * 4, a=[2] * 4, v=[5] * 4)
    before = fusing.predict(model, variables, x, real)['m']
    after = fusing.predict(model, variables, fusing.nudged(x, 'v', slice(4), 4), real)
    assert (before != after['m']).all()


def test_unaligned_data_are_refused_with_the_way_out():
    model, x = system().model, fusing.features(steps={'t': 6, 'a': 9, 'v': 8})
    with pytest.raises(UserError, match=r'EF-LSTM .*text has 6 steps, audio 9 .*ctc'):
        fusing.start(model, x)


@pytest.mark.parametrize(
    ('field', 'value', 'message'),
    [
        ('width', 0, 'width must be at least 1'),
        ('layers', 0, 'layers must be at least 1'),
        ('dropout', 1.0, 'dropout must be at least 0 and below 1'),
        ('padding', 'none', 'padding must be one of'),
        ('align', 'dtw', 'align must be one of'),
        ('ctc_weight', -1.0, 'ctc_weight must be at least 0'),
    ],
)
def test_wrong_settings_are_refused_by_name(field, value, message):
    with pytest.raises(UserError, match=message):
        system(**{field: value})


def test_mmsas_values():
    for variants, wanted in {
        '': (128, 4, 0.5, 32, 1e-3, 5e-3),
        'mosei': (256, 2, 0.4, 128, 5e-3, 1e-4),
    }.items():
        config = load_config(f'configs/baselines/ef_lstm.py:{variants}')
        model, group = config.model, config.optim.groups.other
        got = model.width, model.layers, model.dropout, config.train.batch
        assert (*got, group.lr, group.weight_decay) == wanted


@pytest.mark.parametrize(
    ('align', 'losses'), [('ctc', {'ctc_a', 'ctc_v'}), ('pool', set())]
)
def test_unaligned_data_are_read_once_aligned(align, losses):
    model = system(align=align).model
    batch = fusing.unaligned_batch()
    variables = model.init(jax.random.key(0), batch, True)
    outputs = model.apply(variables, batch, True)
    assert outputs.losses.keys() == losses
    assert np.isfinite(outputs.prediction['m']).all()
    # What stands behind the lengths is not seen, nor is a modality that is absent.
    other = model.apply(variables, fusing.unaligned_batch(padding=50.0), True)
    np.testing.assert_array_equal(outputs.prediction['m'], other.prediction['m'])
