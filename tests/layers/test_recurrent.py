"""The LSTM: gates by hand, lengths, gradient against plain loops."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sugrm_jax.layers.recurrent import Lstm, StackedLstm
from tests import recordings

WIDTH, STEPS, ROWS, INPUTS = 3, 5, 4, 2
LENGTHS = np.array([5, 2, 0, 1])


def draw(seed=0):
    """Parameters and sequences of order 1."""
    rng = np.random.default_rng(seed)

    def normal(*shape):
        return jnp.float32(rng.normal(size=shape))

    params = {
        'input': normal(INPUTS, 4 * WIDTH),
        'recurrent': normal(WIDTH, 4 * WIDTH),
        'bias': normal(2, 4 * WIDTH),
    }
    return params, normal(ROWS, STEPS, INPUTS)


def run(params, x, length):
    return Lstm(WIDTH).apply({'params': params}, x, length)


def plain(params, x, length):
    """Written out, one step at a time, for JAX to differentiate."""
    hidden = cell = jnp.zeros((len(x), WIDTH))
    states = []
    for step in range(x.shape[1]):
        gates = x[:, step] @ params['input'] + params['bias'].sum(0)
        gates += hidden @ params['recurrent']
        i, f, g, o = jnp.split(gates, 4, axis=-1)
        new_cell = jax.nn.sigmoid(f) * cell + jax.nn.sigmoid(i) * jnp.tanh(g)
        new_hidden = jax.nn.sigmoid(o) * jnp.tanh(new_cell)
        real = (step < length)[:, None]
        hidden = jnp.where(real, new_hidden, hidden)
        cell = jnp.where(real, new_cell, cell)
        states.append(hidden)
    return jnp.stack(states, 1), hidden


def test_two_steps_by_hand():
    """All gates are pushed to 0 or 1 by their biases, so that cells only add up."""
    params = {
        # The cell's gate reads the input, the output's the hidden state.
        'input': jnp.array([[0.0, 0, 1, 0]]),
        'recurrent': jnp.array([[0.0, 0, 0, -200]]),
        'bias': jnp.array([[50.0, 50, 0, 25], [50, 50, 0, 25]]),
    }
    x = jnp.array([[[0.5], [1.0]]])
    states, last = Lstm(1).apply({'params': params}, x)
    # c_1 = tanh 0.5, h_1 = tanh c_1 = 0.4319; c_2 = c_1 + tanh 1, and the output gate
    # is closed by −200 · 0.4319 + 50.
    first = np.tanh(np.tanh(0.5))
    np.testing.assert_allclose(states[0, :, 0], [first, 0], atol=1e-6)
    assert last[0, 0] == states[0, 1, 0]


def test_recorded_states():
    """PyTorch's LSTM, as EF-LSTM's recording holds it, layer on layer."""
    recording = recordings.load('ef_lstm')
    params = recordings.group(recording, 'param/')
    width = params['lstm.weight_hh_l0'].shape[1]
    features = recordings.inputs(recording)
    x = np.concatenate([features[s] for s in 'tav'], -1)
    mean, var = (params[f'norm.running_{name}'][:, None] for name in ('mean', 'var'))
    x = (x - mean) / np.sqrt(var + 1e-5) * params['norm.weight'][:, None]
    x += params['norm.bias'][:, None]
    layers = {f'layer_{i}': recordings.lstm(params, 'lstm', i) for i in (0, 1)}
    stack = StackedLstm(width, 2, 0.5)
    last = np.asarray(stack.apply({'params': layers}, x, None, True))
    hidden = last @ params['linear.weight'].T + params['linear.bias']
    ours = np.maximum(hidden, 0) @ params['out.weight'].T + params['out.bias']
    # Rounding of float32 sums, relative to values of order 1.
    np.testing.assert_allclose(ours, recording['out/M'], atol=1e-5)


def test_states_and_gradients_are_those_of_plain_loops():
    weights = jax.random.normal(jax.random.key(0), (2, ROWS, STEPS, WIDTH))

    def loss(forward, params, x):
        states, last = forward(params, x, LENGTHS)
        return (weights[0] * states).sum() + (weights[1, :, 0] * last**2).sum()

    for arguments in (draw(), draw(1)):
        ours, theirs = (
            jax.jit(jax.value_and_grad(lambda *a, f=f: loss(f, *a), (0, 1)))(*arguments)
            for f in (run, plain)
        )
        jax.tree.map(
            # Sums of some tens of float32 values of order 1, in another order.
            lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=2e-5),
            ours,
            theirs,
        )


def test_without_lengths_all_steps_are_real():
    params, x = draw()
    states, last = run(params, x, None)
    wanted, wanted_last = run(params, x, np.full(ROWS, STEPS))
    np.testing.assert_allclose(states, wanted, atol=1e-6)  # another program
    np.testing.assert_allclose(last, wanted_last, atol=1e-6)
    np.testing.assert_array_equal(last, states[:, -1])


@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 100), scale=st.sampled_from([1.0, 1e3]))
def test_steps_behind_the_length_change_nothing(seed, scale):
    params, x = draw(seed)
    padded = np.arange(STEPS) >= LENGTHS[:, None]
    changed = jnp.where(padded[..., None], scale, x)
    (states, last), (other, other_last) = (
        run(params, y, LENGTHS) for y in (x, changed)
    )
    np.testing.assert_array_equal(states, other)
    np.testing.assert_array_equal(last, other_last)
    # The state stands still from there on; of nothing, it is 0.
    np.testing.assert_array_equal(last[1], states[1, 1])
    np.testing.assert_array_equal(states[1, 1:], np.broadcast_to(last[1], (4, WIDTH)))
    assert not states[2].any() and not last[2].any()


def test_nothing_flows_back_from_steps_behind_the_length():
    params, x = draw()
    gradient = jax.grad(lambda x: run(params, x, LENGTHS)[0].sum())(x)
    real = np.arange(STEPS) < LENGTHS[:, None]
    np.testing.assert_array_equal((gradient != 0).all(-1), real)


@pytest.mark.parametrize('deterministic', [True, False])
def test_a_stack_drops_between_its_layers_only(deterministic):
    x = draw()[1]
    stack = StackedLstm(WIDTH, 2, 1.0)
    params = stack.init(jax.random.key(0), x, None, True)
    rngs = {'dropout': jax.random.key(1)}
    last = stack.apply(params, x, None, deterministic, rngs=rngs)
    # With everything dropped, the second layer reads zeros.
    second = params['params']['layer_1']
    lower = Lstm(WIDTH).apply({'params': params['params']['layer_0']}, x)[0]
    given = lower if deterministic else jnp.zeros_like(lower)
    np.testing.assert_allclose(
        last, Lstm(WIDTH).apply({'params': second}, given)[1], atol=1e-6
    )
    one = StackedLstm(WIDTH, 1, 1.0)
    params = {'params': {'layer_0': params['params']['layer_0']}}
    np.testing.assert_array_equal(
        one.apply(params, x, None, False, rngs=rngs), lower[:, -1]
    )


def test_initial_values_are_uniform_within_one_by_root_of_the_width():
    params = Lstm(64).init(jax.random.key(0), jnp.ones((1, 2, 9)))['params']
    assert jax.tree.map(jnp.shape, params) == {
        'input': (9, 256),
        'recurrent': (64, 256),
        'bias': (2, 256),
    }
    for x in params.values():
        # The largest of 512 draws and more is within 5 % of the limit.
        assert 0.95 / 8 < np.abs(x).max() <= 1 / 8
