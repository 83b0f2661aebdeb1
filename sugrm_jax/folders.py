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

    Until then it is `.writing-…` beside `out`. That stays behind where a signal ends
    the process at once, so commands enter a `StopRequest` around it.

    Raises:
      UserError: `out` is there already, or the disk refused. Errors of other files,
        which the body reads, are left as they are.
    """
    if os.path.lexists(out):
        raise UserError(f'{out} exists: delete it, or name another folder.')
    with contextlib.ExitStack() as stack:
        with _writing(out):
            out.parent.mkdir(parents=True, exist_ok=True)
            new = stack.enter_context(
                tempfile.TemporaryDirectory(
                    dir=out.parent, prefix='.writing-', ignore_cleanup_errors=True
                )
            )
            # Within it, because it is private, and the result need not be.
            target = pathlib.Path(new) / 'data'
            target.mkdir()
        with _writing(out, new):
            yield target
            target.rename(out)


@contextlib.contextmanager
def _writing(out: pathlib.Path, within: str = '') -> Iterator[None]:
    """Turns a refusal of the disk into a sentence for the user.

    Errors that name files, but none whose path begins with `within`, are let pass.
    """
    try:
        yield
    except OSError as error:
        # A full disk names none where it is a write that fails.
        named = [str(x) for x in (error.filename, error.filename2) if x is not None]
        if named and not any(name.startswith(within) for name in named):
            raise
        raise UserError(
            f'The folder {out} cannot be written: {error.strerror or error}. Name one '
            'on a disk with room for it.'
        ) from error
