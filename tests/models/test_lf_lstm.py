"""LF-LSTM: the vote by hand, who learns from what, padding and absence."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from sugrm_jax.config import plain
from sugrm_jax.errors import UserError
from sugrm_jax.main import load_config
from sugrm_jax.models import lf_lstm
from sugrm_jax.types import Batch
from tests.models import fusing

# Rows: all present; without vision; audio alone; nothing.
DECISIONS = {'t': [1.0, 1, 1, 1], 'a': [-2.0, -2, -2, -2], 'v': [2.5, 2.5, 2.5, 2.5]}
LENGTHS = {'t': [7, 7, 0, 0], 'a': [3, 3, 1, 0], 'v': [5, 0, 0, 0]}


def arrays(by_modality):
    return {s: jnp.array(x) for s, x in by_modality.items()}


def settings(**changed):
    model = plain(load_config('configs/baselines/lf_lstm.py').model)
    return model | {'width': 4} | changed


def system(**changed):
    return lf_lstm.build(settings(**changed), {'loss': 'l1'}, text=None)


def test_the_vote_by_hand():
    vote = lf_lstm.vote(arrays(DECISIONS), arrays(LENGTHS))
    # (1 − 2 + 2.5) / 3, (1 − 2) / 2, −2, and nobody to ask.
    np.testing.assert_allclose(vote, [0.5, -0.5, -2, 0], rtol=1e-6)
    everyone = lf_lstm.vote(arrays(DECISIONS), None)
    np.testing.assert_allclose(everyone, [0.5] * 4, rtol=1e-6)


def test_an_absent_modality_has_no_vote_whatever_it_says():
    other = DECISIONS | {'v': [2.5, 9, -9, 1e6]}
    np.testing.assert_array_equal(
        lf_lstm.vote(arrays(other), arrays(LENGTHS)),
        lf_lstm.vote(arrays(DECISIONS), arrays(LENGTHS)),
    )


def test_the_prediction_is_the_vote():
    model, x = system().model, fusing.features()
    variables, real = fusing.start(model, x), fusing.lengths(v=[5, 0, 1, 0])
    predicted = fusing.predict(model, variables, x, real)
    assert predicted.keys() == {'m', 't', 'a', 'v'}
    t, a, v = (np.asarray(predicted[s]) for s in 'tav')
    wanted = np.where(real['v'] > 0, (t + a + v) / 3, (t + a) / 2)
    np.testing.assert_allclose(predicted['m'], wanted, rtol=1e-6)
    # One decision each, from its own modality alone.
    x['a'] = x['a'] + 1
    changed = fusing.predict(model, variables, x, real)
    assert (changed['a'] != a).all() and (changed['m'] != predicted['m']).all()
    for s in 'tv':
        np.testing.assert_array_equal(changed[s], predicted[s])


def test_each_decision_learns_the_label_by_itself():
    """With a loss of `|ŷ − y|` a bias learns ±1 a sample, the vote teaches nobody."""
    built, x = system(), fusing.features()
    variables, real = fusing.start(built.model, x), fusing.lengths(v=[5, 0, 1, 0])
    nothing = np.zeros(4)
    batch = Batch(
        *[nothing] * 5, label=jnp.full(4, 9.0), index=nothing, weight=np.ones(4)
    )

    def loss(params):
        rngs = {'dropout': jax.random.key(0)}
        outputs = built.model.apply(
            {'params': params}, x, real, False, method='fuse', rngs=rngs
        )
        present = {s: n > 0 for s, n in real.items()}
        terms = built.objective.loss(outputs.replace(present=present), batch, ())
        return sum(term.sum() for term in terms.values()), terms

    gradient, terms = jax.grad(loss, has_aux=True)(variables['params'])
    assert terms.keys() == {'m', 't', 'a', 'v'}
    for s, samples in {'t': 4, 'a': 4, 'v': 2}.items():
        assert gradient[f'decision_{s}']['bias'] == -samples


def test_padding_is_not_seen():
    fusing.assert_padding_is_not_seen(system(layers=2).model, fusing.features())


def test_absence_is_harmless():
    fusing.assert_absence_is_harmless(system().model, fusing.features())


def test_padding_takes_part_where_it_is_released():
    steps = {'t': 6, 'a': 9, 'v': 8}
    model, x = system(padding='released').model, fusing.features(steps=steps)
    variables = fusing.start(model, x)
    before = fusing.predict(model, variables, x, None)
    x = fusing.nudged(x, 'v', 1, -1)
    after = fusing.predict(model, variables, x, None)
    assert (before['v'] != after['v']).tolist() == [False, True, False, False]


@pytest.mark.parametrize(
    ('field', 'value', 'message'),
    [
        ('width', 0, 'width must be at least 1'),
        ('layers', 0, 'layers must be at least 1'),
        ('dropout', -0.1, 'dropout must be at least 0 and below 1'),
        ('padding', 'none', 'padding must be one of'),
    ],
)
def test_wrong_settings_are_refused_by_name(field, value, message):
    with pytest.raises(UserError, match=message):
        system(**{field: value})
