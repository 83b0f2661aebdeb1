"""Programs that end with a context, each with all that it has started itself."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import threading
from collections.abc import Mapping

from sugrm_jax.errors import UserError
from sugrm_jax.interrupt import holding


class Children:
    """Context of programs; whichever of them still run at its end are killed."""

    def __init__(self):
        self._lock = threading.Lock()
        self._running: set[subprocess.Popen] = set()
        self._ended = False

    def __enter__(self) -> Children:
        return self

    def __exit__(self, *_) -> None:
        with self._lock:
            self._ended = True
            running = list(self._running)
        for process in running:
            _kill(process)

    def run(
        self,
        command: list[str],
        words: bytes,
        env: Mapping[str, str],
        limit: float | None = None,
    ) -> tuple[int, str]:
        """Runs a program: its status, and what it wrote to standard error.

        What it starts ends with it, also where this is left by an exception. Signals
        (`interrupt`) come while it runs, not between its start and that.

        Args:
          command: program and arguments.
          words: its standard input.
          env: its variables.
          limit: seconds that it may take.

        Raises:
          OSError: it cannot be started.
          UserError: the context has ended.
          subprocess.TimeoutExpired: it took longer than `limit`.
        """
        with holding(), self._start(command, env) as process:
            try:
                with holding(False):
                    _, said = process.communicate(words, limit)
            finally:
                _kill(process)
                with self._lock:
                    self._running.remove(process)
        return process.returncode, said.decode('utf-8', 'replace')

    def _start(self, command: list[str], env: Mapping[str, str]) -> subprocess.Popen:
        with self._lock:
            if self._ended:
                raise UserError('Stopped; no further program is started.')
            process = subprocess.Popen(
                command,
                env=env,
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                start_new_session=True,  # a group of its own, which is killed as one
            )
            self._running.add(process)
        return process


def _kill(process: subprocess.Popen) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
