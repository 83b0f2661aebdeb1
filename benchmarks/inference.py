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
from benchmarks.rivals import DenseSugrm
from benchmarks.tables import Table
from benchmarks.training import Training, config
from configs.baselines import self_mm
from sugrm_jax.config import plain
from sugrm_jax.layers.bert import BertConfig
from sugrm_jax.layers.text import TextEncoder
from sugrm_jax.models.sugrm import Sugrm, build
from sugrm_jax.training.step import eval_step

BASE = 'Self-MM'
# As `configs/mosi.py` has it. What it costs is decided by its sizes, not its weights.
BERT_BASE = BertConfig(30522, 768, 12, 12, 3072, 'gelu', 0.1, 0.1, 512, 2)


def timers(training: Training, text: TextEncoder) -> dict[str, Callable[[], float]]:
    """One evaluation step of each system, random weights, the same text encoder."""
    model, batch = training.setup.system.model.clone(text=text), training.batch
    systems = {
        BASE: self_mm_like(model),
        'dense transformer': DenseSugrm(text, model.config.spt.heads),
        'SUGRM': model,
    }

    def one(system: nn.Module) -> Callable[[], float]:
        init = jax.jit(lambda key: system.init(key, batch, True))
        step = jax.jit(functools.partial(eval_step, model=system))
        return functools.partial(seconds, step, init(jax.random.key(0)), batch)

    return {name: one(system) for name, system in systems.items()}


def self_mm_like(model: Sugrm) -> nn.Module:
    """Self-MM with its own settings, but the text encoder and padding of SUGRM."""
    settings = plain(self_mm.get_config())
    settings['model']['padding'] = model.config.padding
    return build(settings['model'], settings['objective'], model.text).model


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
