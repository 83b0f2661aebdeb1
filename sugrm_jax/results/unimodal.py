"""How near the generated unimodal labels come to known ones."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from sugrm_jax.metrics import pearson
from sugrm_jax.types import MODALITIES


def error(x: np.ndarray, y: np.ndarray) -> float:
    """Mean absolute difference of two `[N]` arrays; NaN without samples."""
    if not len(x):
        return float('nan')
    return float(np.abs(np.float64(x) - np.float64(y)).mean())


def known(
    labels: Mapping[str, np.ndarray], s: str, epoch: int | None = None
) -> tuple[np.ndarray, np.ndarray, np.ndarray] | None:
    """Generated label, `y_m` and truth of the samples that have all three.

    Args:
      labels: the arrays of `labels.npz`.
      s: modality.
      epoch: whose generated labels, counted from 1; the last by default.

    Returns:
      Three arrays of one length, or None when no sample has all three.
    """
    if s not in labels or f'truth_{s}' not in labels:
        return None
    generated = labels[s][-1 if epoch is None else epoch - 1]
    three = np.stack([generated, labels['m'], labels[f'truth_{s}']])
    g, y_m, truth = three[:, np.isfinite(three).all(axis=0)]
    return (g, y_m, truth) if len(truth) else None


def compare(
    labels: Mapping[str, np.ndarray], epoch: int | None = None
) -> dict[str, dict[str, float | int] | None] | None:
    """Generated labels against known ones, beside the plain guess "it is y_m".

    Args:
      labels: the arrays of `labels.npz`.
      epoch: whose generated labels, counted from 1; the last by default.

    Returns:
      By modality `n` (samples), `r` and `mae` of the generated labels, and
      `baseline_r` and `baseline_mae` of `y_m`; None for a modality without known or
      without generated labels, and None as a whole when no modality has both. An
      undefined correlation is NaN.
    """
    table = {}
    for s in MODALITIES:
        arrays = known(labels, s, epoch)
        if arrays is None:
            table[s] = None
            continue
        g, y_m, truth = arrays
        table[s] = {
            'n': len(truth),
            'r': pearson(g, truth),
            'mae': error(g, truth),
            'baseline_r': pearson(y_m, truth),
            'baseline_mae': error(y_m, truth),
        }
    return table if any(table.values()) else None
