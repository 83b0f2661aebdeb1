"""Audio: the low-level descriptors of eGeMAPS, averaged down to 20 Hz.

eGeMAPS v02 (Eyben et al., IEEE Transactions on Affective Computing 7(2), 2016) is the
set that the field's work on affect in voices shares: loudness, spectral balance, pitch,
jitter, shimmer, harmonicity and formants. openSMILE is its reference implementation.
librosa, the usual library, has no jitter, shimmer or harmonicity, and what else is made
with it would be one project's own choice.

openSMILE's licence admits research, teaching and personal use, not commercial use.
"""

from __future__ import annotations

import functools
from typing import Any

import numpy as np

from sugrm_jax.extract.libraries import library, version

# Samples per second, Hz: the descriptors look at 8 kHz at most, half of it.
SAMPLE_RATE = 16_000
# Descriptors per second as openSMILE computes them, and after averaging, Hz.
DESCRIPTOR_RATE = 100.0
RATE = 20.0
WINDOW = round(DESCRIPTOR_RATE / RATE)
# Seconds: openSMILE needs the 60 ms of its longest frame.
SHORTEST = 0.06

# Name → unit, in openSMILE's order.
UNITS = {
    'Loudness_sma3': 'perceived loudness, sone-like',
    'alphaRatio_sma3': 'dB',
    'hammarbergIndex_sma3': 'dB',
    'slope0-500_sma3': 'dB/Hz',
    'slope500-1500_sma3': 'dB/Hz',
    'spectralFlux_sma3': 'none',
    **{f'mfcc{i}_sma3': 'none' for i in range(1, 5)},
    'F0semitoneFrom27.5Hz_sma3nz': 'semitones above 27.5 Hz, 0 where unvoiced',
    'jitterLocal_sma3nz': 'fraction of the period',
    'shimmerLocaldB_sma3nz': 'dB',
    'HNRdBACF_sma3nz': 'dB',
    'logRelF0-H1-H2_sma3nz': 'dB',
    'logRelF0-H1-A3_sma3nz': 'dB',
}
for _i in (1, 2, 3):
    UNITS[f'F{_i}frequency_sma3nz'] = 'Hz'
    UNITS[f'F{_i}bandwidth_sma3nz'] = 'Hz'
    UNITS[f'F{_i}amplitudeLogRelF0_sma3nz'] = 'dB'
NAMES = tuple(UNITS)
# openSMILE's suffix for descriptors whose 0 says that there is none, as no pitch in an
# unvoiced sound; its own functionals leave these zeros out, too.
VOICED = np.array([name.endswith('nz') for name in NAMES])


def describe() -> dict:
    """What the features are: names, units, rate in Hz and where they come from."""
    return {
        'names': list(NAMES),
        'units': list(UNITS.values()),
        'rate_hz': RATE,
        'source': f'opensmile {version("opensmile")} eGeMAPSv02 low-level descriptors, '
        f'means over {WINDOW / DESCRIPTOR_RATE:g} s',
    }


def average(steps: np.ndarray, window: int, voiced: np.ndarray) -> np.ndarray:
    """Means over windows that do not overlap; the last may be shorter.

    Args:
      steps: `[L, D]`.
      window: steps in a window.
      voiced: bool `[D]`, the columns of which zeros are left out of the mean; where
        all are 0 the mean is 0.

    Returns:
      Float32 `[ceil(L / window), D]`.
    """
    missing = -len(steps) % window
    padded = np.pad(steps.astype(np.float64), ((0, missing), (0, 0)))
    counted = np.pad(np.ones(steps.shape), ((0, missing), (0, 0)))
    counted = np.where(voiced, padded != 0, counted)
    shape = (-1, window, steps.shape[1])
    count = counted.reshape(shape).sum(axis=1)
    return (padded.reshape(shape).sum(axis=1) / np.maximum(count, 1)).astype(np.float32)


def acoustics(samples: np.ndarray) -> np.ndarray:
    """Averaged descriptors of a sound.

    Args:
      samples: float32 `[S]` in ±1, `SAMPLE_RATE` a second.

    Returns:
      Float32 `[L, 25]`, `RATE` steps a second; values that are not finite are 0. None
      (`L` 0) of a sound shorter than `SHORTEST`.
    """
    if len(samples) < SHORTEST * SAMPLE_RATE:
        return np.zeros((0, len(NAMES)), np.float32)
    found = _smile().process_signal(samples, SAMPLE_RATE)
    if tuple(found.columns) != NAMES:
        raise RuntimeError(f'openSMILE gives other descriptors: {list(found.columns)}')
    steps = np.nan_to_num(found.to_numpy(), nan=0, posinf=0, neginf=0)
    return average(steps, WINDOW, VOICED)


@functools.cache
def _smile() -> Any:
    opensmile = library('opensmile')
    return opensmile.Smile(
        feature_set=opensmile.FeatureSet.eGeMAPSv02,
        feature_level=opensmile.FeatureLevel.LowLevelDescriptors,
    )
