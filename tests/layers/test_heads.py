"""The heads of the paper and of the released code, by hand; initial values."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from sugrm_jax.layers.heads import Head
from sugrm_jax.layers.linear import uniform_dense

# relu(W x + b) of (1, 2): (3, −2) before the ReLU, (3, 0) behind it.
X = jnp.array([[1.0, 2.0]])
PROJECT = {'kernel': jnp.array([[1.0, -1], [1, -1]]), 'bias': jnp.array([0.0, 1])}
FEATURE = {'kernel': jnp.array([[-1.0, 0], [0, 1]]), 'bias': jnp.array([0.0, -1])}
SENTIMENT = {'kernel': jnp.array([[2.0], [5]]), 'bias': jnp.array([0.5])}
PARAMS = {
    False: {'project': PROJECT, 'sentiment': SENTIMENT},
    True: {'project': PROJECT, 'feature': FEATURE, 'sentiment': SENTIMENT},
}
# Sentiment and F*.
BY_HAND = {
    # 2 · 3 + 5 · 0 + 0.5
    False: (6.5, [3, 0]),
    # F* = (−3, −1), with no ReLU; 2 · −3 + 5 · −1 + 0.5
    True: (-10.5, [-3, -1]),
}
# With everything dropped, biases are left behind the dropout.
ALL_DROPPED = {
    # F* lies before it.
    False: (0.5, [3, 0]),
    # F* = (0, −1) lies behind; 5 · −1 + 0.5
    True: (-4.5, [0, -1]),
}


def run(released, deterministic, rate=1.0):
    head = Head(2, released, rate)
    rngs = {'dropout': jax.random.key(0)}
    return head.apply({'params': PARAMS[released]}, X, deterministic, rngs=rngs)


@pytest.mark.parametrize('released', [False, True])
def test_by_hand(released):
    sentiment, feature = run(released, deterministic=True)
    np.testing.assert_array_equal(sentiment, [BY_HAND[released][0]])
    np.testing.assert_array_equal(feature, [BY_HAND[released][1]])


@pytest.mark.parametrize('released', [False, True])
def test_dropout_sits_behind_the_relu_in_training_only(released):
    sentiment, feature = run(released, deterministic=False)
    np.testing.assert_array_equal(sentiment, [ALL_DROPPED[released][0]])
    np.testing.assert_array_equal(feature, [ALL_DROPPED[released][1]])
    sentiment, _ = run(released, deterministic=False, rate=0.0)
    np.testing.assert_array_equal(sentiment, [BY_HAND[released][0]])


@pytest.mark.parametrize('released', [False, True])
def test_only_the_papers_features_have_no_negative_value(released):
    head = Head(8, released, 0.0)
    x = jax.random.normal(jax.random.key(1), (64, 5))
    params = head.init(jax.random.key(0), x, True)
    sentiment, feature = head.apply(params, x, True)
    assert sentiment.shape == (64,) and feature.shape == (64, 8)
    assert (feature < 0).any() == released
    assert (sentiment < 0).any() and (sentiment > 0).any()


def test_initial_values_are_uniform_within_one_by_root_of_fan_in():
    head = Head(32, True, 0.0)
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
