"""How time, FLOPs and memory grow with length, for SPT and for dense attention."""

from __future__ import annotations

import contextlib
import functools
import os
from collections.abc import Callable
from unittest import mock

import jax
import numpy as np

from benchmarks.measure import Spread, rounds, say, seconds, temporary_bytes
from benchmarks.options import Options
from benchmarks.rivals import DenseTransformer
from benchmarks.spt import phased_config
from benchmarks.tables import Table
from sugrm_jax.layers.phased import PhasedTransformer
from sugrm_jax.types import MODALITIES

LENGTHS = (500, 1000, 2000, 4000)
BATCH, TEXT_STEPS, HEADS = 4, 50, 8
MEMORY = 'temporary memory, MiB'
WIDTHS = {'t': 768, 'a': 5, 'v': 20}


def gradients() -> dict[str, tuple[Callable, Callable]]:
    """Of each encoder: what makes its parameters, and the gradient of its output."""
    spt = PhasedTransformer(phased_config(('stride', 'phase'), HEADS))
    dense = DenseTransformer(width=32, heads=HEADS, layers=4)
    encoders = {'SPT': (spt, (None, True)), 'dense transformer': (dense, ())}

    def of(model, rest):
        def loss(params, features):
            outputs = model.apply({'params': params}, features, *rest)
            # One feature: the sum of all is 0 after a LayerNorm, whatever went in.
            return sum(outputs[s][:, 0].sum() for s in MODALITIES)

        def init(features):
            return model.init(jax.random.key(0), features, *rest)['params']

        return jax.jit(init), jax.grad(loss)

    return {name: of(*encoder) for name, encoder in encoders.items()}


@contextlib.contextmanager
def unrolled():
    """Unrolls loops, whose bodies XLA's count of FLOPs takes in once only."""
    scan = jax.lax.scan

    def unroll(*args, **options):
        return scan(*args, **options | {'unroll': True})

    with mock.patch('jax.lax.scan', unroll):
        yield


def flops(function: Callable, *args) -> float:
    """Of the compiled function, as XLA counts them."""
    with unrolled():
        # Another function object, so that nothing traced before is used again.
        compiled = jax.jit(lambda *x: function(*x)).lower(*args).compile()
    return compiled.cost_analysis()['flops']


def features(length: int) -> dict:
    """Random features; audio and vision of `length` steps."""
    rng = np.random.default_rng(0)
    steps = {'t': TEXT_STEPS, 'a': length, 'v': length}
    return {
        s: rng.normal(size=(BATCH, steps[s], width)).astype(np.float32)
        for s, width in WIDTHS.items()
    }


def memory_limit() -> float:
    """Bytes of temporary memory up to which a program is run."""
    return os.sysconf('SC_PHYS_PAGES') * os.sysconf('SC_PAGE_SIZE') / 3


def measure(options: Options, name: str, length: int, init, gradient) -> dict:
    """A row of the table."""
    x = jax.device_put(features(length))
    params = init(x)
    step = jax.jit(gradient)
    memory = temporary_bytes(step, params, x)
    row = {
        'encoder': name,
        'steps': length,
        'GFLOP': flops(gradient, params, x) / 1e9,
        MEMORY: round(memory / 2**20),
    }
    if memory > memory_limit():
        return row | {'time': 'not run'}
    timers = {'time': functools.partial(seconds, step, params, x)}
    return row | rounds(timers, options.pairs)


def factors(row: dict, before: dict) -> dict:
    """Time and memory as multiples of those of the row before, half as long."""
    columns = {'time': 'time', MEMORY: 'memory'}
    found = {}
    for column, short in columns.items():
        values = [x.get(column) for x in (row, before)]
        values = [x.median if isinstance(x, Spread) else x for x in values]
        if all(isinstance(x, int | float) for x in values):
            found[f'{short} / half as long'] = values[0] / values[1]
    return found


def run(options: Options) -> list[Table]:
    rows = []
    for name, (init, gradient) in gradients().items():
        before = {}
        for length in LENGTHS:
            say(f'growth: {name}, {length} steps')
            row = measure(options, name, length, init, gradient)
            rows.append(row | factors(row, before))
            before = row
    note = (
        f'Forward + backward, batch {BATCH}, text of {TEXT_STEPS} steps, audio and '
        'vision as long as stated; the same width, heads and depth. Programs are not '
        'run where they need more than a third of the memory.'
    )
    return [Table('growth', 'Growth with length', note, rows)]
