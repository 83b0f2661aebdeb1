"""Trains one model, tests it and writes the results.

python -m sugrm_jax.main --config=configs/demo.py
python -m sugrm_jax.main --config=configs/mosi.py:released --workdir=runs/mosi
"""

from __future__ import annotations

import functools
import pathlib
import re
import sys
from collections.abc import Callable, Sequence
from typing import Any

from absl import app, flags, logging
from ml_collections import ConfigDict, config_flags

from sugrm_jax.config import flat, plain, unknown_field
from sugrm_jax.ending import ending
from sugrm_jax.errors import UserError

CONFIG = config_flags.DEFINE_config_file('config', help_string='File of the config.')
WORKDIR = flags.DEFINE_string(
    'workdir', None, 'Folder of the run; runs/NAME by default, NAME being config.name.'
)
PROCESSES = flags.DEFINE_string(
    'processes',
    None,
    'Where several processes train one model, what this one is: I/N@HOST:PORT, process '
    "I of N, of which the first listens at HOST:PORT; or 'auto': what Slurm, Open MPI "
    'or Kubernetes say. See launch/.',
)


# What Python says of a value that is no number, and what we say.
_PYTHONS_WORDS = {
    r'invalid literal for int\(\) with base 10: (.*)': r'\1 is no whole number.',
    r'could not convert string to float: (.*)': r'\1 is no number.',
}


def load_config(file: str | pathlib.Path, overrides: Sequence[str] = ()) -> ConfigDict:
    """Reads a config file.

    Args:
      file: its path, with `:VARIANTS` behind it or not.
      overrides: such as `--config.train.epochs=3`.

    Raises:
      UserError: no such file, variant or field, or a value of the wrong type.
    """
    file = str(file)
    if not pathlib.Path(file.split(':')[0]).is_file():
        raise UserError(f'There is no config file {file.split(":")[0]}.')
    try:
        config = _parsed(config_flags.DEFINE_config_file, [f'--config={file}'])
    except ModuleNotFoundError as error:
        raise UserError(
            f'{file} imports {error.name}, which is not found: start the command in '
            'the folder that holds configs/.'
        ) from error
    return override(config, overrides)


def override(config: ConfigDict, overrides: Sequence[str]) -> ConfigDict:
    """`config`, in which fields are set; each value is read as the field's type.

    Args:
      config: changed in place.
      overrides: such as `--config.train.epochs=3`.

    Raises:
      UserError: no such field, or a value of the wrong type.
    """
    known = [f'config.{name}' for name in flat(plain(config))]
    for name in (arg.split('=')[0].removeprefix('--') for arg in overrides):
        if name not in known:
            raise unknown_field(name, known)
    define = functools.partial(config_flags.DEFINE_config_dict, config=config)
    return _parsed(define, overrides)


def _parsed(define: Callable[..., Any], arguments: Sequence[str]) -> ConfigDict:
    """The value of a config flag, defined by `define` and parsed from arguments."""
    values, argv = flags.FlagValues(), ['', *arguments]
    define('config', flag_values=values, sys_argv=argv)
    try:
        values(argv)
    except (flags.Error, ValueError) as error:
        # The library puts a traceback before what matters.
        message = str(error).strip().splitlines()[-1].removeprefix('ValueError: ')
        for words, plainly in _PYTHONS_WORDS.items():
            message = re.sub(words, plainly, message)
        raise UserError(message) from error
    return values.config


def parse(
    argv: list[str], example: str = 'configs/demo.py', setting: str = '--config.'
) -> list[str]:
    """Parses the command line; every mistake in it is one clear `UserError`.

    Args:
      argv: the command line.
      example: a config to name, for messages.
      setting: what a field is set with, for messages.
    """
    overrides = [arg for arg in argv if arg.startswith('--config.')]
    files = [arg for arg in argv if arg.startswith('--config=')]
    if '--config' in argv:
        raise UserError('Write --config=FILE, with the equals sign.')
    if not files and not any(arg.startswith('--help') for arg in argv):
        raise UserError(f'Name a config, such as --config={example}.')
    for file in files:
        load_config(file.removeprefix('--config='), overrides)
    try:
        return flags.FLAGS(argv)
    except flags.UnrecognizedFlagError as error:
        name = error.flagname
        hint = f': a field is set by {setting}{name}=VALUE.' if '.' in name else ''
        raise UserError(f'{error}{hint}') from error
    except flags.Error as error:
        raise UserError(str(error)) from error
    except SystemExit:
        # Only --help ends it, and with 1, although nothing went wrong.
        sys.exit(0)


def refuse_processes() -> None:
    """Raises a `UserError` where `--processes` is given to a command of many runs."""
    if PROCESSES.value is not None:
        raise UserError(
            '--processes is for one model that several processes train, with python '
            '-m sugrm_jax.main. Runs of a sweep are shared out with --shard=I/N, '
            'trials of a search by naming the same --study.'
        )


def main(argv: list[str]) -> None:
    if len(argv) > 1:
        raise UserError(f'Unexpected {argv[1:]}: settings are given as --config.x=y.')
    # The libraries' own notes would bury ours.
    logging.set_verbosity(logging.WARNING)
    # Heavy imports wait until the command line is known to be good.
    from sugrm_jax import processes
    from sugrm_jax.parallel import keep_compiled
    from sugrm_jax.training.loop import train

    config = CONFIG.value
    if 'runs' in config:
        raise UserError(
            'This config is a sweep, which python -m sugrm_jax.sweep trains.'
        )
    keep_compiled()
    with processes.joined(PROCESSES.value):
        train(config, WORKDIR.value or pathlib.Path('runs') / config.name)


def run(
    command: Callable[[list[str]], int | None] = main,
    flags_parser: Callable[[list[str]], list[str]] = parse,
) -> None:
    """Runs a command; exits 2 for what the user can mend, 128 + signal when stopped."""
    # Training sees to signals itself. Before it they end the process as they always do,
    # also while other processes are waited for outside of Python.
    sys.exit(ending(functools.partial(app.run, command, flags_parser=flags_parser)))


if __name__ == '__main__':
    run()
