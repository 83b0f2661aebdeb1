"""LF-LSTM: each modality decides alone, the decisions are put to the vote.

The paper's baseline (section 4.2): "Late Fusion LSTM combines modality-wise decisions
using a voting mechanism". Sentiment is a number, so the vote is the decisions' mean.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

import jax
import jax.numpy as jnp
from flax import linen as nn

from sugrm_jax.config import at_least, between, choice, typed
from sugrm_jax.layers.linear import uniform_dense
from sugrm_jax.layers.recurrent import StackedLstm
from sugrm_jax.layers.text import TextEncoder
from sugrm_jax.models.system import PADDINGS, MultimodalModel, System
from sugrm_jax.objectives.regression import RegressionConfig, regression
from sugrm_jax.types import MODALITIES, Array, Outputs


@dataclasses.dataclass(frozen=True)
class LfLstmConfig:
    """Settings of the model after its text encoder.

    Attributes:
      name: of the system.
      width: of each modality's LSTM.
      layers: of each LSTM.
      dropout: between LSTM layers, and before the decision.
      padding: 'masked' or 'released' (see `MultimodalModel`).
    """

    name: str
    width: int
    layers: int
    dropout: float
    padding: str

    def __post_init__(self):
        choice(self.padding, PADDINGS, 'padding')
        at_least(self.width, 1, 'width')
        at_least(self.layers, 1, 'layers')
        between(self.dropout, 0, 1, 'dropout')


class LfLstm(MultimodalModel):
    """The whole model."""

    @nn.compact
    def fuse(
        self,
        features: dict[str, Array],
        lengths: dict[str, Array] | None,
        deterministic: bool,
    ) -> Outputs:
        """Each modality's decision, and their vote as task 'm'."""
        c = self.config
        drop = nn.Dropout(c.dropout, deterministic=deterministic)
        decisions = {}
        for s in MODALITIES:
            length = None if lengths is None else lengths[s]
            lstm = StackedLstm(c.width, c.layers, c.dropout, name=f'lstm_{s}')
            last = lstm(features[s], length, deterministic)
            decide = uniform_dense(1, c.width, name=f'decision_{s}')
            decisions[s] = decide(drop(last))[:, 0]
        # A modality learns its decision alone: in training no gradient goes through the
        # vote. Outside of it one may ask what the vote depends on.
        votes = decisions if deterministic else jax.lax.stop_gradient(decisions)
        return Outputs({'m': vote(votes, lengths), **decisions})


def vote(decisions: dict[str, Array], lengths: dict[str, Array] | None) -> Array:
    """The mean of the decisions of the modalities that are present, `[B]`.

    Args:
      decisions: sentiment `[B]` by modality.
      lengths: real steps `[B]` by modality; one of length 0 has no vote, and where all
        are, the vote is 0. None: all have one.
    """
    votes = jnp.stack([decisions[s] for s in MODALITIES])
    present = jnp.ones_like(votes)
    if lengths is not None:
        present = jnp.stack([lengths[s] > 0 for s in MODALITIES])
    return (votes * present).sum(0) / jnp.maximum(present.sum(0), 1)


def build(model: Mapping, objective: Mapping, text: TextEncoder) -> System:
    """The system from its settings (see `models.build`)."""
    config = typed(LfLstmConfig, model, 'config.model')
    settings = typed(RegressionConfig, objective, 'config.objective')
    return System(
        model=LfLstm(config, text),
        objective=regression(settings),
        masks_padding=config.padding == 'masked',
    )
