"""The command `python -m sugrm_jax.data`: looks into data files and converts them."""

from __future__ import annotations

import argparse
import pathlib
import pickle
import shlex
import sys
from collections.abc import Sequence

from sugrm_jax.data.check import report
from sugrm_jax.data.convert import convert
from sugrm_jax.data.mmsa import KNOWN_FILES
from sugrm_jax.data.simulate import simulate
from sugrm_jax.ending import ending
from sugrm_jax.errors import UserError
from sugrm_jax.interrupt import StopRequest
from sugrm_jax.terminal import printable

# As in configs/demo.py, but for the seed: other utterances of the same kind.
_LIKE_DEMO = dict(
    train=384, valid=96, test=96, audio_length=60, vision_length=80, seed=1
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command; returns its exit status."""
    options = _parse(arguments)
    # What is half written is cleared away when a signal comes.
    return ending(options.run, options, stop=StopRequest())


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog='python -m sugrm_jax.data',
        description='Looks into data files and converts them.',
    )
    commands = parser.add_subparsers(dest='command', required=True)
    check = commands.add_parser('check', help='report what a data file holds')
    check.set_defaults(run=_check)
    check.add_argument('file', help='a pickle in MMSA format, or a converted one')
    change = commands.add_parser(
        'convert',
        help='turn a data file into arrays that training reads batch by batch, for '
        'data larger than memory',
    )
    change.set_defaults(run=_convert)
    change.add_argument('file', help='a pickle in MMSA format')
    change.add_argument('out', type=pathlib.Path, help='folder to make')
    change.add_argument(
        '--fixed_text',
        action='store_true',
        help="keep the fixed text features, for config.text.pretrained='file'",
    )
    new = commands.add_parser(
        'simulate', help="write opinion videos like the demo's as a data file"
    )
    new.set_defaults(run=_simulate)
    new.add_argument('out', type=pathlib.Path, help='pickle to write')
    for name, value in _LIKE_DEMO.items():
        new.add_argument(
            f'--{name}', type=int, default=value, help=f'{value} if absent'
        )
    for command in (check, change):
        command.add_argument(
            '--label_range',
            type=float,
            default=3.0,
            help='labels lie in ± this: 3 for MOSI and MOSEI (default), 1 for CH-SIMS',
        )
    return parser.parse_args(arguments)


def _simulate(options: argparse.Namespace) -> None:
    data = simulate(**{name: getattr(options, name) for name in _LIKE_DEMO})
    try:
        options.out.write_bytes(pickle.dumps(data, protocol=4))
    except OSError as error:
        raise UserError(
            f'{options.out} cannot be written: {error.strerror}.'
        ) from error
    print(f'{options.out} holds {sum(len(x["id"]) for x in data.values())} utterances.')


def _check(options: argparse.Namespace) -> None:
    print(printable(report(options.file, label_range=options.label_range)))


def _convert(options: argparse.Namespace) -> None:
    dataset = convert(
        options.file,
        options.out,
        label_range=options.label_range,
        fixed_text=options.fixed_text,
        say=lambda line: print(line, file=sys.stderr, flush=True),
    )
    for note in dataset.notes:
        print(printable(f'note: {note}'))
    size = sum(path.stat().st_size for path in options.out.expanduser().rglob('*.npy'))
    config = 'mosei' if 'MOSEI' in KNOWN_FILES.get(dataset.sha256, '') else 'mosi'
    settings = [f'--config=configs/{config}.py', f'--config.data.path={options.out}']
    if options.label_range != 3.0:
        settings.append(f'--config.data.label_range={options.label_range:g}')
    print(
        f'{options.out} holds {len(dataset.train):,} / {len(dataset.valid):,} / '
        f'{len(dataset.test):,} utterances in {size / 1e6:,.1f} MB. To train with it:\n'
        f'python -m sugrm_jax.main {shlex.join(settings)}'
    )
