"""What is exported predicts the same without this package."""

import json
import subprocess
import sys

import numpy as np
import pytest

from benchmarks.prediction import padded
from sugrm_jax import export
from tests.prediction.conftest import KINDS, assert_same

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
        np.savez(tmp_path / 'in.npz', **padded(predictors(kind), found.split))
        files = [str(tmp_path / name) for name in ('in.npz', 'out.npz')]
        command = [sys.executable, '-I', '-c', RUNNER, str(out), *files]
        subprocess.run(command, check=True)
        assert_same(dict(np.load(tmp_path / 'out.npz')), evaluated(kind, split))


def test_the_example_runs_as_it_is(runs, tmp_path):
    out = tmp_path / 'model'
    assert export.main([f'--run={runs("sugrm")}', str(out)]) == 0
    command = [sys.executable, '-I', str(out / 'example.py')]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    printed = [line.split() for line in done.stdout.splitlines()]
    assert [line[0] for line in printed] == list('amtv')
    assert all(len(line) == 3 for line in printed)
    known = json.loads((out / 'metadata.json').read_text())
    assert known['inputs']['audio'] == {'dtype': 'float32', 'shape': ['batch', 12, 3]}
    assert known['features']['audio']['names'] == ['pitch', 'loudness', 'jitter']
    assert known['tokenizer'] is None and known['platforms'] == ['cpu', 'cuda']


def test_a_folder_that_exists_is_left_alone(runs, tmp_path, capsys):
    assert export.main([f'--run={runs("sugrm")}', str(tmp_path)]) == 2
    assert 'exists: delete it' in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []
