"""Finds the system that a config names: a file of this folder, or your own module."""

from __future__ import annotations

import importlib
import importlib.util
import pkgutil
from collections.abc import Mapping

from sugrm_jax.errors import UserError
from sugrm_jax.layers.text import TextEncoder
from sugrm_jax.models.system import System


def names() -> list[str]:
    """The systems that come with the package."""
    found = (module.name for module in pkgutil.iter_modules(__path__))
    return sorted(set(found) - {'system'})


def build(model: Mapping, objective: Mapping, text: TextEncoder) -> System:
    """Builds the system that `model['name']` names.

    The name is that of a file in this folder, such as 'sugrm', or, with dots, of any
    module that can be imported, such as 'my_package.my_model'. The module has a
    function `build(model, objective, text) → System`.

    Args:
      model: `config.model`.
      objective: `config.objective`.
      text: the text encoder.

    Raises:
      UserError: no such system, or settings that do not fit it.
    """
    name = str(model.get('name'))
    path = name if '.' in name else f'{__name__}.{name}'
    if ('.' not in name and name not in names()) or not _importable(path):
        raise UserError(
            f'config.model.name must be one of {", ".join(names())}, or the dotted '
            f'name of a module of yours, not {name!r}.'
        )
    return importlib.import_module(path).build(model, objective, text)


def _importable(path: str) -> bool:
    if not all(part.isidentifier() for part in path.split('.')):
        return False
    try:
        return importlib.util.find_spec(path) is not None
    except ModuleNotFoundError:  # of a package on the way
        return False
