"""Reads spoiled files by the thousand: each must be read or refused, and nothing more.

python -m benchmarks.fuzz --kind=pickle --files=100000
python -m benchmarks.fuzz --kind=folder --only=4711      # one of them again

Refused means a `UserError`. A fault is anything else: another exception, a process that
dies, more than 10 s, more than 4 times the file and 64 MiB of memory, or an attempt
to run something, to import, to connect or to write. The files are functions of --seed,
--kind and their number. Ends with status 1 where there was a fault.
"""

from __future__ import annotations

import argparse
import codecs
import collections
import functools
import importlib
import multiprocessing
import os
import pathlib
import re
import shutil
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from absl import logging

from benchmarks.fuzz_kinds import KINDS, Kind
from sugrm_jax.errors import UserError

SECONDS, TIMES, ROOM = 10, 4, 64 * 2**20
CHUNK = 5000
# Faults after which something else must be wrong.
ENOUGH = 100
READ, REFUSED = 'read', 'refused'
# Audit events of doing more than reading.
ACTIONS = re.compile(
    r'exec|import|os\.(system|exec|fork|spawn|posix_spawn|remove|rename|mkdir)'
    r'|subprocess|socket|shutil|ctypes|pty|code\.__new__'
)

# Modules that run code of our own: an annotation, or the beginning of a layer's class.
OURS = ('typing', 'dataclasses')


class Acted(BaseException):
    """Reading a file did something."""


# One file. -------------------------------------------------------------------------

_reading = False
# Events of reading a sound file: orbax opens sockets to nobody.
_usual: set[str] = set()
_before: set[str] = set()


def _watch(event: str, details: tuple) -> None:
    if event == 'exec' and sys._getframe(1).f_globals['__name__'] in OURS:
        return
    writing = event == 'open' and isinstance(details[1], str) and details[1] != 'rb'
    writing = writing and any(letter in details[1] for letter in 'wax+')
    if not (writing or ACTIONS.match(event)):
        return
    if _reading and event not in _usual:
        raise Acted(f'{event}{details!r:.200}')
    if not _reading:
        _before.add(event)


@functools.cache
def watch() -> None:
    """From now on, for hooks cannot be taken off."""
    sys.addaudithook(_watch)


def judge(kind: Kind, place: pathlib.Path) -> str:
    """What reading comes to: READ, REFUSED by some reader, or what the fault is."""
    size = sum(x.stat().st_size for x in place.rglob('*') if x.is_file())
    outcome = READ
    for reader in kind.readers:
        signal.alarm(SECONDS)
        fault, more = grown(functools.partial(_fault, reader, place))
        signal.alarm(0)
        if more > TIMES * size + ROOM:
            return f'{more / 2**20:.0f} MiB for a file of {size} bytes'
        if fault not in (READ, REFUSED):
            return fault
        outcome = REFUSED if REFUSED in (outcome, fault) else READ
    return outcome


def grown(call: Callable[[], Any]) -> tuple[Any, int]:
    """What the call returns, and by how many bytes this process had grown at most."""
    pathlib.Path('/proc/self/clear_refs').write_text('5')
    before = _kilobytes('VmRSS')
    result = call()
    return result, 1024 * (_kilobytes('VmHWM') - before)


def _fault(reader: Callable[[pathlib.Path], Any], place: pathlib.Path) -> str:
    global _reading
    _reading = True
    try:
        reader(place)
        return READ
    except UserError:
        return REFUSED
    except BaseException as error:  # whatever it is, it is a fault, and to be told
        _reading = False
        *_, last = traceback.extract_tb(error.__traceback__)
        where = f'{pathlib.Path(last.filename).name}:{last.lineno}'
        return f'{where}: {type(error).__name__}: {error!s:.200}'
    finally:
        _reading = False


def _kilobytes(name: str) -> int:
    status = pathlib.Path('/proc/self/status').read_text()
    return int(re.search(rf'{name}:\s+(\d+)', status)[1])


def attempt(kind: str, seed: int, number: int, sound: pathlib.Path) -> str:
    """Makes a spoiled file in a folder of its own, reads it, takes it away."""
    rng = np.random.default_rng([seed, list(KINDS).index(kind), number])
    with tempfile.TemporaryDirectory() as scratch:
        place = pathlib.Path(scratch) / 'place'
        shutil.copytree(sound, place)
        KINDS[kind].spoil(place, rng)
        return judge(KINDS[kind], place)


# Many. -----------------------------------------------------------------------------


def _work(kind: str, seed: int, numbers: list[int], sound: pathlib.Path, pipe) -> None:
    # Parts of Python that it would fetch while somebody watches.
    for codec in ('cp437', 'raw_unicode_escape'):
        codecs.lookup(codec)
    for module in ('unicodedata', 'grp', 'pwd'):
        importlib.import_module(module)
    # Nothing is fetched, though a spoiled name may be one on the Hugging Face hub.
    os.environ['HF_HUB_OFFLINE'] = '1'
    # Orbax tells at length what it cannot read.
    logging.set_verbosity(logging.FATAL)
    readers = KINDS[kind].readers
    for read in readers:  # what is imported for it is now
        read(sound)
    watch()
    _before.clear()
    for read in readers:
        read(sound)
    _usual.update(_before)
    for number in numbers:
        pipe.send(attempt(kind, seed, number, sound))


def outcomes(
    kind: str, seed: int, numbers: list[int], sound: pathlib.Path
) -> Iterator[tuple[int, str]]:
    """Reads the files in a process of their own, another one when that dies."""
    # Not forked: JAX has threads.
    spawn = multiprocessing.get_context('spawn')
    while numbers:
        ours, theirs = spawn.Pipe(duplex=False)
        worker = spawn.Process(target=_work, args=(kind, seed, numbers, sound, theirs))
        worker.start()
        theirs.close()
        done = 0
        try:
            for number in numbers:
                yield number, ours.recv()
                done += 1
        except EOFError:
            worker.join()
            yield numbers[done], f'the process ended with {worker.exitcode}'
            done += 1
        worker.join()
        numbers = numbers[done:]


def campaign(
    kind: str, seed: int, numbers: list[int]
) -> tuple[collections.Counter[str], dict[int, str]]:
    """How many files were read and refused, and the faults by number."""
    counts, faults = collections.Counter(), {}
    with tempfile.TemporaryDirectory() as scratch:
        sound = pathlib.Path(scratch) / 'sound'
        sound.mkdir()
        KINDS[kind].make(sound)
        for i in range(0, len(numbers), CHUNK):
            for number, outcome in outcomes(kind, seed, numbers[i : i + CHUNK], sound):
                counts[outcome if outcome in (READ, REFUSED) else 'faults'] += 1
                if outcome not in (READ, REFUSED):
                    faults[number] = outcome
                if len(faults) > ENOUGH:
                    return counts, faults
    return counts, faults


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    default = '%(default)s by default'
    parser.add_argument('--kind', choices=KINDS, default='pickle', help=default)
    parser.add_argument('--files', type=int, default=1000, help=default)
    parser.add_argument('--seed', type=int, default=1, help=default)
    parser.add_argument('--only', type=int, help='the number of one file')
    options = parser.parse_args()
    one = options.only is not None
    numbers = [options.only] if one else list(range(options.files))
    started = time.monotonic()
    counts, faults = campaign(options.kind, options.seed, numbers)
    # One of each.
    for fault, number in {fault: number for number, fault in faults.items()}.items():
        print(f'file {number}: {fault}')
    seconds = time.monotonic() - started
    print(f'{options.kind}: {counts.total()} files in {seconds:.0f} s, {dict(counts)}')
    return 1 if faults else 0


if __name__ == '__main__':
    sys.exit(main())
