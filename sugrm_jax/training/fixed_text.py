"""Texts encoded once, before training, where the text encoder is frozen."""

from __future__ import annotations

import dataclasses

import jax
import numpy as np

from sugrm_jax.data.batches import batch_index, gather, samples_of
from sugrm_jax.layers.text import TextEncoder, TokenPacker
from sugrm_jax.types import Dataset, Plan, PyTree, Split


def encode_texts(
    dataset: Dataset, text: TextEncoder, params: PyTree, packs: bool, size: int = 64
) -> Dataset:
    """The data set with text features, float32 `[N, L_t, D_t]` in each split.

    Args:
      dataset: with tokens.
      text: the encoder.
      params: its parameters.
      packs: whether utterances may share rows, for then padded steps are not encoded.
      size: utterances encoded at a time.
    """
    encode = jax.jit(lambda params, batch: text.apply({'params': params}, batch, True))
    packers = {name: TokenPacker(x.tokens) for name, x in dataset.splits.items()}
    index = {
        name: batch_index(np.arange(len(split)), size, size, len(split))
        for name, split in dataset.splits.items()
    }
    # The same for all splits, so that one program does.
    rows = max(packers[name].rows(x) for name, x in index.items())

    def encoded(name: str, split: Split) -> Split:
        packing = packers[name](index[name], rows) if packs else None
        plan, samples = Plan(index[name], packing), samples_of(split)
        batches = [gather(samples, plan[i]) for i in range(len(index[name]))]
        parts = [encode(params, batch) for batch in batches]
        return dataclasses.replace(split, text=np.concatenate(parts)[: len(split)])

    changed = {name: encoded(name, split) for name, split in dataset.splits.items()}
    return dataclasses.replace(dataset, **changed)
