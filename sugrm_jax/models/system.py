"""What every model file builds, and what all models share."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax.numpy as jnp
from flax import linen as nn

from sugrm_jax.errors import UserError
from sugrm_jax.layers.text import TextEncoder
from sugrm_jax.objectives import Objective
from sugrm_jax.types import Array, Batch, Outputs

PADDINGS = ('masked', 'released')


class System(NamedTuple):
    """A model and what it is trained on.

    Attributes:
      model: `(batch, deterministic) → Outputs`.
      objective: loss and memory.
      masks_padding: whether padded steps take no part, so that utterances may share
        rows in BERT, and a batch's padding may be cut.
      text_first: whether nothing enters the text encoder but tokens, so that a frozen
        one can encode every utterance once, before training.
      needs_text: whether it says nothing where there is no text.
    """

    model: nn.Module
    objective: Objective
    masks_padding: bool
    text_first: bool = True
    needs_text: bool = False


class MultimodalModel(nn.Module):
    """From a batch to sequences of features; what follows is each model's `fuse`.

    Attributes:
      config: settings of the model; `padding` is 'masked': padded steps are not seen,
        an absent modality contributes nothing; or 'released': padded steps take part
        in everything, as in the field's PyTorch code.
      text: encoder of tokens.
      align: brings audio and vision to the steps of the text
        (`layers.alignment.make_aligner`), or None.
    """

    config: Any
    text: TextEncoder
    align: nn.Module | None = None

    def __call__(self, batch: Batch, deterministic: bool) -> Outputs:
        """One batch → predictions, features, presence and losses."""
        features = {'a': batch.audio, 'v': batch.vision}
        lengths = {
            't': batch.tokens[:, 1].sum(-1),
            'a': batch.audio_length,
            'v': batch.vision_length,
        }
        seen = lengths if self.config.padding == 'masked' else None
        losses = {}
        if self.align is not None:
            features, seen, losses = self.align(features, seen, batch.tokens.shape[2])
        features['t'] = self.encode_text(batch, features, seen, deterministic)
        outputs = self.fuse_batch(features, seen, batch.weight, deterministic)
        everyone = jnp.ones(batch.label.shape[0], bool)
        present = {s: everyone if seen is None else seen[s] > 0 for s in features}
        return outputs.replace(present=present, losses=losses | outputs.losses)

    def encode_text(
        self,
        batch: Batch,
        others: dict[str, Array],
        lengths: dict[str, Array] | None,
        deterministic: bool,
    ) -> Array:
        """Text features `[B, L_t, D_t]`.

        Args:
          batch: its tokens.
          others: audio and vision, aligned where the model aligns.
          lengths: real steps `[B]` by modality; None where padding takes part.
          deterministic: no dropout.
        """
        del others, lengths
        return self.text(batch, deterministic)

    def fuse_batch(
        self,
        features: dict[str, Array],
        lengths: dict[str, Array] | None,
        weight: Array,
        deterministic: bool,
    ) -> Outputs:
        """`fuse`; a model that looks across samples has this in its place.

        Args:
          features, lengths, deterministic: as in `fuse`.
          weight: of the samples, `[B]`; 0 where a row is none.
        """
        del weight
        return self.fuse(features, lengths, deterministic)

    def fuse(
        self,
        features: dict[str, Array],
        lengths: dict[str, Array] | None,
        deterministic: bool,
    ) -> Outputs:
        """From sequences to predictions, by task, and whatever the objective asks for.

        Args:
          features: `[B, L_s, D_s]` by modality.
          lengths: real steps `[B]` by modality; None where padding takes part.
          deterministic: no dropout.
        """
        raise NotImplementedError


def check_aligned(features: dict[str, Array], name: str) -> None:
    """Makes sure that audio and vision have the steps of the text.

    Args:
      features: `[B, L_s, D_s]` by modality.
      name: of the model, for the message.

    Raises:
      UserError: they have not.
    """
    steps = {s: x.shape[1] for s, x in features.items()}
    if len(set(steps.values())) > 1:
        raise UserError(
            f'{name} reads audio and vision that are aligned to the text, but the text '
            f'has {steps["t"]} steps, audio {steps["a"]} and vision {steps["v"]}. Use '
            "an aligned file, or set config.model.align to 'ctc' or 'pool'."
        )
