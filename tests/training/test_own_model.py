"""A single-task system of the user's own, from config to report."""

import dataclasses
import json

import numpy as np
import pytest

from configs import common
from sugrm_jax import load_config, parallel, train
from sugrm_jax.config import plain
from sugrm_jax.errors import UserError
from sugrm_jax.layers.text import TextEncoder
from sugrm_jax.results import files
from sugrm_jax.training.evaluate import predict
from sugrm_jax.training.fixed_text import encode_texts
from sugrm_jax.training.plans import Plans
from sugrm_jax.training.setup import prepare
from tests.recordings import FIXTURES

OWN = 'tests.models.mean_text'


@pytest.fixture
def config(data_path):
    config = common.base(dict(name=OWN, padding='masked'), dict(loss='l2'))
    config.name = 'own'
    config.data.path = str(data_path)
    config.text.pretrained = str(FIXTURES / 'bert_tiny')
    config.train = dict(batch=8, eval_batch=4, epochs=2, patience=8)
    return config


def test_the_whole_way(config, tmp_path):
    """Trained, stopped by nothing, reported; nothing says a word of other tasks."""
    results = train(config, tmp_path / 'run')
    assert results['unimodal'] is None
    assert not (tmp_path / 'run' / 'labels.npz').exists()
    rows = files.read_predictions(tmp_path / 'run' / 'predictions.csv')
    assert np.isfinite([row['m'] for row in rows]).all()
    assert np.isnan([row[s] for row in rows for s in 'tav']).all()
    page = (tmp_path / 'run' / 'report.html').read_text()
    assert 'predicted multimodal' in page and 'predicted audio' not in page
    first = (tmp_path / 'run' / 'results.json').read_text()
    # Again: nothing is left to do, and the same comes out.
    again = train(config, tmp_path / 'run')
    assert again['test'] == json.loads(first)['test']


def test_unknown_systems_are_refused(config):
    for name in ('sugrn', 'tests.models.nothing', 'nowhere.at.all'):
        config.model.name = name
        with pytest.raises(
            UserError, match=r'config.model.name must be one of .*sugrm'
        ):
            prepare(plain(config))


def test_frozen_text_is_encoded_once(config):
    """It gives what an encoder in the model gives, and is no part of what trains."""
    trained = prepare(plain(config))
    config.text.finetune = False
    frozen = prepare(plain(config))
    assert 'text' not in frozen.params and 'bert' in frozen.frozen
    assert trained.frozen == {}
    dataset = frozen.dataset
    for split in dataset.splits.values():
        assert split.text.shape == (len(split), 8, 32)
    params = frozen.params | {'text': frozen.frozen}
    plans = Plans(frozen, 1).whole['valid']
    model = frozen.system.model

    def evaluate(params, batch):
        return model.apply({'params': params}, batch, True)

    mesh = parallel.data_mesh()
    once = predict(evaluate, frozen.params, dataset.valid, plans, mesh)
    within = dataclasses.replace(dataset.valid, text=None)
    # Packed otherwise than before: float32 rounding of two layers.
    np.testing.assert_allclose(
        predict(evaluate, params, within, plans, mesh)['m'], once['m'], atol=1e-5
    )


def test_padded_tokens_are_encoded_where_they_take_part(config):
    setup = prepare(plain(config))
    text: TextEncoder = setup.system.model.text
    dataset, params = setup.dataset, setup.params['text']
    packed, whole = (
        encode_texts(dataset, text, params, packs, size=4).valid.text
        for packs in (True, False)
    )
    real = dataset.valid.tokens[:, 1] > 0
    np.testing.assert_allclose(packed[real], whole[real], atol=1e-5)
    assert not packed[~real].any()
    assert np.abs(whole[~real]).min() > 0


def test_frozen_parameters_are_counted_but_not_trained(config, tmp_path):
    config.text.finetune = False
    frozen = train(config, tmp_path / 'frozen')['parameters']
    config.text.finetune = True
    trained = train(config, tmp_path / 'trained')['parameters']
    assert frozen['total'] == trained['total'] == trained['trainable']
    assert frozen['trainable'] == 33  # 32 weights and a bias


def test_audio_alone(config, tmp_path):
    """Text is left out: the text model is told nothing, so it says the same to all."""
    config.data.modalities = ('a',)
    results = train(config, tmp_path / 'run')
    assert results['test']['corr'] is None


def test_modalities_that_a_system_cannot_do_without(config):
    config.data.modalities = ('t', 'a')
    config.model.padding = 'released'
    with pytest.raises(UserError, match=r"set config.model.padding to 'masked'"):
        prepare(plain(config))
    raven = load_config('configs/baselines/raven.py', ['--config.model.align=pool'])
    raven.data.path, raven.text = config.data.path, config.text
    raven.data.modalities = ('a', 'v')
    with pytest.raises(UserError, match=r"config.data.modalities must hold 't'"):
        prepare(plain(raven))
