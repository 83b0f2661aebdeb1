"""Sinusoidal positions (design of fairseq, as SPT uses them)."""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np

from sugrm_jax.errors import UserError
from sugrm_jax.types import Array

# Numbers in a table that is a constant of the compiled program: 64 MiB.
LARGEST_TABLE = 2**24


def check_table(rows: int, columns: int) -> None:
    """Raises a `UserError` where a table would be larger than a program should hold."""
    if rows * columns > LARGEST_TABLE:
        raise UserError(
            f'A table of {rows} steps × {columns} is too large for a compiled program: '
            'cut the sequences, or choose a smaller width or window.'
        )


def sinusoids(length: int, width: int) -> np.ndarray:
    """Positions 1 ... length as `[sin(p w_k), cos(p w_k)]`, float32 `[L, D]`.

    `w_k = 10000^(-k / (D // 2 - 1))`. An odd width gets a last column of zeros.
    With one frequency only (width 2 or 3) the exponent would be 0 / 0: the
    frequency is 1 there. A width of 1 has no frequency and gets zeros.
    """
    check_table(length, width)
    half = width // 2
    exponents = np.arange(half, dtype=np.float32) / np.float32(max(half - 1, 1))
    frequencies = np.exp(exponents * np.float32(-np.log(10000.0)))
    angles = np.arange(1, length + 1, dtype=np.float32)[:, None] * frequencies
    table = np.zeros((length, width), np.float32)
    table[:, :half], table[:, half : 2 * half] = np.sin(angles), np.cos(angles)
    return table


def add_positions(x: Array, *, skip_zero_steps: bool) -> Array:
    """Adds positions to `[B, L, D]`.

    Args:
      x: features.
      skip_zero_steps: as the released code does, a step whose first feature is
        exactly 0 counts as padding and gets no position.
    """
    table = sinusoids(x.shape[1], x.shape[2])
    if skip_zero_steps:
        return x + table * (x[..., :1] != 0)
    return x + jnp.asarray(table, x.dtype)
