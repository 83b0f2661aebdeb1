"""MAG-BERT: the gate inside BERT, packed and not, frozen and not."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from sugrm_jax.errors import UserError
from sugrm_jax.layers.text import FILE
from sugrm_jax.models import build
from tests.models.batches import (
    aligned_batch,
    packed,
    text_encoder,
    with_other_padding,
)

MODEL = {
    'name': 'mag_bert',
    'beta_shift': 1.0,
    'gate_dropout': 0.0,
    'output_dropout': 0.0,
    'align': 'none',
    'ctc_weight': 1.0,
    'padding': 'masked',
}
BATCH = aligned_batch(text=[2, 6, 1, 3], audio=[2, 6, 0, 2], vision=[2, 0, 1, 3])


def system(finetune=True, **changes):
    return build(MODEL | changes, {'loss': 'l1'}, text_encoder(finetune))


@functools.partial(jax.jit, static_argnums=0)
def start(model, batch):
    """Initial parameters and some noise, so that nothing is 0 or next to it."""
    params = model.init(jax.random.key(0), batch, True)
    leaves, tree = jax.tree.flatten(params)
    keys = jax.random.split(jax.random.key(1), len(leaves))
    noisy = [
        x + 0.3 * jax.random.normal(key, x.shape)
        for x, key in zip(leaves, keys, strict=True)
    ]
    return jax.tree.unflatten(tree, noisy)


@pytest.fixture(scope='module')
def params():
    return start(system().model, BATCH)


@functools.partial(jax.jit, static_argnums=0)
def loss_and_gradient(model, params, batch):
    def loss(params):
        prediction = model.apply(params, batch, True).prediction['m']
        return jnp.abs(prediction - batch.label).sum(), prediction

    gradient, prediction = jax.grad(loss, has_aux=True)(params)
    return prediction, gradient['params']


def test_packed_and_unpacked_are_the_same(params):
    model = system().model
    plain, plain_gradient = loss_and_gradient(model, params, BATCH)
    rows, rows_gradient = loss_and_gradient(model, params, packed(BATCH))
    # float32 sums in another order.
    np.testing.assert_allclose(rows, plain, atol=1e-6)
    largest = max(np.abs(g).max() for g in jax.tree.leaves(plain_gradient))
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, atol=2e-6 * largest),
        plain_gradient,
        rows_gradient,
    )
    # What the gate does shows: not a test of nothing.
    without = BATCH.replace(audio_length=0 * BATCH.audio_length)
    assert (np.abs(loss_and_gradient(model, params, without)[0] - plain) > 1e-5).any()


@pytest.mark.parametrize('rows', [lambda batch: batch, packed])
def test_padding_and_absent_modalities_change_nothing(params, rows):
    model = system().model
    before, gradient = loss_and_gradient(model, params, rows(BATCH))
    other = rows(with_other_padding(BATCH))
    after, _ = loss_and_gradient(model, params, other)
    np.testing.assert_array_equal(before, after)
    assert all(np.isfinite(g).all() for g in jax.tree.leaves(gradient))
    nothing = BATCH.replace(audio_length=0 * BATCH.audio_length)
    nothing = nothing.replace(vision_length=0 * BATCH.vision_length)
    _, gradient = loss_and_gradient(model, params, rows(nothing))
    assert all(np.isfinite(g).all() for g in jax.tree.leaves(gradient))
    assert not any(g.any() for g in jax.tree.leaves(gradient['gate']['map_a']))


def test_with_released_padding_all_steps_take_part(params):
    model = system(padding='released').model
    whole = jnp.full(4, 6, jnp.int32)
    full = BATCH.replace(audio_length=whole, vision_length=whole)
    prediction, _ = loss_and_gradient(model, params, BATCH)
    wanted, _ = loss_and_gradient(system().model, params, full)
    np.testing.assert_array_equal(prediction, wanted)
    assert not system(padding='released').masks_padding


def test_a_frozen_bert_lets_the_gate_learn(params):
    frozen = system(finetune=False)
    assert not frozen.text_first
    prediction, gradient = loss_and_gradient(frozen.model, params, packed(BATCH))
    wanted, learnt = loss_and_gradient(system().model, params, packed(BATCH))
    np.testing.assert_allclose(prediction, wanted, atol=1e-6)
    assert not any(g.any() for g in jax.tree.leaves(gradient.pop('text')))
    learnt.pop('text')
    jax.tree.map(
        functools.partial(np.testing.assert_allclose, rtol=1e-4, atol=1e-6),
        gradient,
        learnt,
    )
    assert all(g.any() for g in jax.tree.leaves(gradient))


def test_unaligned_data_are_refused_unless_aligned_here():
    longer = BATCH.replace(
        audio=jnp.ones((4, 9, 3)), audio_length=jnp.array([9, 5, 0, 1])
    )
    with pytest.raises(UserError, match='MAG-BERT reads audio and vision that are'):
        start(system().model, longer)
    model = system(align='ctc').model
    apply = jax.jit(model.apply, static_argnums=2)
    outputs = apply(start(model, packed(longer)), packed(longer), True)
    assert np.isfinite(outputs.prediction['m']).all()
    assert set(outputs.losses) == {'ctc_a', 'ctc_v'}


def test_fixed_text_features_are_refused():
    with pytest.raises(UserError, match='MAG-BERT works inside BERT'):
        build(MODEL, {'loss': 'l1'}, text_encoder(False, FILE))


@pytest.mark.parametrize(
    ('changes', 'message'),
    [
        ({'beta_shift': 0.0}, 'beta_shift must be above 0'),
        ({'gate_dropout': 1.0}, 'gate_dropout must be at least 0 and below 1'),
        ({'align': 'stretch'}, 'align must be one of'),
        ({'padding': 'some'}, 'padding must be one of'),
        ({'ctc_weight': -1.0}, 'ctc_weight must be at least 0'),
        ({'width': 3}, 'Unknown config field config.model.width'),
    ],
)
def test_settings_that_do_not_fit_are_refused(changes, message):
    with pytest.raises(UserError, match=message):
        system(**changes)


def test_the_head_reads_the_first_step_only(params):
    model = system().model
    features = {'t': jax.random.normal(jax.random.key(1), (2, 6, 8))}

    def predict(features):
        return model.apply(params, features, None, True, method='fuse').prediction['m']

    head = params['params']
    pooled = features['t'][:, 0] @ head['pooler']['kernel'] + head['pooler']['bias']
    by_hand = np.tanh(pooled) @ head['sentiment']['kernel'] + head['sentiment']['bias']
    np.testing.assert_allclose(predict(features), by_hand[:, 0], atol=1e-6)
