"""Sparsity: who reads whom, proved by gradients through one attention block."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from sugrm_jax.layers.attention import Table, sampled_attention
from sugrm_jax.layers.blocks import (
    CrossAttention,
    DropoutRates,
    InputAttention,
    InputKeys,
    PhasedConfig,
    SelfAttention,
)
from sugrm_jax.layers.dropout import keep, random_bytes
from sugrm_jax.layers.linear import join_rows, split_rows
from sugrm_jax.layers.sampling import Sampling, sampled_positions
from sugrm_jax.layers.tables import draws, layer_tables

WIDTH = 8
CONFIG = PhasedConfig(
    width=WIDTH,
    heads=2,
    layers=1,
    # The blocks take their positions as a table; these go unused here.
    input_attention=Sampling(1, 1, ()),
    cross_attention=Sampling(1, 1, ()),
    self_attention=Sampling(1, 1, ()),
    dropout=DropoutRates(),
    skip_zero_steps=False,
)

# (queries, keys, sampling, layer): the three kinds of attention at small sizes.
CASES = {
    'input-stride': (6, 30, Sampling(5, 7, ('stride',)), 2),
    'input-phase': (6, 30, Sampling(5, 7, ('stride', 'phase')), 1),
    # A share large enough for the random part to fire; at 0.05 it never does.
    'input-random': (6, 30, Sampling(5, 7, ('random',), random_share=2.0), 0),
    'cross-fewer-keys': (12, 9, Sampling(1, 5, ('stride',)), 3),
    'cross-more-keys': (9, 12, Sampling(1, 5, ('stride', 'phase')), 1),
    'cross-reverse': (12, 9, Sampling(1, 5, ('stride',)), 1),
    'self': (11, 11, Sampling(1, 3, ('stride',)), 1),
    'input-window-over-all-keys': (4, 3, Sampling(1, 5, ('stride',)), 1),
}


def positions(case, key=None):
    queries, keys, sampling, layer = CASES[case]
    return np.asarray(
        sampled_positions(
            sampling,
            layer=layer,
            queries=queries,
            keys=keys,
            length=keys,
            hidden=queries,
            key=key,
        )
    )


def table_of(case, key=None, both=False):
    """The case's table; `both`: of the reverse direction's queries too."""
    queries, keys, sampling, layer = CASES[case]
    sizes = [(queries, keys), (keys, queries)][: 1 + both]
    if 'reverse' in case:
        sizes = sizes[::-1]
    firsts = (sizes[0][0], 0) if both else (0,)
    sequences = [
        {'first': first, 'queries': q, 'keys': k, 'length': k, 'hidden': q}
        for first, (q, k) in zip(firsts, sizes, strict=True)
    ]
    draw = None if key is None else lambda: key
    tables = layer_tables(sampling, layer + 1, sequences, draw)
    return jax.tree.map(lambda rows: rows[layer], tables)


def input_outputs(h, x, table):
    """Output of the input attention, as a function of the input features."""
    keys = InputKeys(CONFIG)
    module = InputAttention(CONFIG, True, (h.shape[1],), (WIDTH,))
    keys_params = keys.init(jax.random.key(2), x)
    params = module.init(jax.random.key(3), h, x, x, table, None)

    def outputs(x):
        return module.apply(params, h, *keys.apply(keys_params, x), table, None)

    return outputs


def cross_outputs(h, x, table, reverse):
    """What one side of a cross attention gets, as a function of the other's states."""
    pair = [x, h] if reverse else [h, x]
    sizes = tuple(state.shape[1] for state in pair)
    module = CrossAttention(CONFIG, True, sizes, ((0, 1),))
    params = module.init(jax.random.key(2), join_rows(pair), table, None)

    def outputs(x):
        states = join_rows([x, h] if reverse else [h, x])
        return split_rows(module.apply(params, states, table, None), sizes)[reverse]

    return outputs


def self_outputs(h, x, table):
    """Output of self attention; the residual and the query are held still."""
    module = SelfAttention(CONFIG, True, (x.shape[1],))
    params = module.init(jax.random.key(2), x, table)
    return lambda x: module.apply(params, x, table)


def influence(case, key=None):
    """|d output of query i / d features at key position k|, `[Q, K]`."""
    queries, keys = CASES[case][:2]
    h = jax.random.normal(jax.random.key(0), (WIDTH, queries, 1))
    x = jax.random.normal(jax.random.key(1), (WIDTH, keys, 1))
    kind = case.split('-')[0]
    table = table_of(case, key, both=kind == 'cross')
    if kind == 'cross':
        outputs = cross_outputs(h, x, table, reverse='reverse' in case)
    else:
        outputs = {'input': input_outputs, 'self': self_outputs}[kind](h, x, table)
    chex.assert_shape(outputs(x), (WIDTH, queries, 1))
    jacobian = jax.jit(jax.jacrev(lambda x: outputs(x)[..., 0]))(x)[..., 0]
    return np.abs(jacobian).sum((0, 2))  # of [E, Q, E, K]


@pytest.mark.parametrize('case', CASES)
def test_gradient_is_zero_outside_the_sampled_positions_and_not_inside(case):
    key = jax.random.key(3) if 'random' in CASES[case][2].shifts else None
    table = positions(case, key)
    seen = np.zeros(CASES[case][:2], bool)
    seen[np.arange(len(table))[:, None], table] = True
    if case == 'self':
        # A state is its own query and residual, whatever its window.
        seen |= np.eye(len(table), dtype=bool)
    reached = influence(case, key)
    chex.assert_equal_shape([reached, seen])
    # Exactly zero: no path leads from an unsampled key to the query.
    assert (reached[~seen] == 0).all()
    assert (reached[seen] > 0).all()
    # Were every key sampled, the first assertion would say nothing.
    assert case == 'input-window-over-all-keys' or (~seen).any()


def test_random_shift_fires_and_changes_with_the_key():
    still = positions('input-random')
    draws = [positions('input-random', jax.random.key(i)) for i in range(20)]
    shifts = np.stack([(d - still)[:, 0] % 30 for d in draws])
    assert set(np.unique(shifts)) == set(range(10))  # ceil(2.0 * 30 / 6)


def test_random_shift_at_the_papers_share_never_fires():
    sampling = Sampling(5, 17, ('random',))
    sizes = dict(layer=0, queries=75, keys=375, length=375, hidden=75)
    still = sampled_positions(sampling, **sizes)
    drawn = sampled_positions(sampling, **sizes, key=jax.random.key(0))
    np.testing.assert_array_equal(still, drawn)


def test_positions_by_hand():
    # i = 0: 5 - 7 + 2 + 1 (layer) = ... : (0 + 1) * 5 - 7 + 1 = -1 → 29, 0, 1 ...
    table = sampled_positions(
        Sampling(5, 7, ('stride',)), layer=1, queries=2, keys=30, length=30, hidden=6
    )
    np.testing.assert_array_equal(
        table, [[29, 0, 1, 2, 3, 4, 5], [4, 5, 6, 7, 8, 9, 10]]
    )
    # i = 1, phase: trunc(30 * sin(0.25)) = trunc(7.42) = 7.
    table = sampled_positions(
        Sampling(5, 7, ('phase',)), layer=1, queries=2, keys=30, length=30, hidden=6
    )
    np.testing.assert_array_equal(table[1], [10, 11, 12, 13, 14, 15, 16])


def test_positions_of_each_utterance_are_those_of_its_own_length():
    sampling = Sampling(5, 7, ('stride', 'phase'))
    lengths, hidden = jnp.array([30, 11, 1]), jnp.array([6, 3, 1])
    tables = sampled_positions(
        sampling, layer=2, queries=6, keys=lengths, length=lengths, hidden=hidden
    )
    for table, length, q in zip(tables, [30, 11, 1], [6, 3, 1], strict=True):
        alone = sampled_positions(
            sampling, layer=2, queries=q, keys=length, length=length, hidden=q
        )
        np.testing.assert_array_equal(table[:q], alone)


def dense_attention(q, k, v, positions, mask=None, share=1.0):
    """Over all keys; one that stands n times in a window weighs n times exp(score).

    `positions` `[W, Q, B]`; a mask, `[W, H, Q, B]`, drops single slots.
    """
    slots = jax.nn.one_hot(positions, k.shape[2], axis=2)  # [W, Q, K, B]
    used = jnp.ones((len(slots), len(q), *slots.shape[1::2])) if mask is None else mask
    scores = jnp.einsum('hdqb,hdkb->hqkb', q, k) * q.shape[1] ** -0.5
    weights = jnp.exp(scores)
    total = (weights * slots.sum(0)).sum(2, keepdims=True)
    weights = weights / total * jnp.einsum('wqkb,whqb->hqkb', slots, used) / share
    return jnp.einsum('hqkb,hdkb->hdqb', weights, v)


# Attention of two sequences of queries, 6 and 9, to 5 and 7 keys; 4 slots a window.
SIZES, KEYS, WINDOW, UTTERANCES = (6, 9), (5, 7), 4, 3


def random_table(stride, per_utterance):
    """A table, and the same as positions `[W, Q, B]`."""
    spare = (WINDOW - 1) // stride if stride else 0
    slots = min(stride, WINDOW) if stride else WINDOW
    keys = jax.random.split(jax.random.key(7), len(SIZES))
    rows, positions = [], []
    for key, queries, count, first in zip(keys, SIZES, KEYS, (0, 5), strict=True):
        shape = slots, queries + spare
        shape += (UTTERANCES,) if per_utterance else ()
        drawn = first + jax.random.randint(key, shape, 0, count)
        rows.append(drawn)
        if stride:
            steps = [divmod(j, stride) for j in range(WINDOW)]
            drawn = jnp.stack([drawn[j, i : i + queries] for i, j in steps])
        drawn = drawn if per_utterance else drawn[..., None]
        positions.append(jnp.broadcast_to(drawn, (*drawn.shape[:2], UTTERANCES)))
    rows = jnp.concatenate(rows, axis=1)
    rows = rows.reshape(-1, *rows.shape[2:])
    return Table(rows, WINDOW, SIZES, stride), jnp.concatenate(positions, axis=1)


def values_and_gradients(attend, *arrays):
    def total(*arrays):
        out = attend(*arrays)
        return jnp.sin(out).sum(), out

    gradients, out = jax.grad(total, argnums=(0, 1, 2), has_aux=True)(*arrays)
    return out, gradients


def queries_keys_values():
    keys = jax.random.split(jax.random.key(0), 3)
    shapes = ((2, 4, count, UTTERANCES) for count in (sum(SIZES), 12, 12))
    return [jax.random.normal(k, s) for k, s in zip(keys, shapes, strict=True)]


def assert_close(sampled, dense):
    """A handful of float32 operations on values of order 1; more in gradients."""
    for got, wanted, atol in zip(sampled, dense, (2e-6, 5e-6), strict=True):
        chex.assert_trees_all_close(got, wanted, atol=atol)


@pytest.mark.parametrize('stride', [0, 1, 2, 3, 5])
@pytest.mark.parametrize('per_utterance', [False, True])
def test_equals_dense_attention_with_multiplicities(stride, per_utterance):
    table, positions = random_table(stride, per_utterance)
    qkv = queries_keys_values()
    sampled = values_and_gradients(
        jax.jit(lambda q, k, v: sampled_attention(q, k, v, table)), *qkv
    )
    dense = values_and_gradients(
        lambda q, k, v: dense_attention(q, k, v, positions), *qkv
    )
    assert_close(sampled, dense)


@pytest.mark.parametrize('stride', [0, 1, 2, 3, 5])
def test_dropout_drops_slots_of_windows(stride):
    table, positions = random_table(stride, per_utterance=False)
    qkv, key = queries_keys_values(), jax.random.key(5)
    sampled = values_and_gradients(
        lambda q, k, v: sampled_attention(q, k, v, table, key, 0.25), *qkv
    )
    spare = (WINDOW - 1) // stride if stride else 0
    spaced = sum(SIZES) + spare
    mask = keep(random_bytes(key, (WINDOW, 2, spaced, UTTERANCES)), 0.25)
    mask = jnp.concatenate([mask[:, :, :6], mask[:, :, 6 + spare :]], axis=2)
    assert 0.65 < mask.mean() < 0.85
    dense = values_and_gradients(
        lambda q, k, v: dense_attention(q, k, v, positions, mask, 0.75), *qkv
    )
    assert_close(sampled, dense)


def test_random_draws_are_foreseen():
    # Below ceil(share * L / Q), L / Q at most 5: only 0 is below ceil(0.25).
    assert not draws(Sampling(5, 17, ('random',)), 5)
    assert draws(Sampling(5, 17, ('random',), random_share=0.21), 5)
    assert not draws(Sampling(5, 17, ('stride',), random_share=0.21), 5)
