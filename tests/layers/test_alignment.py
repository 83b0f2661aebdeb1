"""Alignment to the text: CTC against all paths one by one, averages by hand."""

import functools
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sugrm_jax.layers.alignment import (
    ALIGNERS,
    align_softly,
    ctc_loss,
    make_aligner,
    pool,
)

STEPS = 4
LENGTHS = {s: jnp.array(n) for s, n in {'t': [3, 4], 'a': [6, 3], 'v': [0, 5]}.items()}


def make_features(seed=0):
    keys = jax.random.split(jax.random.key(seed))
    return {
        'a': jax.random.normal(keys[0], (2, 7, 2)),
        'v': jax.random.normal(keys[1], (2, 5, 3)),
    }


@functools.partial(jax.jit, static_argnums=0)
def start(name, features, lengths=LENGTHS):
    return make_aligner(name, 1.0).init(jax.random.key(1), features, lengths, STEPS)


@functools.partial(jax.jit, static_argnames=('name', 'weight'))
def align(params, name, features, lengths=LENGTHS, weight=1.0):
    return make_aligner(name, weight).apply(params, features, lengths, STEPS)


def collapsed(path):
    """What a path spells: repeats joined, blanks left out."""
    return [c for c, _ in itertools.groupby(path) if c != 0]


def sum_over_paths(scores, target):
    """`−log` of the probability of all paths that spell `1 … target`."""
    steps, classes = scores.shape
    probability = np.asarray(jax.nn.softmax(scores), np.float64)
    return -np.log(
        sum(
            np.prod(probability[range(steps), path])
            for path in itertools.product(range(classes), repeat=steps)
            if collapsed(path) == list(range(1, target + 1))
        )
    )


def test_ctc_is_the_sum_over_all_paths():
    scores = 2 * jax.random.normal(jax.random.key(0), (6, 5, 4))
    length = jnp.array([5, 5, 4, 3, 5, 2])
    target = jnp.array([3, 2, 2, 3, 0, 1])
    by_hand = [
        sum_over_paths(x[:n], m) for x, n, m in zip(scores, length, target, strict=True)
    ]
    # Sums of some hundred terms in float32.
    np.testing.assert_allclose(ctc_loss(scores, length, target), by_hand, rtol=1e-5)


def test_a_text_of_more_steps_than_the_sequence_is_cut_to_what_fits():
    scores = jax.random.normal(jax.random.key(0), (2, 5, 4))
    loss = ctc_loss(scores, jnp.array([2, 0]), jnp.array([3, 3]))
    # The one path 1, 2; and no steps at all say nothing, for certain.
    path = jax.nn.log_softmax(scores[0])[jnp.arange(2), jnp.array([1, 2])]
    np.testing.assert_allclose(loss, [-path.sum(), 0], rtol=1e-5)


def test_soft_alignment_by_hand():
    # Blank, position 1 and position 2 with 1/4, 1/2, 1/4, then 1/2, 0, 1/2.
    shares = np.array([[[0.25, 0.5, 0.25], [0.5, 0, 0.5], [1 / 3, 1 / 3, 1 / 3]]])
    x = jnp.array([[[4.0], [8], [100]]])
    # ½ · 4 + 0 · 8 and ¼ · 4 + ½ · 8; the third step is padding.
    aligned = align_softly(jnp.log(shares + 1e-30), x, jnp.array([2]))
    np.testing.assert_allclose(aligned, [[[2.0], [5]]], rtol=1e-6)


def test_pooling_by_hand():
    x = jnp.arange(1.0, 8)[None, :, None]
    # Six steps for three, 2 each; step 7 is padding.
    pooled = pool(x, jnp.array([6]), jnp.array([3]), 5)
    np.testing.assert_allclose(pooled[0, :, 0], [1.5, 3.5, 5.5, 0, 0])
    # Three for two: 1 and half of 2; half of 2 and 3. (1 + 2/2) / 1.5 = 4/3.
    pooled = pool(x, jnp.array([3]), jnp.array([2]), 2)
    np.testing.assert_allclose(pooled[0, :, 0], [4 / 3, 8 / 3], rtol=1e-6)
    # Two for four: each twice.
    pooled = pool(x, jnp.array([2]), jnp.array([4]), 4)
    np.testing.assert_allclose(pooled[0, :, 0], [1, 1, 2, 2])
    # Nothing to average.
    assert not pool(x, jnp.array([0]), jnp.array([4]), 4).any()
    assert not pool(x, jnp.array([4]), jnp.array([0]), 4).any()


@settings(deadline=None, max_examples=30)
@given(n=st.integers(1, 40), m=st.integers(1, 12))
def test_pooling_loses_nothing_and_sees_no_padding(n, m):
    x = jnp.sin(jnp.arange(40.0))[None, :, None] + 2
    pooled = pool(x, jnp.array([n]), jnp.array([m]), 12)[0, :, 0]
    np.testing.assert_allclose(pooled[:m].mean(), x[0, :n].mean(), rtol=1e-5)
    changed = pool(x.at[:, n:].set(1e6), jnp.array([n]), jnp.array([m]), 12)[0, :, 0]
    np.testing.assert_array_equal(changed, pooled)


def test_the_text_gives_its_lengths():
    for name in ('ctc', 'pool'):
        features = make_features()
        features, lengths, losses = align(start(name, features), name, features)
        assert features['a'].shape == (2, STEPS, 2)
        assert features['v'].shape == (2, STEPS, 3)
        by_hand = {'t': [3, 4], 'a': [3, 4], 'v': [0, 4]}
        assert {s: n.tolist() for s, n in lengths.items()} == by_hand
        assert set(losses) == ({'ctc_a', 'ctc_v'} if name == 'ctc' else set())
    assert make_aligner('none', 1.0) is None
    assert set(ALIGNERS) == {'none', 'ctc', 'pool'}


@pytest.mark.parametrize('name', ['ctc', 'pool'])
def test_padding_changes_nothing(name):
    features = make_features()
    changed = {
        s: jnp.where(jnp.arange(x.shape[1])[:, None] < LENGTHS[s][:, None, None], x, 9)
        for s, x in features.items()
    }
    params = start(name, features)
    before = align(params, name, features)
    after = align(params, name, changed)
    jax.tree.map(np.testing.assert_array_equal, before, after)


def test_without_lengths_padding_takes_part():
    features = make_features()
    whole = {
        't': jnp.full(2, STEPS),
        **{s: jnp.full(2, x.shape[1]) for s, x in features.items()},
    }
    for name in ('ctc', 'pool'):
        params = start(name, features, None)
        aligned, lengths, losses = align(params, name, features, None)
        assert lengths is None
        expected, _, expected_losses = align(params, name, features, whole)
        jax.tree.map(np.testing.assert_array_equal, aligned, expected)
        jax.tree.map(np.testing.assert_array_equal, losses, expected_losses)


def test_an_absent_modality_has_no_loss_and_finite_gradients():
    def total(params, features):
        aligned, _, losses = align(params, 'ctc', features)
        return sum(x.sum() for x in (*aligned.values(), *losses.values())), losses

    features = make_features()
    params = start('ctc', features)
    gradient = jax.jit(jax.grad(total, argnums=(0, 1), has_aux=True))
    grads, losses = gradient(params, features)
    assert losses['ctc_v'][0] == 0 and (losses['ctc_v'][1] > 0).all()
    assert all(np.isfinite(g).all() for g in jax.tree.leaves(grads))
    assert not grads[1]['v'][0].any()


def test_prediction_and_ctc_both_train_the_predictor():
    features = make_features()

    def gradient(weight, prediction):
        def total(params):
            aligned, _, losses = align(params, 'ctc', features, None, weight)
            error = sum(jnp.abs(x - 1).mean() for x in aligned.values())
            return prediction * error + sum(x.mean() for x in losses.values())

        return jax.jit(jax.grad(total))(params)

    params = start('ctc', features, None)
    one_way, other_way, both = gradient(0.5, 0), gradient(0, 1), gradient(0.5, 1)
    for a, b, c in zip(*map(jax.tree.leaves, (one_way, other_way, both)), strict=True):
        assert (a != 0).any() and (b != 0).any()
        # Rounding of float32 sums.
        np.testing.assert_allclose(a + b, c, atol=1e-5 * np.abs(c).max())
    twice = gradient(1.0, 0)
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(2 * a, b, rtol=1e-5, atol=1e-7),
        one_way,
        twice,
    )
