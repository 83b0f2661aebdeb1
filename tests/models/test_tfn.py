"""TFN: the outer product by hand, the range, what absence leaves of the tensor."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from sugrm_jax.config import plain
from sugrm_jax.errors import UserError
from sugrm_jax.main import load_config
from sugrm_jax.models import tfn
from tests.models import fusing

SMALL = {
    'audio_width': 2,
    'vision_width': 4,
    'lstm_width': 3,
    'text_width': 2,
    'fusion_width': 5,
}
STEPS = {'t': 6, 'a': 9, 'v': 8}


def settings(**changed):
    model = plain(load_config('configs/baselines/tfn.py').model)
    return model | SMALL | changed


def system(**changed):
    return tfn.build(settings(**changed), {'loss': 'l1'}, fusing.TEXT)


def tensor(model, variables, x, real):
    """Indexed by audio, vision and text, each with the 1 in front."""
    weight = jnp.ones(4)
    outputs = model.apply(variables, x, real, weight, True, method='fuse_batch')
    return np.asarray(outputs.feature['m']).reshape(-1, 3, 5, 3)


def test_the_outer_product_by_hand():
    vectors = [jnp.array([[2.0]]), jnp.array([[3.0, 5]]), jnp.array([[7.0]])]
    # (1, 2) ⊗ (1, 3, 5) ⊗ (1, 7)
    wanted = [1, 7, 3, 21, 5, 35, 2, 14, 6, 42, 10, 70]
    np.testing.assert_array_equal(tfn.outer(vectors), [wanted])


def test_predictions_stay_within_the_range():
    model, x = system(low=-1.0, high=0.5).model, fusing.features(steps=STEPS)
    variables = fusing.start(model, x)
    sentiment = variables['params']['sentiment']
    # sigmoid ±200 is 1 or 0 in float32; sigmoid 0 is the middle.
    for bias, wanted in ((200.0, 0.5), (-200.0, -1.0), (0.0, -0.25)):
        sentiment['bias'] = jnp.array([bias])
        sentiment['kernel'] = jnp.zeros_like(sentiment['kernel'])
        got = fusing.predict(model, variables, x, fusing.lengths())['m']
        np.testing.assert_allclose(got, [wanted] * 4, rtol=1e-6)


def test_audio_and_vision_are_averaged_over_their_real_steps():
    model, x = system().model, fusing.features(steps=STEPS)
    variables, real = fusing.start(model, x), fusing.lengths()
    means = {
        s: np.stack(
            [row[:n].mean(0) for row, n in zip(x[s], np.asarray(real[s]), strict=True)]
        )[:, None]
        for s in 'av'
    }
    ones = fusing.lengths(a=[1] * 4, v=[1] * 4)
    np.testing.assert_allclose(
        tensor(model, variables, x, real),
        tensor(model, variables, x | means, ones),
        rtol=1e-5,  # sums of up to eight values of float32
        atol=1e-6,
    )


def test_an_absent_modality_leaves_the_others_products():
    model, x = system().model, fusing.features(steps=STEPS)
    variables = fusing.start(model, x)
    whole = tensor(model, variables, x, fusing.lengths())
    absent = fusing.lengths(t=[0, 2, 3, 0], a=[6, 0, 4, 0], v=[5, 3, 0, 0])
    got = tensor(model, variables, x, absent)
    # With h = 0 only the products with its 1 are left, as they were.
    assert not got[0, :, :, 1:].any() and not got[1, 1:].any()
    assert not got[2, :, 1:].any()
    np.testing.assert_array_equal(got[0, :, :, 0], whole[0, :, :, 0])
    np.testing.assert_array_equal(got[1, 0], whole[1, 0])
    np.testing.assert_array_equal(got[2, :, 0], whole[2, :, 0])
    np.testing.assert_array_equal(got[3].ravel(), [1] + [0] * 44)


def test_padding_is_not_seen():
    fusing.assert_padding_is_not_seen(system().model, fusing.features())


def test_absence_is_harmless():
    fusing.assert_absence_is_harmless(
        system(dropout=no_dropout()).model, fusing.features()
    )


def no_dropout(**rates):
    return dict(audio=0.0, vision=0.0, text=0.0, fusion=0.0) | rates


@pytest.mark.parametrize('padding', ['masked', 'released'])
def test_only_samples_that_have_the_modality_move_its_statistics(padding):
    model, x = system(padding=padding).model, fusing.features(steps=STEPS)
    variables = fusing.start(model, x)
    # A batch of two samples of which one lacks audio, filled up to four rows.
    real = fusing.lengths(a=[6, 0, 4, 2]) if padding == 'masked' else None
    _, kept = model.apply(
        variables,
        x,
        real,
        jnp.array([1.0, 1, 0, 0]),
        False,
        rngs={'dropout': jax.random.key(0)},
        mutable=['batch_stats'],
        method='fuse_batch',
    )
    counted = x['a'][0, :6] if padding == 'masked' else x['a'][:2].mean(0)
    before = variables['batch_stats']['subnet_a']['norm']['mean']
    after = kept['batch_stats']['subnet_a']['norm']['mean']
    np.testing.assert_allclose(after, 0.9 * before + 0.1 * counted.mean(0), rtol=1e-5)


@pytest.mark.parametrize('rate', ['audio', 'vision', 'text', 'fusion'])
def test_each_rate_drops_in_training(rate):
    def draws(dropout):
        model, x = system(dropout=dropout).model, fusing.features(steps=STEPS)
        variables = fusing.start(model, x)
        return [
            model.apply(
                variables,
                x,
                fusing.lengths(),
                jnp.ones(4),
                False,
                rngs={'dropout': jax.random.key(seed)},
                mutable=['batch_stats'],
                method='fuse_batch',
            )[0].prediction['m']
            for seed in (0, 1)
        ]

    first, second = draws(no_dropout(**{rate: 0.5}))
    assert (first != second).any()
    first, second = draws(no_dropout())
    np.testing.assert_array_equal(first, second)


@pytest.mark.parametrize(
    ('field', 'value', 'message'),
    [
        *((width, 0, f'{width} must be at least 1') for width in SMALL),
        ('dropout', no_dropout(fusion=1.0), 'fusion must be at least 0 and below 1'),
        ('low', 3.0, 'high must be above low'),
        ('padding', 'none', 'padding must be one of'),
        ('align', 'dtw', 'align must be one of'),
        ('ctc_weight', -1.0, 'ctc_weight must be at least 0'),
    ],
)
def test_wrong_settings_are_refused_by_name(field, value, message):
    with pytest.raises(UserError, match=message):
        system(**{field: value})


def test_predictions_lie_in_the_range_of_the_data():
    overrides = ['--config.data.label_range=1.0']
    model = load_config('configs/baselines/tfn.py', overrides).model
    assert (model.low, model.high) == (-1.0, 1.0)


def test_mmsas_values():
    for variants, wanted in {
        '': (32, 128, 128, 32, 64, 0.5, 32, 1e-3),
        'mosei': (16, 128, 128, 128, 16, 0.4, 128, 5e-3),
    }.items():
        config = load_config(f'configs/baselines/tfn.py:{variants}')
        got = [config.model[name] for name in SMALL]
        got += [config.model.dropout.fusion, config.train.batch]
        assert (*got, config.optim.groups.other.lr) == wanted


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
