import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from sugrm_jax.metrics import regression_metrics
from sugrm_jax.results import statistics
from sugrm_jax.results.statistics import (
    holm,
    mean_and_std,
    paired_bootstrap,
    seed_weights,
    weighted_metrics,
)

TRUTH = np.array([-2.0, 1.0, 0.0, 3.0])
SYSTEM = np.array([[-1.0, 0.5, 0.25, 2.0], [-2.5, -0.5, 0.5, 3.0]])
REFERENCE = np.array([[-1.5, 0.75, -1.0, -1.0], [0.5, 1.0, -0.5, 2.0]])


def drawn(seed=0, utterances=60):
    """Labels, and three seeds of a system whose errors are of size one."""
    rng = np.random.default_rng(seed)
    truth = rng.uniform(-3, 3, utterances)
    return truth, truth + rng.normal(0, 1, (3, utterances))


def test_mean_and_std_by_hand():
    # Deviations −1, −1, 2: squares sum to 6, over n − 1 = 2 is 3.
    assert mean_and_std([1, 1, 4]) == (2, math.sqrt(3))


def test_one_seed_has_no_std_and_none_no_mean():
    mean, std = mean_and_std([0.5])
    assert mean == 0.5 and math.isnan(std)
    assert all(map(math.isnan, mean_and_std([])))


def test_an_undefined_seed_is_not_left_out_of_the_mean():
    assert all(map(math.isnan, mean_and_std([0.5, None])))


# Weighted metrics. -----------------------------------------------------------------


def test_weights_of_one_give_the_metrics():
    truth, system = drawn()
    found = weighted_metrics(system, truth, np.ones((1, len(truth))))
    for name in statistics.COMPARED:
        expected = [regression_metrics(row, truth)[name] for row in system]
        # Both sum the same 60 numbers in float64, in another order.
        np.testing.assert_allclose(found[name], [expected], rtol=1e-12)


@given(st.lists(st.integers(0, 3), min_size=4, max_size=4).filter(lambda w: sum(w) > 1))
def test_weights_repeat_utterances(counts):
    found = weighted_metrics(SYSTEM, TRUTH, np.array([counts], float))
    repeated = np.repeat(np.arange(4), counts)
    for s, row in enumerate(SYSTEM):
        expected = regression_metrics(row[repeated], TRUTH[repeated])
        for name in statistics.COMPARED:
            np.testing.assert_allclose(found[name][0, s], expected[name], rtol=1e-9)


def test_a_constant_prediction_has_no_correlation():
    # What is drawn of the second row is constant, though not its first value; its
    # variance comes out as 1e-15, by rounding.
    prediction = np.array([[0.1, 0.1, 0.1, 0.1], [0.9, -2.3, -2.3, -2.3]])
    found = weighted_metrics(prediction, TRUTH, np.array([[0.0, 1, 1, 1]]))
    assert np.isnan(found['corr']).all()


# The bootstrap. --------------------------------------------------------------------


def test_identical_systems_do_not_differ():
    truth, system = drawn()
    for found in paired_bootstrap(system, system, truth, 500).values():
        assert found == (0, 0, 0, 1)


def test_a_constant_difference_by_hand():
    """Every error is 0.5 larger, so every resample says 0.5, whichever it drew."""
    truth = np.array([-1.0, 1.0, 2.0])
    reference = np.stack([truth + 0.5, truth + 0.25])
    found = paired_bootstrap(reference + 0.5, reference, truth, 999)['mae']
    # None of 999 on the other side of zero: 2 · (0 + 1) / (999 + 1).
    assert found == pytest.approx((0.5, 0.5, 0.5, 0.002))


def test_a_clear_difference_is_found_and_noise_is_not():
    truth, system = drawn()
    _, other = drawn(1)
    better = truth + 0.1 * (system - truth)
    clear = paired_bootstrap(system, better, truth, 2000)
    assert clear['mae'].p < 0.01 and 0 < clear['mae'].low < clear['mae'].high
    assert clear['corr'].p < 0.01 and clear['corr'].high < 0
    noise = paired_bootstrap(truth + other - drawn(1)[0], system, truth, 2000)['mae']
    assert noise.p > 0.05 and noise.low < 0 < noise.high


def enumerated(weights_of_seeds):
    """MAE differences of every possible resample of 2 seeds and 4 utterances."""
    error = np.abs(SYSTEM - TRUTH) - np.abs(REFERENCE - TRUTH)
    found = []
    for seeds in itertools.product(range(2), repeat=2):
        weight = weights_of_seeds[seeds.count(0)]
        for utterances in itertools.product(range(4), repeat=4):
            found.append(weight @ error[:, list(utterances)].mean(1))
    return np.array(found)


def test_resamples_have_the_distribution_of_all_possible_ones():
    # Two of one seed: half a seed too many, widened by √2 and by t / z of two seeds,
    # 12.706 / 1.960.
    wide = math.sqrt(2) / 2 * 12.7062047 / 1.9599640
    weights = {2: (0.5 + wide, 0.5 - wide), 0: (0.5 - wide, 0.5 + wide), 1: (0.5, 0.5)}
    exact = enumerated({k: np.array(w) for k, w in weights.items()})
    assert len(exact) == 4 * 256
    found = paired_bootstrap(SYSTEM, REFERENCE, TRUTH, 20_000)['mae']
    p = 2 * min((exact <= 1e-9).mean(), (exact >= -1e-9).mean())
    # Twice a share near 0.3 of 20,000 draws has a standard error of 0.0065.
    assert 0.02 < p < 0.7 and found.p == pytest.approx(p, abs=0.02)
    # Where 20,000 draws may put a quantile: 1 % of them to either side, 9 errors.
    for value, q in ((found.low, 0.025), (found.high, 0.975)):
        low, high = np.quantile(exact, [max(q - 0.01, 0), min(q + 0.01, 1)])
        assert low - 1e-9 <= value <= high + 1e-9
    assert found.value == pytest.approx(exact.mean())


def test_seed_weights_make_up_for_drawing_from_few():
    """Over all 27 draws of 3 seeds the variance is that of new seeds, but for t / z."""
    values = np.array([0.0, 1.0, 5.0])
    draws = np.array(list(itertools.product(range(3), repeat=3)))
    counts = np.stack([(draws == s).sum(1) for s in range(3)], axis=1).astype(float)
    means = seed_weights(counts) @ values
    assert means.mean() == pytest.approx(2)
    # Sample variance 7 (4 + 1 + 9 over 2), of a mean of three 7 / 3.
    assert means.std() == pytest.approx(math.sqrt(7 / 3) * 4.3026527 / 1.9599640)
    assert seed_weights(np.ones((1, 1))) == 1


@pytest.mark.parametrize('seeds', [2, 3, 10])
def test_equal_systems_seldom_seem_to_differ(seeds):
    """They vary by seed alone, the hardest case: 5 % have p below 0.05."""
    rng, alarms = np.random.default_rng(0), 0
    for _ in range(200):
        truth, error = rng.normal(size=(2, 60))
        ours, theirs = (
            truth + error * np.exp(0.1 * rng.normal(size=(seeds, 1))) for _ in range(2)
        )
        alarms += paired_bootstrap(ours, theirs, truth, 200)['mae'].p < 0.05
    # 10 of 200 in the mean, with a standard deviation of 3; unwidened 17 and more.
    assert alarms <= 16


def test_with_one_seed_only_utterances_vary():
    truth, system = drawn()
    better = paired_bootstrap(system[:1], system[1:2], truth, 500)['mae']
    assert better.low < better.value < better.high


def test_an_undefined_metric_has_no_p():
    constant = np.full((2, 4), 0.5)
    found = paired_bootstrap(constant, REFERENCE, TRUTH, 100)
    assert np.isnan(found['corr']).all()
    assert not np.isnan(found['mae']).any()


@settings(max_examples=25, deadline=None)
@given(
    arrays(np.float64, (2, 2, 5), elements=st.integers(-3, 3)),
    arrays(np.float64, 5, elements=st.integers(-3, 3)),
)
def test_exchanging_the_systems_turns_the_signs(two, truth):
    one = paired_bootstrap(*two, truth, 200)
    other = paired_bootstrap(*two[::-1], truth, 200)
    for name, found in one.items():
        turned = other[name]
        expected = (-turned.value, -turned.high, -turned.low, turned.p)
        np.testing.assert_allclose(found, expected, atol=1e-9)
        assert math.isnan(found.p) or 0 < found.p <= 1
        assert math.isnan(found.p) or found.low <= found.high


def test_the_seed_decides_the_numbers():
    truth, system = drawn()
    once = paired_bootstrap(system, system[::-1] + 0.1, truth, 300)
    assert once == paired_bootstrap(system, system[::-1] + 0.1, truth, 300)
    assert once != paired_bootstrap(system, system[::-1] + 0.1, truth, 300, seed=1)


# Holm's correction. ----------------------------------------------------------------


def test_holm_by_hand():
    # Sorted: 0.01 · 4, 0.02 · 3, 0.03 · 2 (not below 0.06), 0.04 · 1 (not below).
    assert holm([0.04, 0.01, 0.03, 0.02]) == pytest.approx([0.06, 0.04, 0.06, 0.06])


def test_holm_is_capped_and_leaves_undefined_ones_out():
    first, undefined, last = holm([0.9, math.nan, 0.02])
    assert math.isnan(undefined)
    assert [first, last] == pytest.approx([0.9, 0.04])
    assert holm([0.8, 0.7]) == [1, 1]
    assert holm([]) == []


@given(st.lists(st.floats(1e-4, 1), max_size=8))
def test_holm_lies_between_nothing_and_bonferroni(p):
    for before, after in zip(p, holm(p), strict=True):
        assert before <= after <= min(1, before * len(p)) + 1e-12
