"""SUGRM: text encoder → MRM → SPT → a head for each task (paper, Figure 1).

The parts can be left out or replaced, which gives the paper's ablations (Tables 3, 4
and 8) and Self-MM (`models.self_mm`).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

import jax.numpy as jnp
from flax import linen as nn

from sugrm_jax.config import at_least, between, choice, typed
from sugrm_jax.layers.blocks import PhasedConfig
from sugrm_jax.layers.crossmodal import CrossmodalConfig, CrossmodalTransformer
from sugrm_jax.layers.heads import KINDS, Head
from sugrm_jax.layers.mrm import ModalityRecalibration
from sugrm_jax.layers.phased import PhasedTransformer
from sugrm_jax.layers.recurrent_encoder import RecurrentConfig, RecurrentEncoder
from sugrm_jax.layers.text import TextEncoder
from sugrm_jax.models.system import PADDINGS, MultimodalModel, System
from sugrm_jax.objectives.multitask import MultitaskConfig, multitask
from sugrm_jax.types import MODALITIES, TASKS, Array, Outputs

# By name, which is also that of its settings.
ENCODERS = {
    'spt': PhasedTransformer,
    'transformer': CrossmodalTransformer,
    'lstm': RecurrentEncoder,
}


@dataclasses.dataclass(frozen=True)
class TaskWidths:
    """A width for each task's head."""

    m: int
    t: int
    a: int
    v: int

    def __post_init__(self):
        for task in TASKS:
            at_least(getattr(self, task), 1, task)


@dataclasses.dataclass(frozen=True)
class TaskRates:
    """A dropout rate for each task's head."""

    m: float
    t: float
    a: float
    v: float

    def __post_init__(self):
        for task in TASKS:
            between(getattr(self, task), 0, 1, task)


@dataclasses.dataclass(frozen=True)
class SugrmConfig:
    """Settings of the model after its text encoder.

    Attributes:
      name: of the system in the registry.
      tasks: what is predicted: 'm' and any of 't', 'a', 'v', in this order. A task that
        is not among them has no head.
      mrm: whether features are recalibrated.
      encoder: which encoder: 'spt'; 'transformer', MulT's; or 'lstm', Self-MM's.
      spt, transformer, lstm: settings of each; only the chosen one's matter.
      common_width: `C`, of the common semantic space, by task.
      heads: 'paper', 'released' or 'self_mm' (see `layers.heads.Head`).
      output_dropout: in the heads, by task.
      padding: see `MultimodalModel`.
    """

    name: str
    tasks: tuple[str, ...]
    mrm: bool
    encoder: str
    spt: PhasedConfig
    transformer: CrossmodalConfig
    lstm: RecurrentConfig
    common_width: TaskWidths
    heads: str
    output_dropout: TaskRates
    padding: str

    def __post_init__(self):
        if self.tasks[:1] != ('m',) or self.tasks != tuple(
            task for task in TASKS if task in self.tasks
        ):
            raise ValueError(
                f'tasks must be m and any of t, a, v, in this order, not {self.tasks}'
            )
        choice(self.encoder, ENCODERS, 'encoder')
        choice(self.heads, KINDS, 'heads')
        choice(self.padding, PADDINGS, 'padding')


class Sugrm(MultimodalModel):
    """The whole model; its `config` is a `SugrmConfig`."""

    @nn.compact
    def fuse(
        self,
        features: dict[str, Array],
        lengths: dict[str, Array] | None,
        deterministic: bool,
    ) -> Outputs:
        """From sequences to predictions and `F*`, by task (see `MultimodalModel`)."""
        c = self.config
        if c.mrm:
            features = ModalityRecalibration(name='mrm')(features, lengths)
        encoder = ENCODERS[c.encoder](getattr(c, c.encoder), name='encoder')
        encoded = encoder(features, lengths, deterministic)
        encoded['m'] = jnp.concatenate([encoded[s] for s in MODALITIES], axis=-1)
        prediction, feature = {}, {}
        for task in c.tasks:
            width, rate = getattr(c.common_width, task), getattr(c.output_dropout, task)
            head = Head(width, c.heads, rate, name=f'head_{task}')
            prediction[task], feature[task] = head(encoded[task], deterministic)
        return Outputs(prediction, feature)


def build(model: Mapping, objective: Mapping, text: TextEncoder) -> System:
    """The system from its settings (see `models.build`)."""
    config = typed(SugrmConfig, model, 'config.model')
    settings = typed(MultitaskConfig, objective, 'config.objective')
    widths = {task: getattr(config.common_width, task) for task in config.tasks}
    return System(
        model=Sugrm(config, text),
        objective=multitask(settings, widths),
        masks_padding=config.padding == 'masked',
    )
