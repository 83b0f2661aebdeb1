"""Several utterances in one row of BERT's input.

An utterance has far fewer tokens than the longest one, so most of a batch is
padding. Packed, a batch needs about a third of the rows: each utterance keeps its
own positions and sees itself only, so its hidden states are those of the unpacked
batch up to rounding. Which utterance lies where is found on the host (`pack`);
the arrays are moved on the device (`packed_bert_inputs`, `unpack`).
"""

from __future__ import annotations

import flax.struct
import jax.numpy as jnp
import numpy as np

from sugrm_jax.layers.lengths import real_steps
from sugrm_jax.types import Array


class Packing(flax.struct.PyTreeNode):
    """Where each utterance of a batch lies. All int32.

    Attributes:
      row, start, length: `[B]`; utterance `b` lies in `row[b]`, at the `length[b]`
        steps from `start[b]`.
      group: `[R, row_length]`; `b + 1` where utterance `b` lies, 0 where nothing.
      position: `[R, row_length]`; steps since the utterance's start.
    """

    row: Array
    start: Array
    length: Array
    group: Array
    position: Array


def row_sizes(largest: int) -> list[int]:
    """Numbers of rows worth compiling for: steps of at most a quarter, or of 1.

    With few of them, runs that differ in their seed share compiled programs.
    """
    sizes = [1]
    while sizes[-1] < largest:
        sizes.append(min(max(sizes[-1] + 1, sizes[-1] * 5 // 4), largest))
    return sizes


def first_fit(lengths: np.ndarray, row_length: int) -> tuple[np.ndarray, np.ndarray]:
    """Places the utterances of each batch by first-fit decreasing.

    Args:
      lengths: int `[M, B]`, tokens of each utterance; 0 takes no room.
      row_length: steps of a packed row.

    Returns:
      Row and start of each utterance, int32 `[M, B]`.

    Raises:
      ValueError: an utterance is longer than a row.
    """
    if lengths.size and lengths.max() > row_length:
        raise ValueError(
            f'an utterance of {lengths.max()} tokens in rows of {row_length}'
        )
    row, start = np.zeros((2, *lengths.shape), np.int32)
    free = np.full(lengths.shape, row_length)
    batch = np.arange(len(lengths))
    # One utterance of every batch at a time, the longest first.
    for b in np.argsort(-lengths, axis=1, kind='stable').T:
        length = lengths[batch, b]
        first = (free >= length[:, None]).argmax(axis=1)
        row[batch, b] = first * (length > 0)
        start[batch, b] = (row_length - free[batch, first]) * (length > 0)
        free[batch, first] -= length
    return row, start


def pack(lengths: np.ndarray, row_length: int, rows: int) -> Packing:
    """Plans the packed rows of several batches.

    Args:
      lengths: int `[M, B]`, tokens of each utterance (they come before its padding).
      row_length: steps of a packed row.
      rows: `R`, as many as the fullest batch needs, at least.

    Returns:
      The plan, with `M` on a first axis.
    """
    lengths = np.asarray(lengths, np.int32)
    row, start = first_fit(lengths, row_length)
    group, position = np.zeros((2, len(lengths), rows, row_length), np.int32)
    batch, b, step = np.nonzero(np.arange(row_length) < lengths[..., None])
    here = batch, row[batch, b], start[batch, b] + step
    group[here], position[here] = b + 1, step
    return Packing(row, start, lengths, group, position)


def pack_steps(x: Array, packing: Packing) -> Array:
    """What goes with each step: `[B, L, ...]` → `[R, row_length, ...]`, else 0."""
    x, real = jnp.asarray(x), packing.group > 0
    owner = jnp.maximum(packing.group - 1, 0)
    return x[owner, packing.position] * real.reshape(*real.shape, *[1] * (x.ndim - 2))


def packed_bert_inputs(tokens: Array, packing: Packing) -> dict[str, Array]:
    """Tokens `[B, 3, L]` → keyword arguments of `Bert`, each `[R, row_length]`."""
    packed = pack_steps(jnp.moveaxis(tokens, 1, -1), packing)
    ids, mask, segments = jnp.moveaxis(packed, -1, 0)
    return {
        'ids': ids,
        'mask': mask,
        'segments': segments,
        'positions': packing.position,
        'group': packing.group,
    }


def unpack(hidden: Array, packing: Packing, length: int) -> Array:
    """Hidden states `[R, row_length, D]` → `[B, length, D]`, 0 at padded steps."""
    column = packing.start[:, None] + jnp.arange(length)
    column = jnp.minimum(column, hidden.shape[1] - 1)
    real = real_steps(packing.length, length)
    return jnp.where(real[..., None], hidden[packing.row[:, None], column], 0)
