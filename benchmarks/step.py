"""A whole training step: forward, backward, optimiser, memory, with real text."""

from __future__ import annotations

import contextlib
import functools
import itertools
import tempfile
from collections.abc import Iterator

import jax

from benchmarks import data
from benchmarks.measure import rounds, say, seconds
from benchmarks.options import Options
from benchmarks.reference import RELEASED
from benchmarks.tables import Table
from benchmarks.training import Training, config, rows, start_reference


def run(options: Options) -> list[Table]:
    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as stack:
        path = data.write_mosi_shaped(folder, options.data)
        timers, memory = {}, {}
        for padding in ('released', 'masked'):
            say(f'step: compiling ours, padding {padding}')
            training = Training(config(path, padding))
            name = f'ours, {padding} padding'
            memory[name] = training.temporary_bytes()
            jax.block_until_ready(training.step(0))
            if options.released and padding == 'released':
                say('step: starting the released code')
                reference = start_reference(options.released, training, 'batch')
                stack.enter_context(reference)
                timers[RELEASED] = functools.partial(reference.time, 'batch')
            timers[name] = functools.partial(
                _time, training, itertools.cycle(range(training.steps))
            )
        say('step: timing')
        times = rounds(timers, options.pairs)
    note = (
        'Batch 32, float32: forward, backward, Adam and memory; MiniLM fine-tuned on '
        f'{"the" if options.data else "simulated"} tokens (padded to 50 steps), '
        'audio 375×5 and vision 500×20 at random, dropout on. Ratios are to the '
        "released code, pair by pair; memory is the compiled step's temporary part."
    )
    return [Table('step', 'Training step', note, rows(times, memory))]


def _time(training: Training, steps: Iterator[int]) -> float:
    return seconds(training.step, next(steps))
