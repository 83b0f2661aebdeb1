"""The terminal, or the file that a command's output is sent to."""

from __future__ import annotations

from typing import Any

from rich.console import Console

from sugrm_jax.errors import UserError


class Terminal(Console):
    """Where a command says what happens; a file in its place may be on a full disk."""

    def print(self, *objects: Any, **options: Any) -> None:
        """As `Console.print`. Raises UserError: the disk takes no more."""
        try:
            super().print(*objects, **options)
        except OSError as error:
            raise UserError(
                f'The output of this command cannot be written: {error.strerror}. What '
                'was saved before is intact: send the output to a disk with room, then '
                'run the same command again.'
            ) from error
