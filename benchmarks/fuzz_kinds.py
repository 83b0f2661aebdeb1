"""Kinds of files that `benchmarks.fuzz` spoils: how each is made, changed and read."""

from __future__ import annotations

import dataclasses
import functools
import json
import pathlib
import shutil
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from benchmarks import mutations, mutations_json
from configs.baselines import lf_lstm
from sugrm_jax.config import plain
from sugrm_jax.data import convert, folder, mmsa, scaling
from sugrm_jax.data.check import report
from sugrm_jax.data.text import no_tokens
from sugrm_jax.layers.pretrained import fingerprints, load_params, read_config
from sugrm_jax.objectives.regression import RegressionConfig, regression
from sugrm_jax.prediction import Predictor, restore, trained
from sugrm_jax.prediction.samples import read_samples
from sugrm_jax.results import files
from sugrm_jax.training import checkpoint, record
from sugrm_jax.training.checkpoint import Checkpoints, Progress
from sugrm_jax.training.state import start_state


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

BERT = pathlib.Path(__file__).parents[1] / 'tests' / 'fixtures' / 'bert_tiny'


def make_weights(place: pathlib.Path, name: str) -> None:
    for path in (BERT.parent / name).iterdir():
        if path.name in ('config.json', 'model.safetensors', 'pytorch_model.bin'):
            shutil.copy(path, place)


def read_weights(place: pathlib.Path) -> None:
    load_params(place, read_config(place))


# Results. --------------------------------------------------------------------------


def make_results(place: pathlib.Path) -> None:
    label = np.arange(3.0)
    make_run(place)
    files.write_history(place / 'metrics.jsonl', [{'epoch': 1, 'valid': {'mae': 1.0}}])
    files.write_labels(place / 'labels.npz', 'abc', label, {'t': label[None]}, {})
    row = dict.fromkeys(files.COLUMNS[:3], 'a') | {'y_m': 1.0}
    files.write_predictions(place / 'predictions.csv', [row])


def make_run(place: pathlib.Path) -> None:
    """What a prediction needs: results and statistics, and what `make_best` adds."""
    described = mutations.sound(np.random.default_rng(0))['features']
    widths = {name: mutations.WIDTHS[name] for name in described}
    known = {
        name: {'steps': 9, 'width': widths[name]} | x for name, x in described.items()
    }
    results = {
        'seed': 1,
        'valid': {'mae': 1.0},
        'best_epoch': 1,
        'config': plain(config()),
        'data': {'path': 'x.pkl', 'features': {'text': {'steps': 8}} | known},
        'encoder_sha256': fingerprints(BERT),
    }
    files.write_json(place / 'results.json', results)
    a, v = (np.ones(widths[name], np.float32) for name in ('audio', 'vision'))
    record.write_scaling(place, scaling.Scaling(a, a, v, v))


def config() -> Any:
    config = lf_lstm.get_config()
    config.model.width = 4
    config.data.path = 'x.pkl'
    config.data.standardize = True
    config.text.pretrained = str(BERT)
    config.text.finetune = False
    return config


def make_best(place: pathlib.Path) -> None:
    """A run to predict with."""
    make_run(place)
    known = trained.read(place)
    blank = restore.assemble_blank(known.config, known.features.described())
    shapes = restore.shapes_of(blank)
    checkpoints = Checkpoints(place, IDENTITY)
    checkpoints.save_best(
        1, jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype), shapes)
    )
    checkpoints.close()


def spoil_results(place: pathlib.Path, rng: np.random.Generator) -> pathlib.Path:
    path = place / 'results.json'
    path.write_bytes(mutations_json.spoil(path.read_bytes(), rng))
    return path


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


def read_only_best(place: pathlib.Path) -> None:
    checkpoint.read_best(place, 1, jax.eval_shape(lambda: VARIABLES))


KINDS = {
    'checkpoint': Kind(
        make_checkpoints,
        mutations_json.spoil_any,
        (read_latest, read_best, read_only_best),
    ),
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
        functools.partial(make_weights, name='bert_tiny'),
        mutations_json.spoil_weights,
        (read_weights,),
    ),
    'pytorch': Kind(
        functools.partial(make_weights, name='bert_tiny_old'),
        spoil_any,
        (read_weights,),
    ),
    'run': Kind(make_best, spoil_results, (Predictor.load,)),
    'results': Kind(
        make_results,
        mutations_json.spoil_any,
        (
            trained.read,
            lambda place: files.read_json(place / 'results.json'),
            lambda place: files.read_history(place / 'metrics.jsonl'),
            lambda place: files.read_labels(place / 'labels.npz'),
            lambda place: files.read_predictions(place / 'predictions.csv'),
            lambda place: scaling.Scaling.load(place / 'scaling.npz'),
        ),
    ),
}
