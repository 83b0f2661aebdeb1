"""How much memory a data set larger than memory needs: to convert it, to train on it.

    python -m benchmarks.memory --folder=/scratch/memory

Writes a pickle of random features, in pieces, with the utterances and shapes of MOSEI's
train split; converts it; takes some training steps with frozen MiniLM, and stops. Each
in a process of its own, whose largest resident memory is printed. The folder needs
twice the pickle's size, and is emptied afterwards.
"""

from __future__ import annotations

import argparse
import dataclasses
import os
import pathlib
import pickle
import shutil
import signal
import struct
import subprocess
import sys
import time
from collections.abc import Iterator

import numpy as np
from numpy._core.numeric import _frombuffer

AUDIO, VISION, TOKENS = (500, 74), (500, 35), 50
SIZES = {'train': 16_326, 'valid': 256, 'test': 256}
WORDS = 30_000  # that the encoder knows
PIECE = 64  # utterances
LIMIT = 3e9  # bytes, in training


@dataclasses.dataclass
class Noise:
    """Float32 `[N, L, D]`, zero after each length; it never exists as a whole."""

    steps: int
    width: int
    length: np.ndarray
    seed: int

    def pieces(self) -> Iterator[np.ndarray]:
        rng = np.random.default_rng(self.seed)
        for start in range(0, len(self.length), PIECE):
            length = self.length[start : start + PIECE, None, None]
            shape = (len(length), self.steps, self.width)
            x = rng.standard_normal(shape, np.float32)
            yield x * (np.arange(self.steps)[:, None] < length)


class Pickler(pickle._Pickler):
    """Writes `Noise` as an array, piece by piece."""

    dispatch = pickle._Pickler.dispatch.copy()

    def save_noise(self, noise: Noise) -> None:
        shape = (len(noise.length), noise.steps, noise.width)
        self.save(_frombuffer)
        self.write(pickle.MARK)
        header = pickle.BINBYTES8 + struct.pack('<Q', 4 * int(np.prod(shape)))
        self.framer.write_large_bytes(header, b'')
        for piece in noise.pieces():
            self.framer.file_write(piece.tobytes())
        for argument in (np.dtype('f4'), shape, 'C'):
            self.save(argument)
        self.write(pickle.TUPLE + pickle.REDUCE)

    dispatch[Noise] = save_noise


def split(name: str, count: int, seed: int) -> dict:
    rng = np.random.default_rng(seed)
    words = rng.integers(3, TOKENS + 1, count)
    tokens = np.zeros((count, 3, TOKENS), np.float32)
    tokens[:, 1] = np.arange(TOKENS) < words[:, None]
    tokens[:, 0] = rng.integers(1, WORDS, (count, TOKENS)) * tokens[:, 1]
    made = {
        'raw_text': [f'utterance {i}' for i in range(count)],
        'id': [f'{name}{i}$_$0' for i in range(count)],
        'text_bert': tokens,
        'regression_labels': np.linspace(-3, 3, count, dtype=np.float32),
    }
    for field, (steps, width) in (('audio', AUDIO), ('vision', VISION)):
        length = np.ceil(words / TOKENS * steps).astype(int)
        made[field] = Noise(steps, width, length, seed)
        made[f'{field}_lengths'] = length.tolist()
    return made


def write(path: pathlib.Path) -> None:
    splits = {name: split(name, n, i) for i, (name, n) in enumerate(SIZES.items())}
    with path.open('wb') as file:
        Pickler(file, protocol=4).dump(splits)


def train(data: pathlib.Path, workdir: pathlib.Path, steps: int) -> None:
    """Trains until that many steps are done, and stops as a signal would."""
    from configs import mosei
    from sugrm_jax.interrupt import Interrupted
    from sugrm_jax.parallel import keep_compiled
    from sugrm_jax.training import loop

    note, done = loop.Run._note, []

    def noting(self, *given):
        done.append(given)
        if len(done) == steps:
            os.kill(os.getpid(), signal.SIGTERM)
        return note(self, *given)

    loop.Run._note = noting
    config = mosei.get_config('minilm,frozen')
    config.data.path = str(data)
    keep_compiled()
    try:
        loop.train(config, workdir)
    except Interrupted as stopped:
        print(stopped)


def apart(*arguments: object) -> tuple[float, int]:
    """Seconds and largest resident bytes of this module, or another, as a process."""
    started = time.monotonic()
    process = subprocess.Popen([sys.executable, '-m', *map(str, arguments)])
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, process.args)
    return time.monotonic() - started, used.ru_maxrss * 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--folder', type=pathlib.Path, default='runs/memory')
    parser.add_argument('--steps', type=int, default=20)
    parser.add_argument('--only', choices=['write', 'train'], help=argparse.SUPPRESS)
    options = parser.parse_args()
    folder = options.folder
    pickled, converted = folder / 'data.pkl', folder / 'data'
    if options.only == 'write':
        return write(pickled)
    if options.only == 'train':
        return train(converted, folder / 'run', options.steps)
    folder.mkdir(parents=True)
    try:
        own = ['benchmarks.memory', f'--folder={folder}', f'--steps={options.steps}']
        found = {'write the pickle': apart(*own, '--only=write')}
        size = pickled.stat().st_size
        found['convert it'] = apart('sugrm_jax.data', 'convert', pickled, converted)
        pickled.unlink()
        found[f'train {options.steps} steps'] = apart(*own, '--only=train')
    finally:
        shutil.rmtree(folder)
    print(f'\npickle: {size / 1e9:.2f} GB, {SIZES["train"]} utterances in train')
    for name, (seconds, peak) in found.items():
        print(f'{name}: {seconds:.0f} s, at most {peak / 1e9:.2f} GB resident')
    if peak > LIMIT:
        sys.exit(f'training took more than {LIMIT / 1e9:g} GB')


if __name__ == '__main__':
    main()
