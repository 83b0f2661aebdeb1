"""Batch normalisation: by hand, against Flax's, and what must not count."""

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn

from sugrm_jax.layers.batchnorm import BatchNorm
from tests.test_parallel import with_devices

# Two channels, the steps; [B, L, D]. The last two values are not real.
X = jnp.array([[[1.0, 3], [10, 20]], [[5, 7], [90, -90]]])
REAL = jnp.array([[[True], [True]], [[True], [False]]])
NORM = BatchNorm(axis=1)
PARAMS = {'scale': jnp.array([2.0, 1]), 'bias': jnp.array([0.5, 0])}
STATS = {'mean': jnp.array([1.0, 2]), 'var': jnp.array([4.0, 0.25])}
VARIABLES = {'params': PARAMS, 'batch_stats': STATS}


def train(x, real, variables=VARIABLES):
    out, kept = NORM.apply(variables, x, real, False, mutable=['batch_stats'])
    return out, kept['batch_stats']


def test_training_by_hand():
    out, kept = train(X, REAL)
    # First step: mean 4, variance (9 + 1 + 1 + 9) / 4 = 5; second: 15, 25.
    np.testing.assert_allclose(
        out[:, 0], 2 * (X[:, 0] - 4) / np.sqrt(5 + 1e-5) + 0.5, rtol=1e-6
    )
    np.testing.assert_allclose(out[0, 1], [-1, 1], rtol=1e-6)
    np.testing.assert_array_equal(out[1, 1], [0, 0])
    # 0.9 of the old and 0.1 of the new; variances over n − 1: 20 / 3 and 50 / 1.
    np.testing.assert_allclose(kept['mean'], [1.3, 3.3], rtol=1e-6)
    np.testing.assert_allclose(kept['var'], [3.6 + 2 / 3, 0.225 + 5], rtol=1e-6)


def test_evaluation_by_hand():
    out = NORM.apply(VARIABLES, X, REAL, True)
    wanted = 2 * (X[:, 0] - 1) / np.sqrt(4 + 1e-5) + 0.5
    np.testing.assert_allclose(out[:, 0], wanted, rtol=1e-6)
    _, kept = NORM.apply(VARIABLES, X, REAL, True, mutable=['batch_stats'])
    assert kept['batch_stats'] == STATS


def test_values_that_are_not_real_change_nothing():
    for other in (0.0, 1e6):
        changed = jnp.where(REAL, X, other)
        for ours, wanted in zip(train(changed, REAL), train(X, REAL), strict=True):
            jax.tree.map(np.testing.assert_array_equal, ours, wanted)


def test_a_channel_without_real_values_keeps_its_statistics():
    real = REAL.at[0, 1].set(False)
    out, kept = train(X, real)
    assert not out[:, 1].any()
    assert kept['mean'][1] == 2 and kept['var'][1] == 0.25
    for changed in (real, jnp.zeros_like(real)):
        gradient = jax.grad(lambda x, real=changed: train(x, real)[0].sum())(X)
        assert np.isfinite(gradient).all()


def test_one_value_a_channel_is_finite():
    out, kept = train(jnp.array([[[3.0], [4.0]]]), jnp.ones((1, 2, 1), bool))
    np.testing.assert_allclose(out.ravel(), PARAMS['bias'])
    np.testing.assert_allclose(kept['var'], 0.9 * STATS['var'], rtol=1e-6)


def test_training_is_that_of_flax():
    x = jax.random.normal(jax.random.key(0), (6, 4, 3)) * 3 + 1
    real = jax.random.bernoulli(jax.random.key(1), 0.6, (6, 4, 1))
    weights = jax.random.normal(jax.random.key(2), x.shape)
    theirs = nn.BatchNorm(False, axis=1, momentum=0.9, use_fast_variance=False)
    variables = theirs.init(jax.random.key(0), x)

    def our_loss(params, x):
        out, kept = train(x, real, {**variables, 'params': params})
        return (out * weights).sum(), (out, kept)

    def their_loss(params, x):
        out, kept = theirs.apply(
            {**variables, 'params': params}, x, mask=real, mutable=['batch_stats']
        )
        out = jnp.where(real, out, 0)
        return (out * weights).sum(), (out, kept['batch_stats'])

    ours, theirs = (
        jax.value_and_grad(loss, (0, 1), has_aux=True)(variables['params'], x)
        for loss in (our_loss, their_loss)
    )
    # Flax keeps the biased variance.
    count = np.broadcast_to(real, x.shape).sum((0, 2))
    kept = ours[0][1][1]
    kept['var'] = 0.9 + (kept['var'] - 0.9) * (count - 1) / count
    jax.tree.map(
        # float32 rounding of sums in another order, values of order 1 to 10.
        lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5),
        ours,
        theirs,
    )


DEVICES = """
import json, sys
import jax, numpy as np
from sugrm_jax import parallel
from sugrm_jax.layers.batchnorm import BatchNorm
mesh = parallel.data_mesh()
x = np.random.default_rng(0).normal(size=(6, 5)).astype(np.float32)
x, real = parallel.join(parallel.share((x, np.ones((6, 1), bool)), mesh), mesh)
norm = BatchNorm(axis=-1)
variables = parallel.replicate(norm.init(jax.random.key(0), x, real, True), mesh)
train = jax.jit(lambda v, x, r: norm.apply(v, x, r, False, mutable=['batch_stats']))
out, kept = train(variables, x, real)
assert len(jax.devices()) == len(x.sharding.device_set)
stats = kept['batch_stats']
json.dump([np.asarray(y).tolist() for y in (out[:6], *stats.values())], sys.stdout)
"""


def test_the_statistics_are_those_of_the_whole_batch_on_any_devices():
    """Six rows, filled up to eight."""
    for one, four in zip(
        with_devices(1, DEVICES), with_devices(4, DEVICES), strict=True
    ):
        np.testing.assert_allclose(one, four, atol=1e-6)  # sums in another order
