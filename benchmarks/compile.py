"""From nothing to the first finished training step of the demo, imports included."""

from __future__ import annotations

import os
import pathlib
import subprocess
import sys
import tempfile
import time

from benchmarks.first_step import MARK
from benchmarks.measure import rounds, say
from benchmarks.options import Options
from benchmarks.tables import Table


def first_step(cache: str, finish: bool) -> float:
    """Seconds from the start of the demo to its first finished step.

    Args:
      cache: folder of compiled programs.
      finish: whether to let the run go on to its end, which fills the cache.
    """
    environment = os.environ | {'JAX_COMPILATION_CACHE_DIR': cache}
    with tempfile.TemporaryDirectory() as workdir:
        command = [sys.executable, '-m', 'benchmarks.first_step']
        command += ['--config=configs/demo.py', '--config.train.epochs=1']
        start = time.perf_counter()
        process = subprocess.Popen(
            [*command, f'--workdir={workdir}/run'],
            env=environment,
            cwd=pathlib.Path(__file__).parents[1],
            stdout=subprocess.PIPE,
            text=True,
        )
        with process:
            if not any(line.startswith(MARK) for line in process.stdout):
                raise RuntimeError('the demo ended before its first step')
            took = time.perf_counter() - start
            if finish:
                process.stdout.read()
            else:
                process.kill()
    return took


def run(options: Options) -> list[Table]:
    with tempfile.TemporaryDirectory() as folder:
        caches = []

        def cold() -> float:
            say('compile: empty cache')
            caches.append(tempfile.mkdtemp(dir=folder))
            return first_step(caches[-1], finish=True)

        def warm() -> float:
            say('compile: warm cache')
            return first_step(caches[-1], finish=False)

        timers = {'empty cache': cold, 'warm cache': warm}
        times = rounds(timers, options.pairs, warmup=0)
    rows = [{'': name, 'time to the first step': time} for name, time in times.items()]
    note = (
        '`python -m sugrm_jax.main --config=configs/demo.py` in a new process, until '
        'its first training step is done.'
    )
    return [Table('compile', 'Start', note, rows)]
