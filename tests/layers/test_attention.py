"""Sparsity: who reads whom, proved by gradients through one attention block."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from sugrm_jax.layers.attention import sampled_attention
from sugrm_jax.layers.blocks import (
    Block,
    CrossAttention,
    DropoutRates,
    InputKeys,
    InputQueries,
    PhasedConfig,
    SelfAttention,
)
from sugrm_jax.layers.sampling import Sampling, sampled_positions

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


def input_outputs(h, x, table):
    """Output of the input attention, as a function of the input features."""
    keys, queries = InputKeys(CONFIG), InputQueries(CONFIG, (WIDTH,))
    block = Block(CONFIG, deterministic=True)
    keys_params = keys.init(jax.random.key(2), x)
    queries_params = queries.init(jax.random.key(3), h[None])
    q = queries.apply(queries_params, h[None])[0]
    params = block.init(jax.random.key(4), h, q, h, h, table % h.shape[1], None)

    def outputs(x):
        return block.apply(params, h, q, *keys.apply(keys_params, x), table, None)

    return outputs


def cross_outputs(h, x, table, reverse):
    """What one side of a cross attention gets, as a function of the other's states."""
    module = CrossAttention(CONFIG, deterministic=True)
    other = np.zeros((x.shape[1], 1), np.int32)
    tables = (other, table) if reverse else (table, other)

    def run(params, x):
        pair = (x, h) if reverse else (h, x)
        return module.apply(params, *pair, tables, (None, None))[int(reverse)]

    pair = (x, h) if reverse else (h, x)
    params = module.init(jax.random.key(2), *pair, tables, (None, None))
    return lambda x: run(params, x)


def self_outputs(h, x, table):
    """Output of self attention; the residual and the query are held still."""
    module = SelfAttention(CONFIG, deterministic=True)
    params = module.init(jax.random.key(2), x, table)
    return lambda x: module.apply(params, x, table)


def influence(case, table):
    """|d output of query i / d features at key position k|, `[Q, K]`."""
    queries, keys = CASES[case][:2]
    h = jax.random.normal(jax.random.key(0), (1, queries, WIDTH))
    x = jax.random.normal(jax.random.key(1), (1, keys, WIDTH))
    kind = case.split('-')[0]
    if kind == 'cross':
        outputs = cross_outputs(h, x, table, reverse='reverse' in case)
    else:
        outputs = {'input': input_outputs, 'self': self_outputs}[kind](h, x, table)
    chex.assert_shape(outputs(x), (1, queries, WIDTH))
    jacobian = jax.jit(jax.jacrev(lambda x: outputs(x)[0]))(x)[:, :, 0]  # [Q, E, K, E]
    return np.abs(jacobian).sum((1, 3))


@pytest.mark.parametrize('case', CASES)
def test_gradient_is_zero_outside_the_sampled_positions_and_not_inside(case):
    random = 'random' in CASES[case][2].shifts
    table = positions(case, jax.random.key(3) if random else None)
    seen = np.zeros(CASES[case][:2], bool)
    seen[np.arange(len(table))[:, None], table] = True
    if case == 'self':
        # A state is its own query and residual, whatever its window.
        seen |= np.eye(len(table), dtype=bool)
    reached = influence(case, table)
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


@pytest.mark.parametrize('per_utterance', [False, True])
def test_equals_dense_attention_with_multiplicities(per_utterance):
    """A key that stands n times in a window weighs n times exp(score)."""
    keys = jax.random.split(jax.random.key(0), 4)
    q = jax.random.normal(keys[0], (3, 6, 2, 4))
    k = jax.random.normal(keys[1], (3, 5, 2, 4))
    v = jax.random.normal(keys[2], (3, 5, 2, 4))
    shape = (3, 6, 7) if per_utterance else (6, 7)
    table = jax.random.randint(keys[3], shape, 0, 5)
    count = jax.nn.one_hot(table, 5).sum(-2)  # [(B,) Q, K]

    def dense(q, k, v):
        scores = jnp.einsum('bqhd,bkhd->bqkh', q, k) / 2
        weights = jnp.exp(scores) * count[..., None]
        return jnp.einsum('bqkh,bkhd->bqhd', weights / weights.sum(2, keepdims=True), v)

    def sampled(q, k, v):
        return sampled_attention(q, k, v, table)

    # A handful of float32 operations on values of order 1.
    chex.assert_trees_all_close(dense(q, k, v), sampled(q, k, v), atol=2e-6)
    g_dense, g_sampled = (
        jax.grad(lambda *x, f=f: jnp.sin(f(*x)).sum(), argnums=(0, 1, 2))(q, k, v)
        for f in (dense, sampled)
    )
    chex.assert_trees_all_close(g_dense, g_sampled, atol=5e-6)
