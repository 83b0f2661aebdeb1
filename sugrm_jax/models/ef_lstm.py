"""EF-LSTM: modalities joined at the input, then one LSTM (paper, section 4.2).

As in MMSA (github.com/thuiar/MMSA, models/singleTask/EF_LSTM.py): `[F_t; F_a; F_v]` at
each step → BatchNorm, each step a channel → LSTM → ReLU layer → sentiment.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

import jax.numpy as jnp
from flax import linen as nn

from sugrm_jax.config import at_least, between, choice, typed
from sugrm_jax.layers.alignment import ALIGNERS, make_aligner
from sugrm_jax.layers.batchnorm import BatchNorm
from sugrm_jax.layers.lengths import real_steps
from sugrm_jax.layers.linear import uniform_dense
from sugrm_jax.layers.recurrent import StackedLstm
from sugrm_jax.layers.text import TextEncoder
from sugrm_jax.models.system import (
    PADDINGS,
    MultimodalModel,
    System,
    check_aligned,
)
from sugrm_jax.objectives.regression import RegressionConfig, regression
from sugrm_jax.types import MODALITIES, Array, Outputs


@dataclasses.dataclass(frozen=True)
class EfLstmConfig:
    """Settings of the model after its text encoder.

    Attributes:
      name: of the system.
      width: of the LSTM and the layer after it.
      layers: of the LSTM.
      dropout: between LSTM layers, and before each layer after them.
      padding: 'masked' or 'released' (see `MultimodalModel`).
      align: 'none' for aligned data; 'ctc' or 'pool' (see `layers.alignment`).
      ctc_weight: of the CTC loss.
    """

    name: str
    width: int
    layers: int
    dropout: float
    padding: str
    align: str
    ctc_weight: float

    def __post_init__(self):
        choice(self.padding, PADDINGS, 'padding')
        choice(self.align, ALIGNERS, 'align')
        at_least(self.width, 1, 'width')
        at_least(self.layers, 1, 'layers')
        between(self.dropout, 0, 1, 'dropout')
        at_least(self.ctc_weight, 0, 'ctc_weight')


class EfLstm(MultimodalModel):
    """The whole model."""

    @nn.compact
    def fuse_batch(
        self,
        features: dict[str, Array],
        lengths: dict[str, Array] | None,
        weight: Array,
        deterministic: bool,
    ) -> Outputs:
        """See `MultimodalModel`."""
        check_aligned(features, 'EF-LSTM')
        c = self.config
        joined = jnp.concatenate([features[s] for s in MODALITIES], axis=-1)
        real = real_values(features, lengths, weight)
        x = BatchNorm(axis=1, name='norm')(joined, real, deterministic)
        length = None
        if lengths is not None:
            length = jnp.stack([lengths[s] for s in MODALITIES]).max(0)
        lstm = StackedLstm(c.width, c.layers, c.dropout, name='lstm')
        last = lstm(x, length, deterministic)
        drop = nn.Dropout(c.dropout, deterministic=deterministic)
        hidden = uniform_dense(c.width, c.width, name='hidden')(drop(last))
        sentiment = uniform_dense(1, c.width, name='sentiment')
        return Outputs({'m': sentiment(drop(nn.relu(hidden)))[:, 0]})


def real_values(
    features: dict[str, Array], lengths: dict[str, Array] | None, weight: Array
) -> Array:
    """Which values of `[F_t; F_a; F_v]` belong to a sample's real steps.

    Args:
      features: `[B, L, D_s]` by modality.
      lengths: real steps `[B]` by modality; None: all are.
      weight: of the samples, `[B]`; 0 where a row is none.

    Returns:
      bool `[B, L, D_t + D_a + D_v]`.
    """
    parts = []
    for s in MODALITIES:
        real = (weight > 0)[:, None]
        if lengths is not None:
            real = real & real_steps(lengths[s], features[s].shape[1])
        parts.append(jnp.broadcast_to(real[..., None], features[s].shape))
    return jnp.concatenate(parts, axis=-1)


def build(model: Mapping, objective: Mapping, text: TextEncoder) -> System:
    """The system from its settings (see `models.build`)."""
    config = typed(EfLstmConfig, model, 'config.model')
    settings = typed(RegressionConfig, objective, 'config.objective')
    return System(
        model=EfLstm(config, text, make_aligner(config.align, config.ctc_weight)),
        objective=regression(settings),
        masks_padding=config.padding == 'masked',
        needs_text=config.align != 'none',
    )
