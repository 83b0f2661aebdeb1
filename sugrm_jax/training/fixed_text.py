"""Texts encoded once, before training, where the text encoder is frozen."""

from __future__ import annotations

import dataclasses
import tempfile
from collections.abc import Iterator

import jax
import numpy as np

from sugrm_jax.cache import cache_folder
from sugrm_jax.data.batches import batch_index, gather, samples_of
from sugrm_jax.data.modalities import keep_only
from sugrm_jax.data.stored import Stored
from sugrm_jax.errors import UserError
from sugrm_jax.layers.text import TextEncoder, TokenPacker
from sugrm_jax.types import Array, Dataset, Plan, PyTree, Split


def encode_texts(
    dataset: Dataset, text: TextEncoder, params: PyTree, packs: bool, size: int = 64
) -> Dataset:
    """The data set with text features, float32 `[N, L_t, D_t]` in each split.

    Those of data on disk are on disk, too: in files without a name in the cache folder,
    which are gone with the process.

    Args:
      dataset: with tokens.
      text: the encoder.
      params: its parameters.
      packs: whether utterances may share rows, for then padded steps are not encoded.
      size: utterances encoded at a time.

    Raises:
      UserError: the cache folder cannot be written.
    """
    encode = jax.jit(lambda params, batch: text.apply({'params': params}, batch, True))
    packers = {name: TokenPacker(x.tokens) for name, x in dataset.splits.items()}
    index = {
        name: batch_index(np.arange(len(split)), size, size, len(split))
        for name, split in dataset.splits.items()
    }
    # As many for all splits, so that one program does; the others may need more, but
    # their texts must not change the shapes that those of train are encoded in.
    rows = {name: packers[name].rows(x) for name, x in index.items()}

    def encoded(name: str, split: Split) -> Iterator[Array]:
        wide = max(rows['train'], rows[name])
        packing = packers[name](index[name], wide) if packs else None
        plan, samples = Plan(index[name], packing), samples_of(split)
        for i in range(len(index[name])):
            hidden = encode(params, gather(samples, plan[i]))
            yield hidden[: len(split) - i * size]

    # Nothing else need be read.
    texts = keep_only(dataset, ('t',)).splits
    keep = _write if dataset.on_disk else _concatenate
    changed = {
        name: dataclasses.replace(split, text=keep(encoded(name, texts[name])))
        for name, split in dataset.splits.items()
    }
    return dataclasses.replace(dataset, **changed)


def _concatenate(parts: Iterator[Array]) -> np.ndarray:
    return np.concatenate(list(parts))


def _write(parts: Iterator[Array]) -> Stored:
    """The parts, `[n, L, D]` each, one after the other in a file without a name."""
    folder, count = cache_folder(), 0
    try:
        folder.mkdir(parents=True, exist_ok=True)
        file = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115 - open as long as read
        for part in parts:
            file.write(np.ascontiguousarray(part, Stored.dtype))
            count += len(part)
        file.flush()
    except OSError as error:
        raise UserError(
            f'The encoded texts cannot be kept in {folder}: {error.strerror}. Name a '
            'folder on a disk with room in the variable SUGRM_CACHE.'
        ) from error
    shape = (count, *part.shape[1:])
    return Stored(file, 0, shape, shape[1])
