"""Audio and vision sequences whose dynamics carry a given sentiment.

Each function takes the sentiment `y` in `[-3, 3]` and the length of every utterance
and returns features `[N, L, D]`: what the sentiment does over the utterance, on top of
autocorrelated noise and of offsets that belong to the speaker. Some of it shows in the
mean over time, some only in the course (the slope of the pitch, the speed of the beat).
"""

from __future__ import annotations

import numpy as np

AUDIO_WIDTH = 5  # as in MOSI: here pitch, energy, beat, brightness, background
VISION_WIDTH = 20  # as in MOSI: here 8 facial actions, 6 head angles, 6 others
# Facial actions by column; the head's angles follow them.
SMILE, CHEEK, FROWN, LIP_CORNER, BROW, BLINK, JAW, NOSE = range(8)
HEAD = slice(8, 14)


def clock(length: np.ndarray, size: int) -> np.ndarray:
    """Time of each frame as a share of its utterance, `[N, L]`; above 1 is padding."""
    return (np.arange(size) + 0.5) / np.maximum(length, 1)[:, None]


def drift(rng: np.random.Generator, shape: tuple[int, ...], keep: float) -> np.ndarray:
    """AR(1) noise of unit variance along axis 1; `keep` is its autocorrelation."""
    noise = rng.standard_normal(shape)
    fresh = np.sqrt(1 - keep**2)
    for step in range(1, shape[1]):
        noise[:, step] = keep * noise[:, step - 1] + fresh * noise[:, step]
    return noise


def episodes(
    rng: np.random.Generator, time: np.ndarray, height: np.ndarray, width: np.ndarray
) -> np.ndarray:
    """Three smooth bumps at random times, `[N, L]`.

    Args:
      time: `[N, L]`, shares of the utterance.
      height: `[N]`, mean height; each bump's own varies by a third of a unit.
      width: `[N]`, half-width as a share of the utterance.
    """
    onset = rng.uniform(0.1, 0.9, (len(time), 3, 1))
    heights = height[:, None, None] + rng.normal(0, 0.33, onset.shape)
    distance = (time[:, None, :] - onset) / width[:, None, None]
    return (heights * np.exp(-0.5 * distance**2)).sum(axis=1)


def cut(features: np.ndarray, length: np.ndarray) -> np.ndarray:
    """Float32 features with zeros after each utterance's length."""
    real = np.arange(features.shape[1]) < length[:, None]
    return np.where(real[:, :, None], features, 0).astype(np.float32)


def voice(
    rng: np.random.Generator,
    y: np.ndarray,
    length: np.ndarray,
    size: int,
    speaker: np.ndarray,
) -> np.ndarray:
    """Audio of the sentiments `y`.

    Pitch rises in positive utterances and falls in negative ones (no trace in the
    mean); energy has bursts that grow with `y`; the beat speeds up with `y`;
    brightness builds up towards the end; the background tells nothing.

    Args:
      y: `[N]` in `[-3, 3]`.
      length: int `[N]`, frames of each utterance.
      size: frames of the result, `L_a`.
      speaker: `[N, 5]`, the offsets of each utterance's speaker.

    Returns:
      float32 `[N, L_a, 5]`, zero after each length.
    """
    tone = y / 3
    time = clock(length, size)
    features = drift(rng, (len(y), size, AUDIO_WIDTH), keep=0.8)
    features[:, :, 0] += 1.8 * tone[:, None] * (time - 0.5)
    width = np.full(len(y), 0.08)
    features[:, :, 1] += episodes(rng, time, 1.0 + 0.8 * tone, width)
    phase = rng.uniform(0, 2 * np.pi, (len(y), 1))
    features[:, :, 2] += np.sin((5 + 3 * tone[:, None]) * 2 * np.pi * time + phase)
    features[:, :, 3] += 1.1 * tone[:, None] * time
    return cut(features + speaker[:, None, :], length)


def face(
    rng: np.random.Generator,
    y: np.ndarray,
    length: np.ndarray,
    size: int,
    speaker: np.ndarray,
) -> np.ndarray:
    """Vision of the sentiments `y`.

    Smiles (lip corners up, cheeks) come in episodes that are higher and longer the
    more positive `y` is, frowns (brow down, lip corners down) the more negative; both
    occur a little in any utterance. Raised brows mark strong feelings of either sign.
    Blinks, the jaw, the head and the other columns tell nothing.

    Args:
      y: `[N]` in `[-3, 3]`.
      length: int `[N]`, frames of each utterance.
      size: frames of the result, `L_v`.
      speaker: `[N, 20]`, the offsets of each utterance's speaker.

    Returns:
      float32 `[N, L_v, 20]`, zero after each length.
    """
    tone = y / 3
    time = clock(length, size)
    features = 0.7 * drift(rng, (len(y), size, VISION_WIDTH), keep=0.9)
    for sign, (mouth, eyes) in ((1, (SMILE, CHEEK)), (-1, (LIP_CORNER, FROWN))):
        strength = np.maximum(sign * tone, 0)
        shown = episodes(rng, time, 0.2 + 1.4 * strength, 0.05 + 0.1 * strength)
        features[:, :, mouth] += shown
        features[:, :, eyes] += 0.6 * shown
    width = np.full(len(y), 0.06)
    features[:, :, BROW] += episodes(rng, time, 1.2 * np.abs(tone), width)
    features[:, :, BLINK] += 2.0 * (rng.random(time.shape) < 0.06)
    features[:, :, JAW] += np.abs(np.sin(12 * np.pi * time))
    features[:, :, HEAD] += drift(rng, (len(y), size, 6), keep=0.98)
    return cut(features + speaker[:, None, :], length)
