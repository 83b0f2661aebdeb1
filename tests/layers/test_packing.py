"""Packing: every utterance once, and BERT's hidden states unchanged."""

import itertools

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sugrm_jax.layers.bert import Bert, BertConfig
from sugrm_jax.layers.packing import (
    first_fit,
    pack,
    packed_bert_inputs,
    row_sizes,
    unpack,
)

CONFIG = BertConfig(50, 16, 2, 2, 32, 'gelu', 0.1, 0.1, 12, 2)


def make_tokens(lengths, steps):
    rng = np.random.default_rng(0)
    mask = (np.arange(steps) < np.asarray(lengths)[:, None]).astype(np.int32)
    ids = rng.integers(1, 50, mask.shape) * mask
    segments = rng.integers(0, 2, mask.shape) * mask
    return np.stack([ids, mask, segments], axis=1).astype(np.int32)


def pack_one(lengths, row_length, rows=None):
    """The plan of one batch, in as many rows as it needs."""
    lengths = np.asarray([lengths])
    if rows is None:
        rows = first_fit(lengths, row_length)[0].max() + 1
    return jax.tree.map(lambda x: x[0], pack(lengths, row_length, rows))


def test_by_hand():
    # Longest first: 5 opens row 0, 4 row 1, 3 row 2; 2 fits behind the 4.
    packing = pack_one([3, 5, 0, 2, 4], row_length=6)
    np.testing.assert_array_equal(packing.row, [2, 0, 0, 1, 1])
    np.testing.assert_array_equal(packing.start, [0, 0, 0, 4, 0])
    np.testing.assert_array_equal(
        packing.group, [[2, 2, 2, 2, 2, 0], [5, 5, 5, 5, 4, 4], [1, 1, 1, 0, 0, 0]]
    )
    np.testing.assert_array_equal(
        packing.position, [[0, 1, 2, 3, 4, 0], [0, 1, 2, 3, 0, 1], [0, 1, 2, 0, 0, 0]]
    )


@given(
    lengths=st.lists(st.integers(0, 12), min_size=1, max_size=40),
    row_length=st.integers(12, 20),
)
def test_every_utterance_once_and_no_overlap(lengths, row_length):
    packing = pack_one(lengths, row_length)
    owned = np.zeros_like(packing.group)
    for b, length in enumerate(lengths):
        start = packing.start[b]
        assert start + length <= row_length
        here = packing.row[b], slice(start, start + length)
        owned[here] += 1
        assert (packing.group[here] == b + 1).all()
        np.testing.assert_array_equal(packing.position[here], np.arange(length))
    assert owned.max() <= 1
    np.testing.assert_array_equal(owned, packing.group > 0)
    assert len(packing.group) <= len(lengths)
    for array in jax.tree.leaves(packing):
        assert array.dtype == np.int32


@given(st.integers(1, 300))
def test_few_row_sizes_and_no_more_than_a_quarter_apart(largest):
    sizes = row_sizes(largest)
    assert sizes[0] == 1 and sizes[-1] == largest and len(sizes) <= 30
    for small, large in itertools.pairwise(sizes):
        assert small < large <= max(small + 1, 1.25 * small)


def test_batches_are_planned_as_they_would_be_alone():
    lengths = np.array([[3, 5, 0, 2, 4], [6, 6, 6, 6, 6], [0, 0, 0, 0, 0]])
    together = pack(lengths, 6, 5)
    for m, one in enumerate(lengths):
        alone = pack_one(one, 6, 5)
        same = jax.tree.map(lambda x, y, m=m: (x[m] == y).all(), together, alone)
        assert all(jax.tree.leaves(same))


def test_a_batch_of_short_utterances_takes_few_rows():
    # 32 utterances of 15 tokens, three to a row of 50.
    assert len(pack_one([15] * 32, 50).group) == 11
    assert len(pack_one([15] * 32, 50, 13).group) == 13


@settings(deadline=None, max_examples=20)
@given(lengths=st.lists(st.integers(0, 8), min_size=1, max_size=9))
def test_unpack_undoes_packing_and_zeroes_padding(lengths):
    tokens = make_tokens(lengths, 8)
    packing = pack_one(lengths, 8)
    inputs = packed_bert_inputs(tokens, packing)
    np.testing.assert_array_equal(inputs['mask'], packing.group > 0)
    hidden = jnp.stack([inputs['ids'], inputs['mask'], inputs['segments']], axis=-1)
    np.testing.assert_array_equal(
        unpack(hidden, packing, 8), np.moveaxis(tokens, 1, -1)
    )


def hidden_states(params, tokens, packing=None):
    bert, length = Bert(CONFIG), tokens.shape[2]
    if packing is None:
        ids, mask, segments = jnp.moveaxis(tokens, 1, 0)
        return bert.apply(params, ids, mask, segments) * mask[..., None]
    packed = bert.apply(params, **packed_bert_inputs(tokens, packing))
    return unpack(packed, packing, length)


def test_packed_bert_equals_bert_at_real_tokens_with_every_gradient():
    lengths = [3, 9, 1, 4, 0, 7, 2, 2]
    tokens = make_tokens(lengths, 9)
    packing = pack_one(lengths, 9)
    assert len(packing.group) < len(lengths)
    params = jax.jit(Bert(CONFIG).init)(jax.random.key(0), *np.moveaxis(tokens, 1, 0))
    probe = jax.random.normal(jax.random.key(1), (len(lengths), 9, 16))

    @jax.jit
    def run(params, packing):
        def loss(params):
            hidden = hidden_states(params, tokens, packing)
            return (hidden * probe).sum(), hidden

        return jax.grad(loss, has_aux=True)(params)

    gradients, hidden = run(params, None)
    packed_gradients, packed_hidden = run(params, packing)
    # float32 sums in another order: some 1e-7 of the largest value each.
    np.testing.assert_allclose(packed_hidden, hidden, atol=2e-6 * np.abs(hidden).max())
    largest = max(np.abs(g).max() for g in jax.tree.leaves(gradients))
    chex.assert_trees_all_close(
        packed_gradients, gradients, rtol=0, atol=2e-6 * float(largest)
    )


def test_batches_of_one_size_share_a_program():
    @jax.jit
    @chex.assert_max_traces(n=1)
    def run(hidden, packing):
        return unpack(hidden, packing, 6)

    for lengths in ([3, 5, 2, 4], [4, 4, 3, 2]):
        run(jnp.ones((3, 6, 2)), pack_one(lengths, 6, 3))


def test_what_does_not_fit_is_refused():
    with pytest.raises(ValueError, match='7 tokens in rows of 6'):
        pack(np.array([[3, 7]]), 6, 2)
