r"""Searches for good settings: trains many models, looks at the validation split only.

python -m sugrm_jax.tune --config=configs/mosi.py:minilm \
    --space=configs/spaces/sugrm.py --trials=50 --study=runs/tune/study.db \
    --workdir=runs/tune

A space names config fields and where to search (see configs/spaces/sugrm.py). The study
keeps what was tried: the same command again goes on from there, and where several
machines name one study they share the trials. Needs Optuna:
pip install -r requirements-tune.txt.
"""

from __future__ import annotations

import copy
import functools
import importlib.util
import pathlib
import runpy
import shlex
import sys
from collections.abc import Mapping
from typing import Any

from absl import flags, logging
from ml_collections import ConfigDict

from sugrm_jax import main as lone
from sugrm_jax.config import flat, plain, unknown_field
from sugrm_jax.errors import UserError
from sugrm_jax.terminal import Terminal
from sugrm_jax.training.space import Axis, make_axis

# Defined in another module, and as much part of this command.
for _name in ('config', 'workdir'):
    flags.declare_key_flag(_name)
_SPACE = flags.DEFINE_string('space', None, 'File of the ranges to search.')
_TRIALS = flags.DEFINE_integer(
    'trials', 50, 'Trials in all, those of earlier calls included.', lower_bound=1
)
_STUDY = flags.DEFINE_string(
    'study', None, 'SQLite file, or URL of a database; WORKDIR/study.db by default.'
)


def read_space(file: str, config: ConfigDict) -> dict[str, Axis]:
    """Reads a space and makes sure that it fits the config.

    Args:
      file: of plain values, with a function `get_space`.
      config: whose fields it names.

    Raises:
      UserError: no such file; an unknown field; a range or choice that is malformed or
        not of the field's type.
    """
    if not pathlib.Path(file).is_file():
        raise UserError(f'There is no space file {file}.')
    content = runpy.run_path(file)
    if 'get_space' not in content:
        raise UserError(f'{file} is no space: it has no function get_space().')
    known, space = flat(plain(config)), {}
    for field, given in content['get_space']().items():
        if field not in known:
            names = [f'config.{name}' for name in known]
            raise UserError(f'{file}: {unknown_field(f"config.{field}", names)}')
        space[field] = make_axis(given, known[field], f'{file}: {field}')
        for value in space[field].examples():
            configure(config, {field: value})
    if not space:
        raise UserError(f'{file} names no field to search.')
    return space


def configure(config: ConfigDict, settings: Mapping[str, Any]) -> ConfigDict:
    """A copy of the config with these fields set, as their flags set them."""
    return lone.override(copy.deepcopy(config), as_flags(settings))


def as_flags(settings: Mapping[str, Any]) -> list[str]:
    """Settings as words of a command line."""
    return [f'--config.{field}={value}' for field, value in settings.items()]


def main(argv: list[str]) -> None:
    if len(argv) > 1:
        raise UserError(f'Unexpected {argv[1:]}: settings are given as --config.x=y.')
    lone.refuse_processes()
    if not _SPACE.value:
        raise UserError('Name a space, such as --space=configs/spaces/sugrm.py.')
    if importlib.util.find_spec('optuna') is None:
        raise UserError('The search needs Optuna: pip install -r requirements-tune.txt')
    logging.set_verbosity(logging.WARNING)
    config = lone.CONFIG.value
    space = read_space(_SPACE.value, config)
    workdir = lone.WORKDIR.value or pathlib.Path('runs') / f'{config.name}-tune'
    workdir = pathlib.Path(workdir).expanduser()
    # Heavy imports wait until the command line is known to be good.
    from sugrm_jax.parallel import keep_compiled
    from sugrm_jax.training.search import Search, best, open_study

    keep_compiled()
    study = open_study(_STUDY.value or workdir / 'study.db', config, space)
    console = Terminal()
    search = Search(study, space, lambda x: configure(config, x), workdir, console)
    search.run(_TRIALS.value)
    found = best(study)
    settings = as_flags(found['settings'])
    chosen = {arg.split('=')[0] for arg in settings}
    given = [
        arg
        for arg in sys.argv[1:]
        if arg.startswith('--config') and arg.split('=')[0] not in chosen
    ]
    words = [*given, *settings, f'--workdir={workdir / "best"}']
    command = ['python -m sugrm_jax.main', *map(shlex.quote, words)]
    console.print(
        f'Best of {found["trials"]} trials: validation MAE {found["valid_mae"]:.3f}, '
        f'trial {found["trial"]}. To train and test it:\n' + ' \\\n    '.join(command),
        highlight=False,
        markup=False,
        soft_wrap=True,
    )


if __name__ == '__main__':
    lone.run(main, functools.partial(lone.parse, example='configs/mosi.py:minilm'))
