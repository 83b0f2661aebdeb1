"""MulT: crossmodal transformers, then a residual head (Tsai et al., ACL 2019).

Official code github.com/yaohungt/Multimodal-Transformer; see `layers.crossmodal`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

import jax.numpy as jnp
from flax import linen as nn

from sugrm_jax.config import between, choice, typed
from sugrm_jax.layers.crossmodal import CrossmodalConfig, CrossmodalTransformer
from sugrm_jax.layers.heads import ResidualHead
from sugrm_jax.layers.text import TextEncoder
from sugrm_jax.models.system import PADDINGS, MultimodalModel, System
from sugrm_jax.objectives.regression import RegressionConfig, regression
from sugrm_jax.types import MODALITIES, Array, Outputs


@dataclasses.dataclass(frozen=True)
class MultConfig:
    """Settings of the model after its text encoder.

    Attributes:
      name: of the system.
      encoder: of the three sequences.
      output_dropout: in the head.
      padding: 'masked' or 'released' (see `MultimodalModel`).
    """

    name: str
    encoder: CrossmodalConfig
    output_dropout: float
    padding: str

    def __post_init__(self):
        choice(self.padding, PADDINGS, 'padding')
        between(self.output_dropout, 0, 1, 'output_dropout')


class Mult(MultimodalModel):
    """The whole model."""

    def encoder(self) -> nn.Module:
        """What turns sequences `[B, L_s, D_s]` into one vector of each modality."""
        return CrossmodalTransformer(self.config.encoder, name='encoder')

    @nn.compact
    def fuse(
        self,
        features: dict[str, Array],
        lengths: dict[str, Array] | None,
        deterministic: bool,
    ) -> Outputs:
        """See `MultimodalModel`."""
        encoded = self.encoder()(features, lengths, deterministic)
        joined = jnp.concatenate([encoded[s] for s in MODALITIES], axis=-1)
        head = ResidualHead(self.config.output_dropout, name='head')
        return Outputs({'m': head(joined, deterministic)})


def build(model: Mapping, objective: Mapping, text: TextEncoder) -> System:
    """The system from its settings (see `models.build`)."""
    config = typed(MultConfig, model, 'config.model')
    settings = typed(RegressionConfig, objective, 'config.objective')
    return System(
        model=Mult(config, text),
        objective=regression(settings),
        masks_padding=config.padding == 'masked',
    )
