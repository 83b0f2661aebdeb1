"""Every sample once per epoch, in an order that seed and epoch decide."""

import dataclasses

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from sugrm_jax.data.batches import batch_count, batches, epoch_order, make_batch
from sugrm_jax.types import Split


def make_split(count):
    """Sample `i` says `i` (in floats) or `i + 1` (in tokens and lengths) everywhere."""
    i = np.arange(count, dtype=np.float32)
    whole = np.arange(1, count + 1, dtype=np.int32)
    return Split(
        ids=[f'x{k}' for k in range(count)],
        raw_text=['x'] * count,
        tokens=np.tile(whole[:, None, None], (1, 3, 4)),
        audio=np.tile(i[:, None, None], (1, 5, 2)),
        audio_length=whole,
        vision=np.tile(-i[:, None, None], (1, 6, 3)),
        vision_length=10 * whole,
        label=i / 10,
        unimodal={},
    )


@given(
    count=st.integers(1, 40),
    size=st.integers(1, 17),
    more=st.integers(0, 5),
    seed=st.integers(0, 3),
    epoch=st.integers(1, 3),
)
def test_every_sample_once(count, size, more, seed, epoch):
    split = make_split(count)
    order = epoch_order(seed, epoch, count)
    found = list(batches(split, order, size, rows=size + more))
    assert len(found) == batch_count(count, size)
    for batch in found:
        assert all(len(x) == size + more for x in dataclasses.astuple(batch)[:-1])
        assert batch.index.dtype == np.int32 and batch.weight.dtype == np.float32
        np.testing.assert_array_equal(batch.weight == 1, batch.index < count)
        np.testing.assert_array_equal(batch.weight == 0, batch.index == count)
        assert batch.weight.sum() <= size
    index = np.concatenate([batch.index[batch.weight > 0] for batch in found])
    np.testing.assert_array_equal(index, order)
    np.testing.assert_array_equal(np.sort(index), np.arange(count))


def test_the_order_is_a_function_of_seed_and_epoch():
    order = epoch_order(1, 2, 50)
    np.testing.assert_array_equal(order, epoch_order(1, 2, 50))
    for seed, epoch in [(1, 1), (1, 3), (2, 2), (2, 1), (0, 2)]:
        assert (epoch_order(seed, epoch, 50) != order).any()


def test_rows_belong_to_their_sample():
    split = make_split(6)
    batch = make_batch(split, np.array([4, 1]), 2)
    np.testing.assert_array_equal(batch.index, [4, 1])
    np.testing.assert_array_equal(batch.tokens, split.tokens[[4, 1]])
    np.testing.assert_array_equal(batch.audio[:, 0, 0], [4, 1])
    np.testing.assert_array_equal(batch.audio_length, [5, 2])
    np.testing.assert_array_equal(batch.vision[:, 0, 0], [-4, -1])
    np.testing.assert_array_equal(batch.vision_length, [50, 20])
    np.testing.assert_array_equal(batch.label, np.float32([0.4, 0.1]))
    assert batch.packing is None


def test_a_last_batch_is_filled_up():
    split = make_split(5)
    before = split.tokens.copy()
    *_, last = batches(split, np.array([3, 4, 0, 1, 2]), 2, rows=4)
    np.testing.assert_array_equal(last.index, [2, 5, 5, 5])
    np.testing.assert_array_equal(last.weight, [1, 0, 0, 0])
    assert (last.tokens[0] == 3).all() and (last.tokens[1:] == 0).all()
    # Whatever fills the other fields is finite, for 0 · NaN is NaN.
    assert all(np.isfinite(x).all() for x in (last.audio, last.vision, last.label))
    np.testing.assert_array_equal(split.tokens, before)


def test_batches_can_be_skipped():
    split, order = make_split(11), epoch_order(0, 1, 11)
    whole = list(batches(split, order, 4, rows=4))
    for start in range(4):
        rest = list(batches(split, order, 4, rows=4, start=start))
        assert [list(b.index) for b in rest] == [list(b.index) for b in whole[start:]]


def test_the_packer_sees_filled_rows_without_tokens():
    def packer(tokens):
        return tokens[:, 1].sum(-1)

    found = list(batches(make_split(3), np.arange(3), 2, rows=2, packer=packer))
    np.testing.assert_array_equal(found[0].packing, [4, 8])
    np.testing.assert_array_equal(found[1].packing, [12, 0])


def test_batch_count():
    assert [batch_count(n, 4) for n in (0, 1, 4, 5, 8, 9)] == [0, 1, 1, 2, 2, 3]
