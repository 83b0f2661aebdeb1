"""Predictions on files equal those of the training code on the same samples."""

import dataclasses
import pickle
import re

import numpy as np
import pytest

from sugrm_jax import UserError, load_dataset
from sugrm_jax.data.convert import convert
from sugrm_jax.prediction import Predictor, predictor
from sugrm_jax.prediction.program import bucket
from sugrm_jax.results import files
from tests.prediction.conftest import KINDS, assert_same, data


def written(path, raw):
    path.write_bytes(pickle.dumps(raw))
    return path


@pytest.mark.parametrize('kind', KINDS)
@pytest.mark.parametrize('split', ['train', 'test'])
def test_as_in_training(kind, split, predictors, evaluated, data_path):
    found = predictors(kind).read(data_path, split)
    assert_same(predictors(kind)(found.split), evaluated(kind, split))


def test_absent_modalities_are_told(predictors, data_path):
    found = predictors('sugrm')(predictors('sugrm').read(data_path).split)
    np.testing.assert_array_equal(np.isnan(found['a']), [0, 1, 1, 0, 0])
    np.testing.assert_array_equal(np.isnan(found['v']), [0, 0, 1, 1, 0])
    assert np.isfinite(found['m']).all() and np.isfinite(found['t']).all()


def test_a_data_set_of_the_api_and_a_converted_one(
    predictors, evaluated, data_path, tmp_path
):
    for path in (data_path, tmp_path / 'folder'):
        if path != data_path:
            convert(data_path, path, say=lambda line: None)
        ours = predictors('sugrm')(load_dataset(path).test)
        assert_same(ours, evaluated('sugrm', 'test'))


def test_an_unlabelled_file_of_one_utterance(
    predictors, evaluated, data_path, tmp_path
):
    """Its sequences are no longer than it is, and the text is as it was tokenised."""
    raw = {field: x[4:5] for field, x in data()['test'].items()}
    for field in ('audio', 'vision'):
        raw[field] = raw[field][:, : raw[f'{field}_lengths'][0]]
    raw.pop('regression_labels')
    path = written(tmp_path / 'one.pkl', {'predict': raw})
    one = predictors('sugrm')(predictors('sugrm').read(path).split)
    whole = evaluated('sugrm', 'test')
    assert_same(one, {task: x[4:5] for task, x in whole.items()})


def test_the_order_is_that_of_the_file(predictors, evaluated, data_path, monkeypatch):
    """Also where many batches, of utterances sorted by length, make up a split."""
    monkeypatch.setattr(predictor, 'ROWS', 4)
    ours = predictors('sugrm')(predictors('sugrm').read(data_path, 'train').split)
    assert_same(ours, evaluated('sugrm', 'train'))


def test_other_features_are_refused_by_name(predictors, tmp_path):
    raw = data()
    raw['test']['audio'] = raw['test']['audio'][..., :2]
    raw['features'] = {}
    path = written(tmp_path / 'narrow.pkl', raw)
    message = re.escape(f'{path}: audio is not what ') + '.*: 2 features where .* 3'
    with pytest.raises(UserError, match=message):
        predictors('sugrm').read(path)
    raw = data()
    raw['features'] = {
        'audio': {'names': ['pitch', 'shimmer', 'jitter'], 'rate_hz': 50}
    }
    path = written(tmp_path / 'renamed.pkl', raw)
    message = 'names 1: shimmer where the run had 1: loudness; rate_hz 50.0 .* 20.0'
    with pytest.raises(UserError, match=message):
        predictors('sugrm').read(path)


def test_features_that_the_run_does_without_may_be_others(
    predictors, evaluated, tmp_path
):
    raw = data()
    raw['features'] = {'audio': {'names': ['a', 'b', 'c']}}
    path = written(tmp_path / 'other.pkl', raw)
    ours = predictors('without_audio')(predictors('without_audio').read(path).split)
    assert_same(ours, evaluated('without_audio', 'test'))


def test_sequences_that_padding_would_cut_are_refused(predictors, tmp_path):
    raw = data()
    raw['test']['vision'] = np.repeat(raw['test']['vision'], 3, axis=1)
    raw['test'].pop('vision_lengths')
    path = written(tmp_path / 'long.pkl', raw)
    found = predictors('released').read(path)
    with pytest.raises(UserError, match=r'vision has sequences of 2\d steps.* 9: cut'):
        predictors('released')(found.split)
    # Where padding is not seen any length will do.
    predictors('sugrm')(predictors('sugrm').read(path).split)


@pytest.mark.parametrize(
    ('change', 'message'),
    [
        (lambda raw: raw.pop('test'), "no split 'test'; it has features, train, valid"),
        (lambda raw: raw['test'].pop('audio'), "split test has no field 'audio'"),
        (lambda raw: raw['test'].update(start=[0.0]), 'start has 1 entries where id'),
        (
            lambda raw: raw['test'].update(end=[np.nan] * 5),
            'end must be 5 finite numbers of seconds',
        ),
        (lambda raw: raw.update(features=3), 'features must be a dict, not int'),
        (
            lambda raw: raw['features'].update(audio={'names': ['a']}),
            'features.audio.names must be a list of 3 texts',
        ),
    ],
)
def test_bad_files_are_one_sentence(predictors, tmp_path, change, message):
    raw = data()
    raw['features'] = dict(raw['features'])
    change(raw)
    with pytest.raises(UserError, match=message):
        predictors('sugrm').read(written(tmp_path / 'bad.pkl', raw))


def test_a_run_that_is_not_finished_or_damaged(runs, tmp_path):
    with pytest.raises(UserError, match=r'no .*results\.json: .* that has finished'):
        Predictor.load(tmp_path)
    results = files.read_json(runs('sugrm') / 'results.json')
    files.write_json(tmp_path / 'results.json', results)
    with pytest.raises(UserError, match='no feature statistics at'):
        Predictor.load(tmp_path)
    scaling = (runs('sugrm') / 'scaling.npz').read_bytes()
    (tmp_path / 'scaling.npz').write_bytes(scaling)
    with pytest.raises(UserError, match='best parameters of the run were'):
        Predictor.load(tmp_path)
    results['data'].pop('features')
    files.write_json(tmp_path / 'results.json', results)
    with pytest.raises(UserError, match='train it again'):
        Predictor.load(tmp_path)


def test_predicting_changes_nothing_in_the_run(runs, data_path):
    def content():
        return {
            path: path.read_bytes()
            for path in runs('sugrm').rglob('*')
            if path.is_file()
        }

    before = content()
    predictor = Predictor.load(runs('sugrm'))
    predictor(predictor.read(data_path).split)
    assert content() == before


def test_labels_are_not_read(predictors, data_path):
    found = predictors('sugrm').read(data_path)
    assert np.isnan(found.split.label).all() and found.split.unimodal == {}
    other = dataclasses.replace(found.split, label=np.ones(5, np.float32))
    assert_same(predictors('sugrm')(other), predictors('sugrm')(found.split))


@pytest.mark.parametrize(
    ('steps', 'least', 'wanted'),
    [(0, 16, 16), (16, 16, 16), (17, 16, 32), (1, 1, 1), (3, 1, 4), (4, 1, 4)],
)
def test_bucket(steps, least, wanted):
    assert bucket(steps, least) == wanted
