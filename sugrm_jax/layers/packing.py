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
    """Numbers of rows worth compiling for: steps of at most a quarter, or of 1."""
    sizes = [1]
    while sizes[-1] < largest:
        sizes.append(min(max(sizes[-1] + 1, sizes[-1] * 5 // 4), largest))
    return sizes


def pack(lengths: np.ndarray, row_length: int, at_least: int = 1) -> Packing:
    """Places utterances by first-fit decreasing.

    Args:
      lengths: int `[B]`, tokens of each utterance (they come before its padding);
        0 is allowed and takes no room.
      row_length: steps of a packed row.
      at_least: rows to have even when fewer do. More are rounded up to one of
        `row_sizes(B)`, so that few programs get compiled.

    Raises:
      ValueError: an utterance is longer than a row.
    """
    lengths = np.asarray(lengths, np.int32)
    count = len(lengths)
    if count and lengths.max() > row_length:
        raise ValueError(
            f'an utterance of {lengths.max()} tokens in rows of {row_length}'
        )
    row, start = np.zeros((2, count), np.int32)
    free = np.full(count, row_length)
    for b in np.argsort(-lengths, kind='stable'):
        if lengths[b]:
            row[b] = np.argmax(free >= lengths[b])
            start[b] = row_length - free[row[b]]
            free[row[b]] -= lengths[b]
    used = int(np.sum(free < row_length))
    rows = next(n for n in row_sizes(max(count, at_least)) if n >= max(used, at_least))
    group, position = np.zeros((2, rows, row_length), np.int32)
    for b in range(count):
        here = row[b], slice(start[b], start[b] + lengths[b])
        group[here], position[here] = b + 1, np.arange(lengths[b])
    return Packing(row, start, lengths, group, position)


def packed_bert_inputs(tokens: Array, packing: Packing) -> dict[str, Array]:
    """Tokens `[B, 3, L]` → keyword arguments of `Bert`, each `[R, row_length]`."""
    tokens, real = jnp.asarray(tokens), packing.group > 0
    owner = jnp.maximum(packing.group - 1, 0)
    ids, _, segments = (
        jnp.where(real, tokens[owner, part, packing.position], 0) for part in range(3)
    )
    return {
        'ids': ids,
        'mask': real.astype(jnp.int32),
        'segments': segments,
        'positions': packing.position,
        'group': packing.group,
    }


def unpack(hidden: Array, packing: Packing, length: int) -> Array:
    """Hidden states `[R, row_length, D]` → `[B, length, D]`, 0 at padded steps."""
    step = jnp.arange(length)
    column = jnp.minimum(packing.start[:, None] + step, hidden.shape[1] - 1)
    real = step < packing.length[:, None]
    return jnp.where(real[..., None], hidden[packing.row[:, None], column], 0)
