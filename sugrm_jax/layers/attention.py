"""Multi-head attention over sampled keys, exact for any table of positions.

Arrays stand with the batch last, `[H, D, rows, B]`: every step is then a run of
multiply-and-adds over whole vectors of utterances, with the sums over head width and
window written out. The gradient is our own: it keeps the weights, reads the keys again
and adds what each slot brings to its key. Forms that are only for XLA's CPU backend are
chosen by `platform_dependent`.

Products are taken in the type of queries, keys and values; scores, the softmax and all
sums of products in float32.
"""

from __future__ import annotations

import functools

import chex
import flax.struct
import jax
import jax.numpy as jnp
import numpy as np

from sugrm_jax.layers.dropout import keep, kept_share, random_bytes
from sugrm_jax.layers.linear import wide
from sugrm_jax.types import Array


@flax.struct.dataclass
class Table:
    """Which key each slot of each query's window reads.

    Queries may be those of several sequences in a row.

    Attributes:
      rows: positions of keys, int `[P]`, or `[P, B]` where utterances sample
        differently. Where windows do not slide, slot `j` of query `i` out of `Q` reads
        key `rows[j * Q + i]`, and `P = W * Q`. Where they do, the rows are those of
        slots 0 to `stride - 1` only, of all queries and of `spare` more behind each
        sequence: slot `j` of a query is slot `j % stride` of the query `j // stride`
        further on, and a key is fetched once for all of them.
      window: slots of a query, `W`.
      sizes: queries of each sequence.
      stride: keys from the window of one query to that of the next; 0 where that is
        not always the same and windows do not slide.
    """

    rows: Array
    window: int = flax.struct.field(pytree_node=False)
    sizes: tuple[int, ...] = flax.struct.field(pytree_node=False)
    stride: int = flax.struct.field(pytree_node=False)

    @property
    def spare(self) -> int:
        """Rows that keep the sliding windows of neighbouring sequences apart."""
        return (self.window - 1) // self.stride if self.stride else 0

    def spaced(self, x: Array) -> Array:
        """Queries `[H, D, Q, B]` with the spare rows between sequences."""
        if not self.spare or len(self.sizes) == 1:
            return x
        pad = ((0, 0), (0, 0), (0, self.spare), (0, 0))
        parts = jnp.split(x, np.cumsum(self.sizes)[:-1], axis=2)
        return jnp.concatenate([*(jnp.pad(y, pad) for y in parts[:-1]), parts[-1]], 2)

    def unspaced(self, x: Array) -> Array:
        """The opposite of `spaced`."""
        if not self.spare or len(self.sizes) == 1:
            return x
        firsts = np.cumsum([0, *(size + self.spare for size in self.sizes)])
        return jnp.concatenate(
            [
                x[:, :, first : first + size]
                for first, size in zip(firsts, self.sizes, strict=False)
            ],
            axis=2,
        )

    def slots(self, keys: Array) -> list[Array]:
        """What each slot of all (spaced) queries reads of `[H, D, K, B]`."""
        if not self.stride:
            by_slot = self.rows.reshape(self.window, -1, *self.rows.shape[1:])
            return [take_rows(keys, rows) for rows in by_slot]
        by_slot = self.rows.reshape(
            min(self.stride, self.window), -1, *self.rows.shape[1:]
        )
        taken = [take_rows(keys, rows) for rows in by_slot]
        count = taken[0].shape[2] - self.spare
        steps = (divmod(j, self.stride) for j in range(self.window))
        return [taken[slot][:, :, step : step + count] for step, slot in steps]

    def spread(self, weights: Array, x: Array, count: int) -> Array:
        """The transpose of weighing slots: `[H, D, count, B]`.

        Args:
          weights: `[W, H, Q, B]`.
          x: `[H, D, Q, B]`.
          count: of keys.
        """
        if not self.stride:
            parts = wide(weights[:, :, None] * x).transpose(1, 2, 0, 3, 4)
            parts = parts.reshape(*x.shape[:2], -1, x.shape[3])
            return put_rows(parts, self.rows, count).astype(x.dtype)

        def further(w, step):
            widths = (step, self.spare - step)
            return jnp.pad(wide(w[:, None] * x), ((0, 0), (0, 0), widths, (0, 0)))

        parts = [
            sum(further(w, step) for step, w in enumerate(weights[slot :: self.stride]))
            for slot in range(min(self.stride, self.window))
        ]
        parts = jnp.concatenate(parts, axis=2)
        parts = put_rows(_once(parts, self.rows), self.rows, count)
        return parts.astype(x.dtype)


def sampled_attention(
    q: Array,
    k: Array,
    v: Array,
    table: Table,
    key: jax.Array | None = None,
    rate: float = 0.0,
) -> Array:
    """Each query attends to the keys of its row in the table, and to no others.

    A position that stands twice in a window counts twice, as in the paper's code.

    Args:
      q: queries `[H, D, Q, B]`; scores are scaled by `1 / sqrt(D)` here.
      k: keys `[H, D, K, B]`.
      v: values `[H, D, K, B]`.
      table: of positions in `[0, K)`.
      key: for dropout on the attention weights; without it there is none.
      rate: of that dropout.

    Returns:
      `[H, D, Q, B]`.
    """
    chex.assert_rank([q, k, v], 4)
    chex.assert_equal_shape([k, v])
    mask = None
    if key is not None and rate:
        shape = len(q), table.spaced(q).shape[2], q.shape[3]
        mask = keep(random_bytes(key, (table.window, *shape)), rate)
    return _attend(kept_share(rate), q, k, v, table, mask)


@functools.partial(jax.custom_vjp, nondiff_argnums=(0,))
def _attend(share, q, k, v, table, mask):
    return _forward(share, q, k, v, table, mask)[0]


def _forward(share, q, k, v, table, mask):
    scores = _dots(table.spaced(q), table.slots(k)) * q.shape[1] ** -0.5
    top = _once(functools.reduce(jnp.maximum, list(scores)), table.rows)
    weights = jnp.exp(scores - top)
    weights *= _once(1 / functools.reduce(jnp.add, list(weights)), table.rows)
    weights = weights.astype(v.dtype)
    out = _weigh(_masked(weights, mask, share), table.slots(v))
    return table.unspaced(out), (q, k, v, table, mask, weights)


def _backward(share, saved, g):
    q, k, v, table, mask, weights = saved
    q, g = table.spaced(q), table.spaced(g)
    pull = _masked(_dots(g, table.slots(v)), mask, share)
    mean = _once(functools.reduce(jnp.add, list(weights * pull)), table.rows)
    d_scores = weights * (pull - mean) * q.shape[1] ** -0.5
    d_scores = _once(d_scores.astype(q.dtype), table.rows)
    d_q = table.unspaced(_weigh(d_scores, table.slots(k)))
    d_k = table.spread(d_scores, q, k.shape[2])
    d_v = table.spread(_masked(weights, mask, share), g, k.shape[2])
    return d_q, d_k, d_v, None, None


_attend.defvjp(_forward, _backward)


def _masked(weights, mask, share):
    return weights if mask is None else jnp.where(mask, weights / share, 0)


def _dots(x, slots):
    """`[H, D, Q, B]` with each slot → `[W, H, Q, B]`.

    The sum over the head width is written out: a reduction is slow on the CPU.
    """
    width = range(x.shape[1])
    return jnp.stack(
        [
            functools.reduce(jnp.add, [wide(x[:, d] * y[:, d]) for d in width])
            for y in slots
        ]
    )


def _weigh(weights, slots):
    parts = (wide(w[:, None] * y) for w, y in zip(weights, slots, strict=True))
    return sum(parts).astype(weights.dtype)


def _once(x, rows):
    """`x`, computed once and kept.

    XLA's CPU backend computes again, inside every reader, whatever is cheap on its own,
    and removes `optimization_barrier` before it does. A branch it cannot decide (`rows`
    are never negative) it leaves alone.
    """

    def branch(x, rows):
        return jax.lax.cond(rows.reshape(-1)[0] >= 0, lambda x: x, jnp.negative, x)

    return jax.lax.platform_dependent(x, rows, cpu=branch, default=lambda x, _: x)


def take_rows(x: Array, rows: Array) -> Array:
    """`[..., K, B]` at `rows` (`[P]`, or `[P, B]`) → `[..., P, B]`."""
    if rows.ndim == 1:
        return jnp.take(x, rows, axis=-2, mode='clip')
    rows = rows.reshape((1,) * (x.ndim - 2) + rows.shape)
    return jnp.take_along_axis(x, rows, axis=-2, mode='clip')


def put_rows(g, rows, count):
    """The transpose of `take_rows`, to `[..., count, B]`."""

    def plain(g, rows):
        like = jax.ShapeDtypeStruct((*g.shape[:-2], count, g.shape[-1]), g.dtype)
        return jax.linear_transpose(lambda x: take_rows(x, rows), like)(g)[0]

    def by_utterance(g, rows):
        # One row of all features at a time.
        batch = g.shape[-1]
        updates = jnp.moveaxis(g.reshape(-1, *g.shape[-2:]), 0, -1)
        updates = updates.reshape(-1, updates.shape[-1])
        places = (rows * batch + jnp.arange(batch)).reshape(-1)
        out = jnp.zeros((count * batch, updates.shape[-1]), g.dtype)
        out = out.at[places].add(updates, mode='promise_in_bounds')
        out = jnp.moveaxis(out.reshape(count, batch, -1), -1, 0)
        return out.reshape(*g.shape[:-2], count, batch)

    if rows.ndim == 1:
        return plain(g, rows)
    return jax.lax.platform_dependent(g, rows, cpu=by_utterance, default=plain)
