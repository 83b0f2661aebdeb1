"""The field's regression metrics, on a whole split at once (paper, section 4.4)."""

from __future__ import annotations

import numpy as np

METRICS = (
    'mae', 'corr', 'acc2_has0', 'f1_has0', 'acc2_non0', 'f1_non0', 'acc5', 'acc7',
)  # fmt: skip


def regression_metrics(
    prediction: np.ndarray, truth: np.ndarray, label_range: float = 3.0
) -> dict[str, float]:
    """All of `METRICS` for one split.

    `has0`: negative against non-negative, all samples; `non0`: negative against
    positive, samples labelled 0 left out. F1 is weighted by the *true* class
    sizes. Acc5 and Acc7 clip both sides to ±2 and ±3, round half to even and compare.

    Args:
      prediction: `[N]`.
      truth: `[N]`.
      label_range: labels lie in `[-label_range, label_range]`.

    Returns:
      By name. `corr` is NaN where either side is constant; `acc2_non0` and
      `f1_non0` are NaN where every label is 0; `acc5` and `acc7`, whose classes are
      the whole numbers of ±3, are NaN for labels of another range (CH-SIMS: ±1).
    """
    prediction = np.asarray(prediction, np.float64)
    truth = np.asarray(truth, np.float64)
    if prediction.shape != truth.shape or prediction.ndim != 1 or not len(truth):
        raise ValueError(f'shapes {prediction.shape} and {truth.shape}: need [N] twice')
    signed = truth != 0
    has0 = _binary(truth >= 0, prediction >= 0)
    non0 = _binary(truth[signed] > 0, prediction[signed] > 0)
    graded = label_range == 3
    return {
        'mae': float(np.abs(prediction - truth).mean()),
        'corr': pearson(prediction, truth),
        'acc2_has0': has0[0],
        'f1_has0': has0[1],
        'acc2_non0': non0[0],
        'f1_non0': non0[1],
        'acc5': _class_accuracy(prediction, truth, 2) if graded else float('nan'),
        'acc7': _class_accuracy(prediction, truth, 3) if graded else float('nan'),
    }


def pearson(a: np.ndarray, b: np.ndarray) -> float:
    """Pearson's r of two `[N]`; NaN below two samples or where a side is constant."""
    # float64: the mean of many float32 values loses digits.
    a, b = np.asarray(a, np.float64), np.asarray(b, np.float64)
    if len(a) < 2 or np.ptp(a) == 0 or np.ptp(b) == 0:
        return float('nan')
    return float(np.corrcoef(a, b)[0, 1])


def _binary(truth: np.ndarray, prediction: np.ndarray) -> tuple[float, float]:
    """Accuracy and weighted F1."""
    from sklearn.metrics import f1_score  # slow to import, needed here only

    if not len(truth):
        return float('nan'), float('nan')
    f1 = f1_score(truth, prediction, average='weighted', zero_division=0)
    return float((truth == prediction).mean()), float(f1)


def _class_accuracy(prediction: np.ndarray, truth: np.ndarray, bound: float) -> float:
    classes = [np.round(np.clip(x, -bound, bound)) for x in (prediction, truth)]
    return float((classes[0] == classes[1]).mean())
