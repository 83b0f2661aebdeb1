"""Runs cut off at a write; benchmarks.kill_campaign and full_disk are the long form."""

import contextlib
import errno
import itertools
import resource
import shutil
import sys
import threading

import numpy as np
import pytest
from rich.console import Console

from benchmarks.dying import is_write, target
from benchmarks.kill_campaign import differing, unreadable
from sugrm_jax import UserError, train
from sugrm_jax.training.checkpoint import Checkpoints, Progress, keep_best_only
from tests.training.test_checkpoint import IDENTITY, line_state

QUIET = Console(quiet=True)


class PowerCut(BaseException):
    """Nothing of ours handles it."""


class Writes:
    """Counts the writes below a folder, and lets one of them fail.

    Attributes:
      folder: where; None is nowhere.
      left: writes until one fails; it and, for a full disk, all behind it.
      error: what it fails with.
    """

    def __init__(self):
        self.folder, self.left, self.error, self.count = None, 0, None, 0
        sys.addaudithook(self._hook)

    def _hook(self, event, details):
        # Other threads are orbax's, which would wait for one that ends.
        if self.folder is None or threading.current_thread() is not MAIN:
            return
        if is_write(event, details) and str(self.folder) in target(event, details):
            self.count += 1
            # A disk that is full stays so, but what is on it can be removed.
            stays = isinstance(self.error, OSError) and self.count > self.left
            if self.error and (self.count == self.left or stays):
                raise self.error

    def watch(self, folder, left=0, error=None):
        self.folder, self.left, self.error, self.count = folder, left, error, 0


MAIN = threading.main_thread()
WRITES = Writes()  # a hook cannot be taken off


@pytest.fixture
def writes():
    yield WRITES
    WRITES.watch(None)


@pytest.fixture(scope='module')
def unbroken(finished, shared):
    """Config, folder and compiled programs of a run that nothing stopped."""
    config, workdir, _ = finished
    return config, workdir, shared


def run(unbroken, folder):
    config, _, shared = unbroken
    return train(config, folder, QUIET, shared=shared)


def all_writes(unbroken, folder, writes):
    writes.watch(folder)
    run(unbroken, folder)
    count = writes.count
    writes.watch(None)
    assert count > 50
    return count


def spread(count, number):
    """Writes from the first on, short of the last: their count varies by a few."""
    return range(1, count - 10, (count - 10) // number)


def test_a_run_cut_at_any_write_ends_as_one_that_was_not(unbroken, tmp_path, writes):
    count = all_writes(unbroken, tmp_path / 'whole', writes)
    uncut = 0
    for left in spread(count, 5):
        folder = tmp_path / str(left)
        writes.watch(folder, left, PowerCut())
        with contextlib.suppress(PowerCut):
            run(unbroken, folder)
            uncut += 1  # it made fewer writes than the run that was counted
        writes.watch(None)
        assert unreadable(folder) == []
        run(unbroken, folder)
        assert unreadable(folder) == [] and differing(folder, unbroken[1]) == []
    assert uncut <= 1


def save(folder, seed):
    """Two epochs, the first of them by an earlier process."""
    checkpoints = Checkpoints(folder, IDENTITY)
    checkpoints.save_best(seed, {'w': np.float32(seed)})
    state = line_state(seed).replace(step=np.int32(seed))
    checkpoints.save_latest(state, Progress(epoch=seed), {})
    checkpoints.close()


def cut_everywhere(tmp_path, writes, prepare, action):
    """A folder for every write of `action`, which is cut there."""
    for left in itertools.count(1):
        folder = tmp_path / str(left)
        prepare(folder)
        writes.watch(folder, left, PowerCut())
        with contextlib.suppress(PowerCut):
            action(folder)
            assert left > 10
            return
        writes.watch(None)
        yield folder


def test_a_checkpoint_is_whole_or_gone_at_every_write(tmp_path, writes):
    def prepare(folder):
        for seed in (1, 2):
            save(folder, seed)

    for folder in cut_everywhere(tmp_path, writes, prepare, lambda f: save(f, 3)):
        assert unreadable(folder) == []
        _, progress, _ = Checkpoints(folder, IDENTITY).restore_latest(line_state(0))
        assert progress.epoch in (2, 3)
        save(folder, 4)
        names = {x.name for x in folder.glob('checkpoints/*/*')}
        # Of the best ones the one before is kept too.
        assert names in ({'4', '3'}, {'4', '2'})


def test_what_is_deleted_of_a_finished_run_is_whole_or_gone(tmp_path, writes):
    def prepare(folder):
        for seed in (1, 2):
            save(folder, seed)

    def action(folder):
        keep_best_only(folder, 2)

    for folder in cut_everywhere(tmp_path, writes, prepare, action):
        assert unreadable(folder) == []


def test_folders_that_cannot_be_made_are_one_sentence(tmp_path, writes):
    for left in (1, 2, 3, 4):
        folder = tmp_path / str(left)
        folder.mkdir()
        writes.watch(folder, left, OSError(errno.ENOSPC, 'refused'))
        with pytest.raises(UserError, match=rf'{folder}.*refused'):
            save(folder, 1)
        writes.watch(None)
        save(folder, 1)


def test_a_disk_that_refuses_any_write_is_one_sentence(unbroken, tmp_path, writes):
    count = all_writes(unbroken, tmp_path / 'whole', writes)
    for left in spread(count, 3):
        folder = tmp_path / str(left)
        writes.watch(folder, left, OSError(errno.ENOSPC, 'refused'))
        with pytest.raises(UserError, match=rf'{folder}.*refused'):
            run(unbroken, folder)
        writes.watch(None)
        assert not folder.exists() or unreadable(folder) == []
        run(unbroken, folder)
        assert differing(folder, unbroken[1]) == []


@pytest.mark.parametrize('limit', [500, 50_000])
def test_files_that_may_not_grow_are_one_sentence(unbroken, tmp_path, limit):
    """A write that fails in the middle, in Python or in tensorstore's own threads."""
    usual = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, usual[1]))
    try:
        with pytest.raises(UserError, match=f'{tmp_path}.*File too large'):
            run(unbroken, tmp_path / 'run')
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, usual)
    assert unreadable(tmp_path / 'run') == []
    # In a copy: threads of the save that failed write on in the temporary folder they
    # know, until their process ends, which this one does not.
    partial = shutil.ignore_patterns('*.orbax-checkpoint-tmp*')
    shutil.copytree(tmp_path / 'run', tmp_path / 'copy', ignore=partial)
    run(unbroken, tmp_path / 'copy')
    assert differing(tmp_path / 'copy', unbroken[1]) == []
