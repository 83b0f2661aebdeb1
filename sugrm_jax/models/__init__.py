"""The registry: name of a system → what builds it."""

from __future__ import annotations

from collections.abc import Mapping

from sugrm_jax.config import unknown_name
from sugrm_jax.layers.text import TextEncoder
from sugrm_jax.models import sugrm
from sugrm_jax.models.system import System

BUILDERS = {'sugrm': sugrm.build}


def build(model: Mapping, objective: Mapping, text: TextEncoder) -> System:
    """Builds the system that `model['name']` names.

    Args:
      model: `config.model`.
      objective: `config.objective`.
      text: the text encoder.

    Raises:
      UserError: no such system, or settings that do not fit it.
    """
    name = model['name']
    if name not in BUILDERS:
        raise unknown_name('config.model.name', name, BUILDERS)
    return BUILDERS[name](model, objective, text)
