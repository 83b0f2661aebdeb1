"""The user's cache folder: downloaded weights and compiled programs."""

from __future__ import annotations

import os
from pathlib import Path


def cache_folder() -> Path:
    """`$SUGRM_CACHE`, or `sugrm_jax` below `$XDG_CACHE_HOME` or `~/.cache`."""
    if 'SUGRM_CACHE' in os.environ:
        return Path(os.environ['SUGRM_CACHE']).expanduser()
    return Path(os.environ.get('XDG_CACHE_HOME', '~/.cache')).expanduser() / 'sugrm_jax'
