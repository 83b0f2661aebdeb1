"""Shapes and names shared by every floor of the house.

Dimension letters: `B` batch, `N` samples of a split, `L_s` length of modality s,
`D_s` its feature width, `C` width of the common semantic space.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import flax.struct
import jax
import numpy as np

# The order of the fusion input [t; a; v] (paper, section 3.2.1).
MODALITIES = ('t', 'a', 'v')
# What a model predicts: the multimodal sentiment, then each modality's own.
TASKS = ('m', *MODALITIES)

Array = Any  # of numpy or jax; in a `Split` or its `Samples` also `Stored`
PyTree = Any


@dataclasses.dataclass(frozen=True)
class Split:
    """One split of a data set, on the host.

    Audio, vision and text may stay on disk (`data.stored.Stored`): then they are read
    as `x[rows]` or `x[rows, :steps]`, for rows in an array, and in no other way.

    Attributes:
      ids: `N` utterance names, `video$_$clip`.
      raw_text: `N` transcripts.
      tokens: int32 `[N, 3, L_t]`: token ids, mask, segment ids.
      audio: float32 `[N, L_a, D_a]`, zero after its length.
      audio_length: int32 `[N]`; 0 where the utterance has no audio at all.
      vision: float32 `[N, L_v, D_v]`, zero after its length.
      vision_length: int32 `[N]`; 0 where the utterance has no vision at all.
      label: float32 `[N]`, the annotated multimodal sentiment `y_m`.
      unimodal: annotated (CH-SIMS) or planted (simulator) unimodal sentiment,
        float32 `[N]` each, by modality; empty when the data has none.
      text: float32 `[N, L_t, D_t]`, fixed text features; None where the text encoder is
        trained.
    """

    ids: list[str]
    raw_text: list[str]
    tokens: np.ndarray
    audio: Array
    audio_length: np.ndarray
    vision: Array
    vision_length: np.ndarray
    label: np.ndarray
    unimodal: dict[str, np.ndarray]
    text: Array | None = None

    def __len__(self) -> int:
        return len(self.label)


@dataclasses.dataclass(frozen=True)
class Dataset:
    """Three splits and what is known of the file they came from.

    Attributes:
      path: where it was read from, for messages and results.
      sha256: fingerprint of the file (or of the simulated arrays).
      label_range: labels lie in `[-label_range, label_range]`.
      notes: one sentence for every repair or oddity met while reading.
      on_disk: audio and vision stay on disk, and so should all that is as large.
      features: what the file says of audio and vision (`data.description`).
    """

    train: Split
    valid: Split
    test: Split
    path: str
    sha256: str
    label_range: float
    notes: tuple[str, ...] = ()
    on_disk: bool = False
    features: dict[str, dict[str, Any]] = dataclasses.field(default_factory=dict)

    @property
    def splits(self) -> dict[str, Split]:
        return {'train': self.train, 'valid': self.valid, 'test': self.test}

    def map(self, change: Callable[[Split], Split]) -> Dataset:
        """The data set with every split changed."""
        changed = {name: change(split) for name, split in self.splits.items()}
        return dataclasses.replace(self, **changed)


class Samples(flax.struct.PyTreeNode):
    """What a model and its objective are given of a split.

    Attributes:
      tokens: int32 `[N, 3, L_t]`: ids, mask, segment ids.
      audio, vision: float32 `[N, L_s, D_s]`.
      audio_length, vision_length: int32 `[N]`.
      label: float32 `[N]`.
      text: float32 `[N, L_t, D_t]`, fixed text features, or None.
    """

    tokens: Array
    audio: Array
    audio_length: Array
    vision: Array
    vision_length: Array
    label: Array
    text: Array | None = None


class Plan(flax.struct.PyTreeNode):
    """Which samples each of `M` batches holds.

    Attributes:
      index: int32 `[M, B]`, positions in the split; the split's size for rows that
        only fill a batch.
      packing: see `Batch.packing`, `M` of them on a first axis.
      share: of the steps of audio and vision that holds every sample; the others are
        padding and may be cut.
    """

    index: Array
    packing: PyTree | None = None
    share: float = flax.struct.field(pytree_node=False, default=1.0)

    def __getitem__(self, batch: int | Array) -> Plan:
        """One of the batches: index `[B]`."""
        return jax.tree.map(lambda x: x[batch], self)


class Batch(Samples, kw_only=True):
    """What one step sees: `B` samples and what is known of them.

    Attributes:
      index: int32 `[B]`, position in the split; the split's size for padding.
      weight: float32 `[B]`, 1 for samples, 0 for rows that only fill the batch.
      packing: how the utterances' tokens are packed into rows for BERT, or None:
        one utterance a row (`layers.packing.Packing`).
    """

    index: Array
    weight: Array
    packing: PyTree | None = None


class Outputs(flax.struct.PyTreeNode):
    """What a model returns.

    Attributes:
      prediction: by task, `[B]`; 'm' is among the tasks.
      feature: by task, what labels are generated from (`F*`), `[B, C]`.
      present: by modality, bool `[B]`: false where a sample lacks the modality.
      losses: by name, `[B]`; what the model itself wants minimised beside the
        objective's terms, such as an alignment's error.
    """

    prediction: dict[str, Array]
    feature: dict[str, Array] = flax.struct.field(default_factory=dict)
    present: dict[str, Array] = flax.struct.field(default_factory=dict)
    losses: dict[str, Array] = flax.struct.field(default_factory=dict)
