"""Long short-term memory, with PyTorch's gates, made for short steps.

What does not depend on the state before stands outside the loop over time, as one
matrix product for all steps: the input's part of the gates, and in the backward pass
the gradient of the recurrent weights.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
from flax import linen as nn

from sugrm_jax.layers.lengths import real_steps
from sugrm_jax.layers.linear import symmetric_uniform
from sugrm_jax.types import Array, PyTree

Carry = tuple[Array, Array]  # hidden state and cell state, `[B, H]` each


class Lstm(nn.Module):
    """One layer of an LSTM, from the first step to the last.

    Weights and biases start uniform in ±1/sqrt(width). As in PyTorch there are two
    biases, which are added up.

    Attributes:
      width: `H`, of the hidden state.
    """

    width: int

    @nn.compact
    def __call__(self, x: Array, length: Array | None = None) -> tuple[Array, Array]:
        """Reads sequences.

        Args:
          x: `[B, L, D]`.
          length: real steps `[B]`; later ones leave the state as it is. None: all are
            real.

        Returns:
          Hidden states `[B, L, H]`, and the last real one, `[B, H]`: 0 for an
          utterance of length 0.
        """
        init = symmetric_uniform(self.width**-0.5)
        kernel = self.param('input', init, (x.shape[-1], 4 * self.width))
        recurrent = self.param('recurrent', init, (self.width, 4 * self.width))
        bias = self.param('bias', init, (2, 4 * self.width)).sum(0)
        gates = jnp.moveaxis(x @ kernel + bias, 1, 0)
        real = None
        if length is not None:
            real = real_steps(length, x.shape[1]).T[..., None]
        states = run_lstm(gates, recurrent, real)
        return jnp.moveaxis(states, 0, 1), states[-1]


class StackedLstm(nn.Module):
    """Layers of an LSTM, each reading the states of the one below.

    Attributes:
      width: `H`, of each layer.
      layers: how many.
      dropout: between two layers, as in PyTorch.
    """

    width: int
    layers: int
    dropout: float

    @nn.compact
    def __call__(self, x: Array, length: Array | None, deterministic: bool) -> Array:
        """`[B, L, D]` → the last real state of the last layer, `[B, H]`.

        Args:
          x: sequences.
          length: real steps `[B]`, or None (see `Lstm`).
          deterministic: no dropout.
        """
        for i in range(self.layers):
            if i:
                x = nn.Dropout(self.dropout, deterministic=deterministic)(x)
            x, last = Lstm(self.width, name=f'layer_{i}')(x, length)
        return last


@jax.custom_vjp
def run_lstm(gates: Array, recurrent: Array, real: Array | None) -> Array:
    """The loop over time, from a state of 0.

    Args:
      gates: the input's part of them, before activation, `[L, B, 4 H]`, in PyTorch's
        order: input, forget, cell, output.
      recurrent: `[H, 4 H]`.
      real: bool `[L, B, 1]`; other steps leave the state as it is. None: all are.

    Returns:
      Hidden states `[L, B, H]`.
    """
    return _forward(gates, recurrent, real)[0]


def _forward(gates, recurrent, real):
    def step(carry: Carry, now: PyTree) -> tuple[Carry, PyTree]:
        given, seen = now
        active = _activate(given + carry[0] @ recurrent)
        input_, forget, candidate, output = active
        cell = forget * carry[1] + input_ * candidate
        new = _where(seen, (output * jnp.tanh(cell), cell), carry)
        return new, (*new, active)

    zero = jnp.zeros((gates.shape[1], len(recurrent)), gates.dtype)
    _, (hidden, cell, active) = jax.lax.scan(step, (zero, zero), (gates, real))
    return hidden, (hidden, cell, active, recurrent, real)


def _backward(saved, d_hidden):
    hidden, cell, active, recurrent, real = saved
    zero = jnp.zeros_like(hidden[0])
    hidden_before, cell_before = (
        jnp.concatenate([zero[None], x[:-1]]) for x in (hidden, cell)
    )

    def step(carry: Carry, now: PyTree) -> tuple[Carry, Array]:
        given, (input_, forget, candidate, output), cell, before, seen = now
        d_hidden, d_cell = carry[0] + given, carry[1]
        squashed = jnp.tanh(cell)
        d_new = d_cell + d_hidden * output * (1 - squashed * squashed)
        d_gates = [
            d_new * candidate * input_ * (1 - input_),
            d_new * before * forget * (1 - forget),
            d_new * input_ * (1 - candidate * candidate),
            d_hidden * squashed * output * (1 - output),
        ]
        d_gates = jnp.concatenate(d_gates, axis=-1)
        d_gates = _where(seen, d_gates, jnp.zeros_like(d_gates))
        passed = d_gates @ recurrent.T, d_new * forget
        return _where(seen, passed, (d_hidden, d_cell)), d_gates

    steps = (d_hidden, active, cell, cell_before, real)
    _, d_gates = jax.lax.scan(step, (zero, zero), steps, reverse=True)
    d_recurrent = jnp.einsum('lbh,lbg->hg', hidden_before, d_gates)
    return d_gates, d_recurrent, None


run_lstm.defvjp(_forward, _backward)


def _activate(gates: Array) -> tuple[Array, Array, Array, Array]:
    input_, forget, cell, output = jnp.split(gates, 4, axis=-1)
    return nn.sigmoid(input_), nn.sigmoid(forget), jnp.tanh(cell), nn.sigmoid(output)


def _where(condition: Array | None, x: PyTree, y: PyTree) -> PyTree:
    """`x` where the condition holds, or there is none, else `y`."""
    if condition is None:
        return x
    return jax.tree.map(lambda a, b: jnp.where(condition, a, b), x, y)
