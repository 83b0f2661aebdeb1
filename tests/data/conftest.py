"""Tiny data sets in MMSA format, right ones and wrong ones."""

import pickle

import numpy as np
import pytest

SIZES = {'train': 6, 'valid': 4, 'test': 3}


def _split(rng, name, count):
    audio = rng.normal(size=(count, 7, 5)).astype(np.float32)
    vision = rng.normal(size=(count, 9, 4)).astype(np.float32)
    audio_lengths = rng.integers(1, 8, count)
    vision_lengths = rng.integers(1, 10, count)
    for i in range(count):
        audio[i, audio_lengths[i] :] = 0
        vision[i, vision_lengths[i] :] = 0
    tokens = np.zeros((count, 3, 8), np.float32)
    tokens[:, 0, :4] = [101, 2023, 2003, 102]
    tokens[:, 1, :4] = 1
    label = np.linspace(-3, 3, count, dtype=np.float32)
    return {
        'raw_text': np.array(['this is'] * count),
        'id': np.array([f'{name}$_${i}' for i in range(count)]),
        'text_bert': tokens,
        'audio': audio,
        'vision': vision,
        'audio_lengths': audio_lengths.tolist(),
        'vision_lengths': vision_lengths.tolist(),
        'regression_labels': label,
        'classification_labels': np.sign(label) + 1,
        'annotations': np.array(['Negative'] * count),
    }


def make_mmsa(*splits, **changes):
    """A sound data set, changed: field → function of its value, or None to drop it.

    A field that is not there gets the function of None. Without `splits` the change is
    made in all of them.
    """
    rng = np.random.default_rng(0)
    raw = {name: _split(rng, name, count) for name, count in SIZES.items()}
    for name in splits or SIZES:
        for field, change in changes.items():
            value = raw[name].pop(field, None)
            if change is not None:
                raw[name][field] = change(value)
    return raw


@pytest.fixture
def mmsa():
    return make_mmsa


@pytest.fixture
def write(tmp_path):
    """Writes bytes, or the pickle of any other value, to a file."""

    def write_file(value, name='data.pkl'):
        path = tmp_path / name
        path.write_bytes(value if isinstance(value, bytes) else pickle.dumps(value))
        return path

    return write_file
