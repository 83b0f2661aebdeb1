"""The text encoder: frozen or fine-tuned, packed or not; how rows are planned."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from sugrm_jax.layers.bert import BertConfig
from sugrm_jax.layers.text import TextConfig, TextEncoder, TokenPacker
from sugrm_jax.types import Batch

BERT = BertConfig(50, 16, 2, 2, 32, 'gelu', 0.25, 0.25, 9, 2)
LENGTHS = np.array([3, 9, 1, 4, 0, 2])


def make_tokens(lengths, steps=9):
    rng = np.random.default_rng(0)
    mask = (np.arange(steps) < np.asarray(lengths)[:, None]).astype(np.int32)
    ids = rng.integers(1, 50, mask.shape) * mask
    segments = rng.integers(0, 2, mask.shape) * mask
    return np.stack([ids, mask, segments], axis=1).astype(np.int32)


def make_batch(tokens, packing=None):
    return Batch(tokens, *[None] * 5, index=None, weight=None, packing=packing)


TOKENS = make_tokens(LENGTHS)
REAL = TOKENS[:, 1] > 0


def encoder(finetune, compute_dtype='float32'):
    return TextEncoder(BERT, TextConfig('', finetune, compute_dtype, 9))


@pytest.fixture(scope='module')
def params():
    init = functools.partial(encoder(True).init, deterministic=True)
    return jax.jit(init)(jax.random.key(0), make_batch(TOKENS))


@functools.partial(jax.jit, static_argnames=('model', 'deterministic'))
def hidden_and_gradient(model, params, batch, deterministic, key=None):
    """Hidden states, and the gradient of one number made of them."""
    rngs = {} if key is None else {'dropout': key}

    def total(params):
        hidden = model.apply(params, batch, deterministic, rngs=rngs)
        return jnp.sin(hidden).sum(), hidden

    gradient, hidden = jax.grad(total, has_aux=True)(params)
    return hidden, jax.tree.leaves(gradient)


def test_fine_tuned_it_has_gradients_and_dropout(params):
    batch = make_batch(TOKENS)
    still, gradient = hidden_and_gradient(encoder(True), params, batch, True)
    assert all(g.any() for g in gradient)
    key = jax.random.key(0)
    dropped, _ = hidden_and_gradient(encoder(True), params, batch, False, key)
    assert (dropped != still).any((1, 2)).all()


def test_frozen_it_has_neither(params):
    batch = make_batch(TOKENS)
    wanted, _ = hidden_and_gradient(encoder(True), params, batch, True)
    # Without a key for it, dropout would fail.
    still, gradient = hidden_and_gradient(encoder(False), params, batch, False)
    np.testing.assert_array_equal(still, wanted)
    assert not any(g.any() for g in gradient)


def test_the_rows_of_tokens_are_ids_mask_and_segments(params):
    def hidden(tokens):
        return hidden_and_gradient(encoder(True), params, make_batch(tokens), True)[0]

    before = hidden(TOKENS)
    other = TOKENS.copy()
    other[0, 0, 1] = TOKENS[0, 0, 1] % 49 + 1
    other[1, 2, 1] = 1 - TOKENS[1, 2, 1]
    # An id and a segment change what everyone in the utterance says …
    changed = (hidden(other) != before).any(-1)
    assert changed[:2].all() and not changed[2:].any()
    # … and a padded step's id what that step says alone.
    other = TOKENS.copy()
    other[0, 0, 7] = 5
    np.testing.assert_array_equal(
        (hidden(other) != before).any(-1)[0], np.arange(9) == 7
    )


@pytest.mark.parametrize('finetune', [True, False])
def test_packed_equals_unpacked_at_real_tokens(params, finetune):
    packer, index = TokenPacker(TOKENS), np.arange(len(TOKENS))[None]
    packing = jax.tree.map(lambda x: x[0], packer(index, packer.rows(index)))
    assert len(packing.group) < len(TOKENS)
    plain, _ = hidden_and_gradient(encoder(finetune), params, make_batch(TOKENS), True)
    batch = make_batch(TOKENS, packing)
    packed, _ = hidden_and_gradient(encoder(finetune), params, batch, True)
    # LayerNorm's output is of order 1; float32 sums in another order.
    np.testing.assert_allclose(packed[REAL], plain[REAL], atol=5e-6)
    assert (packed[~REAL] == 0).all() and (plain[~REAL] != 0).all()


def test_hidden_states_are_float32_whatever_the_compute_type(params):
    exact, _ = hidden_and_gradient(encoder(True), params, make_batch(TOKENS), True)
    model = encoder(True, 'bfloat16')
    rounded, _ = hidden_and_gradient(model, params, make_batch(TOKENS), True)
    assert exact.dtype == rounded.dtype == jnp.float32
    # bfloat16 keeps 8 bits, so it must differ by more than float32 rounds.
    assert np.abs(rounded - exact).max() > 1e-4


@pytest.mark.parametrize(
    ('changes', 'message'),
    [
        ({'compute_dtype': 'float16'}, 'compute_dtype must be one of'),
        ({'length': 1}, 'length must be at least 2'),
    ],
)
def test_settings_that_make_no_sense_are_refused(changes, message):
    settings = dict(pretrained='', finetune=True, compute_dtype='float32', length=9)
    with pytest.raises(ValueError, match=message):
        TextConfig(**settings | changes)


def test_rows_suffice_for_every_batch_and_are_of_few_sizes():
    packer = TokenPacker(make_tokens([5, 5, 5, 5, 2, 2, 2, 2], 9))
    # Four of five tokens need a row of nine each, four of two share one.
    assert packer.rows(np.array([[4, 5, 6, 7]])) == 1
    assert packer.rows(np.array([[4, 5, 6, 7], [0, 1, 2, 3]])) == 4
    # Eleven, in a batch of 14, are rounded up to the next size.
    assert packer.rows(np.array([[0, 1, 2, 3, 0, 1, 2, 3, 0, 1, 2, 4, 5, 6]])) == 12


def test_rows_that_fill_a_batch_take_no_room():
    packer = TokenPacker(make_tokens([5, 6], 12))
    packing = packer(np.array([[0, 1, 2, 2]]), 1)
    np.testing.assert_array_equal(packing.length, [[5, 6, 0, 0]])
    assert (packing.group > 0).sum() == 11
