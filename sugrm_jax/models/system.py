"""What every model file builds."""

from __future__ import annotations

from typing import NamedTuple

from flax import linen as nn

from sugrm_jax.objectives import Objective


class System(NamedTuple):
    """A model and what it is trained on.

    Attributes:
      model: `(batch, deterministic) → Outputs`.
      objective: loss and memory.
      packs_text: whether padded tokens take no part, so that utterances may share
        rows in BERT.
    """

    model: nn.Module
    objective: Objective
    packs_text: bool
