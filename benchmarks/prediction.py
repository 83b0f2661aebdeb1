"""How fast a finished run predicts, one utterance at a time and in batches.

    python -m benchmarks.prediction --run=runs/demo

Timed from tokens and features in memory to predictions on the host, in turn with the
exported program; reading files and extracting features is not in it.
"""

from __future__ import annotations

import argparse
import dataclasses
import pathlib
import pickle
import sys
import tempfile
import time
from collections.abc import Callable

import jax
import numpy as np

from sugrm_jax.data.simulate import simulate
from sugrm_jax.ending import ending
from sugrm_jax.parallel import keep_compiled
from sugrm_jax.prediction import Predictor, artifact
from sugrm_jax.types import Array, Split

SIZES = (1, 32)
BATCHES, ROUNDS = 4, 20


def part(split: Split, rows: np.ndarray) -> Split:
    """Some utterances of a split."""
    arrays = {
        field.name: getattr(split, field.name)[rows]
        for field in dataclasses.fields(Split)
        if isinstance(getattr(split, field.name), np.ndarray)
    }
    ids, texts = ([x[i] for i in rows] for x in (split.ids, split.raw_text))
    return dataclasses.replace(split, ids=ids, raw_text=texts, **arrays)


def padded(predictor: Predictor, split: Split) -> dict[str, Array]:
    """What the exported program is given: features as in the file, cut or padded."""
    inputs = {}
    for name, wanted in artifact.inputs_of(predictor, len(split)).items():
        array = getattr(split, name)[tuple(map(slice, wanted.shape))]
        widths = [(0, b - a) for a, b in zip(array.shape, wanted.shape, strict=True)]
        inputs[name] = np.pad(array, widths).astype(wanted.dtype)
    return inputs


def exported(predictor: Predictor, folder: pathlib.Path) -> Callable[[Split], object]:
    """The artifact's program as a function of a split."""
    artifact.write(predictor, folder)
    loaded = jax.export.deserialize((folder / artifact.PROGRAM).read_bytes())
    call, weights = jax.jit(loaded.call), artifact.flat_weights(predictor)
    return lambda split: jax.device_get(call(weights, padded(predictor, split)))


def per_second(functions: dict[str, Callable], splits: list[Split]) -> dict[str, float]:
    """Median utterances a second of each function; timed in turn."""
    for function in functions.values():  # compiles
        for split in splits:
            function(split)
    seconds = {name: [] for name in functions}
    for _ in range(ROUNDS):
        for name, function in functions.items():
            started = time.perf_counter()
            for split in splits:
                function(split)
            seconds[name].append(time.perf_counter() - started)
    count = sum(len(split) for split in splits)
    return {name: count / float(np.median(x)) for name, x in seconds.items()}


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        'python -m benchmarks.prediction',
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument('--run', required=True, help='folder of a finished run')
    parser.add_argument(
        '--data', help="to predict on; by default simulated: the demo's"
    )
    options = parser.parse_args(arguments)
    keep_compiled()
    predictor = Predictor.load(options.run)
    with tempfile.TemporaryDirectory() as scratch:
        folder = pathlib.Path(scratch)
        path = options.data or folder / 'simulated.pkl'
        if not options.data:
            sizes = dict(train=1, valid=1, test=64, audio_length=60, vision_length=80)
            path.write_bytes(pickle.dumps(simulate(**sizes, seed=1)))
        split = predictor.read(path).split
        functions = {
            'predictor': predictor,
            'exported': exported(predictor, folder / 'model'),
        }
        for size in SIZES:
            batches = np.resize(np.arange(len(split)), (BATCHES, size))
            found = per_second(functions, [part(split, rows) for rows in batches])
            for name, value in found.items():
                print(f'{name}, batch {size}: {value:.1f} utterances/s', flush=True)


if __name__ == '__main__':
    sys.exit(ending(main))
