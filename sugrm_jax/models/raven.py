"""RAVEN: nonverbal behaviour shifts each word (Wang et al., AAAI 2019)."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

import jax.numpy as jnp
from flax import linen as nn

from sugrm_jax.config import at_least, between, choice, positive, typed
from sugrm_jax.layers.alignment import ALIGNERS, make_aligner
from sugrm_jax.layers.gate import shift
from sugrm_jax.layers.lengths import real_steps
from sugrm_jax.layers.linear import uniform_dense
from sugrm_jax.layers.recurrent import Lstm
from sugrm_jax.layers.text import TextEncoder
from sugrm_jax.models.system import PADDINGS, MultimodalModel, System, check_aligned
from sugrm_jax.objectives.regression import RegressionConfig, regression
from sugrm_jax.types import Array, Outputs


@dataclasses.dataclass(frozen=True)
class RavenConfig:
    """Settings of the model after its text encoder.

    Attributes:
      name: of the system in the registry.
      nonverbal_width: of the audio's and the vision's representation of a word.
      width: of the LSTM over shifted words.
      beta_shift: a word is shifted by at most this times its length.
      dropout: of audio, vision and shifted words.
      align: 'none' for aligned data, or 'ctc' or 'pool' (see `layers.alignment`).
      ctc_weight: of the CTC loss, where it aligns.
      padding: 'masked' or 'released' (see `MultimodalModel`).
    """

    name: str
    nonverbal_width: int
    width: int
    beta_shift: float
    dropout: float
    align: str
    ctc_weight: float
    padding: str

    def __post_init__(self):
        at_least(self.nonverbal_width, 1, 'nonverbal_width')
        at_least(self.width, 1, 'width')
        positive(self.beta_shift, 'beta_shift')
        between(self.dropout, 0, 1, 'dropout')
        choice(self.align, ALIGNERS, 'align')
        at_least(self.ctc_weight, 0, 'ctc_weight')
        choice(self.padding, PADDINGS, 'padding')


class FirstStep(nn.Module):
    """An LSTM's hidden state after one step.

    From a state of 0 neither its forget gate nor its recurrent weights have an effect,
    so there are none.

    Attributes:
      width: `H`.
    """

    width: int

    @nn.compact
    def __call__(self, x: Array) -> Array:
        """`[..., D]` → `[..., H]`."""
        gates = uniform_dense(3 * self.width, self.width, name='gates')(x)
        input_, cell, output = jnp.split(gates, 3, axis=-1)
        return nn.sigmoid(output) * jnp.tanh(nn.sigmoid(input_) * jnp.tanh(cell))


class Raven(MultimodalModel):
    """Nonverbal sub-networks, gated mixing, shift, and an LSTM over shifted words.

    As in the paper (section "Recurrent Attended Variation Embedding Network"), for word
    `i` with embedding `e`, `w_s = sigmoid(g_s [h_s; e] + b_s)`, the displacement
    `h = w_a W_a h_a + w_v W_v h_v + b`, and the shift is `layers.gate.shift`. Where the
    official code (github.com/victorywys/RAVEN) differs the paper is followed: there the
    gate has no sigmoid and the shift is `β ‖e‖ h / max(‖h‖, 1)`.

    The original's sub-networks are LSTMs over all audio and vision steps within a word.
    Aligned data have one step a word, so they are LSTMs of one step here.
    """

    @nn.compact
    def fuse(
        self,
        features: dict[str, Array],
        lengths: dict[str, Array] | None,
        deterministic: bool,
    ) -> Outputs:
        check_aligned(features, 'RAVEN')
        c, words = self.config, features['t']
        drop = nn.Dropout(c.dropout, deterministic=deterministic)
        nonverbal = []
        for s in ('a', 'v'):
            h = FirstStep(c.nonverbal_width, name=f'nonverbal_{s}')(drop(features[s]))
            both = jnp.concatenate([h, words], axis=-1)
            gate = uniform_dense(1, both.shape[-1], name=f'gate_{s}')(both)
            seen = nn.sigmoid(gate) * h
            if lengths is not None:
                real = real_steps(lengths[s], words.shape[1])
                seen = jnp.where(real[..., None], seen, 0)
            nonverbal.append(seen)
        mix = uniform_dense(words.shape[-1], 2 * c.nonverbal_width, name='mix')
        displacement = mix(jnp.concatenate(nonverbal, axis=-1))
        shifted = drop(shift(words, displacement, c.beta_shift))
        length = None if lengths is None else lengths['t']
        _, last = Lstm(c.width, name='lstm')(shifted, length)
        sentiment = uniform_dense(1, c.width, name='sentiment')(last)
        return Outputs(prediction={'m': sentiment[:, 0]})


def build(model: Mapping, objective: Mapping, text: TextEncoder) -> System:
    """The system from its settings (see `models.build`)."""
    config = typed(RavenConfig, model, 'config.model')
    settings = typed(RegressionConfig, objective, 'config.objective')
    return System(
        model=Raven(config, text, make_aligner(config.align, config.ctc_weight)),
        objective=regression(settings),
        masks_padding=config.padding == 'masked',
        needs_text=True,
    )
