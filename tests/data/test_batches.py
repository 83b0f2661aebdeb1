"""Every sample once per epoch, in an order that seed and epoch decide."""

import jax
import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from sugrm_jax.data.batches import (
    batch_count,
    batch_index,
    epoch_order,
    gather,
    samples_of,
)
from sugrm_jax.types import Plan, Split


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
    order = epoch_order(seed, epoch, count)
    index = batch_index(order, size, size + more, count)
    assert index.shape == (batch_count(count, size), size + more)
    assert index.dtype == np.int32
    assert ((index < count).sum(1) <= size).all()
    np.testing.assert_array_equal(index[index < count], order)
    np.testing.assert_array_equal(np.sort(order), np.arange(count))
    assert index.max() <= count


def test_the_last_batch_is_filled_up():
    index = batch_index(np.array([3, 4, 0, 1, 2]), 2, 4, 5)
    np.testing.assert_array_equal(index, [[3, 4, 5, 5], [0, 1, 5, 5], [2, 5, 5, 5]])


def test_the_order_is_a_function_of_seed_and_epoch():
    order = epoch_order(1, 2, 50)
    np.testing.assert_array_equal(order, epoch_order(1, 2, 50))
    for seed, epoch in [(1, 1), (1, 3), (2, 2), (2, 1), (0, 2)]:
        assert (epoch_order(seed, epoch, 50) != order).any()


def test_rows_belong_to_their_sample():
    split = make_split(6)
    batch = gather(samples_of(split), Plan(np.int32([4, 1])))
    np.testing.assert_array_equal(batch.index, [4, 1])
    np.testing.assert_array_equal(batch.tokens, split.tokens[[4, 1]])
    np.testing.assert_array_equal(batch.audio[:, 0, 0], [4, 1])
    np.testing.assert_array_equal(batch.audio_length, [5, 2])
    np.testing.assert_array_equal(batch.vision[:, 0, 0], [-4, -1])
    np.testing.assert_array_equal(batch.vision_length, [50, 20])
    np.testing.assert_array_equal(batch.label, np.float32([0.4, 0.1]))
    np.testing.assert_array_equal(batch.weight, [1, 1])
    assert batch.packing is None


def test_rows_that_fill_a_batch_have_no_weight_and_no_tokens():
    split = make_split(5)
    batch = gather(samples_of(split), Plan(np.int32([2, 5, 5])))
    np.testing.assert_array_equal(batch.index, [2, 5, 5])
    np.testing.assert_array_equal(batch.weight, np.float32([1, 0, 0]))
    assert batch.weight.dtype == np.float32
    assert (batch.tokens[0] == 3).all() and (batch.tokens[1:] == 0).all()
    # Whatever fills the other fields is finite, for 0 · NaN is NaN.
    assert all(np.isfinite(x).all() for x in (batch.audio, batch.vision, batch.label))


def test_steps_beyond_the_share_are_cut():
    samples = samples_of(make_split(3))
    batch = gather(samples, Plan(np.int32([2, 0]), share=0.5))
    # Of 5 and 6 steps; text has its own way of leaving padding out.
    assert batch.audio.shape == (2, 3, 2) and batch.vision.shape == (2, 3, 3)
    np.testing.assert_array_equal(batch.audio[:, :, 0], [[2, 2, 2], [0, 0, 0]])
    assert batch.tokens.shape == (2, 3, 4)


def test_on_a_device_it_gives_what_it_gives_on_the_host():
    samples, plan = samples_of(make_split(5)), Plan(np.int32([4, 0, 5]), (np.ones(2),))
    host, device = gather(samples, plan), jax.jit(gather)(samples, plan)
    device = jax.device_get(device)
    host = jax.tree.map(np.asarray, host, is_leaf=lambda x: x is None)
    for field in ('tokens', 'audio', 'audio_length', 'vision', 'label', 'weight'):
        one, other = getattr(host, field), getattr(device, field)
        np.testing.assert_array_equal(one, other)
        assert one.dtype == other.dtype, field


def test_a_plan_gives_the_plan_of_one_batch():
    plan = Plan(np.arange(6).reshape(2, 3), {'x': np.arange(2)})
    np.testing.assert_array_equal(plan[1].index, [3, 4, 5])
    assert plan[1].packing['x'] == 1
