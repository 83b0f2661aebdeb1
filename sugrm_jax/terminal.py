"""The terminal, or the file that a command's output is sent to."""

from __future__ import annotations

from typing import Any

from rich.console import Console
from rich.text import Text

from sugrm_jax.errors import UserError


def printable(text: str) -> str:
    """Text of which a terminal takes nothing for a command; lines stay lines."""
    return ''.join(x if x.isprintable() or x == '\n' else ' ' for x in text)


def cell(text: str) -> Text:
    """Text for a table, in one line, and no markup."""
    return Text(printable(text).replace('\n', ' '))


class Terminal(Console):
    """Where a command says what happens; a file in its place may be on a full disk."""

    def print(self, *objects: Any, **options: Any) -> None:
        """As `Console.print`, texts being `printable`.

        Raises UserError: the disk takes no more.
        """
        shown = [printable(x) if isinstance(x, str) else x for x in objects]
        try:
            super().print(*shown, **options)
        except OSError as error:
            raise UserError(
                f'The output of this command cannot be written: {error.strerror}. What '
                'was saved before is intact: send the output to a disk with room, then '
                'run the same command again.'
            ) from error
