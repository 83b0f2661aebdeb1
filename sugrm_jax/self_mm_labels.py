"""Self-MM's unimodal label generation (Yu et al., AAAI 2021, "ULGM").

Each task has two centres in its own feature space: the means of `F*` over the training
samples whose *current* label of that task is positive and negative. How much nearer a
feature lies to one than to the other, compared between a modality and the multimodal
task, shifts and scales `y_m`. As in the official code (github.com/thuiar/MMSA,
trains/multiTask/SELF_MM.py).

Pure functions, as in `ulgm`, whose momentum average is the same.
"""

from __future__ import annotations

from collections.abc import Mapping

import flax.struct
import jax.numpy as jnp

from sugrm_jax.types import Array
from sugrm_jax.ulgm import distance, momentum_average

EPSILON = 1e-8


class Memory(flax.struct.PyTreeNode):
    """What label generation remembers of the training split.

    Attributes:
      features: `F*` of each sample as last seen, `[N, C_task]` by task.
      seen: by task, bool `[N]`: whether a sample was seen yet, with that modality.
      labels: generated labels by modality after the momentum average, `[N]`.
      multimodal: `y_m`, `[N]`.
      zero_is_positive: bool; whether labels of exactly 0 count in the positive centre.
    """

    features: dict[str, Array]
    seen: dict[str, Array]
    labels: dict[str, Array]
    multimodal: Array
    zero_is_positive: Array


def start_memory(
    multimodal: Array, widths: Mapping[str, int], *, zero_is_positive: bool
) -> Memory:
    """The memory before training: nothing seen, every label `y_m`.

    Args:
      multimodal: `y_m` `[N]` of the training split.
      widths: `C_task` by task, 'm' among them; labels are generated for the others.
      zero_is_positive: see `Memory`.
    """
    multimodal = jnp.asarray(multimodal, jnp.float32)
    count = len(multimodal)
    return Memory(
        features={task: jnp.zeros((count, width)) for task, width in widths.items()},
        seen={task: jnp.zeros(count, bool) for task in widths},
        # Copies: a donated state must not hold one buffer twice.
        labels={s: jnp.array(multimodal) for s in widths if s != 'm'},
        multimodal=multimodal,
        zero_is_positive=jnp.array(zero_is_positive),
    )


def update(
    memory: Memory,
    features: dict[str, Array],
    index: Array,
    epoch: Array,
    *,
    present: dict[str, Array],
    bound: float | None,
) -> Memory:
    """New labels for a batch, from centres without it; then its features are stored.

    Args:
      memory: as it was.
      features: `F*` by task, `[B, C_task]`.
      index: int `[B]`, positions in the training split; others are ignored.
      epoch: counted from 1; in the first, labels stay `y_m`.
      present: bool `[B]` by modality; an absent one keeps its label and is in no
        centre.
      bound: new labels are clamped to ±bound before the average; None: to the largest
        `|y_m|`, for unbounded they could be of any size.
    """
    memory = regenerate(memory, features, index, epoch, present=present, bound=bound)
    return remember(memory, features, index, present=present)


def remember(
    memory: Memory,
    features: dict[str, Array],
    index: Array,
    *,
    present: dict[str, Array],
) -> Memory:
    """Stores a batch's features; arguments as in `update`."""
    present = present | {'m': jnp.ones(len(index), bool)}

    def stored(old: dict[str, Array], new: dict[str, Array]) -> dict[str, Array]:
        return {
            task: x.at[index].set(new[task].astype(x.dtype), mode='drop')
            for task, x in old.items()
        }

    return memory.replace(
        features=stored(memory.features, features), seen=stored(memory.seen, present)
    )


def centres(memory: Memory, task: str) -> tuple[Array, Array]:
    """Positive and negative centre of a task, `[C_task]` each.

    A class without samples has no centre: NaN.
    """
    label = memory.labels.get(task, memory.multimodal)
    positive = (label > 0) | (memory.zero_is_positive & (label == 0))
    members = jnp.stack([positive, label < 0]) & memory.seen[task]
    members = members.astype(jnp.float32)
    positive, negative = members @ memory.features[task] / members.sum(1)[:, None]
    return positive, negative


def leaning(feature: Array, positive: Array, negative: Array) -> Array:
    """`δ = (D^n − D^p) / (D^p + ε)`, above 0 nearer to the positive centre.

    Args:
      feature: `F*` `[B, C]`.
      positive, negative: centres `[C]`, to which `D^p` and `D^n` are the distances.

    Returns:
      `[B]`.
    """
    to_positive, to_negative = distance(feature, positive), distance(feature, negative)
    return (to_negative - to_positive) / (to_positive + EPSILON)


def generated_labels(
    multimodal_label: Array, multimodal: Array, unimodal: Array
) -> Array:
    """The mean of `α y_m` and `y_m + δ_s − δ_m`, with `α = δ_s / (δ_m + ε)`.

    Where the rule says nothing (no sample is positive, or none is negative, or numbers
    have left float32), the label is `y_m`.

    Args:
      multimodal_label: `y_m` `[B]`.
      multimodal, unimodal: `δ_m` and `δ_s`, `[B]`.
    """
    scaled = unimodal / (multimodal + EPSILON) * multimodal_label
    new = (scaled + (multimodal_label + unimodal - multimodal)) / 2
    return jnp.where(jnp.isfinite(new), new, multimodal_label)


def regenerate(
    memory: Memory,
    features: dict[str, Array],
    index: Array,
    epoch: Array,
    *,
    present: dict[str, Array],
    bound: float | None,
) -> Memory:
    """New labels for a batch; arguments as in `update`."""
    y_m = memory.multimodal.at[index].get(mode='clip')
    limit = jnp.abs(memory.multimodal).max() if bound is None else bound
    delta = {
        task: leaning(features[task], *centres(memory, task))
        for task in memory.features
    }
    labels = {}
    for s, old in memory.labels.items():
        new = jnp.clip(generated_labels(y_m, delta['m'], delta[s]), -limit, limit)
        previous = old.at[index].get(mode='clip')
        averaged = momentum_average(previous, new, epoch)
        averaged = jnp.where(present[s] & (epoch > 1), averaged, previous)
        labels[s] = old.at[index].set(averaged, mode='drop')
    return memory.replace(labels=labels)
