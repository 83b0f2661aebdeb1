"""Brings audio and vision to the steps of the text, for models that read them aligned.

'ctc' is the module of MulT's baselines (Tsai et al., ACL 2019, section 4.2; official
code github.com/yaohungt/Multimodal-Transformer, src/ctc.py): an LSTM predicts which
step of the text each step of audio or vision belongs to, trained by connectionist
temporal classification (Graves et al., ICML 2006) together with everything else.
'pool' has no parameters: each step of the text gets the average of its equal share of
the utterance.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
import optax
from flax import linen as nn

from sugrm_jax.layers.lengths import real_steps
from sugrm_jax.layers.recurrent import Lstm
from sugrm_jax.types import Array

ALIGNERS = ('none', 'ctc', 'pool')
# How an aligner answers: features, lengths and losses (see `CtcAligner.__call__`).
Aligned = tuple[dict[str, Array], dict[str, Array] | None, dict[str, Array]]


def make_aligner(name: str, ctc_weight: float) -> nn.Module | None:
    """The module that aligns audio and vision to the text.

    Args:
      name: one of `ALIGNERS`; 'none' is for data that are aligned already.
      ctc_weight: of the CTC loss beside the other terms; without effect but in 'ctc'.
    """
    return {'none': None, 'ctc': CtcAligner(ctc_weight), 'pool': PoolAligner()}[name]


class CtcAligner(nn.Module):
    """Predicted positions, trained by CTC.

    Attributes:
      weight: of the loss. The official code adds up the losses of a batch, as a weight
        of the batch's size would do here, where terms are averaged over samples.
    """

    weight: float

    @nn.compact
    def __call__(
        self,
        features: dict[str, Array],
        lengths: dict[str, Array] | None,
        steps: int,
    ) -> Aligned:
        """Aligns audio and vision.

        Args:
          features: `[B, L_s, D_s]` by modality, 'a' and 'v'.
          lengths: real steps `[B]` of 't', 'a' and 'v'; None where padding takes part.
          steps: of the text, `L_t`, padding included.

        Returns:
          Features `[B, L_t, D_s]`; lengths, in which audio and vision now have those
          of the text, or 0 where an utterance has none of the modality; and losses,
          'ctc_a' and 'ctc_v', `[B]`.
        """
        aligned, losses = {}, {}
        for s, x in features.items():
            real, target = _real_lengths(x, s, lengths, steps)
            positions = PositionPredictor(steps, name=f'position_{s}')(x)
            aligned[s] = align_softly(positions, x, real)
            losses[f'ctc_{s}'] = self.weight * ctc_loss(positions, real, target)
        return aligned, _aligned_lengths(features, lengths), losses


class PoolAligner(nn.Module):
    """Averages over equal shares of the utterance; see `CtcAligner`, no losses."""

    def __call__(
        self,
        features: dict[str, Array],
        lengths: dict[str, Array] | None,
        steps: int,
    ) -> Aligned:
        pooled = {
            s: pool(x, *_real_lengths(x, s, lengths, steps), steps)
            for s, x in features.items()
        }
        return pooled, _aligned_lengths(features, lengths), {}


class PositionPredictor(nn.Module):
    """Two LSTM layers whose hidden states are the scores of the text's positions.

    Attributes:
      steps: of the text, `L_t`.
    """

    steps: int

    @nn.compact
    def __call__(self, x: Array) -> Array:
        """`[B, L, D]` → scores `[B, L, 1 + L_t]`; the first is that of the blank.

        Padding comes last, so that no real step sees it.
        """
        lower, _ = Lstm(1 + self.steps, name='lower')(x)
        upper, _ = Lstm(1 + self.steps, name='upper')(lower)
        return upper


def align_softly(positions: Array, x: Array, length: Array) -> Array:
    """Each step goes to every position, as much as it is predicted to belong there.

    As in the official code the blank is left out without renormalising: a position
    gets a sum, not an average.

    Args:
      positions: scores `[B, L, 1 + L_t]`.
      x: `[B, L, D]`.
      length: real steps `[B]`.

    Returns:
      `[B, L_t, D]`.
    """
    shares = jax.nn.softmax(positions)[..., 1:]
    real = real_steps(length, x.shape[1])
    return jnp.einsum('blt,bld->btd', shares * real[..., None], x)


def ctc_loss(positions: Array, length: Array, target: Array) -> Array:
    """`−log p` of the text's positions, 1, 2 … in this order, given the sequence.

    A sequence with fewer steps than the text cannot name all positions: no path would
    exist, and the loss be infinite. Then only as many as there are steps are asked
    for, the first ones. An absent modality, of no steps, has a loss of 0.

    Args:
      positions: scores `[B, L, 1 + L_t]`; the first is that of the blank.
      length: real steps `[B]`.
      target: real steps of the text `[B]`.

    Returns:
      `[B]`, in nats for a whole utterance.
    """
    batch, steps, classes = positions.shape
    labels = jnp.arange(1, classes)
    padded = ~real_steps(length, steps)
    beyond = labels > jnp.minimum(target, length)[:, None]
    labels = jnp.broadcast_to(labels, (batch, classes - 1))
    return optax.ctc_loss(positions, padded * 1.0, labels, beyond * 1.0)


def pool(x: Array, length: Array, target: Array, steps: int) -> Array:
    """Averages over equal shares.

    Of `n` real steps, step `j` of a text of `m` gets the average over `j·n/m` to
    `(j + 1)·n/m`; a step that lies across a border counts on both sides, by its parts.

    Args:
      x: `[B, L, D]`.
      length: `n`, real steps `[B]`.
      target: `m`, real steps of the text `[B]`.
      steps: of the text, `L_t`, padding included.

    Returns:
      `[B, L_t, D]`; 0 at padded steps and where there is nothing to average.
    """
    # Times m, so that all borders are whole numbers and nothing leaks over them.
    n, m = length[:, None, None], target[:, None, None]
    i, j = jnp.arange(x.shape[1]), jnp.arange(steps)[:, None]
    end = jnp.minimum(jnp.minimum((i + 1) * m, (j + 1) * n), n * m)
    overlap = jnp.maximum(end - jnp.maximum(i * m, j * n), 0)
    return jnp.einsum('btl,bld->btd', overlap / jnp.maximum(n, 1), x)


def _real_lengths(
    x: Array, s: str, lengths: dict[str, Array] | None, steps: int
) -> tuple[Array, Array]:
    """Real steps of modality s and of the text, `[B]` each."""
    if lengths is None:
        return jnp.full(x.shape[0], x.shape[1]), jnp.full(x.shape[0], steps)
    return lengths[s], lengths['t']


def _aligned_lengths(
    features: dict[str, Array], lengths: dict[str, Array] | None
) -> dict[str, Array] | None:
    """Those of the text; 0 where an utterance has none of the modality."""
    if lengths is None:
        return None
    text = lengths['t']
    return lengths | {s: jnp.where(lengths[s] > 0, text, 0) for s in features}
