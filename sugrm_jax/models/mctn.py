"""MCTN: the Multimodal Cyclic Translation Network.

Pham et al., Found in Translation: Learning Robust Joint Representations by Cyclic
Translations Between Modalities, AAAI 2019; official code github.com/hainow/MCTN.
The hierarchical form for three modalities: text is translated to a first target and
back, its encoding to a second target, and the encoding of that reads the sentiment.
The targets are only there to learn from: a prediction needs text alone.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

import jax
import jax.numpy as jnp
from flax import linen as nn

from sugrm_jax.config import at_least, choice, typed
from sugrm_jax.layers.alignment import ALIGNERS, make_aligner
from sugrm_jax.layers.lengths import real_steps
from sugrm_jax.layers.linear import symmetric_uniform, uniform_dense
from sugrm_jax.layers.recurrent import Carry, Lstm
from sugrm_jax.layers.text import TextEncoder
from sugrm_jax.models.system import (
    PADDINGS,
    MultimodalModel,
    System,
    check_aligned,
)
from sugrm_jax.objectives.regression import RegressionConfig, regression
from sugrm_jax.types import Array, Outputs


@dataclasses.dataclass(frozen=True)
class MctnConfig:
    """Settings of the model after its text encoder.

    Attributes:
      name: 'mctn'.
      first_target: the modality that text is translated to and back, 'v' (paper) or
        'a'; the other one is the second target.
      width: `H`, of the translations' hidden states and so of the joint
        representations.
      prediction_width: of the LSTM that reads the last joint representation.
      translation_weight, cycle_weight, second_weight: of the losses of the translation
        to the first target, back from it, and to the second.
      align: 'none' for aligned data, or how to align others, 'ctc' or 'pool'.
      ctc_weight: see `layers.alignment.make_aligner`.
      padding: 'masked' or 'released', see `MultimodalModel`.
    """

    name: str
    first_target: str
    width: int
    prediction_width: int
    translation_weight: float
    cycle_weight: float
    second_weight: float
    align: str
    ctc_weight: float
    padding: str

    def __post_init__(self):
        choice(self.first_target, ('a', 'v'), 'first_target')
        choice(self.align, ALIGNERS, 'align')
        choice(self.padding, PADDINGS, 'padding')
        for name in ('width', 'prediction_width'):
            at_least(getattr(self, name), 1, name)
        for name in ('translation', 'cycle', 'second', 'ctc'):
            at_least(getattr(self, f'{name}_weight'), 0, f'{name}_weight')


class Mctn(MultimodalModel):
    """The whole model; its losses are 'translation', 'cycle', 'translation_second'."""

    def setup(self):
        width = self.config.width
        self.encoder = Encoder(width)
        self.decoder = Decoder(width)
        self.encoder_second = Encoder(width)
        self.decoder_second = Decoder(width)
        self.prediction = Prediction(self.config.prediction_width)

    def fuse(
        self,
        features: dict[str, Array],
        lengths: dict[str, Array] | None,
        deterministic: bool,
    ) -> Outputs:
        """Sentiment from the text, and what the translations went wrong.

        There is no dropout, as in the official code.
        """
        check_aligned(features, 'MCTN')
        # One encoder and one decoder serve both directions, so all are equally wide.
        widest = max(x.shape[-1] for x in features.values())
        text = lengths['t'] if lengths else None
        joint = self.encoder(widen(features['t'], widest), text)
        joint_second = self.encoder_second(joint, text)
        return Outputs(
            prediction={'m': self.prediction(joint_second, text)},
            losses=self.translate(features, lengths, joint, joint_second, widest),
        )

    def translate(
        self,
        features: dict[str, Array],
        lengths: dict[str, Array] | None,
        joint: Array,
        joint_second: Array,
        widest: int,
    ) -> dict[str, Array]:
        """The weighted losses of the three translations, `[B]` each.

        The translation back starts from what was translated, not from the target
        itself. An utterance without the first target has no loss of either way, one
        without text none at all.

        Args:
          features: `[B, L, D_s]` by modality.
          lengths: real steps `[B]` by modality, or None.
          joint: encoded text, `[B, L, H]`.
          joint_second: that encoded again, `[B, L, H]`.
          widest: the largest `D_s`, which encoder and decoder of the first level have.
        """
        c, width = self.config, {s: x.shape[-1] for s, x in features.items()}
        first, second = ('v', 'a') if c.first_target == 'v' else ('a', 'v')
        text = lengths['t'] if lengths else None
        there = self.decoder(joint, text, widest)[..., : width[first]]
        joint_back = self.encoder(widen(there, widest), text)
        back = self.decoder(joint_back, text, widest)[..., : width['t']]
        other = self.decoder_second(joint_second, text, width[second])
        real = dict.fromkeys(features)
        if lengths:
            real = {s: jnp.where(text > 0, n, 0) for s, n in lengths.items()}
            real['t'] = jnp.where(real[first] > 0, text, 0)
        return {
            'translation': c.translation_weight
            * translation_error(there, features[first], real[first]),
            'cycle': c.cycle_weight * translation_error(back, features['t'], real['t']),
            'translation_second': c.second_weight
            * translation_error(other, features[second], real[second]),
        }


class Encoder(nn.Module):
    """An LSTM in each direction; their states are added up.

    Attributes:
      width: `H`.
    """

    width: int

    @nn.compact
    def __call__(self, x: Array, length: Array | None) -> Array:
        """`[B, L, D]` of `length` real steps → `[B, L, H]`, 0 at padded steps."""
        forward, _ = Lstm(self.width, name='forward')(x, length)
        backward, _ = Lstm(self.width, name='backward')(reverse(x, length), length)
        return where_real(forward + reverse(backward, length), length)


class Decoder(nn.Module):
    """An LSTM that reads, at each step, what it attends to in the encoded sequence.

    There is no teacher forcing: as in the official code neither the target nor its own
    last output is an input. Scores are additive in the encoded step and the last hidden
    state (Bahdanau et al., ICLR 2015). The official code's are linear in both, so that
    the state cancels in the softmax and every step reads the same; and its output is
    bounded by tanh, which features that are not scaled to ±1 would not fit.

    Attributes:
      width: `H`.
    """

    width: int

    @nn.compact
    def __call__(self, encoded: Array, length: Array | None, width: int) -> Array:
        """Decodes as many steps as were encoded.

        Args:
          encoded: `[B, L, H]`.
          length: its real steps `[B]`; None: all.
          width: `D`, of the target.

        Returns:
          `[B, L, D]`.
        """
        h = self.width
        init = symmetric_uniform(h**-0.5)
        query = self.param('query', init, (h, h))
        score = self.param('score', init, (h,))
        kernel = self.param('kernel', init, (2 * h, 4 * h))
        bias = self.param('bias', init, (4 * h,))
        keys = uniform_dense(h, h, name='key')(encoded)

        def step(carry: Carry, _: None) -> tuple[Carry, Array]:
            hidden, cell = carry
            scores = jnp.tanh(keys + (hidden @ query)[:, None]) @ score
            context = softmax_average(scores, encoded, length)
            gates = jnp.concatenate([context, hidden], axis=-1) @ kernel + bias
            input_, forget, candidate, output = jnp.split(gates, 4, axis=-1)
            cell = nn.sigmoid(forget) * cell + nn.sigmoid(input_) * jnp.tanh(candidate)
            hidden = nn.sigmoid(output) * jnp.tanh(cell)
            return (hidden, cell), hidden

        start = (jnp.zeros((encoded.shape[0], h), encoded.dtype),) * 2
        _, states = jax.lax.scan(step, start, None, length=encoded.shape[1])
        # Outside the loop: no step needs the output of another.
        return uniform_dense(width, h, name='output')(jnp.moveaxis(states, 0, 1))


class Prediction(nn.Module):
    """Sentiment from a joint representation: LSTM, attention over its steps, linear.

    Attributes:
      width: of the LSTM.
    """

    width: int

    @nn.compact
    def __call__(self, joint: Array, length: Array | None) -> Array:
        """`[B, L, H]` → `[B]`."""
        states, _ = Lstm(self.width, name='lstm')(joint, length)
        scores = jnp.tanh(uniform_dense(1, self.width, name='score')(states))[..., 0]
        utterance = softmax_average(scores, states, length)
        return uniform_dense(1, self.width, name='sentiment')(utterance)[:, 0]


def softmax_average(scores: Array, x: Array, length: Array | None) -> Array:
    """Average of `[B, L, H]`, weighted by the softmax of scores `[B, L]`: `[B, H]`.

    Padded steps have no weight; where all are padded the average is plain.
    """
    if length is not None:
        real = real_steps(length, x.shape[1])
        scores = jnp.where(real, scores, jnp.finfo(scores.dtype).min)
    return jnp.einsum('bl,blh->bh', nn.softmax(scores), x)


def translation_error(translated: Array, target: Array, length: Array | None) -> Array:
    """Squared error `[B]`, averaged over the target's real steps and its width.

    The target carries no gradient: neither the text encoder nor a learned alignment can
    lower the error by making itself easy to translate to.

    Args:
      translated: `[B, L, D]`.
      target: `[B, L, D]`.
      length: real steps of the target `[B]`, 0 where there is none, which gives an
        error of 0; None: all are real.
    """
    error = jnp.square(translated - jax.lax.stop_gradient(target)).mean(-1)
    if length is None:
        return error.mean(-1)
    real = real_steps(length, target.shape[1])
    return jnp.where(real, error, 0).sum(-1) / jnp.maximum(length, 1)


def reverse(x: Array, length: Array | None) -> Array:
    """`[B, L, D]` with the real steps in opposite order; padding stays at the end."""
    if length is None:
        return x[:, ::-1]
    steps, length = jnp.arange(x.shape[1]), length[:, None]
    source = jnp.where(steps < length, length - 1 - steps, steps)
    return jnp.take_along_axis(x, source[..., None], axis=1)


def where_real(x: Array, length: Array | None) -> Array:
    """`[B, L, D]`, 0 at padded steps."""
    if length is None:
        return x
    return x * real_steps(length, x.shape[1])[..., None]


def widen(x: Array, width: int) -> Array:
    """`[B, L, D]` with zeros behind, `[B, L, width]`."""
    return jnp.pad(x, ((0, 0), (0, 0), (0, width - x.shape[-1])))


def build(model: Mapping, objective: Mapping, text: TextEncoder) -> System:
    """The system from its settings (see `models.build`)."""
    config = typed(MctnConfig, model, 'config.model')
    settings = typed(RegressionConfig, objective, 'config.objective')
    aligner = make_aligner(config.align, config.ctc_weight)
    return System(
        model=Mctn(config, text, align=aligner),
        objective=regression(settings),
        masks_padding=config.padding == 'masked',
        needs_text=True,
    )
