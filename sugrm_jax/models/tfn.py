"""TFN: the outer product of all modalities (Zadeh et al., EMNLP 2017).

As in MMSA (github.com/thuiar/MMSA, models/singleTask/TFN.py), whose settings the field
uses: an LSTM reads the text, audio and vision are averaged over time, and
`[1; h_a] ⊗ [1; h_v] ⊗ [1; h_t]` goes through two ReLU layers to a bounded sentiment.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

import jax.numpy as jnp
from flax import linen as nn

from sugrm_jax.config import at_least, between, choice, typed
from sugrm_jax.layers.alignment import ALIGNERS, make_aligner
from sugrm_jax.layers.batchnorm import BatchNorm
from sugrm_jax.layers.dropout import dropout, random_bytes
from sugrm_jax.layers.lengths import mean_over_steps
from sugrm_jax.layers.linear import uniform_dense
from sugrm_jax.layers.recurrent import Lstm
from sugrm_jax.layers.text import TextEncoder
from sugrm_jax.models.system import PADDINGS, MultimodalModel, System
from sugrm_jax.objectives.regression import RegressionConfig, regression
from sugrm_jax.types import Array, Outputs


@dataclasses.dataclass(frozen=True)
class TfnDropout:
    """Rates: on the averaged audio and vision, the text's last state, the tensor."""

    audio: float
    vision: float
    text: float
    fusion: float

    def __post_init__(self):
        for field in dataclasses.fields(self):
            between(getattr(self, field.name), 0, 1, field.name)


@dataclasses.dataclass(frozen=True)
class TfnConfig:
    """Settings of the model after its text encoder.

    Attributes:
      name: of the system.
      audio_width, vision_width: of `h_a` and `h_v`.
      lstm_width: of the LSTM that reads the text.
      text_width: of `h_t`.
      fusion_width: of the layers after the tensor.
      dropout: rates.
      low, high: predictions lie between them.
      padding: 'masked' or 'released' (see `MultimodalModel`).
      align: 'none': audio and vision are averaged as they are; 'ctc' or 'pool': after
        they are brought to the text's steps (see `layers.alignment`).
      ctc_weight: of the CTC loss.
    """

    name: str
    audio_width: int
    vision_width: int
    lstm_width: int
    text_width: int
    fusion_width: int
    dropout: TfnDropout
    low: float
    high: float
    padding: str
    align: str
    ctc_weight: float

    def __post_init__(self):
        choice(self.padding, PADDINGS, 'padding')
        choice(self.align, ALIGNERS, 'align')
        for field in dataclasses.fields(self):
            if field.name.endswith('_width'):
                at_least(getattr(self, field.name), 1, field.name)
        at_least(self.ctc_weight, 0, 'ctc_weight')
        if not self.low < self.high:
            raise ValueError(f'high must be above low, {self.low}, not {self.high}')


class Tfn(MultimodalModel):
    """The whole model."""

    @nn.compact
    def fuse_batch(
        self,
        features: dict[str, Array],
        lengths: dict[str, Array] | None,
        weight: Array,
        deterministic: bool,
    ) -> Outputs:
        """See `MultimodalModel`.

        The feature of task 'm' is the tensor `[B, (D_a + 1) (D_v + 1) (D_t + 1)]`.
        """
        c = self.config
        rows = features['t'].shape[0]
        lengths = lengths or {
            s: jnp.full(rows, x.shape[1]) for s, x in features.items()
        }
        vectors = {}
        for s, width, rate in (
            ('a', c.audio_width, c.dropout.audio),
            ('v', c.vision_width, c.dropout.vision),
        ):
            mean = mean_over_steps(features[s], lengths[s])
            real = ((lengths[s] > 0) & (weight > 0))[:, None]
            subnet = VectorNet(width, rate, name=f'subnet_{s}')
            vectors[s] = subnet(mean, real, deterministic)
        text = TextNet(c.lstm_width, c.text_width, c.dropout.text, name='subnet_t')
        vectors['t'] = text(features['t'], lengths['t'], deterministic)
        # Of an absent modality only the 1 is left: the others are fused without it.
        tensor = outer(
            [jnp.where(lengths[s][:, None] > 0, vectors[s], 0) for s in ('a', 'v', 't')]
        )
        return Outputs({'m': self._sentiment(tensor, deterministic)}, {'m': tensor})

    def _sentiment(self, tensor: Array, deterministic: bool) -> Array:
        c = self.config
        if not deterministic and c.dropout.fusion:
            # It has 100,000 values and more; utterances stand last in `dropout`.
            draws = random_bytes(self.make_rng('dropout'), tensor.T.shape)
            tensor = dropout(tensor.T, draws, c.dropout.fusion).T
        x = tensor
        for name in ('fusion_1', 'fusion_2'):
            x = nn.relu(uniform_dense(c.fusion_width, x.shape[-1], name=name)(x))
        share = nn.sigmoid(uniform_dense(1, c.fusion_width, name='sentiment')(x))
        return c.low + (c.high - c.low) * share[:, 0]


class VectorNet(nn.Module):
    """BatchNorm, dropout and three ReLU layers over a vector.

    Attributes:
      width: of each layer.
      dropout: rate.
    """

    width: int
    dropout: float

    @nn.compact
    def __call__(self, x: Array, real: Array, deterministic: bool) -> Array:
        """`[B, D]` and which rows count, `[B, 1]` → `[B, width]`."""
        x = BatchNorm(axis=-1, name='norm')(x, real, deterministic)
        x = nn.Dropout(self.dropout, deterministic=deterministic)(x)
        for i in range(1, 4):
            x = nn.relu(uniform_dense(self.width, x.shape[-1], name=f'layer_{i}')(x))
        return x


class TextNet(nn.Module):
    """An LSTM whose last real state, after dropout, goes through a linear layer.

    Attributes:
      lstm_width: of the LSTM.
      width: of the result.
      dropout: rate.
    """

    lstm_width: int
    width: int
    dropout: float

    @nn.compact
    def __call__(self, x: Array, length: Array, deterministic: bool) -> Array:
        """`[B, L, D]` and real steps `[B]` → `[B, width]`."""
        _, last = Lstm(self.lstm_width, name='lstm')(x, length)
        last = nn.Dropout(self.dropout, deterministic=deterministic)(last)
        return uniform_dense(self.width, self.lstm_width, name='linear')(last)


def outer(vectors: list[Array]) -> Array:
    """Outer product of vectors that each get a 1 in front (Zadeh et al., equation 2).

    Args:
      vectors: `[B, D_i]` each.

    Returns:
      `[B, ∏ (D_i + 1)]`; the last vector's index runs fastest.
    """
    product = jnp.ones((vectors[0].shape[0], 1))
    for x in vectors:
        x = jnp.concatenate([jnp.ones((x.shape[0], 1)), x], axis=-1)
        product = (product[:, :, None] * x[:, None]).reshape(x.shape[0], -1)
    return product


def build(model: Mapping, objective: Mapping, text: TextEncoder) -> System:
    """The system from its settings (see `models.build`)."""
    config = typed(TfnConfig, model, 'config.model')
    settings = typed(RegressionConfig, objective, 'config.objective')
    return System(
        model=Tfn(config, text, make_aligner(config.align, config.ctc_weight)),
        objective=regression(settings),
        masks_padding=config.padding == 'masked',
        needs_text=config.align != 'none',
    )
