"""Modality dropout: in training, samples lose whole modalities at random.

As in ModDrop (Neverova et al., TPAMI 2016), a model that has seen samples without a
modality predicts better where one is missing. A lost modality is absent, exactly as one
that the utterance never had: it is not seen, has no loss of its own, and its generated
label stays as it is in this step.
"""

from __future__ import annotations

import functools
from collections.abc import Callable

import jax
import jax.numpy as jnp

from sugrm_jax.errors import UserError
from sugrm_jax.layers.packing import Packing
from sugrm_jax.models.system import System
from sugrm_jax.types import MODALITIES, Array, Batch

# From a batch and a key to a batch with fewer modalities.
Lose = Callable[[Batch, jax.Array], Batch]

# Folded into a step's key: `step.step_keys` has split 0 and 1 off it.
KEY = 2


def modality_dropout(rate: float, system: System) -> Lose | None:
    """What makes the samples of a train step lose modalities; None at a rate of 0.

    A system that needs text keeps it: its samples lose audio and vision only.

    Args:
      rate: probability that a sample loses a modality, for each of those it has.
      system: to be trained.

    Raises:
      UserError: nothing is ever absent for this system.
    """
    if not rate:
        return None
    if not system.masks_padding:
        raise UserError(
            'config.train.modality_dropout makes modalities absent, but where padding '
            "takes part nothing is: set config.model.padding to 'masked', or "
            'config.train.modality_dropout to 0.'
        )
    keeps = ('t',) if system.needs_text else ()
    return functools.partial(lose_at_random, rate=rate, keeps=keeps)


def modality_key(key: jax.Array, step: Array) -> jax.Array:
    """The key of one step's losses; the others of the step are as without it.

    Args:
      key: of the run.
      step: batches seen before.
    """
    return jax.random.fold_in(jax.random.fold_in(key, step), KEY)


def lose_at_random(
    batch: Batch, key: jax.Array, *, rate: float, keeps: tuple[str, ...]
) -> Batch:
    """The batch after each sample has lost some of its modalities, never all of them.

    Args:
      batch: `B` samples.
      key: of the draw.
      rate: see `modality_dropout`.
      keeps: modalities that are never lost.
    """
    has = jnp.stack([length > 0 for length in lengths(batch).values()], axis=1)
    may = has & jnp.array([s not in keeps for s in MODALITIES])
    lost = draw_lost(key, has, may, rate)
    return without(batch, dict(zip(MODALITIES, lost.T, strict=True)))


def draw_lost(key: jax.Array, has: Array, may: Array, rate: float) -> Array:
    """Which modalities are lost, bool `[B, 3]`.

    Args:
      key: of the draw. Rows are drawn in order, so that a batch that is filled up for
        more devices draws the same for those it had.
      has: bool `[B, 3]`, which modalities a sample has.
      may: bool `[B, 3]`, which of these it may lose.
      rate: probability that it loses one, before one at random is kept where none
        would be left.
    """
    lose, keep = jax.random.split(key)
    lost = may & (jax.random.uniform(lose, has.shape) < rate)
    # 0 for what is not lost, which is then not the largest where any is.
    kept = (lost * jax.random.uniform(keep, has.shape, minval=0.5)).argmax(axis=1)
    nothing_left = ~(has & ~lost).any(axis=1)
    rescued = nothing_left[:, None] & (jnp.arange(has.shape[1]) == kept[:, None])
    return lost & ~rescued


def lengths(batch: Batch) -> dict[str, Array]:
    """Real steps `[B]` by modality."""
    return {
        't': batch.tokens[:, 1].sum(-1),
        'a': batch.audio_length,
        'v': batch.vision_length,
    }


def without(batch: Batch, lost: dict[str, Array]) -> Batch:
    """The batch as if some samples had never had some modalities.

    Args:
      batch: `B` samples.
      lost: bool `[B]` by modality.
    """

    def kept(x: Array | None, s: str) -> Array | None:
        if x is None:
            return None
        # Chosen, not multiplied: no gradient, and nothing that is not finite, gets by.
        gone = lost[s].reshape(-1, *[1] * (x.ndim - 1))
        return jnp.where(gone, jnp.zeros_like(x), x)

    packing = batch.packing
    return batch.replace(
        tokens=kept(batch.tokens, 't'),
        text=kept(batch.text, 't'),
        audio=kept(batch.audio, 'a'),
        audio_length=kept(batch.audio_length, 'a'),
        vision=kept(batch.vision, 'v'),
        vision_length=kept(batch.vision_length, 'v'),
        packing=None if packing is None else unpacked(packing, lost['t']),
    )


def unpacked(packing: Packing, lost: Array) -> Packing:
    """The plan of packed rows with some utterances' steps left empty.

    Args:
      packing: see `Batch.packing`.
      lost: bool `[B]`, the utterances that take no part any more.
    """
    owner = jnp.maximum(packing.group - 1, 0)
    empty = (packing.group > 0) & lost[owner]
    return packing.replace(
        length=jnp.where(lost, 0, packing.length),
        group=jnp.where(empty, 0, packing.group),
        position=jnp.where(empty, 0, packing.position),
    )
