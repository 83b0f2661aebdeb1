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
from sugrm_jax.layers.bert import BertConfig
from sugrm_jax.layers.text import TextEncoder
from sugrm_jax.types import Batch

BASE = 'Self-MM'
# As `configs/mosi.py` has it. What it costs is decided by its sizes, not its weights.
BERT_BASE = BertConfig(30522, 768, 12, 12, 3072, 'gelu', 0.1, 0.1, 512, 2)


def timer(predict: Callable, params: dict, batch: Batch) -> Callable[[], float]:
    """Of one evaluation step, compiled here."""
    return functools.partial(seconds, jax.jit(predict), params, batch)


def timers(training: Training, text: TextEncoder) -> dict:
    """One for each system, all with random weights and the same text encoder."""
    model, batch = training.setup.system.model.clone(text=text), training.batch
    systems: dict[str, nn.Module] = {
        BASE: SelfMm(text),
        'dense transformer': DenseSugrm(text, model.config.spt.heads),
        'SUGRM': model,
    }

    def one(system: nn.Module) -> Callable[[], float]:
        rest = (True,) if system is model else ()
        init = jax.jit(lambda key: system.init(key, batch, *rest)['params'])
        params = init(jax.random.key(0))
        return timer(lambda p, b: system.apply({'params': p}, b, *rest), params, batch)

    return {name: one(system) for name, system in systems.items()}


def run(options: Options) -> list[Table]:
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        path = data.write_mosi_shaped(folder, options.data)
        for padding in ('masked', 'released'):
            training = Training(config(path, padding))
            minilm = training.setup.system.model.text
            texts = {'BERT-base': minilm.clone(bert_config=BERT_BASE), 'MiniLM': minilm}
            for text_name, text in texts.items():
                say(f'inference: padding {padding}, {text_name}')
                times = rounds(timers(training, text), options.pairs)
                for name, time in times.items():
                    row = {'padding': padding, 'text encoder': text_name}
                    row |= {'system': name, 'time': time}
                    if name != BASE:
                        row[f'/ {BASE}'] = ratio(time, times[BASE])
                    rows.append(row)
    note = (
        'One batch of 32 utterances at unaligned MOSI shapes, the same text encoder in '
        'all three; with masked padding BERT runs on packed utterances.'
    )
    return [Table('inference', 'Inference', note, rows)]
