"""Data and numbers at the edge: each trains to a whole result or is refused by name."""

import json
import pickle

import numpy as np
import pytest
from rich.console import Console

from configs.baselines import lf_lstm
from sugrm_jax import UserError, train
from tests.recordings import FIXTURES
from tests.training.conftest import tiny_config, tiny_data

SPLITS = ('train', 'valid', 'test')


def baseline_config(path):
    config = lf_lstm.get_config()
    config.data.path = str(path)
    config.text.pretrained = str(FIXTURES / 'bert_tiny')
    config.model.width = 4
    config.train.batch = 8
    return config


SYSTEMS = {'sugrm': tiny_config, 'lf_lstm': baseline_config}


def everywhere(change):
    """The data set with each split changed in place."""

    def changed(data):
        for name in SPLITS:
            change(data[name])
        return data

    return changed


def only(**counts):
    """The first samples of some splits."""

    def changed(data):
        for name, count in counts.items():
            data[name] = {field: x[:count] for field, x in data[name].items()}
        return data

    return changed


def label(values):
    """Other labels: `values` of the old ones, in every split."""

    def change(split):
        split['regression_labels'] = values(split['regression_labels'])

    return everywhere(change)


def in_single_values(*numbers):
    """Numbers in the first step of as many utterances."""

    def changed(data):
        for i, number in enumerate(numbers):
            data['train']['audio'][2 + i, 0, 1] = number
        return data

    return changed


def without(field, count):
    """The first `count` utterances of every split have no step of audio or vision."""

    def change(split):
        split[field][:count] = 0
        length = split[f'{field}_lengths']
        split[f'{field}_lengths'] = [0] * len(length[:count]) + length[count:]

    return everywhere(change)


def speechless(count):
    """The first `count` utterances of every split have no token."""

    def change(split):
        split['text_bert'][:count] = 0

    return everywhere(change)


def one_step(split):
    for field in ('audio', 'vision'):
        split[field] = split[field][:, :1]
        split[f'{field}_lengths'] = [1] * len(split[field])


def one_feature(split):
    split['audio'], split['vision'] = split['audio'][..., :1], split['vision'][..., :1]


def constant_feature(split):
    split['vision'][..., 0] = 7.0


def one_number(split):
    one_step(split)
    one_feature(split)


def one_word(split):
    split['text_bert'] = split['text_bert'] * (np.arange(8) < 1)


TRAINED = {
    'NaN in a feature': in_single_values(np.nan),
    'infinite and huge features': in_single_values(-np.inf, np.inf, 1e30),
    'large feature': in_single_values(1e6),
    'all positive': label(lambda y: np.abs(y) + 0.1 * (y == 0)),
    'all negative': label(lambda y: -np.abs(y) - 0.1 * (y == 0)),
    'no label of 3': label(lambda y: y / 3),
    'three classes': label(np.sign),
    'train smaller than the batch, all negative': lambda data: only(train=2)(
        TRAINED['all negative'](data)
    ),
    'one step of one feature': everywhere(one_number),
    'one word': everywhere(one_word),
    'some utterances without audio, vision or text': lambda data: speechless(1)(
        without('vision', 2)(without('audio', 3)(data))
    ),
    'no audio at all': without('audio', 21),
    'no vision at all': without('vision', 21),
    'no text at all': speechless(21),
    'a constant feature': everywhere(constant_feature),
}
REFUSED = {
    'labels all equal': (label(np.ones_like), 'are all 1: there is nothing to learn'),
    'labels all 0': (label(np.zeros_like), 'are all 0: there is nothing to learn'),
    'a label that is NaN': (label(lambda y: y * np.nan), 'NaN or infinite for'),
    'labels too large': (label(lambda y: 2 * y), 'outside ±3'),
    'a test split of one': (only(test=1), 'test: .* nothing to learn or to measure'),
    'an empty split': (only(test=0), 'split test is empty'),
    'no steps': (
        everywhere(lambda split: split.update(audio=split['audio'][:, :0])),
        r'audio must have the shape \[N, L, D\]',
    ),
    'features of width 0': (
        everywhere(lambda split: split.update(vision=split['vision'][..., :0])),
        r'vision must have the shape \[N, L, D\]',
    ),
}


def run(name, change, folder):
    path = folder / 'data.pkl'
    path.write_bytes(pickle.dumps(change(tiny_data())))
    config = SYSTEMS[name](path)
    config.train.epochs = 2
    config.data.standardize = True
    return train(config, folder / 'run', Console(quiet=True))


def numbers(tree):
    """All numbers in nested containers."""
    if isinstance(tree, dict | list):
        parts = tree.values() if isinstance(tree, dict) else tree
        return [x for part in parts for x in numbers(part)]
    return [tree] if isinstance(tree, int | float) else []


# What label generation, absent modalities and sampled keys could stumble over.
OF_SUGRM = (
    'train smaller than the batch, all negative',
    'one step of one feature',
    'no audio at all',
    'no text at all',
)


@pytest.mark.parametrize(
    ('name', 'fault'),
    [*(('sugrm', fault) for fault in OF_SUGRM), *(('lf_lstm', x) for x in TRAINED)],
)
def test_it_trains_to_a_whole_result(name, fault, tmp_path):
    results = run(name, TRAINED[fault], tmp_path)
    assert np.isfinite(numbers([results['valid'], results['test']])).all()
    assert np.isfinite(results['valid']['mae'] + results['test']['mae'])
    # Strict JSON: what is undefined is null.
    text = (tmp_path / 'run' / 'results.json').read_text()
    assert json.loads(text, parse_constant=lambda name: 1 / 0)
    assert (tmp_path / 'run' / 'report.html').exists()


@pytest.mark.parametrize('fault', REFUSED)
def test_it_is_refused_before_training(fault, tmp_path):
    change, message = REFUSED[fault]
    with pytest.raises(UserError, match=rf'data\.pkl.*{message}'):
        run('lf_lstm', change, tmp_path)
    assert not (tmp_path / 'run' / 'checkpoints').exists()


@pytest.mark.parametrize('name', SYSTEMS)
def test_an_overflow_in_training_is_refused_by_name(name, tmp_path):
    """Steps so long that parameters leave float32 after the first."""
    path = tmp_path / 'data.pkl'
    path.write_bytes(pickle.dumps(tiny_data()))
    config = SYSTEMS[name](path)
    config.train.epochs = 2
    for group in config.optim.groups.values():
        group.lr = 1e30
    with pytest.raises(UserError, match=r'not finite at step 2 of epoch 1.*optim'):
        train(config, tmp_path / 'run', Console(quiet=True))
    assert not (tmp_path / 'run' / 'results.json').exists()
