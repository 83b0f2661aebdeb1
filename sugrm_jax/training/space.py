"""Where a search looks: a range or some choices for a field of the config."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from sugrm_jax.config import positive, typed
from sugrm_jax.errors import UserError

if TYPE_CHECKING:
    from optuna import Trial


@dataclasses.dataclass(frozen=True)
class Range:
    """Numbers from `low` to `high`, both included.

    Attributes:
      low, high: the ends.
      log: whether small numbers are looked at as closely as large ones.
      step: between two numbers, or None: any number.
    """

    low: float
    high: float
    log: bool = False
    step: float | None = None

    def __post_init__(self):
        _check_range(self)

    def suggest(self, trial: Trial, field: str) -> float:
        """The trial's value for the field."""
        given = trial.suggest_float(
            field, self.low, self.high, log=self.log, step=self.step
        )
        return short(given)

    def examples(self) -> tuple:
        return self.low, self.high


@dataclasses.dataclass(frozen=True)
class WholeRange:
    """Whole numbers from `low` to `high`; see `Range`."""

    low: int
    high: int
    log: bool = False
    step: int | None = None

    def __post_init__(self):
        _check_range(self)

    def suggest(self, trial: Trial, field: str) -> int:
        """The trial's value for the field."""
        return trial.suggest_int(
            field, self.low, self.high, log=self.log, step=self.step or 1
        )

    def examples(self) -> tuple:
        return self.low, self.high


@dataclasses.dataclass(frozen=True)
class Choices:
    """One of several values."""

    choices: tuple[Any, ...]

    def __post_init__(self):
        if not self.choices:
            raise ValueError('choices must not be empty')

    def suggest(self, trial: Trial, field: str) -> Any:
        """The trial's value for the field."""
        return trial.suggest_categorical(field, self.choices)

    def examples(self) -> tuple:
        return self.choices


def short(value: Any) -> Any:
    """0.3 for what three steps of 0.1 add up to; any other value as it is."""
    if not isinstance(value, float):
        return value
    rounded = float(f'{value:.12g}')
    return rounded if math.isclose(rounded, value, rel_tol=1e-15) else value


Axis = Range | WholeRange | Choices


def _check_range(given: Range | WholeRange) -> None:
    if not given.low < given.high:
        raise ValueError(f'low must be below high, not {given.low} and {given.high}')
    if given.log:
        positive(given.low, 'low of a logarithmic range')
    if given.step is not None:
        positive(given.step, 'step')
        if given.log:
            raise ValueError('a logarithmic range has no step')


def make_axis(given: Any, now: Any, where: str) -> Axis:
    """A range or choices, from plain values, for a field of one type.

    Args:
      given: `dict(low=0.0, high=0.5)`, with `log` or `step` or not, or
        `dict(choices=('l1', 'l2'))`.
      now: the field's value in the config; None may be any number.
      where: the file and the field, for messages.

    Raises:
      UserError: it is malformed, or not of the field's type.
    """
    if isinstance(now, Mapping | list | tuple):
        raise UserError(f'{where} holds several values: search single ones.')
    if isinstance(given, Mapping) and 'choices' in given:
        axis = typed(Choices, given, where)
        fitting = {float: (int, float), type(None): (int, float)}.get(
            type(now), (type(now),)
        )
        for value in axis.choices:
            if type(value) not in fitting:
                names = ' or '.join(x.__name__ for x in fitting)
                raise UserError(f'{where}: choices are of type {names}, not {value!r}.')
        return axis
    if isinstance(now, bool | str):
        raise UserError(f'{where} is no number: give it choices, dict(choices=(…)).')
    return typed(WholeRange if isinstance(now, int) else Range, given, where)
