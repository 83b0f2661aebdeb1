"""Dropout at a byte of randomness per value.

Drawing random bits is a large part of a training step on a CPU. One 32-bit word
decides over four values here, so a rate is rounded to 256ths (0.3 is 0.3008);
what is kept is scaled by the rounded share, so expectations are exact.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np

from sugrm_jax.config import between
from sugrm_jax.types import Array


def check_rate(rate: float, name: str) -> None:
    """Makes sure that a rate lies in [0, 1) and is nothing else once rounded.

    Raises:
      ValueError: it does not; `config.typed` turns this into a `UserError`.
    """
    between(rate, 0, 1, name)
    if rate and not 0 < kept_share(rate) < 1:
        raise ValueError(
            f'{name} is rounded to 256ths and must not become 0 or 1; it is {rate}'
        )


def random_bytes(key: jax.Array, shape: tuple[int, ...]) -> Array:
    """Uniform integers in `[0, 256)`, uint8, four of them from each random word.

    Args:
      key: of the draw.
      shape: utterances stand last. They are drawn first: a batch that is filled up for
        more devices draws the same for those it had.
    """
    *inner, batch = shape
    words = jax.random.bits(key, (batch, -(-inner[0] // 4), *inner[1:]))
    words = jnp.moveaxis(words, 0, -1)
    shifts = np.arange(0, 32, 8, dtype=np.uint32).reshape(4, *[1] * len(shape))
    draws = ((words >> shifts) & np.uint32(255)).astype(jnp.uint8)
    return draws.reshape(-1, *shape[1:])[: shape[0]]


def kept_share(rate: float) -> float:
    """The share of values that is kept, a multiple of 1/256."""
    return 1 - round(rate * 256) / 256


def keep(draws: Array, rate: float) -> Array:
    """Random bytes → bool, true with probability `kept_share(rate)`, each apart."""
    return draws.astype(jnp.int32) < round(256 * kept_share(rate))


def dropout(x: Array, draws: Array | None, rate: float) -> Array:
    """Zeros values with probability `rate` and scales the others.

    Args:
      x: values.
      draws: random bytes of its shape; None: nothing is dropped.
      rate: 0 to 1.
    """
    if draws is None or rate == 0:
        return x
    share = kept_share(rate)
    return jnp.where(keep(draws, rate), x / share if share else x, 0)
