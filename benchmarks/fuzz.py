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
import dataclasses
import functools
import importlib
import json
import multiprocessing
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

import jax.numpy as jnp
import numpy as np
import optax
from absl import logging

from benchmarks import mutations
from sugrm_jax.data import convert, folder, mmsa, scaling
from sugrm_jax.data.check import report
from sugrm_jax.data.text import no_tokens
from sugrm_jax.errors import UserError
from sugrm_jax.layers.pretrained import load_params, read_config
from sugrm_jax.objectives.regression import RegressionConfig, regression
from sugrm_jax.prediction.samples import read_samples
from sugrm_jax.results import files
from sugrm_jax.training import record
from sugrm_jax.training.checkpoint import Checkpoints, Progress
from sugrm_jax.training.state import start_state

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


class Acted(BaseException):
    """Reading a file did something."""


@dataclasses.dataclass(frozen=True)
class Kind:
    """A kind of file.

    Attributes:
      make: writes a sound one into an empty folder.
      spoil: the same with an already sound folder, and a generator; what it returns is
        the file that was changed.
      readers: each reads it, or a part of it, as the package does.
    """

    make: Callable[[pathlib.Path], None]
    spoil: Callable[[pathlib.Path, np.random.Generator], pathlib.Path]
    readers: tuple[Callable[[pathlib.Path], Any], ...]


def spoil_any(place: pathlib.Path, rng: np.random.Generator) -> pathlib.Path:
    """Changes the bytes of one file below `place`."""
    below = sorted(x for x in place.rglob('*') if x.is_file())
    path = below[rng.integers(len(below))]
    path.write_bytes(mutations.change_bytes(path.read_bytes(), rng))
    return path


# Pickles. --------------------------------------------------------------------------


def make_pickle(place: pathlib.Path) -> None:
    rng = np.random.default_rng(0)
    data = mutations.as_pickle(mutations.sound(rng), rng)
    (place / 'data.pkl').write_bytes(data)


def spoil_pickle(place: pathlib.Path, rng: np.random.Generator) -> pathlib.Path:
    (place / 'data.pkl').write_bytes(mutations.spoiled_pickle(rng))
    return place / 'data.pkl'


def use(path: pathlib.Path, **options: Any) -> None:
    """What is done with a data set before training."""
    dataset = mmsa.load_dataset(path, **options)
    statistics = scaling.fit(dataset.train)
    dataset = dataset.map(functools.partial(scaling.apply, scaling=statistics))
    for split in dataset.splits.values():
        rows = np.arange(len(split))
        assert np.isfinite(split.audio[rows]).all()
        assert np.isfinite(split.vision[rows]).all()
        assert np.isfinite(split.label).all()
        ''.join([*split.ids, *split.raw_text]).encode()


def read_to_predict(path: pathlib.Path) -> None:
    """What is done with the file for a prediction, and what is told of it then."""
    found = read_samples(path, tokenizer=no_tokens, fixed_text=False)
    for seconds in (found.start, found.end):
        assert seconds is None or np.isfinite(seconds).all()
    json.dumps(files.json_ready(found.features), allow_nan=False)


# Converted data sets. --------------------------------------------------------------


def make_folder(place: pathlib.Path) -> None:
    make_pickle(place)
    convert.convert(place / 'data.pkl', place / 'converted', fixed_text=True)


# Weights. --------------------------------------------------------------------------


def make_weights(place: pathlib.Path, name: str) -> None:
    bert = pathlib.Path(__file__).parents[1] / 'tests' / 'fixtures' / name
    for path in bert.iterdir():
        if path.name in ('config.json', 'model.safetensors', 'pytorch_model.bin'):
            shutil.copy(path, place)


def read_weights(place: pathlib.Path) -> None:
    load_params(place, read_config(place))


# Results. --------------------------------------------------------------------------


def make_results(place: pathlib.Path) -> None:
    label = np.arange(3.0)
    files.write_json(place / 'results.json', {'valid': {'mae': 1.0}, 'seed': 1})
    files.write_history(place / 'metrics.jsonl', [{'epoch': 1, 'valid': {'mae': 1.0}}])
    files.write_labels(place / 'labels.npz', 'abc', label, {'t': label[None]}, {})
    row = dict.fromkeys(files.COLUMNS[:3], 'a') | {'y_m': 1.0}
    files.write_predictions(place / 'predictions.csv', [row])
    ones = np.ones(2, np.float32)
    record.write_scaling(place, scaling.Scaling(ones, ones, ones, ones))


# Checkpoints. ----------------------------------------------------------------------

IDENTITY = {'config': {'seed': 1}, 'data_sha256': 'abc'}
VARIABLES = {'params': {'w': jnp.ones((3, 4)), 'b': jnp.zeros(4)}}


def state() -> Any:
    return start_state(
        VARIABLES['params'],
        optax.adam(0.1),
        regression(RegressionConfig('l1')),
        np.zeros(3, np.float32),
        averaged=False,
        stats={},
    )


def make_checkpoints(place: pathlib.Path) -> None:
    checkpoints = Checkpoints(place, IDENTITY)
    checkpoints.save_best(1, VARIABLES)
    labels = {'t': np.ones((2, 3), np.float32)}
    checkpoints.save_latest(state(), Progress(epoch=2, best_epoch=1), labels)
    checkpoints.close()


def read_latest(place: pathlib.Path) -> None:
    checkpoints = Checkpoints(place, IDENTITY)
    checkpoints.restore_latest(state())
    checkpoints.close()


def read_best(place: pathlib.Path) -> None:
    checkpoints = Checkpoints(place, IDENTITY)
    checkpoints.restore_best(1, VARIABLES)
    checkpoints.close()


KINDS = {
    'checkpoint': Kind(make_checkpoints, spoil_any, (read_latest, read_best)),
    'pickle': Kind(
        make_pickle,
        spoil_pickle,
        (
            lambda place: use(place / 'data.pkl'),
            lambda place: use(place / 'data.pkl', fixed_text=True),
            lambda place: use(place / 'data.pkl', tokenizer=no_tokens, strict=True),
            lambda place: report(place / 'data.pkl'),
            lambda place: read_to_predict(place / 'data.pkl'),
        ),
    ),
    'folder': Kind(
        make_folder,
        spoil_any,
        (
            lambda place: use(place / 'converted'),
            lambda place: use(place / 'converted', fixed_text=True),
            lambda place: read_to_predict(place / 'converted'),
            lambda place: scaling.Scaling.load(place / 'converted' / folder.SCALING),
        ),
    ),
    'safetensors': Kind(
        functools.partial(make_weights, name='bert_tiny'), spoil_any, (read_weights,)
    ),
    'pytorch': Kind(
        functools.partial(make_weights, name='bert_tiny_old'),
        spoil_any,
        (read_weights,),
    ),
    'results': Kind(
        make_results,
        spoil_any,
        (
            lambda place: files.read_json(place / 'results.json'),
            lambda place: files.read_history(place / 'metrics.jsonl'),
            lambda place: files.read_labels(place / 'labels.npz'),
            lambda place: files.read_predictions(place / 'predictions.csv'),
            lambda place: scaling.Scaling.load(place / 'scaling.npz'),
        ),
    ),
}


# One file. -------------------------------------------------------------------------

_reading = False
# Events of reading a sound file: orbax opens sockets to nobody.
_usual: set[str] = set()
_before: set[str] = set()


def _watch(event: str, details: tuple) -> None:
    if event == 'exec' and sys._getframe(1).f_globals['__name__'] == 'typing':
        return  # reads an annotation of ours
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
    parser.add_argument('--kind', choices=KINDS, default='pickle')
    parser.add_argument('--files', type=int, default=1000)
    parser.add_argument('--seed', type=int, default=1)
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
