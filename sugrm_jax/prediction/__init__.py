"""From the folder of a finished run to predictions on other data."""

from __future__ import annotations

from sugrm_jax.prediction.predictor import Predictor as Predictor
from sugrm_jax.prediction.samples import read_samples as read_samples
