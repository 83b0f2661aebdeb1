"""Predictions of a whole split, and what is refused of them."""

import numpy as np
import pytest

from sugrm_jax import UserError, parallel
from sugrm_jax.training import evaluate
from sugrm_jax.types import TASKS, Outputs, Plan, Split


def split_of(count):
    x = np.arange(count, dtype=np.float32)
    return Split(
        ids=[f'clip{i}' for i in range(count)],
        raw_text=[''] * count,
        tokens=np.zeros((count, 3, 2), np.int32),
        audio=np.zeros((count, 1, 1), np.float32),
        audio_length=np.arange(count) % 2,
        vision=np.zeros((count, 1, 1), np.float32),
        vision_length=np.ones(count, int),
        label=x,
        unimodal={},
    )


def repeat_the_label(params, batch):
    present = {
        't': batch.weight > 0,
        'a': batch.audio_length > 0,
        'v': batch.weight > 0,
    }
    return Outputs(dict.fromkeys(TASKS, batch.label * params), {}, present)


def test_every_sample_once_in_the_splits_order_and_nan_where_a_modality_is_absent():
    plans = [Plan(np.int32([[3, 1], [4, 5]])), Plan(np.int32([[0, 2]]))]
    found = evaluate.predict(
        repeat_the_label, 2.0, split_of(5), plans, parallel.data_mesh()
    )
    np.testing.assert_array_equal(found['m'], [0, 2, 4, 6, 8])
    np.testing.assert_array_equal(found['a'], [np.nan, 2, np.nan, 6, np.nan])
    np.testing.assert_array_equal(found['v'], found['m'])


def test_predictions_that_are_not_finite_are_named():
    split = split_of(3)
    with pytest.raises(UserError, match=r'1 of 3 predictions are not finite: clip1\. '):
        evaluate.evaluate({'m': np.array([0.0, np.nan, 1.0])}, split, 3.0)
