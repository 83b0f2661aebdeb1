"""What the parts of the extraction hand to each other."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

import numpy as np

# Longest utterance, seconds: models attend over all steps of it, and all utterances of
# a file are padded to the longest.
LONGEST = 60.0


@dataclasses.dataclass(frozen=True)
class Piece:
    """A media file, or a stretch of it.

    Attributes:
      path: the file.
      start, end: seconds since the file's beginning; None for the whole file.
    """

    path: str
    start: float | None = None
    end: float | None = None


@dataclasses.dataclass(frozen=True)
class Utterance:
    """What somebody says in one stretch of a video.

    Attributes:
      id: `VIDEO$_$CLIP`, as MMSA writes it.
      text: transcript; may be empty.
      split: train, valid, test or predict.
      piece: where it is seen and heard.
      labels: field of the data set → sentiment; empty where none is known.
    """

    id: str
    text: str
    split: str
    piece: Piece
    labels: Mapping[str, float] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True, eq=False)
class Features:
    """What was found in a piece.

    Attributes:
      audio: float32 `[L_a, D_a]`; `L_a` is 0 without sound.
      vision: float32 `[L_v, D_v]`; `L_v` is 0 without a face.
      problems: sentences for the user, empty when all went well.
      readable: whether the file could be opened.
    """

    audio: np.ndarray
    vision: np.ndarray
    problems: tuple[str, ...] = ()
    readable: bool = True
