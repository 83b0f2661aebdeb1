"""One run on one device, on many, and on several processes: the same numbers."""

import json
import os
import pickle
import shutil
import signal
import socket
import subprocess
import sys
import time
from types import SimpleNamespace

import numpy as np
import pytest

from sugrm_jax import processes
from sugrm_jax.errors import UserError
from sugrm_jax.results import files
from sugrm_jax.types import MODALITIES
from tests.training.conftest import tiny_data
from tests.training.runs import assert_alike, figures

STEPS = 5  # of an epoch: 21 samples, 5 a batch


def start(devices, settings):
    # Not optimised: compiling takes most of a tiny run, and float64 rounds alike.
    flags = (
        f'--xla_force_host_platform_device_count={devices}'
        ' --xla_backend_optimization_level=0'
    )
    return subprocess.Popen(
        [sys.executable, '-m', 'tests.training.many', json.dumps(settings)],
        env=os.environ | {'XLA_FLAGS': flags},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def start_two(devices=2, of_second=None, **settings):
    """Both processes; `of_second` changes the settings of the second one."""
    with socket.socket() as free:
        free.bind(('127.0.0.1', 0))
        where = f'127.0.0.1:{free.getsockname()[1]}'
    places = [{'place': f'{i}/2@{where}'} for i in (1, 2)]
    places[1] |= of_second or {}
    return [start(devices, settings | place) for place in places]


def finish(*started):
    """What each process printed last, as JSON."""
    said = [process.communicate() for process in started]
    for process, (_, errors) in zip(started, said, strict=True):
        assert process.returncode == 0, errors
    return [json.loads(out.strip().splitlines()[-1]) for out, _ in said]


def kept(folder, losses):
    results = json.loads((folder / 'results.json').read_text())
    with np.load(folder / 'labels.npz') as stored:
        labels = {s: stored[s] for s in MODALITIES}
        assert all((x[-1] != stored['m']).any() for x in labels.values())
    return SimpleNamespace(folder=folder, losses=losses, results=results, labels=labels)


@pytest.fixture(scope='module')
def data(tmp_path_factory):
    path = tmp_path_factory.mktemp('data') / 'tiny.pkl'
    path.write_bytes(pickle.dumps(tiny_data()))
    return str(path)


@pytest.fixture(scope='module')
def runs(data, tmp_path_factory):
    """Two epochs on one device, and on 2 processes with 2 devices each."""
    folder = tmp_path_factory.mktemp('runs')
    settings = {'data': data, 'workdir': str(folder / 'one')}
    [said] = finish(start(1, settings))
    assert said['devices'] == 1
    found = {'one': kept(folder / 'one', said['losses'])}
    said = finish(*start_two(data=data, workdir=str(folder / 'two')))
    assert said[0] == said[1] and said[0]['devices'] == 4
    return found | {'two': kept(folder / 'two', said[0]['losses'])}


def assert_same_numbers(ours, theirs):
    # BERT's hidden states are rounded to float32, whose last bit float64's rounding
    # may tip now and then; labels and predictions, of order 1, are kept as float32.
    np.testing.assert_allclose(ours.losses, theirs.losses, rtol=1e-7)
    for name, labels in theirs.labels.items():
        np.testing.assert_allclose(ours.labels[name], labels, atol=1e-6)
    for split in ('valid', 'test'):
        for name, value in theirs.results[split].items():
            assert ours.results[split][name] == pytest.approx(value, abs=1e-6), name


def test_devices_and_processes_change_no_number(runs):
    assert len(runs['one'].losses) == 2 * STEPS
    assert_same_numbers(runs['two'], runs['one'])


SPREAD = [['parallel.shard_state', True]]


@pytest.fixture(scope='module')
def half(data, tmp_path_factory):
    """A killed run on 8 devices with a spread state, and the first epoch's losses.

    The checkpoint of this epoch is left.
    """
    workdir = tmp_path_factory.mktemp('half') / 'run'
    settings = {'data': data, 'workdir': str(workdir), 'overrides': SPREAD}
    dying = start(8, settings | {'kill_after': STEPS + 2})
    out, errors = dying.communicate()
    assert dying.returncode == -signal.SIGKILL, errors
    said = json.loads(out.strip().splitlines()[-1])
    assert said['devices'] == 8
    return workdir, said['losses'][:STEPS]


@pytest.fixture
def resumed(half, tmp_path):
    """A copy of `half`, and the run from it and the losses of what was left."""
    workdir, losses = half
    copy = shutil.copytree(workdir, tmp_path / 'run')
    return str(copy), lambda left: kept(copy, losses + left)


def test_a_spread_state_changes_no_number(runs, resumed, data):
    workdir, whole = resumed
    settings = {'data': data, 'workdir': workdir, 'overrides': SPREAD}
    [said] = finish(start(8, settings))
    assert said['held']['params'] == 1
    # An eighth of all that the devices divide; what they do not is whole.
    assert said['held']['opt_state'] < 0.25
    assert_same_numbers(whole(said['losses']), runs['one'])


def test_a_checkpoint_of_eight_devices_resumes_on_one(runs, resumed, data):
    workdir, whole = resumed
    [said] = finish(start(1, {'data': data, 'workdir': workdir}))
    assert said['held'] == {'params': 1, 'opt_state': 1, 'memory': 1}
    assert_same_numbers(whole(said['losses']), runs['one'])


def test_a_checkpoint_of_eight_devices_resumes_on_processes(runs, resumed, data):
    workdir, whole = resumed
    said, _ = finish(*start_two(data=data, workdir=workdir))
    assert_same_numbers(whole(said['losses']), runs['one'])


def test_when_one_process_dies_the_other_ends_and_both_resume(runs, data, tmp_path):
    settings = {'data': data, 'workdir': str(tmp_path / 'run')}
    dies = {'kill_after': STEPS + 2}
    other, dying = start_two(of_second=dies, **settings)
    _, why = dying.communicate()
    died = time.monotonic()
    assert dying.returncode == -signal.SIGKILL, why
    _, errors = other.communicate(timeout=60)
    assert time.monotonic() - died < 60
    assert other.returncode not in (0, 2)
    assert 'another process of this run' in errors or 'another task died' in errors
    assert len(files.read_history(tmp_path / 'run' / 'metrics.jsonl')) == 1
    finish(*start_two(**settings))
    assert figures(kept(tmp_path / 'run', []).results) == figures(runs['two'].results)
    assert_alike(tmp_path / 'run', runs['two'].folder)


def test_processes_that_differ_are_refused_before_training(data, tmp_path):
    settings = {'data': data, 'workdir': str(tmp_path / 'run')}
    other = {'overrides': [['optim.clip_norm', 2.5]]}
    for process in start_two(of_second=other, **settings):
        out, errors = process.communicate(timeout=120)
        assert process.returncode == 2, errors
        assert 'optim.clip_norm: None in process 1, 2.5 in process 2' in errors
        assert 'epoch' not in out


def test_what_one_process_cannot_do_none_does(data, tmp_path):
    settings = {'data': data, 'workdir': str(tmp_path / 'run')}
    first, second = start_two(of_second={'data': 'nowhere.pkl'}, **settings)
    (_, of_first), (_, of_second) = first.communicate(), second.communicate()
    assert (first.returncode, second.returncode) == (2, 2)
    assert 'process 2 fails: ' in of_first and 'nowhere.pkl' in of_first
    assert of_second.count('nowhere.pkl') == 1


@pytest.mark.parametrize('place', ['2', '0/2@a:1', '3/2@a:1', '1/2@a', '1/2'])
def test_a_place_that_is_none_is_refused(place):
    with (
        pytest.raises(UserError, match=f'--processes={place} must be'),
        processes.joined(place),
    ):
        pass


def test_a_process_alone_agrees_with_itself():
    assert processes.leads()
    assert processes.everyone({'a': [1]}) == [{'a': [1]}]
    assert processes.agree(lambda: 3) == 3
