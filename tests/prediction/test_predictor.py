"""Predictions on files equal those of the training code on the same samples."""

import dataclasses
import functools
import re
import shutil

import jax
import numpy as np
import pytest
import safetensors.numpy

from benchmarks.fuzz import grown
from sugrm_jax import UserError, load_dataset
from sugrm_jax.config import plain, typed
from sugrm_jax.data.convert import convert
from sugrm_jax.prediction import Predictor, predictor, restore
from sugrm_jax.prediction.program import bucket
from sugrm_jax.results import files
from sugrm_jax.training.setup import Experiment
from tests.prediction.conftest import KINDS, assert_same, data, written
from tests.recordings import FIXTURES


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


@pytest.mark.parametrize('width', [3, 5])
def test_features_that_the_run_does_without_may_be_others(
    width, predictors, evaluated, tmp_path
):
    raw = data()
    raw['features'] = raw['features'] | {'audio': {'names': [*'abcde'[:width]]}}
    raw['test']['audio'] = np.ones((5, 20, width))
    raw['test'].pop('audio_lengths')
    predictor = predictors('without_audio')
    found = predictor.read(written(tmp_path / 'other.pkl', raw))
    assert_same(predictor(found.split), evaluated('without_audio', 'test'))
    assert found.notes == []


def test_a_run_without_text_reads_none(predictors, tmp_path):
    """Neither features of the file, nor a tokenizer, which its encoder lacks."""
    raw = data()
    raw['test'].pop('text')
    raw['test'].pop('text_bert')
    path = written(tmp_path / 'silent.pkl', raw)
    whole = predictors('fixed_text')
    config = whole.experiment
    only = dataclasses.replace(config.data, modalities=('a', 'v'))
    config = dataclasses.replace(config, data=only)
    predictor = dataclasses.replace(whole, experiment=config)
    found = predictor(predictor.read(path).split)['m']
    assert found.shape == (5,)


def test_padding_beyond_the_steps_of_the_run_is_cut(predictors, evaluated, tmp_path):
    """Of text as of audio and vision; a longer text is refused."""
    raw = data()
    for field, axis in (('text_bert', 2), ('text', 1), ('audio', 1), ('vision', 1)):
        widths = [(0, 10 * (axis == i)) for i in range(3)]
        raw['test'][field] = np.pad(raw['test'][field], widths)
    path = written(tmp_path / 'padded.pkl', raw)
    for kind in KINDS:
        split = predictors(kind).read(path).split
        assert split.tokens.shape[2] == 18
        assert_same(predictors(kind)(split), evaluated(kind, 'test'))
    raw['test']['text_bert'][0, 1, :9] = 1
    path = written(tmp_path / 'long.pkl', raw)
    message = re.escape(f'{path}: text has sequences of 9 steps') + '.* with 8: cut'
    with pytest.raises(UserError, match=message):
        predictors('sugrm').read(path)


def test_sequences_that_padding_would_cut_are_refused(predictors, tmp_path):
    raw = data()
    raw['test']['vision'] = np.repeat(raw['test']['vision'], 3, axis=1)
    raw['test'].pop('vision_lengths')
    path = written(tmp_path / 'long.pkl', raw)
    message = re.escape(f'{path}: vision') + r' has sequences of 2\d steps.* 9: cut'
    with pytest.raises(UserError, match=message):
        predictors('released').read(path)
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
        (lambda raw: raw['test'].update(problems=['']), 'problems has 1 entries where'),
        (
            lambda raw: raw['test'].update(problems=[None] * 5),
            'problems must hold texts, not NoneType',
        ),
        (
            lambda raw: raw['test']['text_bert'].__setitem__((0, 0, 0), 1e6),
            'bad.pkl: text_bert has the token id 1000000, but .* knows 0 to 1',
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
    for other in ({}, []):
        files.write_json(tmp_path / 'results.json', other)
        with pytest.raises(UserError, match=r"results\.json holds no run's results"):
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


@pytest.mark.parametrize(
    ('path', 'value', 'message'),
    [
        ('data', None, "holds no run's results"),
        ('data.features', {}, 'features.text is missing'),
        ('data.features.audio.width', 2**29, 'width must be at least 1 and below'),
        ('data.features.text.steps', 0, 'steps must be at least 1'),
        ('data.features.text.width', 4, "must have a width where .* 'file'"),
        ('data.features.audio.names', ['pitch'], 'names must be 3 texts, not 1'),
        ('data.features.audio.rate_hz', -1.0, 'rate_hz must be above 0'),
        ('best_epoch', '../1', 'best_epoch must be of type int'),
        ('best_epoch', -1, 'best_epoch must be at least 1'),
        ('encoder_sha256', [], 'encoder_sha256 must be a group of fields'),
        ('config.model', None, 'config.model must be a group of fields'),
        ('config.model', {}, 'config.model.name must be one of'),
        ('config.model.name', '../..', 'config.model.name must be one of'),
        ('config.model.spt.width', 2**29, 'config.model.spt.width must be at least'),
        ('config.text.pretrained', '~no.such.user/x', 'pretrained.* is no folder'),
        ('config.text.pretrained', 'x' * 5000, 'pretrained.* is no folder'),
        ('config.train.modality_dropout', 10**400, 'must be of type float'),
    ],
)
def test_odd_results_are_one_sentence(runs, tmp_path, path, value, message):
    results = files.read_json(runs('sugrm') / 'results.json')
    *within, name = path.split('.')
    functools.reduce(dict.__getitem__, within, results)[name] = value
    shutil.copy(runs('sugrm') / 'scaling.npz', tmp_path)
    files.write_json(tmp_path / 'results.json', results)
    with pytest.raises(UserError, match=message) as told:
        Predictor.load(tmp_path)
    assert len(str(told.value)) < 1000


def test_a_model_that_none_can_build_is_one_sentence(runs, tmp_path, monkeypatch):
    """Layers say in words of their own what sizes cannot go together."""

    def stumbles(*_):
        raise TypeError('add got incompatible shapes for broadcasting')

    monkeypatch.setattr(restore, 'shapes_of', stumbles)
    with pytest.raises(UserError, match=r'results\.json describes a model that cannot'):
        Predictor.load(runs('sugrm'))


def test_long_sequences_take_no_memory_before_they_are_read():
    """Of a run's data only shapes are needed to build its model."""
    experiment = typed(Experiment, plain(KINDS['frozen']('none.pkl')))
    long = {'steps': 10**6, 'width': 10**6}
    features = {'text': {'steps': 6}, 'audio': long, 'vision': long}
    blank = restore.assemble_blank(experiment, features)
    _, more = grown(lambda: restore.shapes_of(blank))
    assert more < 100 * 2**20


def test_samples_are_checked_as_files_are(predictors, data_path):
    predictor = predictors('sugrm')
    split = predictor.read(data_path).split
    nan, huge = split.vision.copy(), split.tokens.copy()
    nan[2, 0, 1], huge[1, 0, 2] = np.nan, 10**6
    for change, message in (
        ({'audio': split.audio[..., :2]}, 'audio is not what .*: 2 features where'),
        ({'vision': nan}, 'vision has values that are not finite: put 0'),
        ({'tokens': huge}, 'text_bert has the token id 1000000'),
    ):
        with pytest.raises(UserError, match=f'^the given samples: {message}'):
            predictor(dataclasses.replace(split, **change))
    with pytest.raises(UserError, match=r'no text features.* with fixed_text=True'):
        predictors('fixed_text')(load_dataset(data_path).test)


def test_a_prediction_that_is_not_finite_is_no_absent_one(predictors, data_path):
    predictor = predictors('fixed_text')
    split = predictor.read(data_path).split
    weights = jax.tree.map(lambda x: x * np.inf, predictor.weights)
    broken = dataclasses.replace(predictor, weights=weights)
    with pytest.raises(UserError, match=r'no finite prediction for test0\$_\$0, test0'):
        broken(split)


@pytest.mark.parametrize(
    ('field', 'value', 'notes'),
    [
        ('problems', ['', 'no face was found', '', '', ''], ['no face was found']),
        ('problems', ['', 'a\x1b[2J\nb', '', '', ''], ['a [2J b']),
        ('problems', ['', 'x' * 999, '', '', ''], [f'{"x" * 288}…']),
        ('problems', [''] * 5, []),
        ('untold', [], []),
    ],
)
def test_what_was_wrong_with_an_utterance_is_noted(
    field, value, notes, predictors, tmp_path
):
    raw = data()
    raw['test'][field] = value
    found = predictors('sugrm').read(written(tmp_path / 'told.pkl', raw))
    assert found.notes == [f'test0$_$1: {note}' for note in notes]


def test_features_that_only_one_side_names_are_noted(predictors, data_path, tmp_path):
    predictor = predictors('sugrm')
    assert predictor.read(data_path).notes == []
    raw = data()
    raw['features'] = {'vision': raw['features']['vision']}
    found = predictor.read(written(tmp_path / 'unnamed.pkl', raw))
    said = 'audio: the {} does not name its features, so that only their number was'
    assert [note.startswith(said.format('file')) for note in found.notes] == [True]
    unnamed = predictor.features | {'audio': {'steps': 12, 'width': 3}}
    found = dataclasses.replace(predictor, features=unnamed).read(data_path)
    assert [note.startswith(said.format('run')) for note in found.notes] == [True]


@pytest.mark.parametrize('kind', ['sugrm', 'frozen'])
def test_another_text_encoder_is_refused_by_name(kind, runs, predictors, tmp_path):
    """But for weights that the run has trained, and runs that knew no fingerprints."""
    run, encoder = tmp_path / 'run', tmp_path / 'bert'
    shutil.copytree(runs(kind), run)
    shutil.copytree(FIXTURES / 'bert_tiny', encoder)
    results = files.read_json(run / 'results.json')
    assert sorted(results['encoder_sha256']) == ['config.json', 'model.safetensors']
    results['config']['text']['pretrained'] = str(encoder)
    files.write_json(run / 'results.json', results)
    assert Predictor.load(run).features == predictors(kind).features
    # The data were tokenised: a vocabulary may come later, to predict on text.
    (encoder / 'vocab.txt').write_text('other\n')
    Predictor.load(run)
    said = re.escape(f'{encoder} does not hold the text encoder that {run} was trained')
    results['encoder_sha256']['vocab.txt'] = 'of the training'
    files.write_json(run / 'results.json', results)
    with pytest.raises(UserError, match=f'{said} with: vocab.txt differ'):
        Predictor.load(run)
    results['encoder_sha256'].pop('vocab.txt')
    files.write_json(run / 'results.json', results)
    weights = safetensors.numpy.load_file(encoder / 'model.safetensors')
    name = next(iter(weights))
    weights[name] = weights[name] + 1
    safetensors.numpy.save_file(weights, encoder / 'model.safetensors')
    if kind == 'frozen':
        with pytest.raises(UserError, match=f'{said} with: model.safetensors differ'):
            Predictor.load(run)
        results.pop('encoder_sha256')
        files.write_json(run / 'results.json', results)
    Predictor.load(run)


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
