"""Is a difference between two systems real? A hierarchical paired bootstrap.

Dimension letters: `S` seeds, `N` test utterances, `R` resamples.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy import stats

COMPARED = ('mae', 'corr', 'acc2_non0')
RESAMPLES = 10_000
CHUNK = 500  # resamples at a time: 4659 utterances take 19 MB


class Difference(NamedTuple):
    """A system's metric, its mean over seeds, minus the reference's.

    Attributes:
      value: as measured.
      low, high: ends of the 95 % confidence interval.
      p: two-sided, of no difference.
    """

    value: float
    low: float
    high: float
    p: float


def mean_and_std(values: Sequence[float | None]) -> tuple[float, float]:
    """Mean and sample standard deviation (`ddof=1`), NaN below two values.

    None counts as NaN, and a NaN among the values makes both NaN: a correlation that
    is undefined for one seed has no mean over seeds.
    """
    x = np.array(values, np.float64)
    if not len(x):
        return math.nan, math.nan
    return float(x.mean()), float(x.std(ddof=1)) if len(x) > 1 else math.nan


def paired_bootstrap(
    system: np.ndarray,
    reference: np.ndarray,
    truth: np.ndarray,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> dict[str, Difference]:
    """Compares two systems, resampling seeds and test utterances at once.

    Each resample draws `S` seeds and `N` utterances with replacement; both systems are
    measured on the same draw, so what makes an utterance hard for both cancels. Row
    `s` of both arrays is the run of one seed. Deviations between seeds are widened,
    see `seed_weights`. The interval is the 2.5th to the 97.5th percentile of the
    resampled differences; p is twice the share of resamples on the rarer side of
    zero, counting one more so that it is never 0.

    Args:
      system, reference: predictions `[S, N]`.
      truth: labels `[N]`.
      resamples: how many.
      seed: of the draws.

    Returns:
      By metric of `COMPARED`; NaN throughout where the metric is undefined.
    """
    rng = np.random.default_rng(seed)
    seeds, utterances = system.shape
    chunks: dict[str, list[np.ndarray]] = {name: [] for name in COMPARED}
    for start in range(0, resamples, CHUNK):
        draws = min(CHUNK, resamples - start)
        by_seed = seed_weights(_counts(rng, draws, seeds))
        by_utterance = _counts(rng, draws, utterances)
        found = _differences(system, reference, truth, by_seed, by_utterance)
        for name, values in found.items():
            chunks[name].append(values)
    once = np.full((1, seeds), 1 / seeds), np.ones((1, utterances))
    measured = _differences(system, reference, truth, *once)
    return {
        name: _summary(float(measured[name][0]), np.concatenate(chunks[name]))
        for name in COMPARED
    }


def _counts(rng: np.random.Generator, draws: int, size: int) -> np.ndarray:
    """How often each of `size` things is drawn, float `[draws, size]`."""
    picks = rng.integers(size, size=(draws, size)) + size * np.arange(draws)[:, None]
    counts = np.bincount(picks.ravel(), minlength=draws * size)
    return counts.reshape(draws, size).astype(float)


def seed_weights(counts: np.ndarray) -> np.ndarray:
    """Weights of the seeds in a mean, from how often each was drawn, `[R, S]`.

    The mean of `S` draws from `S` values varies less than that of `S` new seeds would,
    its variance being too small by `(S − 1) / S`; and few values say little about their
    spread, for which Student's t makes up. So the deviation from equal weights is
    widened by `√(S / (S − 1)) · t / z`, the 97.5 % quantiles of t with `S − 1` degrees
    of freedom and of the normal distribution. Where equal systems vary by seed alone,
    5 % of comparisons then come out below p = 0.05 for any number of seeds.
    """
    seeds = counts.shape[1]
    if seeds == 1:
        return counts
    quantiles = stats.t.ppf(0.975, seeds - 1) / stats.norm.ppf(0.975)
    widened = math.sqrt(seeds / (seeds - 1)) * quantiles
    return 1 / seeds + widened * (counts - 1) / seeds


def _differences(
    system: np.ndarray,
    reference: np.ndarray,
    truth: np.ndarray,
    by_seed: np.ndarray,
    by_utterance: np.ndarray,
) -> dict[str, np.ndarray]:
    """Difference `[R]` of each metric, given weights `[R, S]` and counts `[R, N]`."""
    ours = weighted_metrics(system, truth, by_utterance)
    theirs = weighted_metrics(reference, truth, by_utterance)
    # Equal systems must differ by 0, not by what rounding leaves.
    return {
        name: np.round((by_seed * (ours[name] - theirs[name])).sum(1), 12)
        for name in COMPARED
    }


def weighted_metrics(
    prediction: np.ndarray, truth: np.ndarray, weight: np.ndarray
) -> dict[str, np.ndarray]:
    """The metrics of `COMPARED` with each utterance counted `weight` times.

    Args:
      prediction: `[S, N]`.
      truth: `[N]`.
      weight: `[R, N]`.

    Returns:
      By name, `[R, S]`; NaN where undefined.
    """
    total = weight.sum(1, keepdims=True)
    signed = weight * (truth != 0)
    right = ((prediction > 0) == (truth > 0)).T.astype(float)
    with np.errstate(invalid='ignore', divide='ignore'):
        return {
            'mae': weight @ np.abs(prediction - truth).T / total,
            'corr': _correlation(prediction, truth, weight / total),
            'acc2_non0': signed @ right / signed.sum(1, keepdims=True),
        }


def _correlation(
    prediction: np.ndarray, truth: np.ndarray, share: np.ndarray
) -> np.ndarray:
    """Pearson's r `[R, S]`, each utterance weighing its `share` `[R, N]`."""
    # Moved to start at zero, which changes no correlation and makes constants exact.
    p, y = (prediction - prediction[:, :1]).T, (truth - truth[0])[:, None]
    mean_p, mean_y = share @ p, share @ y
    spread = []
    for x, mean in ((p, mean_p), (y, mean_y)):
        square = share @ x**2
        variance = square - mean**2
        spread.append(np.where(variance > 1e-12 * square, variance, np.nan))
    return (share @ (p * y) - mean_p * mean_y) / np.sqrt(spread[0] * spread[1])


def _summary(value: float, resampled: np.ndarray) -> Difference:
    d = resampled[np.isfinite(resampled)]
    if math.isnan(value) or not len(d):
        return Difference(value, math.nan, math.nan, math.nan)
    rarer = min((d <= 0).sum(), (d >= 0).sum())
    low, high = np.quantile(d, (0.025, 0.975))
    p = min(1.0, 2 * (int(rarer) + 1) / (len(d) + 1))
    return Difference(value, float(low), float(high), p)


def holm(p: Sequence[float]) -> list[float]:
    """Holm's step-down correction of the p-values of several comparisons.

    The k-th smallest of m is multiplied by `m − k + 1`, capped at 1, and never comes
    out below a smaller one. NaN stays NaN and does not count.
    """
    values = np.array(p, np.float64)
    adjusted = np.full(len(values), np.nan)
    order = [i for i in np.argsort(values, kind='stable') if not np.isnan(values[i])]
    largest = 0.0
    for rank, i in enumerate(order):
        largest = max(largest, min(1.0, (len(order) - rank) * values[i]))
        adjusted[i] = largest
    return adjusted.tolist()
