"""What the real lengths of padded sequences say; padding comes last."""

from __future__ import annotations

import jax.numpy as jnp

from sugrm_jax.types import Array


def real_steps(length: Array, steps: int) -> Array:
    """Which of so many steps are real, not padding: `[B]` → bool `[B, steps]`."""
    return jnp.arange(steps) < length[:, None]


def mean_over_steps(x: Array, length: Array | None) -> Array:
    """Mean over time of `[B, L, D]`: over all steps, or the first `length` `[B]`.

    An utterance of length 0 gets 0.
    """
    if length is None:
        return x.mean(axis=1)
    real = real_steps(length, x.shape[1])
    return (x * real[..., None]).sum(1) / jnp.maximum(length, 1)[:, None]
