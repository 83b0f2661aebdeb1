"""Sequences in a file give what the same sequences in memory give."""

import tracemalloc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sugrm_jax.data import folder
from sugrm_jax.data.stored import chunks
from sugrm_jax.errors import UserError


def same(ours, theirs):
    np.testing.assert_array_equal(ours, theirs, strict=True)


@pytest.fixture(scope='module')
def pair(tmp_path_factory):
    """The same in memory and in a file."""
    array = np.arange(130 * 5 * 2, dtype=np.float32).reshape(130, 5, 2) + 1
    path = tmp_path_factory.mktemp('stored') / 'audio.npy'
    return array, folder.save_sequences(path, array).array


@given(
    rows=st.lists(st.integers(0, 129), max_size=9),
    steps=st.integers(0, 9),
    longer=st.integers(0, 3),
)
def test_rows_and_their_first_steps(pair, rows, steps, longer):
    array, stored = pair
    rows = np.array(rows, np.int32)
    array = np.pad(array, [(0, 0), (0, longer), (0, 0)])
    stored = stored.padded(5 + longer)
    assert (len(stored), stored.shape) == (len(array), array.shape)
    same(stored[rows], array[rows])
    same(stored[rows, :steps], array[rows, :steps])


def test_changes_follow_each_other(pair):
    array, stored = pair
    rows = np.array([7, 2])
    plus_row = stored.then(lambda x, rows: x + np.float32(rows[:, None, None]))
    changed = plus_row.then(lambda x, _: 2 * x)
    same(changed[rows, :3], 2 * (array[rows, :3] + np.float32([[[7]], [[2]]])))
    same(stored[rows], array[rows])


@pytest.mark.parametrize('rows', [[130], [0, -1]])
def test_there_are_no_other_rows(pair, rows):
    with pytest.raises(IndexError, match=f'row {rows[-1]} of 130'):
        pair[1][np.array(rows)]


@pytest.mark.parametrize('cut', [slice(1, None), slice(None, None, 2)])
def test_only_first_steps_are_cut_out(pair, cut):
    with pytest.raises(IndexError, match='only first steps'):
        pair[1][np.array([0]), cut]


def test_numpy_reads_the_file_too(pair):
    array, stored = pair
    same(np.load(stored.file.name, mmap_mode='r'), array)


def test_a_file_cut_short_while_in_use(tmp_path):
    path = tmp_path / 'audio.npy'
    stored = folder.save_sequences(path, np.ones((4, 5, 2))).array
    with path.open('r+b') as file:
        file.truncate(stored.offset + 3 * 40 + 8)
    same(stored[np.array([2])], np.ones((1, 5, 2), np.float32))
    with pytest.raises(UserError, match=r'audio.npy ends before its row 3'):
        stored[np.array([0, 3])]


def test_what_is_written_is_mended_part_by_part(tmp_path):
    array = np.random.default_rng(0).normal(size=(150, 4, 3))
    array[[0, 70, 149], 3] = 0  # in each of the parts
    array[[1, 71, 148], 2, 1] = -np.inf, np.nan, 1e30
    found = folder.save_sequences(tmp_path / 'audio.npy', array)
    assert found.mended == 3 and len(chunks(150)) == 3
    assert np.flatnonzero(found.last == 3).tolist() == [0, 70, 149]
    expected = np.where(np.abs(array) < 1e30, array, 0).astype(np.float32)
    same(found.array[np.arange(150)], expected)


def test_neither_writing_nor_reading_holds_the_whole(tmp_path):
    array = np.ones((64 * 40, 50, 10))
    tracemalloc.start()
    found = folder.save_sequences(tmp_path / 'audio.npy', array)
    found.array[np.arange(32)]
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    # A part in float32 is a 40th; float64, masks and a batch are as much again each.
    assert peak < array.astype(np.float32).nbytes / 5


@pytest.mark.parametrize('value', [np.nan, np.inf, -np.inf, 1.1e18, -1.1e18])
def test_values_that_were_never_written(value, tmp_path):
    path = tmp_path / 'audio.npy'
    stored = folder.save_sequences(path, np.ones((4, 5, 2))).array
    array = np.load(path, mmap_mode='r+')
    array[2, 4, 1] = value
    array.flush()
    same(stored[np.array([1, 3])], np.ones((2, 5, 2), np.float32))
    with pytest.raises(UserError, match=r'audio\.npy holds values that are not finite'):
        stored[np.array([1, 2])]
