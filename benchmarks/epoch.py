"""A whole training epoch, beside the released code's training loop."""

from __future__ import annotations

import contextlib
import functools
import tempfile

from benchmarks import data
from benchmarks.measure import rounds, say, seconds
from benchmarks.options import Options
from benchmarks.reference import RELEASED
from benchmarks.tables import Table
from benchmarks.training import Training, config, rows, start_reference

# Batches whose gradients make one update, as in the released code.
ACCUMULATE = 4


def run(options: Options) -> list[Table]:
    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as stack:
        path = options.data or data.write_mosi_shaped(folder, None)
        timers = {}
        if options.released:
            say('epoch: starting the released code, whose first epoch does not count')
            released = Training(config(path, 'released', ACCUMULATE))
            reference = start_reference(options.released, released, 'epoch')
            stack.enter_context(reference)
            timers[RELEASED] = functools.partial(reference.time, 'epoch')
        training = Training(config(path, 'masked', ACCUMULATE))
        say('epoch: compiling ours')
        training.epoch()
        timers['ours, masked padding'] = functools.partial(seconds, training.epoch)
        say('epoch: timing')
        times = rounds(timers, options.pairs, warmup=0)
    note = (
        f'{len(training.setup.dataset.train)} utterances of '
        f'{"the file given" if options.data else "random features"}, batch 32, an '
        f'update every {ACCUMULATE} batches, MiniLM fine-tuned, without validation.'
    )
    return [Table('epoch', 'Training epoch', note, rows(times, {}))]
