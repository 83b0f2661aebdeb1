"""SIGTERM and Ctrl-C ask for a stop at the next step, not in the middle of one."""

from __future__ import annotations

import signal
from types import FrameType


class Interrupted(Exception):
    """The run stopped on a signal, with everything saved.

    Attributes:
      signum: the signal.
    """

    def __init__(self, signum: int, message: str):
        super().__init__(message)
        self.signum = signum


class StopRequest:
    """Context in which the first signal is noted and the second acts as usual.

    Attributes:
      signum: of the signal received, or None.
    """

    SIGNALS = (signal.SIGTERM, signal.SIGINT)

    def __init__(self):
        self.signum: int | None = None
        self._usual = {}

    def __enter__(self) -> StopRequest:
        for signum in self.SIGNALS:
            self._usual[signum] = signal.signal(signum, self._note)
        return self

    def __exit__(self, *_) -> None:
        self._restore()

    def _note(self, signum: int, _: FrameType | None) -> None:
        self.signum = signum
        self._restore()

    def _restore(self) -> None:
        for signum, handler in self._usual.items():
            signal.signal(signum, handler)
        self._usual = {}
