"""A system of a user's own, in a module outside the package: text means, one layer."""

from __future__ import annotations

import dataclasses

from flax import linen as nn

from sugrm_jax.config import typed
from sugrm_jax.layers.lengths import mean_over_steps
from sugrm_jax.models.system import MultimodalModel, System
from sugrm_jax.objectives.regression import RegressionConfig, regression
from sugrm_jax.types import Outputs


@dataclasses.dataclass(frozen=True)
class MeanTextConfig:
    name: str
    padding: str


class MeanText(MultimodalModel):
    @nn.compact
    def fuse(self, features, lengths, deterministic):
        text = mean_over_steps(features['t'], lengths and lengths['t'])
        return Outputs(prediction={'m': nn.Dense(1)(text)[:, 0]})


def build(model, objective, text):
    config = typed(MeanTextConfig, model, 'config.model')
    loss = typed(RegressionConfig, objective, 'config.objective')
    packs = config.padding == 'masked'
    return System(MeanText(config, text), regression(loss), masks_padding=packs)
