"""The heads of the paper, the released code and Self-MM, by hand; initial values."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from sugrm_jax.layers.heads import KINDS, Head, ResidualHead
from sugrm_jax.layers.linear import uniform_dense

# relu(W x + b) of (1, 2): (3, −2) before the ReLU, (3, 0) behind it.
X = jnp.array([[1.0, 2.0]])
PROJECT = {'kernel': jnp.array([[1.0, -1], [1, -1]]), 'bias': jnp.array([0.0, 1])}
FEATURE = {'kernel': jnp.array([[-1.0, 0], [0, 1]]), 'bias': jnp.array([0.0, -1])}
HIDDEN = {'kernel': jnp.array([[-1.0, 1], [0, 1]]), 'bias': jnp.array([0.0, 2])}
SENTIMENT = {'kernel': jnp.array([[2.0], [5]]), 'bias': jnp.array([0.5])}
PARAMS = {
    'paper': {'project': PROJECT, 'sentiment': SENTIMENT},
    'released': {'project': PROJECT, 'feature': FEATURE, 'sentiment': SENTIMENT},
    'self_mm': {'project': PROJECT, 'hidden': HIDDEN, 'sentiment': SENTIMENT},
}
# Sentiment and F*.
BY_HAND = {
    # 2 · 3 + 5 · 0 + 0.5
    'paper': (6.5, [3, 0]),
    # F* = (−3, −1), with no ReLU; 2 · −3 + 5 · −1 + 0.5
    'released': (-10.5, [-3, -1]),
    # relu(−3, 5) of F*; 2 · 0 + 5 · 5 + 0.5
    'self_mm': (25.5, [3, 0]),
}
# With everything dropped, biases are left behind the dropout.
ALL_DROPPED = {
    # F* lies before it.
    'paper': (0.5, [3, 0]),
    # F* = (0, −1) lies behind; 5 · −1 + 0.5
    'released': (-4.5, [0, -1]),
    # It lies before all: F* = (0, 1), then (0, 3); 5 · 3 + 0.5
    'self_mm': (15.5, [0, 1]),
}


def run(kind, deterministic, rate=1.0):
    head = Head(2, kind, rate)
    rngs = {'dropout': jax.random.key(0)}
    return head.apply({'params': PARAMS[kind]}, X, deterministic, rngs=rngs)


@pytest.mark.parametrize('kind', KINDS)
def test_by_hand(kind):
    sentiment, feature = run(kind, deterministic=True)
    np.testing.assert_array_equal(sentiment, [BY_HAND[kind][0]])
    np.testing.assert_array_equal(feature, [BY_HAND[kind][1]])


@pytest.mark.parametrize('kind', KINDS)
def test_dropout_sits_where_it_does_in_training_only(kind):
    sentiment, feature = run(kind, deterministic=False)
    np.testing.assert_array_equal(sentiment, [ALL_DROPPED[kind][0]])
    np.testing.assert_array_equal(feature, [ALL_DROPPED[kind][1]])
    sentiment, _ = run(kind, deterministic=False, rate=0.0)
    np.testing.assert_array_equal(sentiment, [BY_HAND[kind][0]])


@pytest.mark.parametrize('kind', KINDS)
def test_only_the_released_codes_features_have_negative_values(kind):
    head = Head(8, kind, 0.0)
    x = 10 * jax.random.normal(jax.random.key(1), (64, 5))
    params = head.init(jax.random.key(0), x, True)
    sentiment, feature = head.apply(params, x, True)
    assert sentiment.shape == (64,) and feature.shape == (64, 8)
    assert (feature < 0).any() == (kind == 'released')
    assert (sentiment < 0).any() and (sentiment > 0).any()


def test_initial_values_are_uniform_within_one_by_root_of_fan_in():
    head = Head(32, 'released', 0.0)
    params = head.init(jax.random.key(0), jnp.ones((1, 96)), True)['params']
    assert jax.tree.map(jnp.shape, params) == {
        'project': {'kernel': (96, 32), 'bias': (32,)},
        'feature': {'kernel': (32, 32), 'bias': (32,)},
        'sentiment': {'kernel': (32, 1), 'bias': (1,)},
    }
    for name, fan_in in {'project': 96, 'feature': 32, 'sentiment': 32}.items():
        for x in params[name].values():
            assert 0 < np.abs(x).max() <= fan_in**-0.5
    assert len(np.unique(params['project']['bias'])) == 32


def test_initial_values_fill_their_interval():
    dense = uniform_dense(1000, 25)
    params = dense.init(jax.random.key(0), jnp.ones((1, 25)))['params']
    for x in np.asarray(params['kernel']).ravel(), np.asarray(params['bias']):
        # Of n uniform draws in ±0.2, the quarters hold n/4 each, within 5 standard
        # deviations sqrt(3n)/4.
        counts, _ = np.histogram(x, bins=4, range=(-0.2, 0.2))
        assert counts.sum() == x.size
        assert np.abs(counts - x.size / 4).max() < 5 * (3 * x.size) ** 0.5 / 4


def test_residual_head_by_hand():
    # relu((1, 2) W + b) = (3, 0) as above; (3, 0) W + b = (3, −4); with the residual
    # (4, −2); 2 · 4 − 5 · 2 + 0.5.
    contract = {'kernel': PROJECT['kernel'], 'bias': jnp.array([0.0, -1])}
    params = {'expand': PROJECT, 'contract': contract, 'sentiment': SENTIMENT}
    rngs = {'dropout': jax.random.key(0)}
    head = ResidualHead(1.0)
    still = head.apply({'params': params}, X, True)
    np.testing.assert_array_equal(still, [-1.5])
    # All dropped behind the ReLU: (0, −1), with the residual (1, 1); 2 + 5 + 0.5.
    dropped = head.apply({'params': params}, X, False, rngs=rngs)
    np.testing.assert_array_equal(dropped, [7.5])
