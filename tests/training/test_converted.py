"""Training on a converted file, whose sequences and encoded texts stay on disk."""

import errno
import tempfile

import numpy as np
import pytest

from sugrm_jax import UserError, train
from sugrm_jax.config import plain
from sugrm_jax.data.convert import convert
from sugrm_jax.data.stored import Stored
from sugrm_jax.training.setup import prepare
from sugrm_jax.training.shared import Shared
from tests.training.runs import Stop, assert_alike, cut, figures, stop_after


@pytest.fixture
def config(config):
    """Standardised features and a frozen text encoder: all that can be on disk."""
    config.data.standardize = True
    config.text.finetune = False
    config.train.epochs = 2
    return config


@pytest.fixture
def converted(config, data_path, tmp_path, monkeypatch):
    """The same config with the converted file."""
    monkeypatch.setenv('SUGRM_CACHE', str(tmp_path / 'cache'))
    convert(data_path, tmp_path / 'out', say=lambda _: None)
    config = config.copy_and_resolve_references()
    config.data.path = str(tmp_path / 'out')
    return config


def test_a_run_gives_the_same_and_goes_on_where_the_pickles_stopped(
    config, converted, tmp_path, monkeypatch
):
    of_pickle, of_folder = Shared(), Shared()
    results = train(config, tmp_path / 'pickle', shared=of_pickle)
    again = train(converted, tmp_path / 'folder', shared=of_folder)
    assert figures(again) == figures(results)
    assert_alike(tmp_path / 'folder', tmp_path / 'pickle')
    with monkeypatch.context() as patch, pytest.raises(Stop):
        stop_after(patch, 4, cut)
        train(config, tmp_path / 'moved', shared=of_pickle)
    moved = train(converted, tmp_path / 'moved', shared=of_folder)
    assert figures(moved) == figures(results)
    assert_alike(tmp_path / 'moved', tmp_path / 'pickle')


def test_encoded_texts_are_on_disk_and_the_same(config, converted, tmp_path):
    theirs, ours = (prepare(plain(x)).dataset for x in (config, converted))
    for name, split in ours.splits.items():
        assert isinstance(split.text, Stored)
        expected = theirs.splits[name].text
        np.testing.assert_array_equal(
            split.text[np.arange(len(split))], expected, strict=True
        )
    assert list((tmp_path / 'cache').iterdir()) == [], 'its files have no name'


def test_no_room_for_encoded_texts(converted, tmp_path, monkeypatch):
    class Full:
        def write(self, part):
            raise OSError(errno.ENOSPC, 'No space left on device')

    monkeypatch.setattr(tempfile, 'TemporaryFile', lambda dir: Full())
    with pytest.raises(UserError, match=r'cache: No space left .* SUGRM_CACHE'):
        prepare(plain(converted))
