"""Input × gradient: right by its definition, for the steps and modalities there are."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from sugrm_jax.prediction.attribution import Attribution, input_times_gradient
from sugrm_jax.prediction.program import as_batch
from tests.prediction.conftest import KINDS

ALL, NO_AUDIO, NOTHING_BUT_TEXT, NO_VISION = 0, 1, 2, 3  # rows of the test split


@pytest.fixture
def prepared(predictors, data_path):
    def of(kind):
        predictor = predictors(kind)
        return predictor, predictor.prepared(predictor.read(data_path).split)

    return of


def test_a_linear_function_is_told_completely():
    """What the steps add and what the function gives for zeros make up its value."""
    rng = np.random.default_rng(0)
    x = {'a': rng.normal(size=(1, 5, 3)), 't': rng.normal(size=(1, 4, 2))}
    slope = {s: rng.normal(size=values.shape) for s, values in x.items()}

    def function(x):
        return sum(jnp.vdot(slope[s], values) for s, values in x.items()) + 0.7

    found = input_times_gradient(function, x)
    assert found['a'].shape == (1, 5) and found['t'].shape == (1, 4)
    total = sum(values.sum() for values in found.values())
    np.testing.assert_allclose(total, function(x) - 0.7, rtol=1e-4)
    np.testing.assert_allclose(found['a'], (slope['a'] * x['a']).sum(-1), rtol=1e-4)


def test_a_step_that_is_not_used_adds_nothing():
    x = jnp.arange(1.0, 7).reshape(1, 3, 2)
    found = input_times_gradient(lambda x: (x[:, 1] ** 2).sum(), x)
    np.testing.assert_allclose(found, [[0, 2 * (3**2 + 4**2), 0]])


@pytest.mark.parametrize('kind', KINDS)
def test_modalities_and_steps_are_those_of_the_utterance(kind, prepared):
    predictor, split = prepared(kind)
    attribution = Attribution(predictor)
    absent = {ALL: '', NO_AUDIO: 'a', NOTHING_BUT_TEXT: 'av', NO_VISION: 'v'}
    for row, gone in absent.items():
        found = attribution(split, row)
        gone = {*gone, *set('tav').difference(predictor.modalities)}
        assert set(found) == set('tav') - gone
        lengths = {
            't': split.tokens[row, 1].sum(),
            'a': split.audio_length[row],
            'v': split.vision_length[row],
        }
        for s, values in found.items():
            assert values.shape == (lengths[s],) and values.dtype == np.float32
            assert np.isfinite(values).all() and np.abs(values).max() > 0


@pytest.mark.parametrize(
    ('kind', 'field'),
    [('sugrm', 'audio'), ('frozen', 'vision'), ('fixed_text', 'text')],
)
def test_it_is_the_slope_as_a_step_is_scaled(kind, field, prepared):
    predictor, split = prepared(kind)
    inputs = predictor.inputs(split, np.array([ALL]))
    found = Attribution(predictor)(split, ALL)[field[0]]
    step = int(np.abs(found).argmax())

    def sentiment(scale):
        changed = inputs[field].copy()
        changed[0, step] *= scale
        given = inputs | {field: changed}
        return float(predictor._predict(predictor.weights, given)['m'][0])

    slope = (sentiment(1.02) - sentiment(0.98)) / 0.04
    np.testing.assert_allclose(found[step], slope, rtol=0.02, atol=1e-5)


@pytest.mark.parametrize('kind', ['sugrm', 'frozen'])
def test_text_is_what_the_runs_own_encoder_gives(kind, prepared):
    """Trained in the model or frozen beside it: with its output nothing changes."""
    predictor, split = prepared(kind)
    inputs = predictor.inputs(split, np.array([ALL]))
    batch = as_batch(inputs)
    hidden = Attribution(predictor)._encode(predictor.weights, batch)
    model, variables = predictor.system.model, predictor.weights['model']

    @jax.jit
    def sentiment(text):
        outputs = model.apply(variables, batch.replace(text=text), True)
        return outputs.prediction['m'][0]

    expected = predictor._predict(predictor.weights, inputs)['m'][0]
    assert float(sentiment(hidden)) == pytest.approx(float(expected), abs=1e-5)
    found = Attribution(predictor)(split, ALL)['t']
    step = int(np.abs(found).argmax())
    up, down = (hidden.at[0, step].multiply(x) for x in (1.02, 0.98))
    slope = (sentiment(up) - sentiment(down)) / 0.04
    np.testing.assert_allclose(found[step], slope, rtol=0.02, atol=1e-5)


def test_text_that_enters_with_the_others_is_left_out(prepared):
    predictor, split = prepared('sugrm')
    system = predictor.system._replace(text_first=False)
    found = Attribution(dataclasses.replace(predictor, system=system))(split, ALL)
    whole = Attribution(predictor)(split, ALL)
    assert set(found) == {'a', 'v'}
    for s, values in found.items():
        np.testing.assert_allclose(values, whole[s], atol=1e-5)


def test_zero_features_add_nothing(prepared):
    predictor, split = prepared('sugrm')
    split = dataclasses.replace(split, audio=np.zeros_like(split.audio))
    found = Attribution(predictor)(split, ALL)['a']
    assert len(found) == split.audio_length[ALL]
    np.testing.assert_array_equal(found, 0)
