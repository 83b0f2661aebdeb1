"""The field's metrics by hand. Doubles round at 1e-16: 1e-12 leaves room for sums."""

import math

import numpy as np
import pytest

from sugrm_jax.metrics import METRICS, pearson, regression_metrics


def measure(prediction, truth):
    return regression_metrics(np.array(prediction), np.array(truth))


def test_all_of_them_on_four_samples():
    """By hand.

    Has0: truths − + + +, predictions − − + +. The negative class has precision 1/2
    and recall 1, F1 2/3; the positive one precision 1 and recall 2/3, F1 4/5;
    weighted by the true sizes 1 and 3: (2/3 + 3 · 4/5) / 4 = 23/30.
    Pearson: Σxy = 4.9, Σx² = 5, Σy² = 5.63 about the means 0.5 and 0.45.
    """
    metrics = measure([-0.6, -0.4, 0.4, 2.4], [-1, 0, 1, 2])
    assert tuple(metrics) == METRICS
    assert metrics == pytest.approx(
        {
            'mae': 0.45,
            'corr': 4.9 / math.sqrt(5 * 5.63),
            'acc2_has0': 3 / 4,
            'f1_has0': 23 / 30,
            'acc2_non0': 1,
            'f1_non0': 1,
            'acc5': 3 / 4,
            'acc7': 3 / 4,
        },
        rel=1e-12,
    )


def test_f1_takes_truth_first():
    """All-positive predictions at 71 % positives.

    The positive class has F1 1.42/1.71 = 0.8304 and 71 % of the weight: 0.5896. With
    the arguments swapped it would have all the weight.
    """
    truth = np.array([1.0] * 71 + [-1.0] * 29)
    metrics = measure(np.linspace(0.1, 2, 100), truth)
    for name in ('f1_has0', 'f1_non0'):
        assert metrics[name] == pytest.approx(0.71 * 1.42 / 1.71, rel=1e-12)
    for name in ('acc2_has0', 'acc2_non0'):
        assert metrics[name] == 0.71


def test_zero_is_not_negative_with_has0_and_not_positive_with_non0():
    metrics = measure([0.0, 0.0, 0.0, -1.0], [2.0, 1.0, -1.0, 0.0])
    # Has0: right, right, wrong, wrong. Non0 leaves out the last: wrong, wrong, right.
    assert metrics['acc2_has0'] == 0.5
    assert metrics['acc2_non0'] == pytest.approx(1 / 3, rel=1e-12)


def test_classes_round_half_to_even():
    prediction = np.array([0.5, 1.5, 2.5, -0.5, -1.5, -2.5])
    assert measure(prediction, [0, 2, 2, 0, -2, -2])['acc7'] == 1
    assert measure(prediction, [1, 1, 3, -1, -1, -3])['acc7'] == 0
    # Labels too: 1.6 and 2.5 are both of class 2.
    assert measure([1.6, 1.0], [2.5, 0.5])['acc7'] == 0.5


def test_classes_are_clipped_and_the_error_is_not():
    metrics = measure([5.0, 2.6, -2.4, -9.0], [3.0, 2.0, -3.0, -2.5])
    # Of seven: 3 3, 3 2, −2 −3, −3 −2. Of five: 2 2 and −2 −2 only.
    assert metrics['acc7'] == 0.25
    assert metrics['acc5'] == 1
    assert metrics['mae'] == pytest.approx((2 + 0.6 + 0.6 + 6.5) / 4, rel=1e-12)


@pytest.mark.parametrize('constant', ['prediction', 'truth'])
def test_correlation_with_a_constant_is_nan(constant):
    sides = {'prediction': np.array([1.0, -2, 3]), 'truth': np.array([1.0, -1, 2])}
    sides[constant] = np.full(3, 0.1)
    metrics = regression_metrics(**sides)
    assert math.isnan(metrics.pop('corr'))
    assert all(map(math.isfinite, metrics.values()))


@pytest.mark.parametrize('count', [0, 1])
def test_correlation_below_two_samples_is_nan(count):
    assert math.isnan(pearson(np.ones(count), np.ones(count)))


def test_labels_of_another_range_have_no_classes_of_whole_numbers():
    """CH-SIMS: rounded, its labels in ±1 would be of three classes, not of 5 or 7."""
    metrics = regression_metrics(np.array([0.2, -0.8]), np.array([0.4, -1.0]), 1.0)
    assert math.isnan(metrics.pop('acc5')) and math.isnan(metrics.pop('acc7'))
    assert all(map(math.isfinite, metrics.values()))


def test_labels_of_zero_only_make_non0_nan():
    metrics = measure([0.2, -0.3], [0.0, 0.0])
    assert math.isnan(metrics['acc2_non0']) and math.isnan(metrics['f1_non0'])
    assert metrics['acc2_has0'] == 0.5
    # Of the one class that is true: precision 1, recall 1/2.
    assert metrics['f1_has0'] == pytest.approx(2 / 3, rel=1e-12)


@pytest.mark.parametrize(
    ('prediction', 'truth'),
    [([], []), ([1.0], [1.0, 2.0]), ([[1.0], [2.0]], [[1.0], [2.0]])],
)
def test_other_shapes_are_refused(prediction, truth):
    with pytest.raises(ValueError, match='need \\[N\\] twice'):
        measure(prediction, truth)
