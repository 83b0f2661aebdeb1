"""How a command ends: with a status, and with one sentence where it ends early."""

from __future__ import annotations

import contextlib
import signal
import sys
from collections.abc import Callable
from typing import Any

from sugrm_jax.errors import UserError
from sugrm_jax.interrupt import Interrupted, StopRequest
from sugrm_jax.terminal import printable


def ending(
    command: Callable[..., int | None],
    *arguments: Any,
    stop: StopRequest | None = None,
) -> int:
    """Runs a command and gives the status that its process is to end with.

    Args:
      command: may return a status itself; None is 0.
      arguments: of the command.
      stop: where a signal is to leave nothing half done.

    Returns:
      The command's status; 2 for what the user can mend, 128 + signal when a signal
      ended it, and then standard error says so.
    """
    try:
        with stop or contextlib.nullcontext():
            return command(*arguments) or 0
    except UserError as error:
        return _say(error, 2)
    except Interrupted as stopped:
        return _say(stopped, 128 + stopped.signum)
    except KeyboardInterrupt:
        return _say('Stopped.', 128 + signal.SIGINT)


def _say(message: object, status: int) -> int:
    # A message may quote a file, and what it holds is no business of the terminal.
    print(printable(str(message)), file=sys.stderr)
    return status
