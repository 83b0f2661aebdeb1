"""Measures speed and memory, beside the released PyTorch code where it is at hand.

    python -m benchmarks
    python -m benchmarks spt --reference ../SUGRM --reference-python ../torch/bin/python

The reference is a checkout of github.com/skystarhyw/SUGRM; its interpreter needs torch
(a CPU build), transformers and tqdm. Both sides are timed in turn, with the same number
of threads, after a check that they compute the same.
"""

from __future__ import annotations

import argparse
import importlib
import json
import pathlib
import sys

from benchmarks.measure import say
from benchmarks.options import Options
from benchmarks.reference import Checkout
from benchmarks.tables import as_json, busy_processors, machine, markdown, page, threads
from sugrm_jax.ending import ending
from sugrm_jax.parallel import keep_compiled

BENCHMARKS = ('spt', 'step', 'epoch', 'inference', 'compile', 'growth')
# Processors busy with other things, up to which figures are fit for use.
QUIET = 0.1


def parse(argv: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog='python -m benchmarks',
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument('names', nargs='*', help=f'out of {", ".join(BENCHMARKS)}')
    parser.add_argument('--reference', help='checkout of the released code')
    parser.add_argument(
        '--reference-python', default=sys.executable, help='interpreter with torch'
    )
    parser.add_argument('--pairs', type=int, default=7, help='rounds (default 7)')
    parser.add_argument('--data', help='pickle in MMSA format for real text lengths')
    parser.add_argument(
        '--out', type=pathlib.Path, default='runs/benchmarks', help='folder for results'
    )
    args = parser.parse_args(argv)
    unknown = set(args.names) - set(BENCHMARKS)
    if unknown:
        parser.error(f'no benchmark {sorted(unknown)}; there are {BENCHMARKS}')
    return args


def check_quiet() -> float:
    """Processors that other processes keep busy, with a warning if there are any."""
    busy = round(busy_processors(), 2)
    if busy > QUIET:
        say(
            f'Other processes keep {busy} processors busy. PyTorch, whose threads spin '
            'while they wait, then takes up to twenty times as long, XLA does not: '
            'ratios measured now say nothing (OMP_WAIT_POLICY=PASSIVE helps).'
        )
    return busy


def main(argv: list[str] | None = None) -> None:
    args = parse(argv)
    released = None
    if args.reference:
        released = Checkout(args.reference, args.reference_python, threads())
    options = Options(args.pairs, args.data, released)
    keep_compiled()
    tables, busy = [], []
    for name in args.names or BENCHMARKS:
        say(f'== {name}')
        busy.append(check_quiet())
        for table in importlib.import_module(f'benchmarks.{name}').run(options):
            print(markdown(table), flush=True)
            tables.append(table)
    facts = machine() | {'processors busy with other things': max(busy)}
    args.out.mkdir(parents=True, exist_ok=True)
    results = {'machine': facts, 'tables': [as_json(table) for table in tables]}
    (args.out / 'benchmarks.json').write_text(json.dumps(results, indent=1))
    (args.out / 'benchmarks.md').write_text(page(tables, facts))
    say(f'Written to {args.out}/benchmarks.json and benchmarks.md')


if __name__ == '__main__':
    sys.exit(ending(main))
