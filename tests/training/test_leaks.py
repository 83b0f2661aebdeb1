"""Nothing of the test split reaches training; of validation, the choice of epoch."""

import pickle

import jax
import numpy as np
import orbax.checkpoint as ocp
import pytest
from rich.console import Console

from sugrm_jax import train
from sugrm_jax.results import files
from sugrm_jax.training.shared import Shared
from tests.training.conftest import tiny_config, tiny_data


def run(folder, change=lambda data: None):
    """A run on changed data; its results."""
    folder.mkdir()
    data = tiny_data()
    change(data)
    path = folder / 'data.pkl'
    path.write_bytes(pickle.dumps(data))
    config = tiny_config(path)
    config.data.standardize = True
    # One program whatever the data; another split must not change its numbers either.
    return train(config, folder / 'run', Console(quiet=True), shared=Shared())


def arrays(folder, kind, item):
    """All arrays of a run's checkpoints of a kind, by step."""
    steps = (folder / 'run' / 'checkpoints' / kind).iterdir()
    return {
        step.name: jax.tree.leaves(ocp.StandardCheckpointer().restore(step / item))
        for step in steps
    }


def assert_same_training(folder, other):
    ours, theirs = (arrays(x, 'latest', 'state') for x in (folder, other))
    assert ours.keys() == theirs.keys()
    for step, leaves in theirs.items():
        assert len(leaves) > 20
        for a, b in zip(ours[step], leaves, strict=True):
            np.testing.assert_array_equal(a, b)
    # The labels that were generated after every epoch.
    labels = [files.read_labels(x / 'run' / 'labels.npz') for x in (folder, other)]
    for s in 'tav':
        np.testing.assert_array_equal(labels[0][s], labels[1][s])


def history(folder, *parts):
    rows = files.read_history(folder / 'run' / 'metrics.jsonl')
    return [{part: row[part] for part in parts} for row in rows]


def other_labels(split):
    split['regression_labels'] = split['regression_labels'][::-1].copy()


def another(split):
    """Other labels and features, and texts as long as may be, packed with fewer."""
    other_labels(split)
    split['audio'], split['vision'] = 100 * split['audio'], -split['vision'] - 3
    count = len(split['id'])
    split['text_bert'] = np.ones((count, 3, 8), np.float32) * [[[7], [1], [0]]]


def fewer(split):
    for field, values in split.items():
        split[field] = values[:4]


def longer(split):
    """Sequences of more steps than any others have."""
    for field, axis in (('audio', 1), ('vision', 1), ('text_bert', 2)):
        widths = [(0, 0)] * 3
        widths[axis] = (0, 5)
        split[field] = np.pad(split[field], widths, 'edge')
        if axis == 1:
            split[f'{field}_lengths'] = [n + 5 for n in split[f'{field}_lengths']]


@pytest.fixture(scope='module')
def whole(tmp_path_factory):
    """The run on unchanged data, and its results."""
    folder = tmp_path_factory.mktemp('leaks') / 'whole'
    return folder, run(folder)


@pytest.mark.parametrize('change', [other_labels, another, fewer, longer])
def test_the_test_split_changes_nothing_but_its_figures(whole, change, tmp_path):
    folder, results = whole
    changed = run(tmp_path / 'run', lambda data: change(data['test']))
    assert_same_training(tmp_path / 'run', folder)
    ours, theirs = (arrays(x, 'best', 'variables') for x in (tmp_path / 'run', folder))
    assert ours.keys() == theirs.keys()
    jax.tree.map(np.testing.assert_array_equal, ours, theirs)
    parts = ('train', 'valid', 'best')
    assert history(tmp_path / 'run', *parts) == history(folder, *parts)
    assert changed['valid'] == results['valid']
    assert changed['best_epoch'] == results['best_epoch']
    assert changed['test'] != results['test']  # else nothing was changed


@pytest.mark.parametrize('change', [another, fewer, longer])
def test_the_validation_split_changes_only_the_choice(whole, change, tmp_path):
    folder, results = whole
    changed = run(tmp_path / 'run', lambda data: change(data['valid']))
    assert_same_training(tmp_path / 'run', folder)
    assert history(tmp_path / 'run', 'train') == history(folder, 'train')
    assert changed['valid'] != results['valid']
    scaling = [x / 'run' / 'scaling.npz' for x in (tmp_path / 'run', folder)]
    assert scaling[0].read_bytes() == scaling[1].read_bytes()


def test_the_choice_of_epoch_is_of_validation_alone(whole, tmp_path):
    """The epoch with the smallest validation error, wherever the test error is."""
    folder, results = whole
    errors = [row['valid']['mae'] for row in history(folder, 'valid')]
    assert results['best_epoch'] == 1 + int(np.argmin(errors))
    assert results['valid']['mae'] == min(errors)
