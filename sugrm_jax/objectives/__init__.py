"""What a model is trained on.

An objective is a few pure functions around one step, so that SUGRM, Self-MM, MCTN and
plain regression share one trainer. `training/` calls them and looks inside none.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from sugrm_jax.types import Array, Batch, Outputs, PyTree


class Objective(NamedTuple):
    """Three pure functions, and one for the record.

    Attributes:
      start: `y_m` `[N]` of the training split → memory, a pytree of arrays.
      loss: `(outputs, batch, memory)` → loss terms by name, `[B]` each. What is
        minimised is the sum over terms of the mean over samples.
      update: `(memory, outputs, batch, epoch)` → memory; outputs carry no
        gradient; `epoch` counts from 1.
      labels: memory → generated labels by modality, `[N]` each; empty when the
        objective generates none.
    """

    start: Callable[[Array], PyTree]
    loss: Callable[[Outputs, Batch, PyTree], dict[str, Array]]
    update: Callable[[PyTree, Outputs, Batch, Array], PyTree]
    labels: Callable[[PyTree], dict[str, Array]] = lambda memory: {}
