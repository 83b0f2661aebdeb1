"""What is kept between runs, and what is let go of."""

import gc
import weakref

import pytest

from sugrm_jax.training.shared import Latest


class Large:
    pass


def test_the_same_is_made_once_and_the_one_before_is_let_go_of():
    latest = Latest()
    first = latest(('data', 1), Large)
    assert latest(('data', 1), pytest.fail) is first
    kept = weakref.ref(first)
    del first

    def make():
        # There are never two.
        gc.collect()
        assert kept() is None
        return Large()

    second = latest(('data', 2), make)
    assert latest(('data', 2), pytest.fail) is second
    # What was let go of is made again.
    assert latest(('data', 1), Large) is not second


def test_what_could_not_be_made_is_tried_again():
    latest = Latest()
    with pytest.raises(ZeroDivisionError):
        latest(1, lambda: 1 / 0)
    assert latest(1, lambda: 'made') == 'made'
