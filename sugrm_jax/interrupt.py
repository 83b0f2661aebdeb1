"""Signals that end a command: at once where nothing is under way, else a bit later.

They are SIGTERM, SIGINT (Ctrl-C), and SIGHUP, which a terminal that is closed sends.
"""

from __future__ import annotations

import contextlib
import os
import signal
import stat
import sys
import threading
from collections.abc import Iterator
from types import FrameType

SAID = b'\nStopping after the steps under way; once more stops at once.\n'

AGAIN = 0.01  # seconds until a signal that was ignored comes again


class Interrupted(BaseException):
    """A signal stopped it; what was saved is whole.

    Like `KeyboardInterrupt` it is no `Exception`: it may be raised inside a library
    that handles all of those.

    Attributes:
      signum: the signal.
    """

    def __init__(self, signum: int, message: str):
        super().__init__(message)
        self.signum = signum


class _Waiting(threading.local):
    """Whether signals wait in this thread (`holding`), and the one that does."""

    on = False
    came: Interrupted | None = None


_waiting = _Waiting()


@contextlib.contextmanager
def holding(on: bool = True) -> Iterator[None]:
    """Inside, what a `StopRequest` would raise waits for the end.

    For what must not be left half done, such as starting a process that is to be ended.
    Inside of that, `holding(False)` lets signals through.
    """
    before = _waiting.on
    try:
        _hold(on)
        yield
    finally:
        _hold(before)


def _hold(on: bool) -> None:
    _waiting.on = on
    came = _waiting.came
    if came is not None and not on:
        _waiting.came = None
        raise came


class StopRequest:
    """Context in which a signal raises `Interrupted`, and a second ends the process.

    Inside `deferred` the first signal is only noted, for the loop to look at; inside
    `holding` it waits. SIGHUP stays ignored where it was, as under nohup. Outside the
    main thread, where signals do not arrive, it does nothing.

    Args:
      said: what `Interrupted` says.

    Attributes:
      signum: of the signal received, or None.
    """

    SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)

    def __init__(self, said: str = 'Stopped.'):
        self.signum: int | None = None
        self._said = said
        self._deferred = False
        self._usual = {}
        self._usual_hook = sys.unraisablehook
        self._again: threading.Timer | None = None

    def __enter__(self) -> StopRequest:
        if threading.current_thread() is threading.main_thread():
            for signum in self.SIGNALS:
                usual = signal.getsignal(signum)
                if signum != signal.SIGHUP or usual is not signal.SIG_IGN:
                    self._usual[signum] = signal.signal(signum, self._note)
            self._usual_hook, sys.unraisablehook = sys.unraisablehook, self._ignored
        return self

    def __exit__(self, *_) -> None:
        if sys.unraisablehook == self._ignored:  # else another was put before it
            sys.unraisablehook = self._usual_hook
        if self._again is not None:
            self._again.cancel()
        for signum, handler in self._usual.items():
            signal.signal(signum, handler)

    @contextlib.contextmanager
    def deferred(self) -> Iterator[None]:
        """Inside, whoever asks `signum` decides when to stop."""
        self._deferred = True
        try:
            yield
        finally:
            self._deferred = False

    def _note(self, signum: int, _: FrameType | None) -> None:
        self.signum = signum
        # A second signal acts at once: without Python's clean-up, which a
        # compilation would hold up.
        for again in self._usual:
            # A terminal that closes sends SIGHUP twice: the kernel does, and the shell.
            twice = again == signum == signal.SIGHUP
            signal.signal(again, signal.SIG_IGN if twice else signal.SIG_DFL)
        if signum == signal.SIGHUP:
            _leave_terminal()
        stopped = Interrupted(signum, self._said)
        if self._deferred:
            with contextlib.suppress(OSError):  # whoever read it may be gone
                # Not print: the signal may have come in the middle of one.
                os.write(2, SAID)
        elif _waiting.on:
            _waiting.came = stopped
        else:
            raise stopped

    def _ignored(self, what: sys.UnraisableHookArgs) -> None:
        """Has the signal come once more where Python could not raise `Interrupted`.

        It raises nothing from finalizers, nor from what the garbage collector calls:
        JAX has it call something.
        """
        if isinstance(what.exc_value, Interrupted):
            signum = what.exc_value.signum
            signal.signal(signum, self._note)
            # Not at once, which would be in the same finalizer.
            main = threading.main_thread().ident  # which may be asleep
            self._again = threading.Timer(AGAIN, signal.pthread_kill, [main, signum])
            self._again.start()
        else:
            self._usual_hook(what)


def _leave_terminal() -> None:
    """Sends what goes to the terminal nowhere: writing to a closed one fails.

    So does writing to a pipe, whose reader (tee, less) ends with the terminal; only a
    file stays.
    """
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for output in (1, 2):
        with contextlib.suppress(OSError):  # closed before
            if not stat.S_ISREG(os.fstat(output).st_mode):
                os.dup2(nowhere, output)
    os.close(nowhere)
