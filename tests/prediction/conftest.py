"""Finished runs of several kinds, to predict with."""

import contextlib
import os
import pathlib
import pickle
import socket
import subprocess
import sys
import time

import numpy as np
import pytest
from rich.console import Console

from configs import common
from configs.baselines import lf_lstm
from sugrm_jax import train
from sugrm_jax.prediction import Predictor
from sugrm_jax.results import files
from tests.recordings import FIXTURES
from tests.training.conftest import tiny_config, tiny_data

DESCRIBED = {
    'audio': {'names': ['pitch', 'loudness', 'jitter'], 'rate_hz': 20.0},
    'vision': {'names': ['smile', 'frown', 'yaw', 'pitch'], 'rate_hz': 10.0},
}


def data():
    """The tiny data, of which some utterances lack audio, vision or both."""
    raw = tiny_data()
    for split in raw.values():
        for field, rows in (('audio', [1, 2]), ('vision', [2, 3])):
            split[field][rows] = 0
            split[f'{field}_lengths'] = [
                0 if i in rows else n for i, n in enumerate(split[f'{field}_lengths'])
            ]
        split['text'] = np.cumsum(split['text_bert'][:, :2], axis=1).swapaxes(1, 2)
        split['text'] *= split['text_bert'][:, 1, :, None] / 100
    return raw | {'features': DESCRIBED}


def sugrm(path):
    config = tiny_config(path)
    config.data.standardize = True
    return config


def released(path):
    config = sugrm(path)
    common.use_released(config)
    config.optim.accumulate = 1
    return config


def without_audio(path):
    config = frozen(path)
    config.data.modalities = ('t', 'v')
    return config


def frozen(path):
    """Text encoded once, outside of the model; a moving average of the parameters."""
    config = lf_lstm.get_config()
    config.model.width = 4
    config.data.path = str(path)
    config.data.standardize = True
    config.text.pretrained = str(FIXTURES / 'bert_tiny')
    config.text.finetune = False
    config.optim.average_decay = 0.9
    config.train.batch = 8
    return config


def fixed_text(path):
    """Text features of the file; features as they are."""
    config = frozen(path)
    config.data.standardize = False
    config.text.pretrained = 'file'
    return config


KINDS = {f.__name__: f for f in (sugrm, released, frozen, without_audio, fixed_text)}


@pytest.fixture(scope='session')
def data_path(tmp_path_factory):
    path = tmp_path_factory.mktemp('data') / 'tiny.pkl'
    path.write_bytes(pickle.dumps(data()))
    return path


@pytest.fixture(scope='session')
def runs(data_path, tmp_path_factory):
    """From the name of a kind to the folder of such a run, trained when first asked."""
    folder, done = tmp_path_factory.mktemp('runs'), {}

    def run(kind):
        if kind not in done:
            config = KINDS[kind](data_path)
            config.train.epochs = 2
            train(config, folder / kind, Console(quiet=True))
            done[kind] = folder / kind
        return done[kind]

    return run


@pytest.fixture(scope='session')
def predictors(runs):
    """The same, as predictors."""
    loaded = {}

    def predictor(kind):
        return loaded.setdefault(kind, Predictor.load(runs(kind)))

    return predictor


@pytest.fixture(scope='session')
def evaluated(runs):
    """From kind and split to the training code's predictions by task."""

    def predictions(kind, split):
        rows = files.read_predictions(runs(kind) / 'predictions.csv')
        rows = [row for row in rows if row['split'] == split]
        columns = {task: np.array([row[task] for row in rows]) for task in 'mtav'}
        return {task: x for task, x in columns.items() if np.isfinite(x).any()}

    return predictions


def written(path, raw):
    path.write_bytes(pickle.dumps(raw))
    return path


def assert_same(ours, theirs):
    """Equal to 1e-5: other shapes of batches and padding sum in another order."""
    assert ours.keys() == theirs.keys()
    for task, values in theirs.items():
        np.testing.assert_allclose(ours[task], values, atol=1e-5, err_msg=task)


def fake_extraction(folder):
    """A program in the place of python, that extracts the tiny data from any clip.

    It has the test split's utterances, one a second.
    """
    raw = data()
    times = {'start': np.arange(5.0), 'end': np.arange(5.0) + 1}
    content = {'predict': raw['test'] | times, 'features': DESCRIBED}
    (folder / 'extracted.pkl').write_bytes(pickle.dumps(content))
    return program(folder / 'fake_python', f'cp "{folder}/extracted.pkl" "$4"')


def hanging_extraction(folder):
    """A program in the place of python that goes on for ever, as does its own child.

    It writes its words to `folder/words`, and then both numbers to `folder/pids`.
    """
    commands = """
        cat > "{0}/words"
        sleep 600 &
        echo $$ $! > "{0}/pids.new" && mv "{0}/pids.new" "{0}/pids"
        wait
    """
    return program(folder / 'hanging_python', commands.format(folder))


def program(path, commands):
    """Makes a program of shell commands, and gives its path."""
    path.write_text(f'#!/bin/sh\n{commands}\n')
    path.chmod(0o755)
    return str(path)


def hanging(folder, patience=60):
    """Process ids of a `hanging_extraction`, once it hangs."""
    deadline = time.monotonic() + patience
    while not (folder / 'pids').exists():
        assert time.monotonic() < deadline, 'it was not started'
        time.sleep(0.05)
    return [int(pid) for pid in (folder / 'pids').read_text().split()]


def assert_ended(pids, patience=10):
    """Processes are gone, or wait only for their parent to notice."""
    deadline = time.monotonic() + patience
    while living := [pid for pid in pids if _state(pid) not in ('Z', None)]:
        assert time.monotonic() < deadline, f'{living} live'
        time.sleep(0.05)


def _state(pid):
    try:
        said = pathlib.Path(f'/proc/{pid}/stat').read_text()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return said.rpartition(')')[2].split()[0]


@contextlib.contextmanager
def app_running(run, scratch, *options):
    """`sugrm_jax.app` in a process of its own: its address and the process.

    Its temporary files go to `scratch`.
    """
    with socket.socket() as free:
        free.bind(('127.0.0.1', 0))
        port = free.getsockname()[1]
    command = [sys.executable, '-m', 'sugrm_jax.app', f'--run={run}', f'--port={port}']
    process = subprocess.Popen(
        [*command, *options],
        env=os.environ | {'TMPDIR': str(scratch), 'GRADIO_TEMP_DIR': f'{scratch}/g'},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        said = process.stdout.readline()
        if f'Open http://127.0.0.1:{port}/' not in said:
            process.kill()
            pytest.fail(said + process.stdout.read())
        yield f'http://127.0.0.1:{port}/', process
    finally:
        process.kill()
        process.communicate()
