"""SUGRM: text encoder → MRM → SPT → four heads (paper, Figure 1)."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

import jax.numpy as jnp
from flax import linen as nn

from sugrm_jax.config import at_least, between, choice, typed
from sugrm_jax.layers.blocks import PhasedConfig
from sugrm_jax.layers.heads import Head
from sugrm_jax.layers.mrm import ModalityRecalibration
from sugrm_jax.layers.phased import PhasedTransformer
from sugrm_jax.layers.text import TextEncoder
from sugrm_jax.models.system import System
from sugrm_jax.objectives.sugrm import SugrmObjectiveConfig, sugrm
from sugrm_jax.types import MODALITIES, TASKS, Array, Batch, Outputs


@dataclasses.dataclass(frozen=True)
class SugrmConfig:
    """Settings of the model after its text encoder.

    Attributes:
      name: of the system in the registry.
      encoder: SPT.
      common_width: `C`, of the common semantic space.
      heads: 'paper' or 'released' (see `layers.heads.Head`).
      output_dropout: in the heads.
      padding: 'masked': padded steps are not seen, an absent modality contributes
        nothing; 'released': padded steps take part in everything.
    """

    name: str
    encoder: PhasedConfig
    common_width: int
    heads: str
    output_dropout: float
    padding: str

    def __post_init__(self):
        choice(self.heads, ('paper', 'released'), 'heads')
        choice(self.padding, ('masked', 'released'), 'padding')
        at_least(self.common_width, 1, 'common_width')
        between(self.output_dropout, 0, 1, 'output_dropout')


class Sugrm(nn.Module):
    """The whole model.

    Attributes:
      config: settings.
      text: encoder of tokens.
    """

    config: SugrmConfig
    text: TextEncoder

    def setup(self):
        c = self.config
        self.mrm = ModalityRecalibration()
        self.encoder = PhasedTransformer(c.encoder)
        self.head = {
            task: Head(c.common_width, c.heads == 'released', c.output_dropout)
            for task in TASKS
        }

    def __call__(self, batch: Batch, deterministic: bool) -> Outputs:
        """One batch → predictions, features and presence."""
        features = {
            't': self.text(batch, deterministic),
            'a': batch.audio,
            'v': batch.vision,
        }
        lengths = {
            't': batch.tokens[:, 1].sum(-1),
            'a': batch.audio_length,
            'v': batch.vision_length,
        }
        return self.fuse(features, lengths, deterministic)

    def fuse(
        self,
        features: dict[str, Array],
        lengths: dict[str, Array],
        deterministic: bool,
    ) -> Outputs:
        """What follows the text encoder.

        Args:
          features: `[B, L_s, D_s]` by modality.
          lengths: real steps `[B]` by modality.
          deterministic: no dropout.
        """
        seen = lengths if self.config.padding == 'masked' else None
        features = self.mrm(features, seen)
        encoded = self.encoder(features, seen, deterministic)
        encoded['m'] = jnp.concatenate([encoded[s] for s in MODALITIES], axis=-1)
        heads = {task: self.head[task](encoded[task], deterministic) for task in TASKS}
        present = {
            s: jnp.ones(len(x), bool) if seen is None else seen[s] > 0
            for s, x in features.items()
        }
        return Outputs(
            prediction={task: prediction for task, (prediction, _) in heads.items()},
            feature={task: feature for task, (_, feature) in heads.items()},
            present=present,
        )


def build(model: Mapping, objective: Mapping, text: TextEncoder) -> System:
    """The system from its settings (see `models.build`)."""
    config = typed(SugrmConfig, model, 'config.model')
    settings = typed(SugrmObjectiveConfig, objective, 'config.objective')
    return System(
        model=Sugrm(config, text),
        objective=sugrm(settings, config.common_width),
        packs_text=config.padding == 'masked',
    )
