"""Checkpoints: what comes back, and what is refused."""

import json
import os
import shutil

import chex
import jax.numpy as jnp
import numpy as np
import optax
import orbax.checkpoint as ocp
import pytest

from sugrm_jax import UserError
from sugrm_jax.training.checkpoint import Checkpoints, Progress, read_best
from sugrm_jax.training.state import start_state
from tests.training.test_step import line_objective

IDENTITY = {'config': {'seed': 1}, 'data_sha256': 'abc'}
LABELS = {'t': np.ones((2, 3), np.float32)}


def line_state(w):
    params = {'w': jnp.float32(w)}
    objective, labels = line_objective(), jnp.zeros(3)
    stats = {'batch_stats': {'count': jnp.float32(2 * w)}}
    return start_state(
        params, optax.adam(0.1), objective, labels, averaged=False, stats=stats
    )


@pytest.fixture
def kept(tmp_path):
    """A run's folder with a checkpoint of each kind."""
    checkpoints = Checkpoints(tmp_path, IDENTITY)
    progress = Progress(epoch=3, step=1, best_epoch=2, best_mae=0.5)
    checkpoints.save_best(2, {'w': jnp.float32(7)})
    checkpoints.save_latest(line_state(5), progress, LABELS)
    checkpoints.close()
    return tmp_path


def test_what_was_saved_comes_back(kept):
    checkpoints = Checkpoints(kept, IDENTITY)
    state, progress, labels = checkpoints.restore_latest(line_state(0))
    chex.assert_trees_all_equal(state, line_state(5))
    assert progress == Progress(epoch=3, step=1, best_epoch=2, best_mae=0.5)
    np.testing.assert_array_equal(labels['t'], LABELS['t'])
    assert checkpoints.restore_best(2, {'w': jnp.float32(0)}) == {'w': 7}


def test_a_new_folder_holds_no_run(tmp_path):
    assert Checkpoints(tmp_path, IDENTITY).restore_latest(line_state(0)) is None


def test_a_run_with_other_settings_is_refused_whatever_its_shapes(kept):
    other = IDENTITY | {'config': {'seed': 2}}
    with pytest.raises(UserError, match='seed: 1 there, 2 here'):
        Checkpoints(kept, other).restore_latest({'another': jnp.zeros(2)})


def spoil_meta(latest):
    (latest / 'meta' / 'metadata').write_text('{"torn')


def spoil_identity(latest):
    (latest / 'meta' / 'metadata').write_text('{"identity": {}, "progress": {}}')


def spoil_arrays(latest):
    for path in (latest / 'state').rglob('*'):
        if path.is_file() and path.name != '_METADATA':
            path.write_bytes(path.read_bytes()[:10])


def spoil_metadata(latest):
    (latest / 'state' / '_METADATA').unlink()


def spoil_state(latest):
    shutil.rmtree(latest / 'state')


@pytest.mark.parametrize(
    'spoil', [spoil_meta, spoil_identity, spoil_arrays, spoil_metadata, spoil_state]
)
def test_a_damaged_checkpoint_is_one_sentence(kept, spoil):
    (latest,) = (kept / 'checkpoints' / 'latest').iterdir()
    spoil(latest)
    with pytest.raises(UserError, match=f'{latest} cannot be read: it is damaged'):
        Checkpoints(kept, IDENTITY).restore_latest(line_state(0))


TIMES = {
    'text': '"x"',
    'large': '1' + '0' * 30,
    'deep': '[' * 20_000,
    'long': '1' * 5000,
}


@pytest.mark.parametrize('time', TIMES)
def test_spoiled_metadata_are_one_sentence_when_it_is_opened(kept, time):
    """Orbax reads them when it is made, and stumbles in a way of its own over each."""
    (latest,) = (kept / 'checkpoints' / 'latest').iterdir()
    path = latest / '_CHECKPOINT_METADATA'
    content = json.loads(path.read_text()) | {'commit_timestamp_nsecs': 'HERE'}
    path.write_text(json.dumps(content).replace('"HERE"', TIMES[time]))
    with pytest.raises(UserError, match=r'latest.*: it is damaged') as told:
        Checkpoints(kept, IDENTITY).restore_latest(line_state(0))
    assert len(str(told.value)) < 1000


@pytest.mark.parametrize('kind', ['latest', 'best'])
def test_a_pipe_in_a_checkpoint_is_refused(kept, kind):
    (folder,) = (kept / 'checkpoints' / kind).iterdir()
    os.mkfifo(folder / 'pipe')
    with pytest.raises(UserError, match='it is no regular file'):
        Checkpoints(kept, IDENTITY)
    if kind == 'best':
        with pytest.raises(UserError, match='it is no regular file'):
            read_best(kept, 2, {'w': jnp.float32(0)})


@pytest.mark.parametrize(
    ('field', 'value'),
    [
        ('epoch', 'x'),
        ('epoch', 0),
        ('step', -1),
        ('best_epoch', 10**30),
        ('unknown', 1),
    ],
)
def test_a_record_that_none_can_be_is_one_sentence(kept, field, value):
    (latest,) = (kept / 'checkpoints' / 'latest').iterdir()
    path = latest / 'meta' / 'metadata'
    content = json.loads(path.read_text())
    content['progress'][field] = value
    path.write_text(json.dumps(content))
    with pytest.raises(UserError, match=f'it is damaged.*{field}'):
        Checkpoints(kept, IDENTITY).restore_latest(line_state(0))


def test_a_record_may_lack_what_came_later(kept):
    (latest,) = (kept / 'checkpoints' / 'latest').iterdir()
    path = latest / 'meta' / 'metadata'
    content = json.loads(path.read_text())
    content['progress'].pop('processes')
    path.write_text(json.dumps(content))
    _, progress, _ = Checkpoints(kept, IDENTITY).restore_latest(line_state(0))
    assert progress.processes == [] and progress.best_epoch == 2


def test_whatever_orbax_stumbles_over_is_one_sentence(kept, monkeypatch):
    """Spoiled metadata led to an attribute of something else, among others."""

    def stumbles(*_, **__):
        raise AttributeError("'dict' object has no attribute 'param_name'")

    monkeypatch.setattr(ocp.CheckpointManager, 'restore', stumbles)
    with pytest.raises(UserError, match='cannot be read: it is damaged'):
        Checkpoints(kept, IDENTITY).restore_latest(line_state(0))


def test_the_best_of_another_epoch_is_not_taken_for_it(kept):
    with pytest.raises(UserError, match='cannot be read'):
        Checkpoints(kept, IDENTITY).restore_best(1, {'w': jnp.float32(0)})


def test_a_run_killed_between_best_and_latest_still_has_the_best_before(kept):
    checkpoints = Checkpoints(kept, IDENTITY)
    checkpoints.save_best(3, {'w': jnp.float32(8)})
    checkpoints.close()
    # `latest` still says 2. Going on, the run may reach another epoch 3.
    checkpoints = Checkpoints(kept, IDENTITY)
    assert checkpoints.restore_best(2, {'w': jnp.float32(0)}) == {'w': 7}
    checkpoints.save_best(3, {'w': jnp.float32(9)})
    assert checkpoints.restore_best(3, {'w': jnp.float32(0)}) == {'w': 9}
    checkpoints.save_best(4, {'w': jnp.float32(1)})
    with pytest.raises(UserError, match='cannot be read'):
        checkpoints.restore_best(2, {'w': jnp.float32(0)})
