"""SPT as a system of its own (Cheng et al., EMNLP 2021): MulT with another encoder.

Official code github.com/chengjunyan1/SP-Transformer; see `layers.phased`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

from sugrm_jax.config import typed
from sugrm_jax.layers.blocks import PhasedConfig
from sugrm_jax.layers.phased import PhasedTransformer
from sugrm_jax.layers.text import TextEncoder
from sugrm_jax.models.mult import Mult, MultConfig
from sugrm_jax.models.system import System
from sugrm_jax.objectives.regression import RegressionConfig, regression


@dataclasses.dataclass(frozen=True)
class SptConfig(MultConfig):
    """As MulT's, with another encoder."""

    encoder: PhasedConfig


class Spt(Mult):
    """The whole model."""

    def encoder(self) -> PhasedTransformer:
        """See `Mult`."""
        return PhasedTransformer(self.config.encoder, name='encoder')


def build(model: Mapping, objective: Mapping, text: TextEncoder) -> System:
    """The system from its settings (see `models.build`)."""
    config = typed(SptConfig, model, 'config.model')
    settings = typed(RegressionConfig, objective, 'config.objective')
    return System(
        model=Spt(config, text),
        objective=regression(settings),
        masks_padding=config.padding == 'masked',
    )
