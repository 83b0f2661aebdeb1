"""A whole run in miniature: tiny data, a tiny random BERT, a narrow model."""

import pickle

import numpy as np
import pytest

from configs import common
from sugrm_jax import train
from sugrm_jax.training.shared import Shared
from tests.recordings import FIXTURES

SIZES = {'train': 21, 'valid': 7, 'test': 5}


def tiny_split(rng, name, count):
    split = {
        'raw_text': np.array([f'{name} words {i}' for i in range(count)]),
        'id': np.array([f'{name}{i // 3}$_${i}' for i in range(count)]),
        'regression_labels': np.linspace(-3, 3, count).astype(np.float32),
    }
    for field, steps, width in (('audio', 12, 3), ('vision', 9, 4)):
        length = rng.integers(1, steps + 1, count)
        x = rng.normal(size=(count, steps, width)).astype(np.float32)
        x += split['regression_labels'][:, None, None]
        x[np.arange(steps) >= length[:, None]] = 0
        split |= {field: x, f'{field}_lengths': length.tolist()}
    tokens = np.zeros((count, 3, 8), np.float32)
    length = rng.integers(3, 9, count)
    tokens[:, 1] = np.arange(8) < length[:, None]
    tokens[:, 0] = rng.integers(1, 120, (count, 8)) * tokens[:, 1]
    planted = {
        f'regression_labels_{s}': rng.uniform(-3, 3, count).astype(np.float32)
        for s in 'TAV'
    }
    return split | {'text_bert': tokens} | planted


def tiny_data(seed=0):
    rng = np.random.default_rng(seed)
    return {name: tiny_split(rng, name, count) for name, count in SIZES.items()}


def tiny_config(path):
    config = common.sugrm()
    config.name = 'tiny'
    config.data.path = str(path)
    config.text.pretrained = str(FIXTURES / 'bert_tiny')
    spt = config.model.spt
    spt.width, spt.heads, spt.layers = 8, 2, 1
    config.model.common_width.m = 6
    for group in config.optim.groups.values():
        group.lr = 1e-3
    config.train = dict(batch=8, eval_batch=4, epochs=3, patience=8)
    return config


@pytest.fixture
def data_path(tmp_path):
    path = tmp_path / 'tiny.pkl'
    path.write_bytes(pickle.dumps(tiny_data()))
    return path


@pytest.fixture
def config(data_path):
    return tiny_config(data_path)


@pytest.fixture(scope='session')
def shared():
    """Compiled programs of `finished`, for runs of its config."""
    return Shared()


@pytest.fixture(scope='session')
def finished(tmp_path_factory, shared):
    """One run that nothing interrupts, shared by the tests that only look.

    Its config, its folder and its results.
    """
    folder = tmp_path_factory.mktemp('finished')
    path = folder / 'tiny.pkl'
    path.write_bytes(pickle.dumps(tiny_data()))
    config = tiny_config(path)
    return config, folder / 'run', train(config, folder / 'run', shared=shared)
