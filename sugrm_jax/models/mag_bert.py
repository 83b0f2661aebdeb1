"""MAG-BERT: audio and vision shift BERT's embeddings (Rahman et al., ACL 2020)."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

import jax
import jax.numpy as jnp
from flax import linen as nn

from sugrm_jax.config import at_least, between, choice, positive, typed
from sugrm_jax.errors import UserError
from sugrm_jax.layers.alignment import ALIGNERS, make_aligner
from sugrm_jax.layers.gate import AdaptationGate
from sugrm_jax.layers.lengths import real_steps
from sugrm_jax.layers.packing import pack_steps
from sugrm_jax.layers.text import FILE, TextEncoder
from sugrm_jax.models.system import PADDINGS, MultimodalModel, System, check_aligned
from sugrm_jax.objectives.regression import RegressionConfig, regression
from sugrm_jax.types import Array, Batch, Outputs


@dataclasses.dataclass(frozen=True)
class MagBertConfig:
    """Settings of the gate and of what follows BERT.

    Attributes:
      name: of the system in the registry.
      beta_shift: the gate shifts an embedding by at most this times its length.
      gate_dropout: of the gate's result.
      output_dropout: before the last layer.
      align: 'none' for aligned data, or 'ctc' or 'pool' (see `layers.alignment`).
      ctc_weight: of the CTC loss, where it aligns.
      padding: 'masked' or 'released' (see `MultimodalModel`).
    """

    name: str
    beta_shift: float
    gate_dropout: float
    output_dropout: float
    align: str
    ctc_weight: float
    padding: str

    def __post_init__(self):
        positive(self.beta_shift, 'beta_shift')
        between(self.gate_dropout, 0, 1, 'gate_dropout')
        between(self.output_dropout, 0, 1, 'output_dropout')
        choice(self.align, ALIGNERS, 'align')
        at_least(self.ctc_weight, 0, 'ctc_weight')
        choice(self.padding, PADDINGS, 'padding')


class MagBert(MultimodalModel):
    """The gate between BERT's embeddings and its layers, and a head on [CLS].

    Official code github.com/WasifurRahman/BERT_multimodal_transformer, bert.py. The
    pooler, a linear layer and tanh, starts afresh; there it starts from BERT's own.
    """

    def setup(self):
        c = self.config
        init = nn.initializers.normal(0.02)
        self.gate = AdaptationGate(c.beta_shift, c.gate_dropout)
        self.pooler = nn.Dense(self.text.bert_config.hidden_size, kernel_init=init)
        self.drop = nn.Dropout(c.output_dropout)
        self.sentiment = nn.Dense(1, kernel_init=init)

    def encode_text(
        self,
        batch: Batch,
        others: dict[str, Array],
        lengths: dict[str, Array] | None,
        deterministic: bool,
    ) -> Array:
        """BERT's last hidden states, of embeddings that the gate has shifted."""
        check_aligned({'t': batch.tokens[:, 0], **others}, 'MAG-BERT')
        real = {
            s: jnp.ones(x.shape[:2], bool)
            if lengths is None
            else real_steps(lengths[s], x.shape[1])
            for s, x in others.items()
        }
        if batch.packing is not None:
            others, real = jax.tree.map(
                lambda x: pack_steps(x, batch.packing), (others, real)
            )

        def adapt(embedded: Array) -> Array:
            return self.gate(embedded, others, real, deterministic)

        return self.text(batch, deterministic, adapt)

    def fuse(
        self,
        features: dict[str, Array],
        lengths: dict[str, Array] | None,
        deterministic: bool,
    ) -> Outputs:
        """The first step's hidden state is all that counts: by then all are mixed."""
        del lengths
        pooled = jnp.tanh(self.pooler(features['t'][:, 0]))
        pooled = self.drop(pooled, deterministic=deterministic)
        return Outputs(prediction={'m': self.sentiment(pooled)[:, 0]})


def build(model: Mapping, objective: Mapping, text: TextEncoder) -> System:
    """The system from its settings (see `models.build`).

    Raises:
      UserError: a setting does not fit, or there is no BERT to adapt.
    """
    config = typed(MagBertConfig, model, 'config.model')
    settings = typed(RegressionConfig, objective, 'config.objective')
    if text.config.pretrained == FILE:
        raise UserError(
            'MAG-BERT works inside BERT and has no use for fixed text features: set '
            f"config.text.pretrained to a BERT, not to '{FILE}'."
        )
    return System(
        model=MagBert(config, text, make_aligner(config.align, config.ctc_weight)),
        objective=regression(settings),
        masks_padding=config.padding == 'masked',
        text_first=False,
        needs_text=True,
    )
