"""Splits whose sequences have more steps than those of train, which no split pads."""

import importlib
import pickle

import jax
import numpy as np
import pytest

from sugrm_jax import UserError
from sugrm_jax.config import plain, typed
from sugrm_jax.data.batches import gather, samples_of
from sugrm_jax.training import setup
from sugrm_jax.training.shared import Shared
from sugrm_jax.types import Plan
from tests.recordings import FIXTURES
from tests.training.conftest import tiny_data
from tests.training.test_leaks import longer

SYSTEMS = [
    (name, align)
    for name, aligns in {
        'ef_lstm': 3,
        'lf_lstm': 1,
        'mag_bert': 3,
        'mctn': 3,
        'mult': 1,
        'raven': 3,
        'self_mm': 1,
        'spt': 1,
        'tfn': 3,
    }.items()
    for align in ('none', 'ctc', 'pool')[:aligns]
]
# Parameters for every step: of EF-LSTM's normalisation, and of the positions in ctc.
FIXED = {'ef_lstm none', 'ef_lstm pool'}


def write(path, change=lambda data: None):
    """Aligned data with a change."""
    data = tiny_data()
    for split in data.values():
        for field in ('audio', 'vision'):
            array = np.pad(split[field], [(0, 0), (0, 8), (0, 0)])
            split[field] = array[:, :8]
            split[f'{field}_lengths'] = [8] * len(array)
    change(data)
    path.write_bytes(pickle.dumps(data))
    return path


def configured(name, align, path):
    config = importlib.import_module(f'configs.baselines.{name}').get_config()
    config.data.path = str(path)
    config.text.pretrained = str(FIXTURES / 'bert_tiny')
    if align != 'none':
        config.model.align = align
    return typed(setup.Experiment, plain(config))


@pytest.fixture(scope='module')
def shared():
    """Data and weights are read once."""
    return Shared()


@pytest.fixture(scope='module')
def paths(tmp_path_factory):
    folder = tmp_path_factory.mktemp('lengths')
    return {
        name: write(folder / f'{name}.pkl', lambda data, n=name: longer(data[n]))
        for name in ('valid', 'test')
    }


@pytest.mark.parametrize('split', ['valid', 'test'])
@pytest.mark.parametrize(('name', 'align'), SYSTEMS)
def test_a_longer_split_is_read_or_refused(name, align, split, shared, paths):
    """What is not refused can be evaluated with the parameters of training."""
    experiment = configured(name, align, paths[split])
    source = setup.read(experiment, shared)
    if align == 'ctc' or f'{name} {align}' in FIXED:
        told = rf'train has 8 \(text\), .* {split} 13 \(text\), .* cut those of {split}'
        with pytest.raises(UserError, match=told):
            setup.assemble(experiment, source)
        return
    assembly = setup.assemble(experiment, source)
    model, one = assembly.system.model, Plan(np.zeros(1, np.int32))
    batch = {x: gather(samples_of(y), one) for x, y in source.dataset.splits.items()}
    variables = jax.eval_shape(
        lambda: model.init(jax.random.key(0), batch['train'], True)
    )
    told = jax.eval_shape(lambda x: model.apply(x, batch[split], True), variables)
    assert told.prediction['m'].shape == (1,)


def test_a_split_that_alone_is_not_aligned_is_refused(tmp_path, shared):
    def change(data):
        x = data['test']['audio']
        data['test']['audio'] = np.pad(x, [(0, 0), (0, 3), (0, 0)])

    path = write(tmp_path / 'data.pkl', change)
    experiment = configured('ef_lstm', 'none', path)
    with pytest.raises(UserError, match='the text has 8 steps, audio 11 and vision 8'):
        setup.assemble(experiment, setup.read(experiment, shared))
