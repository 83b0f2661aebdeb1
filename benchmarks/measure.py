"""Timing in rounds, so that what is compared ran under the same conditions."""

from __future__ import annotations

import dataclasses
import statistics
import sys
import time
from collections.abc import Callable, Sequence

import jax


@dataclasses.dataclass(frozen=True)
class Spread:
    """Repeated measurements of one thing.

    Attributes:
      values: in the order in which they were measured.
      unit: 's' for seconds, '' for ratios.
    """

    values: tuple[float, ...]
    unit: str = 's'

    @property
    def median(self) -> float:
        return statistics.median(self.values)

    def __str__(self) -> str:
        """Median and, in brackets, the extremes."""
        low, high = (f'{x:.3g}' for x in (min(self.values), max(self.values)))
        median = f'{self.median:.3g} {self.unit}'.strip()
        return f'{median} ({low}–{high})' if len(self.values) > 1 else median


def seconds(call: Callable, *args) -> float:
    """How long a call takes, until the devices have finished what it returns."""
    start = time.perf_counter()
    jax.block_until_ready(call(*args))
    return time.perf_counter() - start


def rounds(
    timers: dict[str, Callable[[], float]], count: int, warmup: int = 1
) -> dict[str, Spread]:
    """Measures everything once a round, in order.

    Args:
      timers: by name; each measures its thing once and returns seconds.
      count: rounds.
      warmup: rounds before them, which do not count.
    """
    values = {name: [] for name in timers}
    for _ in range(warmup + count):
        for name, timer in timers.items():
            values[name].append(timer())
    return {name: Spread(tuple(v[warmup:])) for name, v in values.items()}


def ratio(ours: Spread, base: Spread) -> Spread:
    """Ours as a multiple of the base, round by round."""
    pairs = zip(ours.values, base.values, strict=True)
    return Spread(tuple(a / b for a, b in pairs), unit='')


def against(base: str, times: dict[str, Spread]) -> dict[str, Spread]:
    """Cells of a table: every time and, but for the base, its multiple of the base's.

    Args:
      base: name of what the others are compared with.
      times: of one `rounds`; without the base there are no multiples.
    """
    cells = dict(times)
    if base in times:
        for name in times.keys() - {base}:
            cells[f'{name} / {base}'] = ratio(times[name], times[base])
    # Sets have no order; the table's columns do.
    return {name: cells[name] for name in sorted(cells, key=_place(times))}


def _place(times: Sequence[str]) -> Callable[[str], tuple[bool, int]]:
    order = list(times)
    return lambda name: (' / ' in name, order.index(name.split(' / ')[0]))


def say(text: str) -> None:
    """A line of progress."""
    print(text, file=sys.stderr, flush=True)


def temporary_bytes(function: Callable, *args) -> int:
    """Temporary memory of a jitted function, as the compiler plans it."""
    analysis = function.lower(*args).compile().memory_analysis()
    return analysis.temp_size_in_bytes
