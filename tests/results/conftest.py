"""A tiny run: six training samples, three epochs, one of them without vision."""

import numpy as np
import pytest

from sugrm_jax.results import files
from sugrm_jax.results.unimodal import compare

M = np.float32([-3, -1, -0.5, 0.5, 1, 3])
TEXT = 'I <b>loved</b> it'
METRICS = {
    'mae': 0.8125,
    'corr': 0.75,
    'acc2_has0': 0.801,
    'f1_has0': 0.802,
    'acc2_non0': 0.803,
    'f1_non0': 0.804,
    'acc5': 0.405,
    'acc7': 0.307,
}


def history(epochs=3):
    """Epoch 2 is the best; the first has an undefined correlation."""
    return [
        {
            'epoch': e,
            'step': 2 * e,
            'seconds': 1.5,
            'best': e <= 2,
            'train': {'loss': 4 / e, 'm': 1 / e, 't': 1 / e, 'a': 1 / e, 'v': 1 / e},
            'valid': METRICS | {'mae': 1 / e, 'corr': np.nan if e == 1 else 0.5},
        }
        for e in range(1, epochs + 1)
    ]


def labels(epochs=3):
    """Text moves by 1 and then by 0.5; vision of sample 0 is absent."""
    moves = np.float32([0, 1, 1.5])[:epochs, None]
    vision = np.repeat(M[None], epochs, axis=0)
    vision[:, 0] = np.nan
    return {
        'ids': np.array([f'clip$_${i}' for i in range(len(M))]),
        'm': M,
        't': M + moves,
        'a': M - 2 * moves,
        'v': vision,
        'truth_t': M + 1,
        'truth_a': -M,
        'truth_v': M,
    }


def predictions():
    """Two test utterances, of which the second is the worse."""
    found = labels()
    train = [
        {'split': 'train', 'id': name, 'text': TEXT, 'label': y, 'm': y + 0.5}
        | {'t': y, 'a': 0.0, 'v': None}
        | {f'generated_{s}': found[s][1, i] for s in 'tav'}
        for i, (name, y) in enumerate(zip(found['ids'], M, strict=True))
    ]
    rest = [
        {'split': split, 'id': f'{split}{i}', 'text': TEXT, 'label': y, 'm': p}
        for split in ('valid', 'test')
        for i, (y, p) in enumerate(((1.0, 1.25), (-2.0, 1.0)))
    ]
    return train + rest


def results():
    return {
        'name': 'sugrm',
        'valid': METRICS,
        'test': METRICS | {'corr': None},
        'best_epoch': 2,
        'epochs': 3,
        'seed': 7,
        'seconds_per_epoch': 1.5,
        'seconds': 4.5,
        'config': {'model': 'sugrm', 'optim': {'batch': 32}},
        'versions': {'python': '3.11.0', 'jax': None},
        'git_revision': None,
        'data': {
            'path': 'simulated',
            'sha256': 'ab' * 32,
            'known': None,
            'notes': ['12 values were not finite.'],
            'samples': {'train': 6, 'valid': 2, 'test': 2},
        },
        'parameters': {'total': 1234, 'trainable': 234},
        'unimodal': compare(labels(), 2),
    }


@pytest.fixture
def run(tmp_path):
    """The folder of the tiny run."""
    found = labels()
    truth = {s: found[f'truth_{s}'] for s in 'tav'}
    files.write_json(tmp_path / files.RESULTS, results())
    files.write_history(tmp_path / files.HISTORY, history())
    files.write_predictions(tmp_path / files.PREDICTIONS, predictions())
    files.write_labels(tmp_path / files.LABELS, found['ids'], M, found, truth)
    return tmp_path


@pytest.fixture
def tiny():
    """The makers of the tiny run's content, by name."""
    return {
        'history': history,
        'labels': labels,
        'predictions': predictions,
        'results': results,
    }
