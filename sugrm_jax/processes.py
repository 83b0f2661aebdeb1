"""Several processes, one run: joining, agreeing, and noticing when one is gone.

The engine is JAX's distributed runtime. Every process runs the same program on its own
devices and its own rows of each batch; what is compared here travels through it.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import sys
import threading
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

import jax
import numpy as np
from jax.experimental import multihost_utils
from orbax.checkpoint import multihost

from sugrm_jax.errors import UserError

T = TypeVar('T')
AUTO = 'auto'
# Seconds without a sign of life after which a process counts as dead.
HEARTBEAT = 40
# Seconds that a process which fails alone waits for the others before it leaves.
PATIENCE = 10
# Seconds within which all processes compile the same program.
LONGEST_WAIT = 3600
# Exit status when another process is gone.
LOST = 3


def leads() -> bool:
    """Whether this process is the one that prints and writes; alone it always is."""
    return jax.process_index() == 0


@contextlib.contextmanager
def joined(place: str | None) -> Iterator[None]:
    """Context in which this process is one of several that train one model.

    When another one dies, this one ends within a minute, with status 3 and a message,
    or with JAX's own message and SIGABRT. When this one fails, the others soon do.

    Args:
      place: 'I/N@HOST:PORT', this is process I of N, counted from 1, and process 1
        listens at HOST:PORT; 'auto', which asks Slurm, Open MPI or Kubernetes; None
        for a process alone.

    Raises:
      UserError: `place` is no such thing, or the processes do not find each other.
    """
    if place is None:
        yield
        return
    _join(place)
    try:
        yield
    except jax.errors.JaxRuntimeError as error:
        if 'RESOURCE_EXHAUSTED' in str(error):  # of this process's own device
            _leave(1)
            raise
        sys.stdout.flush()
        print(_lost(error), file=sys.stderr, flush=True)
        # At once: an orderly end would wait for the one that is gone.
        os._exit(LOST)
    except UserError as error:
        print(f'{_name()}: {error}', file=sys.stderr, flush=True)
        _leave(2)
        sys.exit(2)
    except BaseException:
        _leave(1)
        raise
    jax.distributed.shutdown()


def _join(place: str) -> None:
    # Signals are the training loop's to handle.
    jax.config.update('jax_enable_preemption_service', False)
    try:
        jax.distributed.initialize(
            **_coordinates(place), heartbeat_timeout_seconds=HEARTBEAT
        )
    except (RuntimeError, ValueError) as error:
        raise UserError(
            f'--processes={place}: the processes of this run do not find each other '
            f'({str(error).splitlines()[0]}). All must be started with the same number '
            'of processes and the same HOST:PORT, which process 1 can listen at and '
            'the others reach.'
        ) from error


def _coordinates(place: str) -> dict[str, Any]:
    if place == AUTO:
        return {}
    found = re.fullmatch(r'(\d+)/(\d+)@(.+:\d+)', place)
    if not found or not 1 <= int(found[1]) <= int(found[2]):
        raise UserError(
            f'--processes={place} must be {AUTO!r} or I/N@HOST:PORT, I from 1 to N, '
            'such as 2/2@10.0.0.1:9876.'
        )
    return {
        'coordinator_address': found[3],
        'num_processes': int(found[2]),
        'process_id': int(found[1]) - 1,
        # Else Slurm's variables, where there are any, would count as well.
        'cluster_detection_method': 'deactivate',
    }


def _leave(status: int) -> None:
    """Ends together with the others; without them if they do not come."""
    alone = threading.Timer(PATIENCE, os._exit, [status])
    alone.daemon = True
    alone.start()
    jax.distributed.shutdown()
    alone.cancel()


def _name() -> str:
    return f'process {jax.process_index() + 1} of {jax.process_count()}'


def _lost(error: jax.errors.JaxRuntimeError) -> str:
    return (
        f'{_name()}: the connection to another process of this run is lost; that '
        'process has most likely died, and its own output says why. What was saved '
        'before is whole: start all processes again, and the run goes on from its '
        f'last checkpoint. ({str(error).splitlines()[0]})'
    )


def wait_for_all(what: str) -> None:
    """Returns once every process has come here, however long that takes.

    Communication gives up after 30 s on a CPU; compilers may be further apart.

    Args:
      what: names the place.
    """
    multihost.get_barrier_sync_fn()(key=what, timeout_ms=1000 * LONGEST_WAIT)


def agree(make: Callable[[], T]) -> T:
    """What `make` gives, once every process has it.

    Raises:
      UserError: `make` raised one here or in another process; then all processes do.
    """
    made = failed = None
    try:
        made = make()
    except UserError as error:
        failed = error
    for process, message in enumerate(everyone(str(failed) if failed else '')):
        if message and not failed:
            failed = UserError(f'process {process + 1} fails: {message}')
    if failed:
        raise failed
    return made


def everyone(value: Any) -> list[Any]:
    """What each process gives, in their order.

    Args:
      value: plain, as JSON has it.
    """
    if jax.process_count() == 1:
        return [value]
    content = np.frombuffer(json.dumps(value).encode(), np.uint8)
    sizes = multihost_utils.process_allgather(np.int32(len(content)))
    padded = np.pad(content, (0, max(sizes) - len(content)))
    rows = multihost_utils.process_allgather(padded)
    return [json.loads(bytes(x[:n])) for x, n in zip(rows, sizes, strict=True)]
