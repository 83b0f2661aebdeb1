"""Evaluation steps: SUGRM beside Self-MM and dense attention, all our own code."""

from __future__ import annotations

import functools
import tempfile
from collections.abc import Callable

import jax
from flax import linen as nn

from benchmarks import data
from benchmarks.measure import ratio, rounds, say, seconds
from benchmarks.options import Options
from benchmarks.rivals import DenseSugrm, SelfMm
from benchmarks.tables import Table
from benchmarks.training import Training, config
from sugrm_jax.training.step import eval_step
from sugrm_jax.types import Batch

BASE = 'Self-MM'


def timer(predict: Callable, params: dict, batch: Batch) -> Callable[[], float]:
    """Of one evaluation step, compiled here."""
    return functools.partial(seconds, jax.jit(predict), params, batch)


def timers(path: str, padding: str) -> dict:
    """One for each system, with the same text encoder and its weights."""
    training = Training(config(path, padding))
    model, batch = training.setup.system.model, training.placed()[0]
    params = jax.device_put(training.setup.params)
    found = {}
    rivals: dict[str, nn.Module] = {
        BASE: SelfMm(model.text),
        'dense transformer': DenseSugrm(model.text, model.config.encoder.heads),
    }
    for name, rival in rivals.items():
        own = jax.jit(rival.init)(jax.random.key(0), batch)['params']
        own = own | {'text': params['text']}
        found[name] = timer(
            lambda p, b, rival=rival: rival.apply({'params': p}, b), own, batch
        )
    found['SUGRM'] = timer(lambda p, b: eval_step(p, b, model=model), params, batch)
    return found


def run(options: Options) -> list[Table]:
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        path = data.write_mosi_shaped(folder, options.data)
        for padding in ('masked', 'released'):
            say(f'inference: padding {padding}')
            times = rounds(timers(path, padding), options.pairs)
            for name, time in times.items():
                row = {'padding': padding, 'system': name, 'time': time}
                if name != BASE:
                    row[f'/ {BASE}'] = ratio(time, times[BASE])
                rows.append(row)
    note = (
        'One batch of 32 utterances at unaligned MOSI shapes, MiniLM as text '
        'encoder in all three; with masked padding BERT runs on packed utterances.'
    )
    return [Table('inference', 'Inference', note, rows)]
