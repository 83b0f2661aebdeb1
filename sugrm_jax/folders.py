"""Folders that are there whole, or not at all."""

from __future__ import annotations

import contextlib
import os
import pathlib
import tempfile
from collections.abc import Iterator

from sugrm_jax.errors import UserError


@contextlib.contextmanager
def emerging(out: pathlib.Path) -> Iterator[pathlib.Path]:
    """Context with an empty folder that becomes `out` at its end, or else vanishes.

    Raises:
      UserError: `out` is there already, or the disk refused.
    """
    if os.path.lexists(out):
        raise UserError(f'{out} exists: delete it, or name another folder.')
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=out.parent, prefix='.writing-') as new:
            # Within it, because it is private, and the result need not be.
            target = pathlib.Path(new) / 'data'
            target.mkdir()
            yield target
            target.rename(out)
    except OSError as error:
        raise UserError(
            f'The folder {out} cannot be written: {error.strerror}. Name one on a disk '
            'with room for it.'
        ) from error
