"""The folder of a run: who may write in it, and which run it holds."""

from __future__ import annotations

import contextlib
import pathlib
import sys
from collections.abc import Iterator, Mapping
from typing import Any

import filelock

from sugrm_jax import processes
from sugrm_jax.config import flat
from sugrm_jax.errors import UserError
from sugrm_jax.results import files

# What is said of a signal between two trainings.
STOPPED = (
    'Stopped outside of training; what was saved before is whole. The same command '
    'goes on from there.'
)


class Claimed(UserError):
    """Another process is at work in the folder."""


@contextlib.contextmanager
def claimed(workdir: str | pathlib.Path, wait: float = 0) -> Iterator[pathlib.Path]:
    """Context in which no other process trains in the folder; made when missing.

    A process that dies lets go of it, however it dies. Of several processes of one run
    the first claims it for all.

    Args:
      workdir: the folder.
      wait: seconds to wait for another process.

    Raises:
      Claimed: another process is at work in it.
      UserError: the folder cannot be written.
    """
    workdir = pathlib.Path(workdir).expanduser()
    if not processes.leads():
        yield workdir
        return
    lock = filelock.FileLock(workdir / '.lock', timeout=wait)
    try:
        workdir.mkdir(parents=True, exist_ok=True)
        lock.acquire()
    except filelock.Timeout as error:
        raise Claimed(
            f'Another process is training in {workdir}. Wait for it, or name another '
            '--workdir.'
        ) from error
    except OSError as error:
        raise UserError(
            f'The folder {workdir} cannot be written: {error.strerror}. '
            'Name another with --workdir.'
        ) from error
    try:
        yield workdir
    finally:
        lock.release()


def identity(config: Mapping[str, Any], data_sha256: str) -> dict[str, Any]:
    """What makes a run this run: its config and the fingerprint of its data."""
    config = flat(config)
    # A file may be moved; what it holds is told by its fingerprint.
    config.pop('data.path')
    config.pop('parallel.shard_state')
    # Off, it changes nothing, and runs of before there was one have no such field.
    if not config.get('train.modality_dropout'):
        config.pop('train.modality_dropout', None)
    return files.json_ready({'config': config, 'data_sha256': data_sha256})


def differences(
    before: dict[str, Any],
    now: dict[str, Any],
    where: tuple[str, str] = ('there', 'here'),
) -> list[str]:
    """A line for every setting in which two identities differ.

    Args:
      before, now: the identities.
      where: what to call the places of the two.
    """
    before, now = (
        x['config'] | {'data file (SHA-256)': x['data_sha256']} for x in (before, now)
    )
    absent = '(absent)'
    return [
        f'{name}: {before.get(name, absent)!r} {where[0]}, '
        f'{now.get(name, absent)!r} {where[1]}'
        for name in sorted(before.keys() | now.keys())
        if before.get(name, absent) != now.get(name, absent)
    ]


def check_alike(identity: dict[str, Any]) -> None:
    """Raises a `UserError` unless all processes are at this run, with these packages.

    Args:
      identity: of the run.
    """
    mine = identity | {'config': identity['config'] | files.versions()}
    first, *others = processes.everyone(mine)
    found = [
        line
        for process, theirs in enumerate(others, 2)
        for line in differences(
            first, theirs, ('in process 1', f'in process {process}')
        )
    ]
    if found:
        raise UserError(
            'The processes of this run differ:\n  '
            + '\n  '.join(found)
            + '\nStart all of them with the same command, data and packages.'
        )


def provenance() -> dict[str, Any]:
    """What decides a process's numbers beside config, data and seed."""
    return {
        'command': sys.orig_argv,
        'versions': files.versions(),
        'git_revision': files.git_revision(pathlib.Path(__file__).parent),
    }
