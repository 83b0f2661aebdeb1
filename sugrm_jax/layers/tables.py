"""Tables of the sampled attention, from the sampling rule and the sizes."""

from __future__ import annotations

import math
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np

from sugrm_jax.layers.attention import Table
from sugrm_jax.layers.sampling import Sampling, sampled_positions


def draws(sampling: Sampling, steps_per_query: int) -> bool:
    """Whether the random part can be anything but 0.

    It is drawn below `ceil(share * L / Q)`, and `L / Q` is at most the number of input
    steps per query; the margin is for rounding.
    """
    bound = sampling.random_share * steps_per_query * (1 + 1e-5)
    return 'random' in sampling.shifts and math.ceil(bound) > 1


def layer_tables(
    sampling: Sampling,
    layers: int,
    sequences: list[dict],
    draw: Callable[[], jax.Array] | None,
) -> Table:
    """The table of every layer, stacked: rows `[layers, P]` or `[layers, P, B]`.

    Args:
      sampling: the kind of attention.
      layers: their number.
      sequences: for each sequence of queries: `queries`, `keys`, `length` and `hidden`
        as in `sampled_positions`, and `first`, where its keys begin among all keys.
      draw: gives a key for the random part of one layer; None where there is none.
    """
    slides = 'phase' not in sampling.shifts and draw is None
    stride = sampling.stride if slides else 0
    spare = (sampling.window - 1) // stride if stride else 0

    def rows(layer, first, queries, **sizes):
        """`[W, Q (, B)]`; of sliding windows the first slots say all."""
        positions = sampled_positions(
            sampling,
            layer=layer,
            queries=queries + spare,
            key=None if draw is None else draw(),
            **sizes,
        )
        positions = positions.T if positions.ndim == 2 else positions.transpose(2, 1, 0)
        return first + (positions[:stride] if stride else positions)

    of_layers = []
    for layer in range(layers):
        each = [rows(layer, **sequence) for sequence in sequences]
        where = np if isinstance(each[0], np.ndarray) else jnp
        joined = where.concatenate(each, axis=1)
        of_layers.append(joined.reshape(-1, *joined.shape[2:]))
    sizes = tuple(sequence['queries'] for sequence in sequences)
    return Table(where.stack(of_layers), sampling.window, sizes, stride)
