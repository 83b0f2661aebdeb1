"""Unimodal label generation module, ULGM (paper, section 3.3).

No parameters and no state of its own: every function takes arrays and returns
arrays. What has to be remembered between steps is the `Memory`, carried in the
train state beside the parameters.

The idea: a distance between two features in the common semantic space stands
for a distance between their labels. How far a modality's feature `F*_s` lies from
the multimodal feature `F*_m` gives the size of the offset of `y_s` from `y_m`;
which of the two lies nearer to the positive samples gives its sign.
"""

from __future__ import annotations

from collections.abc import Mapping

import chex
import flax.struct
import jax.numpy as jnp

from sugrm_jax.types import Array


class Centroids(flax.struct.PyTreeNode):
    """Means of the multimodal features of four groups of training samples, `[C]`.

    Attributes:
      positive, negative: samples labelled positive and negative.
      highest, lowest: samples with the most extreme labels present (±3 where
        the data has them).
    """

    positive: Array
    negative: Array
    highest: Array
    lowest: Array


class Memory(flax.struct.PyTreeNode):
    """What label generation remembers of the training split.

    Attributes:
      features: `F*_m` of each sample as last seen, `[N, C]`.
      centroids: their means by label.
      labels: generated labels by modality after the momentum average, `[N]`.
      multimodal: `y_m`, `[N]`.
      groups: how each sample counts in each centroid, `[4, N]`; rows sum to 1,
        or to 0 where no sample belongs to the group.
    """

    features: Array
    centroids: Centroids
    labels: dict[str, Array]
    multimodal: Array
    groups: Array


def label_groups(multimodal: Array, *, zero_is_positive: bool) -> Array:
    """Averaging weights `[4, N]` of the positive, negative, highest, lowest samples.

    Args:
      multimodal: `y_m` `[N]`.
      zero_is_positive: whether the positive centre takes in labels of exactly 0
        (released code) or not (paper).
    """
    chex.assert_rank(multimodal, 1)
    positive = multimodal >= 0 if zero_is_positive else multimodal > 0
    members = jnp.stack(
        [
            positive,
            multimodal < 0,
            multimodal == multimodal.max(),
            multimodal == multimodal.min(),
        ]
    ).astype(jnp.float32)
    return members / jnp.maximum(members.sum(1, keepdims=True), 1)


def start_memory(
    multimodal: Array, widths: Mapping[str, int], *, zero_is_positive: bool
) -> Memory:
    """The memory before training: features 0, every label `y_m`.

    Args:
      multimodal: `y_m` `[N]` of the training split.
      widths: `C` by task, the same for all; 'm' is among them, and labels are generated
        for the others.
      zero_is_positive: see `label_groups`.
    """
    multimodal = jnp.asarray(multimodal, jnp.float32)
    (width,) = set(widths.values())
    return Memory(
        features=jnp.zeros((len(multimodal), width)),
        centroids=Centroids(*jnp.zeros((4, width))),
        # Copies: a donated state must not hold one buffer twice.
        labels={s: jnp.array(multimodal) for s in widths if s != 'm'},
        multimodal=multimodal,
        groups=label_groups(multimodal, zero_is_positive=zero_is_positive),
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
    """New labels for a batch, then its features in the memory (see `regenerate`)."""
    memory = regenerate(memory, features, index, epoch, present=present, bound=bound)
    return remember(memory, features['m'], index)


def remember(memory: Memory, features: Array, index: Array) -> Memory:
    """Stores a batch's multimodal features and recomputes the centroids.

    Args:
      memory: as it was.
      features: `F*_m` `[B, C]`.
      index: int `[B]`, positions in the training split; positions outside of it
        (rows that only fill the batch) are ignored.
    """
    chex.assert_rank([features, index], [2, 1])
    stored = memory.features.at[index].set(
        features.astype(memory.features.dtype), mode='drop'
    )
    centroids = Centroids(*(memory.groups @ stored))
    return memory.replace(features=stored, centroids=centroids)


def largest_distance(centroids: Centroids) -> Array:
    """`D_max`, from the mean of the highest labels to that of the lowest."""
    return distance(centroids.highest, centroids.lowest)


def distance(a: Array, b: Array) -> Array:
    """Euclidean distance over the last axis."""
    return jnp.sqrt(jnp.square(a - b).sum(-1))


def direction(
    multimodal: Array, unimodal: Array, positive: Array, negative: Array
) -> Array:
    """+1 where `D_s^p / D_s^n < D_m^p / D_m^n`, −1 where greater, 0 where equal.

    Compared as products, so that a feature that lies on the negative centre
    divides nothing by zero.

    Args:
      multimodal, unimodal: `F*_m` and `F*_s`, `[B, C]`.
      positive, negative: centres `[C]`.

    Returns:
      `[B]`.
    """
    chex.assert_equal_shape([multimodal, unimodal])
    towards_negative = distance(unimodal, positive) * distance(multimodal, negative)
    towards_positive = distance(multimodal, positive) * distance(unimodal, negative)
    return jnp.sign(towards_positive - towards_negative)


def generated_labels(
    multimodal_label: Array,
    multimodal: Array,
    unimodal: Array,
    centroids: Centroids,
    *,
    label_span: Array,
    both_signs: Array,
) -> Array:
    """`y_s = y_m ± span * min(‖F*_m − F*_s‖, D_max) / D_max`.

    Where the rule says nothing — `D_max` is 0, or no sample is positive, or none
    is negative, or distances have left float32 — the label is `y_m`.

    Args:
      multimodal_label: `y_m` `[B]`.
      multimodal, unimodal: `F*_m` and `F*_s`, `[B, C]`.
      centroids: current.
      label_span: distance in label space that `D_max` stands for: 6 where
        labels of ±3 are present.
      both_signs: bool, whether there are positive and negative samples.

    Returns:
      `[B]`.
    """
    limit = largest_distance(centroids)
    apart = jnp.minimum(distance(multimodal, unimodal), limit)
    offset = label_span * apart / jnp.where(limit > 0, limit, 1)
    sign = direction(multimodal, unimodal, centroids.positive, centroids.negative)
    new = multimodal_label + jnp.where(both_signs, sign, 0) * offset
    return jnp.where(jnp.isfinite(new), new, multimodal_label)


def momentum_average(previous: Array, new: Array, epoch: Array) -> Array:
    """`y^e = (e − 1)/(e + 1) y^(e−1) + 2/(e + 1) y^e`."""
    return (epoch - 1) / (epoch + 1) * previous + 2 / (epoch + 1) * new


def regenerate(
    memory: Memory,
    features: dict[str, Array],
    index: Array,
    epoch: Array,
    *,
    present: dict[str, Array],
    bound: float | None,
) -> Memory:
    """New labels for a batch from its features and the *current* centroids.

    In the first epoch nothing changes: labels stay `y_m`.

    Args:
      memory: as it was.
      features: `F*` by task, `[B, C]`.
      index: int `[B]`, positions in the training split; others are ignored.
      epoch: counted from 1.
      present: bool `[B]` by modality; the label of an absent one stays `y_m`.
      bound: new labels are clamped to ±bound before the average (released
        code), or not at all (paper): None.
    """
    y_m = memory.multimodal.at[index].get(mode='clip')
    span = memory.multimodal.max() - memory.multimodal.min()
    both_signs = memory.groups[:2].any(axis=1).all()
    labels = {}
    for s, old in memory.labels.items():
        new = generated_labels(
            y_m,
            features['m'],
            features[s],
            memory.centroids,
            label_span=span,
            both_signs=both_signs,
        )
        if bound is not None:
            new = jnp.clip(new, -bound, bound)
        previous = old.at[index].get(mode='clip')
        averaged = momentum_average(previous, new, epoch)
        averaged = jnp.where(present[s] & (epoch > 1), averaged, previous)
        labels[s] = old.at[index].set(averaged, mode='drop')
    return memory.replace(labels=labels)
