"""The command line: every mistake in it is one clear sentence."""

import subprocess
import sys

import pytest
from absl import app

from sugrm_jax.errors import UserError
from sugrm_jax.interrupt import Interrupted
from sugrm_jax.main import load_config, main, parse, run

MOSI, DEMO = '--config=configs/mosi.py', '--config=configs/demo.py'


def test_load_config_applies_variants_and_overrides():
    config = load_config(
        'configs/mosi.py:released,aligned',
        ['--config.train.epochs=3', '--config.optim.groups.text.lr=0.5'],
    )
    assert config.model.heads == 'released'
    assert config.data.path == 'MOSI/aligned_50.pkl'
    assert config.train.epochs == 3
    assert config.optim.groups.text.lr == 0.5


@pytest.mark.parametrize(
    ('file', 'overrides', 'message'),
    [
        ('configs/none.py', [], 'There is no config file configs/none.py.'),
        ('configs', [], 'There is no config file configs.'),
        ('configs/none.py:released', [], 'There is no config file configs/none.py.'),
        (
            'configs/mosi.py:relaesed',
            [],
            "unknown config variant 'relaesed'; there are: .*released",
        ),
        (
            'configs/demo.py',
            ['--config.train.epochs=many'],
            r"epochs=many: 'many' is no whole number\.$",
        ),
        (
            'configs/demo.py',
            ['--config.optim.groups.text.lr=low'],
            r"lr=low: 'low' is no number\.$",
        ),
        ('configs/demo.py', ['--config.train.epochs=2.5'], r"epochs=2\.5: .*'2\.5'"),
        (
            'configs/demo.py',
            ['--config.text.finetune=maybe'],
            "finetune=maybe: .*'maybe'",
        ),
        (
            'configs/mosi.py',
            ['--config.data.simulate.train=5'],
            'Unknown config field config.data.simulate.train',
        ),
        (
            'configs/demo.py',
            ['--config.train.epoch=3'],
            'Unknown config field config.train.epoch. '
            'Did you mean config.train.epochs?',
        ),
    ],
)
def test_load_config_refuses(file, overrides, message):
    with pytest.raises(UserError, match=message) as refused:
        load_config(file, overrides)
    assert '\n' not in str(refused.value)


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        ([], 'Name a config, such as --config=configs/demo.py.'),
        (['--config=configs/none.py'], 'There is no config file configs/none.py.'),
        ([f'{MOSI}:relaesed'], "unknown config variant 'relaesed'"),
        (['--config', 'configs/demo.py'], 'with the equals sign'),
        (
            [DEMO, '--config.train.epoch=3'],
            'Unknown config field config.train.epoch. '
            'Did you mean config.train.epochs?',
        ),
        (
            [DEMO, '--config.model.spt.dropuot.relu=0'],
            r'field config\.model\.spt\.dropuot\.relu\. '
            r'Did you mean config\.model\.spt\.dropout\.relu\?',
        ),
        ([DEMO, '--config.train.epochs=many'], "epochs=many: .*'many'"),
        ([DEMO, '--config.train.epochs'], 'Missing value for flag.*epochs'),
        ([DEMO, '--wrokdir=x'], "Unknown command line flag 'wrokdir'.*workdir"),
        ([DEMO, '--data.path=x'], "path': a field is set by --config.data.path=VALUE"),
    ],
)
def test_parse_refuses(monkeypatch, arguments, message):
    argv = ['main', *arguments]
    # The config flag reads the command line itself, too.
    monkeypatch.setattr(sys, 'argv', argv)
    with pytest.raises(UserError, match=message):
        parse(argv)


def test_main_refuses_a_sweep():
    command = [sys.executable, '-m', 'sugrm_jax.main']
    command += ['--config=configs/sweeps/seeds.py']
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 2
    assert done.stderr.startswith('This config is a sweep, which python -m sugrm_jax.s')


def test_variants_that_contradict_each_other_are_refused():
    with pytest.raises(UserError, match='different texts: choose one'):
        load_config('configs/mosi.py:fixed,minilm')


@pytest.mark.parametrize('command', ['main', 'sweep', 'tune'])
def test_help_is_no_fault_and_names_all_that_can_be_given(command):
    asked = [sys.executable, '-m', f'sugrm_jax.{command}', '--help']
    done = subprocess.run(asked, capture_output=True, text=True)
    assert done.returncode == 0 and not done.stderr
    for words in (
        f'python -m sugrm_jax.{command} ',
        '\n  --config: ',
        '\n  --workdir: ',
    ):
        assert words in done.stdout
    assert '     --' not in done.stdout  # an example's line, joined with the next


def test_main_refuses_words_that_are_no_flags():
    with pytest.raises(UserError, match=r"Unexpected \['demo'\]"):
        main(['main', 'demo'])


@pytest.mark.parametrize(
    ('error', 'status'),
    [
        (UserError('what to mend'), 2),
        (Interrupted(15, 'what to mend'), 143),
        (KeyboardInterrupt(), 130),
    ],
)
def test_run_ends_with_one_sentence_and_a_status(monkeypatch, capsys, error, status):
    def command(_):
        raise error

    # Parsing is not what is tried here.
    monkeypatch.setattr(app, 'run', lambda command, flags_parser: command([]))
    with pytest.raises(SystemExit) as ended:
        run(command)
    assert ended.value.code == status
    assert len(capsys.readouterr().err.splitlines()) == 1
