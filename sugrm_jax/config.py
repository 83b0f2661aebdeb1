"""From a `ConfigDict` to typed settings, with every field accounted for.

A config file is plain values; each part of the package states what it needs as a
frozen dataclass beside its code. `typed` joins the two and refuses what does not fit.
"""

from __future__ import annotations

import dataclasses
import difflib
import reprlib
import types
import typing
from collections.abc import Mapping
from typing import Any, TypeVar

from ml_collections import ConfigDict

from sugrm_jax.errors import UserError

T = TypeVar('T')

# A file may hold whole numbers that no float can.
_LARGEST = 2**1000

_SHORT = reprlib.Repr()
_SHORT.maxstring = _SHORT.maxother = 80


def typed(cls: type[T], settings: Mapping[str, Any], where: str = 'config') -> T:
    """Builds the dataclass `cls` from a mapping, nested ones included.

    Args:
      cls: a dataclass; its type hints are the schema. Fields without a default
        must be given.
      settings: nested dicts (see `plain`).
      where: dotted name of `settings` in the config, for messages.

    Raises:
      UserError: a field is unknown (with the nearest known name), missing, or of
        another type.
    """
    if not isinstance(settings, Mapping):
        raise UserError(f'{where} must be a group of fields, not {_shown(settings)}.')
    hints = typing.get_type_hints(cls)
    for name in settings:
        if name not in hints:
            raise unknown_field(f'{where}.{name}', [f'{where}.{h}' for h in hints])
    values = {}
    for field in dataclasses.fields(cls):
        path = f'{where}.{field.name}'
        if field.name in settings:
            values[field.name] = _value(hints[field.name], settings[field.name], path)
        elif field.default is field.default_factory:  # neither is there
            raise UserError(f'{path} is missing from the config.')
    try:
        return cls(**values)
    except ValueError as error:
        raise UserError(f'{where}: {error}.') from error


def _shown(value: Any) -> str:
    """For messages: what a file has in place of a setting may be of any size."""
    return _SHORT.repr(value)


def unknown_field(name: str, known: list[str]) -> UserError:
    """The error for a field that does not exist, naming the nearest that does."""
    name = name[:200]  # a stranger's file may have chosen it
    near = difflib.get_close_matches(name, known, n=1, cutoff=0)
    hint = f' Did you mean {near[0]}?' if near else ''
    return UserError(f'Unknown config field {name}.{hint}')


def at_least(value: float, least: float, name: str) -> None:
    """Makes sure of `value >= least`.

    Raises:
      ValueError: it is not; `typed` turns this into a `UserError`.
    """
    if not value >= least:
        raise ValueError(f'{name} must be at least {least}, not {value}')


def between(value: float, low: float, high: float, name: str) -> None:
    """Makes sure of `low <= value < high`.

    Raises:
      ValueError: it is not; `typed` turns this into a `UserError`.
    """
    if not low <= value < high:
        raise ValueError(f'{name} must be at least {low} and below {high}, not {value}')


def positive(value: float, name: str) -> None:
    """Makes sure of `value > 0`.

    Raises:
      ValueError: it is not; `typed` turns this into a `UserError`.
    """
    if not value > 0:
        raise ValueError(f'{name} must be above 0, not {value}')


def choice(value: str, allowed: typing.Iterable[str], name: str) -> str:
    """`value`, when it is one of the allowed names.

    Raises:
      ValueError: it is not; `typed` turns this into a `UserError`.
    """
    if value not in allowed:
        raise ValueError(f'{name} must be one of {sorted(allowed)}, not {value!r}')
    return value


def plain(config: Any) -> dict[str, Any]:
    """A `ConfigDict` (or dict) as a dict of plain values."""
    return ConfigDict(config).to_dict()


def flat(settings: Mapping[str, Any], prefix: str = '') -> dict[str, Any]:
    """Dotted name → value, for comparing two configs."""
    fields = {}
    for name, value in settings.items():
        if isinstance(value, Mapping):
            fields |= flat(value, f'{prefix}{name}.')
        else:
            fields[prefix + name] = list(value) if isinstance(value, tuple) else value
    return fields


def _value(hint: Any, value: Any, path: str) -> Any:
    """`value` as the type `hint` asks for."""
    origin, args = typing.get_origin(hint), typing.get_args(hint)
    if hint is Any:
        return value
    if dataclasses.is_dataclass(hint):
        return typed(hint, value, path)
    if origin is dict:
        if not isinstance(value, Mapping):
            raise UserError(f'{path} must be a group of fields, not {_shown(value)}.')
        return {k: _value(args[1], v, f'{path}.{k}') for k, v in value.items()}
    if origin is tuple:
        if not isinstance(value, tuple | list):
            raise UserError(f'{path} must be a tuple, not {_shown(value)}.')
        return tuple(_value(args[0], v, path) for v in value)
    if origin in (types.UnionType, typing.Union):
        if value is None and type(None) in args:
            return None
        (hint,) = [a for a in args if a is not type(None)]
        return _value(hint, value, path)
    if hint is float and type(value) is int and abs(value) < _LARGEST:
        return float(value)
    if type(value) is not hint:
        raise UserError(f'{path} must be of type {hint.__name__}, not {_shown(value)}.')
    return value
