"""What all benchmarks are told."""

from __future__ import annotations

import dataclasses

from benchmarks.reference import Checkout


@dataclasses.dataclass(frozen=True)
class Options:
    """Settings of one call of the command.

    Attributes:
      pairs: rounds of measurements.
      data: a pickle in MMSA format that gives real text lengths, or None.
      released: the released code, or None: then ours is timed alone.
    """

    pairs: int
    data: str | None
    released: Checkout | None
