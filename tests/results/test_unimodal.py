import math

import numpy as np
import pytest

from sugrm_jax.results.unimodal import compare, error

# r of (1, 2, 3) and (2, 4, 7) by hand: 5 / sqrt(2 * 38 / 3).
R = 5 / math.sqrt(76 / 3)


def made(**changed):
    """Three samples, two epochs; truth (2, 4, 7) for text only."""
    arrays = {
        'm': [1, 2, 3],
        't': [[1, 2, 3], [2, 4, 8]],
        'a': [[1, 2, 3]] * 2,
        'v': [[1, 2, 3]] * 2,
        'truth_t': [2, 4, 7],
    } | changed
    return {name: np.float32(array) for name, array in arrays.items()}


def test_by_hand():
    found = compare(made(), epoch=1)
    # float64 arithmetic on exact float32 inputs: a few units in the last place.
    assert found['t'] == pytest.approx(
        {'n': 3, 'r': R, 'mae': 7 / 3, 'baseline_r': R, 'baseline_mae': 7 / 3},
        rel=1e-12,
    )
    assert found['a'] is None
    assert found['v'] is None


def test_the_last_epoch_is_the_default():
    assert compare(made()) == compare(made(), epoch=2)
    assert compare(made())['t']['mae'] == pytest.approx(1 / 3, rel=1e-12)
    assert compare(made())['t']['baseline_mae'] == pytest.approx(7 / 3, rel=1e-12)


def test_absent_samples_are_left_out_of_both_sides():
    moved = [[1, 2, np.nan], [2, 4, np.nan]]
    found = compare(made(t=moved, truth_t=[3, 5, 100]))['t']
    assert found['n'] == 2
    assert found['mae'] == 1
    assert found['baseline_mae'] == 2.5


def test_samples_without_annotation_are_left_out():
    found = compare(made(truth_t=[2, 4, np.nan]), epoch=1)['t']
    assert (found['n'], found['mae'], found['baseline_mae']) == (2, 1.5, 1.5)


def test_no_truth_at_all():
    labels = made()
    del labels['truth_t']
    assert compare(labels) is None
    assert compare(made(t=np.full((2, 3), np.nan))) is None


def test_constant_labels_have_no_correlation():
    found = compare(made(t=np.full((2, 3), 0.1)))['t']
    assert math.isnan(found['r'])
    assert found['baseline_r'] == pytest.approx(R, rel=1e-12)


def test_no_samples_have_no_error():
    assert math.isnan(error(np.float32([]), np.float32([])))
