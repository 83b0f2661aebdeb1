r"""Trains a grid of configs over seeds: a table of the paper from one command.

python -m sugrm_jax.sweep --config=configs/sweeps/table2.py:minilm --seeds=5 \
    --workdir=runs/table2 --set=data.path=MOSI/unaligned_50.pkl --set=train.epochs=10

The same command again goes on where it was stopped: finished runs are not touched, the
one under way continues from its checkpoint, failed ones are tried again. Machines share
the runs with --shard=1/8 … --shard=8/8. Test figures are not shown on the way; they
are in the runs' folders and in the report.
"""

from __future__ import annotations

import pathlib
import re
from collections.abc import Sequence

from absl import flags, logging
from ml_collections import ConfigDict

from sugrm_jax import main as lone
from sugrm_jax.config import flat, plain, unknown_field
from sugrm_jax.errors import UserError
from sugrm_jax.terminal import Terminal

# Defined in another module, and as much part of this command.
for _name in ('config', 'workdir'):
    flags.declare_key_flag(_name)
_SEEDS = flags.DEFINE_integer('seeds', 5, 'Seeds of each run: 1, 2, …', lower_bound=1)
_SET = flags.DEFINE_multi_string(
    'set', [], 'FIELD=VALUE, set in every run that has the field; may be repeated.'
)
_SHARD = flags.DEFINE_string('shard', '1/1', 'I/N: the Ith of N shares of the runs.')


def set_fields(
    runs: Sequence[tuple[str, ConfigDict]], settings: Sequence[str]
) -> list[tuple[str, ConfigDict]]:
    """The runs of a sweep, with fields set in those that have them.

    Args:
      runs: labels and configs.
      settings: `FIELD=VALUE`; values are read as the field's type.

    Raises:
      UserError: no run has the field, or a value of the wrong type.
    """
    names = [set(flat(plain(config))) for _, config in runs]
    for setting in settings:
        field, equals, _ = setting.partition('=')
        if not equals:
            raise UserError(f'Write --set=FIELD=VALUE, not --set={setting}.')
        if field == 'seed':
            raise UserError('Seeds are not --set: --seeds=5 gives every run 1 to 5.')
        if not any(field in known for known in names):
            raise unknown_field(field, sorted(set().union(*names)))

    def has(setting: str, known: set[str]) -> bool:
        return setting.partition('=')[0] in known

    return [
        (label, lone.override(config, [f'--config.{s}' for s in settings if has(s, k)]))
        for (label, config), k in zip(runs, names, strict=True)
    ]


def parse_shard(shard: str) -> slice:
    """Which runs of the grid a share such as '2/8' holds."""
    match = re.fullmatch(r'(\d+)/(\d+)', shard)
    i, n = map(int, match.groups()) if match else (0, 0)
    if not 1 <= i <= n:
        raise UserError(f'--shard is one of 1/N, 2/N, … N/N, not {shard}.')
    return slice(i - 1, None, n)


def parse(argv: list[str]) -> list[str]:
    """Parses the command line; every mistake in it is one clear `UserError`."""
    for arg in argv:
        if arg.startswith('--config.'):
            raise UserError(
                f'Write --set={arg.removeprefix("--config.")}: it sets the field in '
                'every run of the sweep that has it.'
            )
    return lone.parse(argv, 'configs/sweeps/seeds.py', '--set=')


def main(argv: list[str]) -> int:
    if len(argv) > 1:
        raise UserError(f'Unexpected {argv[1:]}: settings are given as --set=x=y.')
    lone.refuse_processes()
    logging.set_verbosity(logging.WARNING)
    sweep = lone.CONFIG.value
    if 'runs' not in sweep:
        raise UserError(
            'This config is one run, which python -m sugrm_jax.main trains; sweeps are '
            'in configs/sweeps/. To train SUGRM alone over seeds, take seeds.py there.'
        )
    runs = set_fields(sweep.runs, _SET.value)
    mine = parse_shard(_SHARD.value)
    workdir = lone.WORKDIR.value or pathlib.Path('runs') / sweep.name
    workdir = pathlib.Path(workdir).expanduser()
    # Heavy imports wait until the command line is known to be good.
    from sugrm_jax.parallel import keep_compiled
    from sugrm_jax.training.grid import make_grid, write_plan
    from sugrm_jax.training.sweeping import train_grid

    keep_compiled()
    grid = make_grid(runs, workdir, _SEEDS.value)
    write_plan(workdir, sweep, [label for label, _ in runs], _SEEDS.value)
    return 0 if train_grid(grid, mine, workdir, Terminal()) else 1


if __name__ == '__main__':
    lone.run(main, parse)
