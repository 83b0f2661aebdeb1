"""BERT's parts by hand: who sees whom, dropout, precision, refusals."""

import dataclasses
import functools
import math

import flax
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from sugrm_jax.errors import UserError
from sugrm_jax.layers.attend import attend
from sugrm_jax.layers.bert import (
    ACTIVATIONS,
    Bert,
    BertConfig,
    BertEmbeddings,
    check_tokens,
)

CONFIG = BertConfig(50, 16, 2, 4, 32, 'gelu', 0.25, 0.25, 12, 2)
IDS = np.random.default_rng(0).integers(1, 50, (2, 8))
SEGMENTS = np.zeros_like(IDS)
MASK = (np.arange(8) < np.array([[8], [5]])).astype(int)


def changed(**fields):
    return dataclasses.replace(CONFIG, **fields)


def random_params(config):
    """Biases and scales random too, so that none of them hides a mistake."""
    shapes = jax.eval_shape(Bert(config).init, jax.random.key(0), IDS, MASK, SEGMENTS)
    rng = np.random.default_rng(1)
    draw = functools.partial(rng.normal, 0.1, 0.3)
    return jax.tree.map(lambda x: jnp.float32(draw(size=x.shape)), shapes)


def test_attend_by_hand():
    # Scores 0 and log 3 (width 1, so no scaling): weights 1/4 and 3/4.
    q, k, v = (
        jnp.array(x)[None, :, None, None]
        for x in ([1.0], [0, 1.0986123, 9], [0, 4.0, 7])
    )
    see = jnp.array([[[True, True, False]]])
    out = attend(q, k, v, see, lambda weights: weights)
    # One float32 rounding or two.
    np.testing.assert_allclose(out.ravel(), [3.0], rtol=1e-6)
    # Width 4 halves the score: weights 1/4 and 3/4 again from a score of log 9.
    q, k, v = (jnp.repeat(x, 4, axis=-1) for x in (q, k[:, :2], v[:, :2]))
    out = attend(q / 4, 2 * k, v, see[..., :2], lambda weights: weights)
    np.testing.assert_allclose(out.ravel(), [3.0] * 4, rtol=1e-6)


def influence(**call):
    """Largest gradient of each step's output by each step's input: `[B, L, L]`.

    The embeddings' output stands in for the input; the layers are all there is
    between it and the output.
    """
    bert = Bert(changed(num_hidden_layers=3))
    params = random_params(bert.config)
    tables = params['params']['embeddings']
    batch, steps = IDS.shape
    # One position embedding for each step of each row: their gradients are those of
    # the row's steps, once every row has positions of its own.
    positions = np.arange(batch * steps).reshape(batch, steps)
    table = jnp.resize(tables['position']['embedding'], (batch * steps, 16))

    def output(table):
        changed_tables = {**tables, 'position': {'embedding': table}}
        variables = {'params': {**params['params'], 'embeddings': changed_tables}}
        config = dataclasses.replace(bert.config, max_position_embeddings=len(table))
        hidden = Bert(config).apply(variables, IDS, MASK, SEGMENTS, positions, **call)
        return hidden.reshape(-1, 16)

    jacobian = jax.jit(jax.jacobian(output))(table)
    by_step = np.abs(jacobian).max((1, 3)).reshape(batch, steps, batch, steps)
    assert not by_step[0, :, 1].any() and not by_step[1, :, 0].any()
    return np.stack([by_step[b, :, b] for b in range(batch)])


def test_padding_is_seen_by_nobody_but_sees():
    seen = influence() > 0
    expected = (MASK[:, None, :] > 0) | np.eye(8, dtype=bool)
    np.testing.assert_array_equal(seen, expected)


def test_groups_see_themselves_only():
    group = np.array([[1, 1, 1, 2, 2, 3, 0, 0], [7, 7, 7, 7, 0, 4, 4, 4]])
    seen = influence(group=group) > 0
    np.testing.assert_array_equal(seen, group[:, :, None] == group[:, None, :])


def apply(config, params, seed=None, **call):
    rngs = {} if seed is None else {'dropout': jax.random.key(seed)}
    run = jax.jit(functools.partial(Bert(config).apply, **call))
    return np.asarray(run(params, IDS, MASK, SEGMENTS, rngs=rngs))


def test_dropout_only_when_asked_for():
    params = random_params(CONFIG)
    still = apply(CONFIG, params)
    np.testing.assert_array_equal(still, apply(CONFIG, params, seed=3))
    one, other = (apply(CONFIG, params, seed=s, deterministic=False) for s in (3, 4))
    assert (one != still).any() and (one != other).any()
    none = changed(hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0)
    np.testing.assert_array_equal(
        still, apply(none, params, seed=3, deterministic=False)
    )


def test_hidden_dropout_sits_after_embeddings_attention_and_feed_forward():
    # All dropped: only the LayerNorms are left, one after the other, from 0 on.
    config = changed(hidden_dropout_prob=1.0)
    params = random_params(config)
    layers = params['params']['layers']
    x = np.zeros(16)
    for layer in range(2):
        for name in ('attention_norm', 'output_norm'):
            scale, bias = (layers[name][k][layer] for k in ('scale', 'bias'))
            x = (x - x.mean()) / np.sqrt(x.var() + 1e-12) * scale + bias
    hidden = apply(config, params, seed=0, deterministic=False)
    # A few float32 roundings of values near 1.
    np.testing.assert_allclose(hidden, np.broadcast_to(x, hidden.shape), atol=1e-5)


def test_attention_dropout_sits_on_the_weights():
    # All weights dropped is as if all values were 0.
    config = changed(hidden_dropout_prob=0.0, attention_probs_dropout_prob=1.0)
    params = random_params(config)
    dropped = apply(config, params, seed=0, deterministic=False)
    layers = flax.core.copy(params['params']['layers'], {})
    layers['qkv'] = {k: x.at[..., 32:].set(0) for k, x in layers['qkv'].items()}
    without = {'params': {**params['params'], 'layers': layers}}
    np.testing.assert_array_equal(dropped, apply(config, without))


def test_dropout_rate_is_the_configs():
    config = changed(hidden_size=64)
    embeddings = BertEmbeddings(config, jnp.float32, deterministic=False)
    ids = np.zeros((64, 12), int)
    rngs = {'params': jax.random.key(0), 'dropout': jax.random.key(1)}
    out, _ = embeddings.init_with_output(rngs, ids, ids, np.arange(12)[None])
    # 49152 draws: the standard deviation of their mean is 0.002.
    assert np.mean(np.asarray(out) == 0) == pytest.approx(0.25, abs=0.01)


def test_each_layer_draws_its_own_dropout():
    # Layers that add dropout(1000) to their input show their mask as signs.
    def mask_of_layer(last):
        config = changed(num_hidden_layers=last)
        params = jax.tree.map(jnp.zeros_like, random_params(config))
        layers = params['params']['layers']
        layers['attention_norm']['scale'] += 1
        layers['output_norm']['scale'] += 1
        layers['output']['bias'] += 1000
        return apply(config, params, seed=0, deterministic=False) > 0

    assert (mask_of_layer(1) != mask_of_layer(2)).any()


def test_bfloat16_computes_near_and_keeps_float32_parameters():
    bert = Bert(CONFIG, dtype=jnp.bfloat16)
    params = jax.jit(bert.init)(jax.random.key(0), IDS, MASK, SEGMENTS)
    assert {x.dtype for x in jax.tree.leaves(params)} == {jnp.dtype('float32')}
    exact = apply(CONFIG, params)
    rounded = np.asarray(jax.jit(bert.apply)(params, IDS, MASK, SEGMENTS))
    assert rounded.dtype == np.float32
    # bfloat16 keeps 8 bits: 0.4 % for each of a dozen roundings in a row.
    error = np.abs(rounded - exact).max() / np.abs(exact).max()
    assert 1e-4 < error < 5e-2


def operations(jaxpr):
    """Every primitive of a program with its operands' types."""
    for equation in jaxpr.eqns:
        yield equation.primitive.name, {str(x.aval.dtype) for x in equation.invars}
        for parameter in equation.params.values():
            inner = getattr(parameter, 'jaxpr', parameter)
            if hasattr(inner, 'eqns'):
                yield from operations(inner)


def test_bfloat16_multiplies_matrices_but_not_softmax_and_layer_norm():
    bert = Bert(CONFIG, dtype=jnp.bfloat16)
    params = random_params(CONFIG)
    found = list(operations(jax.make_jaxpr(bert.apply)(params, IDS, MASK, SEGMENTS)))
    for name, wanted in (
        ('dot_general', 'bfloat16'),
        ('exp', 'float32'),
        ('rsqrt', 'float32'),
    ):
        types = [operands for primitive, operands in found if primitive == name]
        assert types and all(operands == {wanted} for operands in types), name


def test_layer_norm_survives_a_large_mean():
    # In float32 the mean of squares minus the squared mean would be all rounding.
    config = changed(hidden_size=4)
    embeddings = BertEmbeddings(config, jnp.float32, deterministic=True)
    ids = np.zeros((1, 1), int)
    params = embeddings.init(jax.random.key(0), ids, ids, ids)
    params = jax.tree.map(jnp.zeros_like, params)
    params['params']['word']['embedding'] += jnp.array([4000.0, 4001, 4002, 4003])
    params['params']['norm']['scale'] += 1
    wanted = np.array([-3, -1, 1, 3]) / math.sqrt(5)
    # The inputs are exact, so only the division rounds.
    np.testing.assert_allclose(
        embeddings.apply(params, ids, ids, ids)[0, 0], wanted, rtol=1e-6
    )


@pytest.mark.parametrize(
    ('name', 'at_one'),
    [
        ('gelu', (1 + math.erf(2**-0.5)) / 2),
        ('gelu_new', (1 + math.tanh(math.sqrt(2 / math.pi) * 1.044715)) / 2),
        ('relu', 1),
    ],
)
def test_activations(name, at_one):
    # The two GELUs differ by 1.5e-4 here; float32 rounds at 1e-7.
    assert float(ACTIVATIONS[name](1.0)) == pytest.approx(at_one, abs=1e-6)


@pytest.mark.parametrize(
    ('sizes', 'count'),
    [
        # BertModel's published counts less the pooler's D * D + D.
        ((30522, 768, 12, 12, 3072), 109_482_240 - 590_592),
        ((30522, 384, 6, 12, 1536), 22_713_216 - 147_840),
    ],
)
def test_parameter_counts(sizes, count):
    bert = Bert(BertConfig(*sizes, 'gelu', 0.1, 0.1, 512, 2))
    shapes = jax.eval_shape(bert.init, jax.random.key(0), IDS, MASK, SEGMENTS)
    assert sum(math.prod(x.shape) for x in jax.tree.leaves(shapes)) == count


def test_bad_configs_are_refused():
    with pytest.raises(UserError, match=r"hidden_act is 'swish'.*gelu"):
        changed(hidden_act='swish')
    with pytest.raises(UserError, match=r'16 is not divisible.*3'):
        changed(num_attention_heads=3)
    with pytest.raises(UserError, match='not divisible'):
        changed(num_attention_heads=0)


def test_more_steps_than_positions_are_refused():
    long = np.zeros((1, 13), int)
    with pytest.raises(UserError, match=r'13 steps.*positions for 12'):
        jax.eval_shape(Bert(CONFIG).init, jax.random.key(0), long, long, long)


@pytest.mark.parametrize(
    ('row', 'value', 'message'),
    [
        (0, 50, 'token id 50.*knows 0 to 49.*text.pretrained'),
        (0, -1, 'token id -1'),
        (2, 2, 'segment id 2.*knows 0 to 1'),
    ],
)
def test_tokens_without_an_embedding_are_refused(row, value, message):
    tokens = np.stack([IDS, MASK, SEGMENTS], axis=1)
    check_tokens(tokens, CONFIG, 'data.pkl')
    tokens[1, row, 3] = value
    with pytest.raises(UserError, match=message):
        check_tokens(tokens, CONFIG, 'data.pkl')


def test_tokens_longer_than_the_positions_are_refused():
    with pytest.raises(UserError, match='13 steps'):
        check_tokens(np.zeros((1, 3, 13), int), CONFIG, 'data.pkl')
