"""The libraries of the extra `video`, imported when they are needed and not before."""

from __future__ import annotations

import importlib
from importlib import metadata
from types import ModuleType

from sugrm_jax.errors import UserError

INSTALL = 'pip install -r requirements-video.txt'


def library(name: str) -> ModuleType:
    """The module `name`. Raises a `UserError` with the pip line where it is missing."""
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise _missing(name, error) from error


def version(name: str) -> str:
    """A library's version, without importing it. Raises a `UserError` as `library`."""
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError as error:
        raise _missing(name, error) from error


def _missing(name: str, error: ImportError) -> UserError:
    return UserError(
        f'Extraction needs the package {name}, which cannot be imported ({error}): in '
        f'an environment of its own, {INSTALL}, and name its python to predict and to '
        'the app with --video_python or the variable SUGRM_VIDEO_PYTHON (see '
        'docs/own_clips.md).'
    )
