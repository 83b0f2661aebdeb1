"""From the rates of openSMILE, films and sound tracks to ours, worked by hand."""

import numpy as np
import pytest

from sugrm_jax.extract import acoustics
from sugrm_jax.extract.acoustics import VOICED, average
from sugrm_jax.extract.media import placed, sampled


def test_means_of_windows_the_last_of_which_is_shorter():
    steps = np.array([[1.0], [2], [6], [4], [0]])
    found = average(steps, 2, np.array([False]))
    assert found.dtype == np.float32
    assert found.tolist() == [[1.5], [5], [0]]


def test_zeros_that_mean_none_are_left_out():
    steps = np.array([[2.0, 2], [0, 0], [4, 4], [0, 0], [0, 0], [0, 0]])
    found = average(steps, 3, np.array([False, True]))
    assert found.tolist() == [[2, 3], [0, 0]]


def test_no_steps():
    assert average(np.zeros((0, 25)), 5, VOICED).shape == (0, 25)


def test_the_descriptors():
    assert (acoustics.WINDOW, len(acoustics.NAMES)) == (5, 25)
    voiced = [name for name, v in zip(acoustics.NAMES, VOICED, strict=True) if v]
    assert voiced[0] == 'F0semitoneFrom27.5Hz_sma3nz' and len(voiced) == 15
    assert acoustics.acoustics(np.zeros(900, np.float32)).shape == (0, 25)


def shown(times, rate, start=0.0, end=None, lasts=0.0):
    """Frames, each named by its number, at the moments they are shown at."""
    timed = [(time, lasts, i) for i, time in enumerate(times)]
    return [i for i, n in sampled(timed, rate, start, end) for _ in range(n)]


@pytest.mark.parametrize(
    ('times', 'rate', 'start', 'end', 'frames'),
    [
        # 25 a second: at 0, 0.1, 0.2, 0.3 s the frames of 0, 0.08, 0.2, 0.28 s.
        ([i / 25 for i in range(10)], 10, 0, None, [0, 2, 5, 7]),
        # 4 a second: frames are shown more than once, the last 0.25 s, too.
        ([0, 0.25, 0.5], 10, 0, None, [0, 0, 0, 1, 1, 2, 2, 2]),
        ([i / 10 for i in range(5)], 10, 0, None, [0, 1, 2, 3, 4]),
        # From a moment on: what is shown then began before.
        ([i / 10 for i in range(9)], 10, 0.25, 0.5, [2, 3, 4]),
        ([i / 10 for i in range(9)], 10, 0.1, 0.1 + 0.2, [1, 2]),
        ([0, 1, 2], 2, 0.5, 1.5, [0, 1]),
        # A film that begins late: nothing is seen before.
        ([0.3, 0.4], 10, 0, None, [0, 1]),
        ([5.0, 5.1], 10, 0, None, [0, 1]),
        ([0.033, 0.073, 0.113], 10, 0, None, [1]),
        ([0.3, 0.4], 10, 0, 0.2, []),
        # One that is over, one with one frame, none.
        ([0, 0.1], 10, 5, 6, []),
        ([0], 10, 0, None, [0]),
        ([0.033], 10, 0, 10, [0]),
        ([0], 10, 5, 6, []),
        ([], 10, 0, None, []),
        # Of frames at the same time or out of order the last counts.
        ([0, 0.1, 0.1, 0.05, 0.2], 10, 0, None, [0, 3, 4, 4]),
    ],
)
def test_what_is_shown_at_each_moment(times, rate, start, end, frames):
    assert shown(times, rate, start, end) == frames


@pytest.mark.parametrize(
    ('times', 'lasts', 'end', 'frames'),
    [
        # The last frame for as long as it says; the others until the next comes.
        ([0, 0.1], 0.3, None, [0, 1, 1, 1]),
        ([0, 0.5], 0.1, None, [0, 0, 0, 0, 0, 1]),
        # A picture that stands still, to the end at most, once at least.
        ([0], 0.4, None, [0, 0, 0, 0]),
        ([0], 9, 0.3, [0, 0, 0]),
        ([0.05], 0.04, None, [0]),
    ],
)
def test_how_long_the_last_picture_is_shown(times, lasts, end, frames):
    assert shown(times, 10, 0, end, lasts) == frames


def stretch(time, *values):
    return time, np.array(values, np.float32)


@pytest.mark.parametrize(
    ('stretches', 'start', 'end', 'samples'),
    [
        ([stretch(0, 1, 2), stretch(0.2, 3)], 0, None, [1, 2, 3]),
        # It begins late, and has a gap.
        ([stretch(0.2, 1), stretch(0.4, 2)], 0, None, [0, 0, 1, 0, 2]),
        ([stretch(0, 1, 2, 3, 4)], 0.1, 0.3, [2, 3]),
        # No sound behind its end: it is not lengthened.
        ([stretch(0, 1, 2)], 0.1, 5, [2]),
        ([stretch(0, 1, 2)], 3, 5, []),
        ([stretch(0.3, 1, 2)], 0, 0.2, [0, 0]),
        ([stretch(0.1)], 0, None, []),
        ([], 0, 1, []),
    ],
)
def test_sounds_are_at_their_places(stretches, start, end, samples):
    found = placed(stretches, 10, start, end)
    assert found.dtype == np.float32 and found.tolist() == samples
