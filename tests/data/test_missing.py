"""A modality removed, or another utterance's in its place."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sugrm_jax.data import missing
from sugrm_jax.data.batches import gather, samples_of
from sugrm_jax.types import Plan, Split

COUNT = 5


@pytest.fixture
def split():
    rng = np.random.default_rng(0)
    tokens = rng.integers(1, 9, (COUNT, 3, 4)).astype(np.int32)
    return Split(
        ids=[f'clip{i}' for i in range(COUNT)],
        raw_text=[''] * COUNT,
        tokens=tokens,
        audio=rng.normal(size=(COUNT, 6, 2)).astype(np.float32),
        audio_length=np.int32([6, 0, 3, 1, 2]),
        vision=rng.normal(size=(COUNT, 3, 7)).astype(np.float32),
        vision_length=np.int32([3, 1, 2, 0, 3]),
        label=np.arange(COUNT, dtype=np.float32),
        unimodal={},
        text=rng.normal(size=(COUNT, 4, 3)).astype(np.float32),
    )


def batch_of(split, share=1.0):
    return gather(samples_of(split), Plan(np.int32([4, 0, 2, 5]), share=share))


def arrays(batch):
    return {
        'a': (batch.audio, batch.audio_length),
        'v': (batch.vision, batch.vision_length),
        't': (batch.tokens, batch.text),
    }


@given(st.integers(2, 200), st.integers(0, 2**31))
def test_nobody_is_their_own_donor_and_everybody_gives_once(count, seed):
    donors = missing.others(count, seed)
    assert (donors != np.arange(count)).all()
    np.testing.assert_array_equal(np.sort(donors), np.arange(count))
    np.testing.assert_array_equal(donors, missing.others(count, seed))


def test_donors_are_drawn_and_one_alone_has_none():
    assert (missing.others(50, 0) != missing.others(50, 1)).any()
    with pytest.raises(ValueError, match='no other'):
        missing.others(1, 0)


@pytest.mark.parametrize('s', 'tav')
def test_removed_is_as_never_there_and_nothing_else_changes(split, s):
    assert missing.has(split, s)
    other = missing.removed(split, s)
    assert not missing.has(other, s)
    ours, theirs = arrays(batch_of(other)), arrays(batch_of(split))
    for modality in 'tav':
        for x, y in zip(ours[modality], theirs[modality], strict=True):
            assert x.shape == y.shape and x.dtype == y.dtype
            np.testing.assert_array_equal(x, 0 * y if modality == s else y)


@pytest.mark.parametrize('s', 'tav')
@pytest.mark.parametrize('share', [1.0, 0.5])
def test_swapped_is_the_donors_and_nothing_else_changes(split, s, share):
    donors = missing.others(COUNT, 3)
    ours = arrays(batch_of(missing.swapped(split, s, donors), share))
    theirs = arrays(batch_of(split, share))
    order = Plan(np.int32([*donors[[4, 0, 2]], 5]), share=share)
    given_ = arrays(gather(samples_of(split), order))
    for modality in 'tav':
        expected = given_ if modality == s else theirs
        for x, y in zip(ours[modality], expected[modality], strict=True):
            np.testing.assert_array_equal(x[:3], y[:3])
    assert not np.array_equal(ours[s][0], theirs[s][0])


def test_swapping_reads_only_the_rows_that_are_asked_for(split):
    """As of data on disk, which are read in no other way."""

    class OnDisk:
        shape, dtype, asked = split.audio.shape, split.audio.dtype, []

        def __getitem__(self, key):
            self.asked.append(key)
            return split.audio[key]

    donors = missing.others(COUNT, 3)
    stored = dataclasses.replace(split, audio=OnDisk())
    batch = batch_of(missing.swapped(stored, 'a', donors), 0.5)
    ((rows, steps),) = OnDisk.asked
    np.testing.assert_array_equal(rows, donors[[4, 0, 2, 0]])
    np.testing.assert_array_equal(batch.audio, split.audio[rows, :3])
    assert steps == slice(None, 3)
    # Nothing of what is removed is read, nor kept in memory.
    gone = missing.removed(stored, 'a').audio
    assert len(OnDisk.asked) == 1 and gone.strides == (0, 0, 0)
