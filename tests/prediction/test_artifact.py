"""What is exported predicts the same without this package."""

import errno
import json
import pathlib
import signal
import subprocess
import sys

import numpy as np
import pytest

from benchmarks.prediction import padded
from sugrm_jax import export
from sugrm_jax.config import plain, typed
from sugrm_jax.main import load_config
from sugrm_jax.prediction import Predictor, artifact
from sugrm_jax.prediction.restore import assemble_blank, shapes_of
from sugrm_jax.training.setup import Experiment
from tests.models.test_systems import FILES, ROOT
from tests.prediction.conftest import KINDS, assert_same, data, written
from tests.recordings import FIXTURES

# Nothing of this package: -I leaves the checkout out of the search path.
RUNNER = """
import pathlib, sys
import numpy as np
from jax import export
from safetensors.numpy import load_file
folder = pathlib.Path(sys.argv[1])
model = export.deserialize((folder / 'model.bin').read_bytes())
weights = load_file(folder / 'weights.safetensors')
inputs = dict(np.load(sys.argv[2]))
np.savez(sys.argv[3], **model.call(weights, inputs))
assert not any(name.split('.')[0] == 'sugrm_jax' for name in sys.modules)
"""


@pytest.mark.parametrize('kind', KINDS)
def test_as_in_training(kind, predictors, runs, evaluated, data_path, tmp_path):
    out = tmp_path / 'model'
    assert export.main([f'--run={runs(kind)}', str(out)]) == 0
    for split, count in (('test', 5), ('valid', 7)):
        found = predictors(kind).read(data_path, split)
        assert len(found.split) == count  # two sizes of batch, one program
        assert_same(ran(out, predictors(kind), found.split), evaluated(kind, split))


def ran(out, predictor, split):
    """What the exported program predicts, in a process of its own."""
    inputs, outputs = (out.with_name(name) for name in ('in.npz', 'out.npz'))
    np.savez(inputs, **padded(predictor, split))
    command = [sys.executable, '-I', '-c', RUNNER, str(out), str(inputs), str(outputs)]
    subprocess.run(command, check=True)
    return dict(np.load(outputs))


def test_other_features_of_what_the_run_does_without(predictors, evaluated, tmp_path):
    """The program is given what the predictor is, cut to the run's steps of text."""
    raw = data()
    raw['features'] = {}
    raw['test']['audio'] = np.ones((5, 20, 5))
    raw['test'].pop('audio_lengths')
    raw['test']['text_bert'] = np.pad(raw['test']['text_bert'], [(0, 0)] * 2 + [(0, 9)])
    predictor = predictors('without_audio')
    split = predictor.read(written(tmp_path / 'other.pkl', raw)).split
    artifact.write(predictor, tmp_path / 'model')
    ours = ran(tmp_path / 'model', predictor, split)
    assert_same(ours, evaluated('without_audio', 'test'))
    assert_same(ours, predictor(split))


ALIGNED = {
    'text': {'steps': 6},
    'audio': {'steps': 6, 'width': 3},
    'vision': {'steps': 6, 'width': 4},
}


@pytest.mark.parametrize('file', FILES)
def test_every_system_is_traced_for_any_number_of_utterances(file):
    overrides = [f'--config.text.pretrained={FIXTURES / "bert_tiny"}']
    experiment = typed(Experiment, plain(load_config(ROOT / file, overrides)))
    blank = assemble_blank(experiment, ALIGNED)
    weights, place = {'model': shapes_of(blank)}, pathlib.Path('runs/none')
    predictor = Predictor(
        place, experiment, ALIGNED, None, blank.system, blank.text, weights, False
    )
    found = artifact.traced(predictor)
    assert {str(x.shape) for x in found.out_avals} == {'(batch,)'}


def test_the_example_runs_as_it_is(runs, tmp_path):
    out = tmp_path / 'model'
    assert export.main([f'--run={runs("sugrm")}', str(out)]) == 0
    command = [sys.executable, '-I', str(out / 'example.py')]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    printed = [line.split() for line in done.stdout.splitlines()]
    assert [line[0] for line in printed] == list('amtv')
    assert all(len(line) == 3 for line in printed)
    assert printed[0][1:] == printed[3][1:] == ['(absent)'] * 2
    known = json.loads((out / 'metadata.json').read_text())
    assert known['inputs']['audio'] == {'dtype': 'float32', 'shape': ['batch', 12, 3]}
    assert known['features']['audio']['names'] == ['pitch', 'loudness', 'jitter']
    trained = json.loads((runs('sugrm') / 'results.json').read_text())
    assert known['parameters'] == trained['parameters']['total']
    assert 'as they are in a data file' in known['scaling']
    assert known['tokenizer'] is None and known['platforms'] == ['cpu', 'cuda']


def test_a_folder_that_exists_is_left_alone(runs, tmp_path, capsys):
    assert export.main([f'--run={runs("sugrm")}', str(tmp_path)]) == 2
    assert 'exists: delete it' in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def full(*_):
    raise OSError(errno.ENOSPC, 'No space left on device')


def stopped(*_):
    signal.raise_signal(signal.SIGTERM)


@pytest.mark.parametrize(
    ('end', 'status', 'message'),
    [(full, 2, 'in/model cannot be written: No space left'), (stopped, 143, 'Stopped')],
)
def test_nothing_is_left_of_an_export_that_fails(
    runs, tmp_path, monkeypatch, capsys, end, status, message
):
    monkeypatch.setattr(artifact, 'traced', lambda _: Serialized)
    monkeypatch.setattr(artifact, 'metadata', end)
    out = tmp_path / 'in' / 'model'
    assert export.main([f'--run={runs("sugrm")}', str(out)]) == status
    assert message in capsys.readouterr().err
    assert list((tmp_path / 'in').iterdir()) == []


class Serialized:
    """Instead of a program, which takes a while to trace."""

    serialize = staticmethod(lambda: b'')
