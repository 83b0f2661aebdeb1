"""The protocol between a benchmark and the released code, with a stand-in for it."""

import importlib.util
import sys
import types

import numpy as np
import pytest

from benchmarks.reference import SCRIPT as RELEASED
from benchmarks.reference import Checkout, Reference
from sugrm_jax.errors import UserError

# Doubles its input, counts the measurements, and breaks off at the name 'fail'.
SCRIPT = """
import json, pathlib, sys
import numpy as np

checkout, folder = map(pathlib.Path, sys.argv[1:])
case = json.loads((folder / 'case.json').read_text())
if case['kind'] == 'absent':
    raise ModuleNotFoundError('no torch here')
inputs = np.load(folder / 'inputs.npz')
np.savez(folder / 'outputs.npz', twice=2 * inputs['x'], threads=case['threads'])
print(json.dumps({'ready': True}), flush=True)
for count, line in enumerate(sys.stdin):
    name = json.loads(line)['time']
    if name == 'fail':
        raise ValueError('something broke')
    print(json.dumps({'seconds': len(name) + count}), flush=True)
"""


@pytest.fixture
def checkout(tmp_path):
    script = tmp_path / 'script.py'
    script.write_text(SCRIPT)
    return Checkout(str(tmp_path), sys.executable, 2, script)


def start(checkout, kind='encoder'):
    return Reference(checkout, {'kind': kind}, {'x': np.arange(3)})


def test_each_request_is_one_measurement(checkout):
    with start(checkout) as reference:
        np.testing.assert_array_equal(reference.outputs['twice'], [0, 2, 4])
        assert reference.outputs['threads'] == 2
        assert reference.time('abc') == 3
        assert reference.time('abc') == 4


def test_a_break_is_reported_with_its_reason(checkout):
    with start(checkout) as reference:
        reference.time('abc')
        with pytest.raises(UserError, match='something broke'):
            reference.time('fail')


def test_a_script_that_does_not_start_is_reported(checkout):
    with pytest.raises(UserError, match='no torch here'):
        start(checkout, 'absent')


def test_the_process_ends_with_the_context(checkout):
    with start(checkout) as reference:
        process = reference._process
        assert process.poll() is None
    assert process.returncode == 0


class Asked:
    """Requests that never end, and a record of what is said to them."""

    def __init__(self):
        self.record = []

    def wait(self):
        self.record.append('wait')

    def say(self, **message):
        self.record += message


@pytest.fixture
def paced(monkeypatch):
    """`released.Paced`, without torch."""
    torch = types.SimpleNamespace(nn=types.SimpleNamespace(Module=object))
    monkeypatch.setitem(sys.modules, 'torch', torch)
    monkeypatch.setitem(sys.modules, 'transformers', types.ModuleType('transformers'))
    spec = importlib.util.spec_from_file_location('released', RELEASED)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.Paced


@pytest.mark.parametrize(
    ('unit', 'timed'),
    [
        ('batch', 'wait first seconds wait second seconds'),
        ('epoch', 'wait first second seconds'),
    ],
)
def test_a_training_loop_gets_what_is_asked_for(paced, unit, timed):
    requests = Asked()
    loader = paced(['first', 'second'], requests, unit)
    for _ in range(4):
        for batch in loader:
            requests.record.append(batch)
    free = 'first second'
    assert requests.record == f'{free} {free} ready {timed} {timed}'.split()
