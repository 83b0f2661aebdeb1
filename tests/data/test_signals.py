"""The sequences of the simulator: what a sentiment does to them and what noise is."""

import numpy as np
import pytest

from sugrm_jax.data import signals


def test_pitch_shows_in_its_course_and_not_in_its_mean():
    rng = np.random.default_rng(0)
    y = np.repeat([-3.0, 3.0], 2000)
    length = np.full(4000, 40)
    pitch = signals.voice(rng, y, length, 40, np.zeros((4000, 5)))[:, :, 0]
    mean = pitch.mean(axis=1).reshape(2, -1).mean(axis=1)
    last = pitch[:, -1].reshape(2, -1).mean(axis=1)
    # Standard errors: 0.45 / √2000 = 0.01 of the mean over time, 0.022 of a frame.
    np.testing.assert_allclose(mean, 0, atol=0.05)
    np.testing.assert_allclose(last, [-0.8775, 0.8775], atol=0.1)  # 1.8 · (79/80 - ½)


def test_drift_keeps_unit_variance_and_its_autocorrelation():
    noise = signals.drift(np.random.default_rng(0), (4000, 30), keep=0.8)
    # Standard errors over 4000 independent rows: 0.022 and 0.016.
    np.testing.assert_allclose(noise.var(axis=0), 1, atol=0.1)
    assert np.corrcoef(noise[:, 20], noise[:, 21])[0, 1] == pytest.approx(0.8, abs=0.05)


def test_smiles_are_for_the_positive_and_frowns_for_the_negative():
    rng = np.random.default_rng(0)
    y = np.repeat([-3.0, 3.0], 500)
    length = np.full(1000, 40)
    shown = signals.face(rng, y, length, 40, np.zeros((1000, 20)))
    negative, positive = shown.mean(axis=1).reshape(2, 500, -1).mean(axis=1)
    more = positive - negative
    # A bump of height h and half-width w has area h·w·√2π: three of 1.6 · 0.15 against
    # three of 0.2 · 0.05 (a bit less, for onsets near an end); 0.6 of it at the eyes.
    area = 3 * np.sqrt(2 * np.pi) * (1.6 * 0.15 - 0.2 * 0.05)
    for column, share in (
        (signals.SMILE, 1.0),
        (signals.CHEEK, 0.6),
        (signals.LIP_CORNER, -1.0),
        (signals.FROWN, -0.6),
    ):
        assert 0.75 * area < more[column] / share < 1.05 * area
    # Standard error 0.04 of the other columns, which tell nothing of the sign.
    assert np.abs(more[signals.BROW :]).max() < 0.2


def test_an_utterance_without_frames_is_all_zero():
    rng = np.random.default_rng(0)
    voice = signals.voice(rng, np.ones(2), np.array([0, 3]), 6, np.ones((2, 5)))
    assert not voice[0].any() and not voice[1, 3:].any() and voice[1, :3].all()
    assert voice.dtype == np.float32
