"""SIGTERM and Ctrl-C ask for a stop at the next step, not in the middle of one."""

from __future__ import annotations

import os
import signal
import threading
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
    """Context in which the first signal is noted and the second ends the process.

    Outside the main thread, where signals do not arrive, it does nothing.

    Attributes:
      signum: of the signal received, or None.
    """

    SIGNALS = (signal.SIGTERM, signal.SIGINT)

    def __init__(self):
        self.signum: int | None = None
        self._usual = {}

    def __enter__(self) -> StopRequest:
        if threading.current_thread() is threading.main_thread():
            for signum in self.SIGNALS:
                self._usual[signum] = signal.signal(signum, self._note)
        return self

    def __exit__(self, *_) -> None:
        for signum, handler in self._usual.items():
            signal.signal(signum, handler)

    def _note(self, signum: int, _: FrameType | None) -> None:
        self.signum = signum
        # Not print: the signal may have come in the middle of one.
        os.write(2, b'\nStopping after this step; once more stops at once.\n')
        # At once: without Python's clean-up, which a compilation would hold up.
        for again in self.SIGNALS:
            signal.signal(again, signal.SIG_DFL)
