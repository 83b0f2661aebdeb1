"""The command as a user types it: exit status, one clear line, nothing trained."""

import os
import pickle
import signal
import subprocess
import sys

import pytest

from sugrm_jax.training.workdir import claimed
from tests.recordings import FIXTURES
from tests.training.conftest import tiny_data


def overrides(path, workdir):
    return [
        '--config=configs/mosi.py',
        f'--config.data.path={path}',
        f'--config.text.pretrained={FIXTURES / "bert_tiny"}',
        '--config.model.spt.layers=1',
        f'--workdir={workdir}',
    ]


def command(*arguments):
    return subprocess.run(
        [sys.executable, '-m', 'sugrm_jax.main', *arguments],
        capture_output=True,
        text=True,
    )


def ids_beyond(data):
    data['valid']['text_bert'][2, 0, 1] = 5000


def wide(data):
    data['test']['audio'] = data['test']['audio'][..., :2]


def same_labels(data):
    data['train']['regression_labels'][:] = 1.0


@pytest.mark.parametrize(
    ('spoil', 'words'),
    [
        (ids_beyond, ('tiny.pkl', 'token id 5000', 'text.pretrained')),
        (wide, ('tiny.pkl', 'audio')),
        (same_labels, ('tiny.pkl', 'regression_labels')),
        (lambda data: data.pop('valid'), ('tiny.pkl', 'valid')),
    ],
)
def test_bad_data_end_with_status_2_and_no_traceback(tmp_path, spoil, words):
    data = tiny_data()
    spoil(data)
    path = tmp_path / 'tiny.pkl'
    path.write_bytes(pickle.dumps(data))
    done = command(*overrides(path, tmp_path / 'run'))
    assert done.returncode == 2
    assert 'Traceback' not in done.stderr
    assert all(word in done.stderr for word in words), done.stderr
    assert not (tmp_path / 'run' / 'metrics.jsonl').exists()


def test_a_missing_file_offers_the_demo(tmp_path):
    done = command(*overrides(tmp_path / 'none.pkl', tmp_path / 'run'))
    assert done.returncode == 2
    assert 'none.pkl' in done.stderr and 'the demo needs none' in done.stderr


def test_data_are_looked_at_before_any_weights_are_fetched(tmp_path):
    done = command(
        '--config=configs/mosi.py',
        f'--config.data.path={tmp_path / "none.pkl"}',
        '--config.text.pretrained=nobody/no-such-bert',
        f'--workdir={tmp_path / "run"}',
    )
    assert done.returncode == 2
    assert 'no data file' in done.stderr and 'no-such-bert' not in done.stderr


def test_a_width_that_the_heads_do_not_divide(data_path, tmp_path):
    arguments = overrides(data_path, tmp_path / 'run')
    done = command(*arguments, '--config.model.spt.heads=7')
    assert done.returncode == 2
    assert 'config.model.spt: width 32 is no multiple of heads 7' in done.stderr


def test_a_second_run_in_a_folder_ends_with_status_2_and_one_line(data_path, tmp_path):
    with claimed(tmp_path / 'run'):
        done = command(*overrides(data_path, tmp_path / 'run'))
    assert done.returncode == 2
    assert 'Another process is training in' in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1, done.stderr
    assert [x.name for x in (tmp_path / 'run').iterdir()] == ['.lock']


def test_a_misspelt_field_names_the_nearest(tmp_path):
    arguments = overrides(tmp_path / 'none.pkl', tmp_path)
    done = command(*arguments, '--config.model.padd=masked')
    assert done.returncode == 2
    assert 'config.model.padding' in done.stderr and 'Traceback' not in done.stderr


def test_weights_whose_shapes_do_not_fit(data_path, tmp_path):
    folder = tmp_path / 'bert'
    folder.mkdir()
    for name in ('config.json', 'model.safetensors'):
        content = (FIXTURES / 'bert_tiny' / name).read_bytes()
        (folder / name).write_bytes(content)
    config = (folder / 'config.json').read_text()
    (folder / 'config.json').write_text(
        config.replace('"intermediate_size": 64', '"intermediate_size": 48')
    )
    arguments = overrides(data_path, tmp_path / 'run')
    done = command(*arguments, f'--config.text.pretrained={folder}')
    assert done.returncode == 2
    assert 'intermediate' in done.stderr and '64' in done.stderr, done.stderr


def test_sigterm_ends_with_143_and_says_how_to_go_on(data_path, tmp_path):
    run = subprocess.Popen(
        [
            sys.executable,
            '-m',
            'sugrm_jax.main',
            *overrides(data_path, tmp_path / 'run'),
            '--config.train.epochs=10000',
            '--config.train.patience=10000',
        ],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {'PYTHONUNBUFFERED': '1'},
    )
    for line in run.stdout:
        if line.startswith('epoch   2'):
            break
    run.send_signal(signal.SIGTERM)
    _, errors = run.communicate(timeout=120)
    assert run.returncode == 128 + signal.SIGTERM
    assert 'The same command goes on' in errors and 'Traceback' not in errors
    assert any((tmp_path / 'run' / 'checkpoints' / 'latest').iterdir())


def test_output_to_a_full_disk_is_one_sentence(data_path, tmp_path):
    words = [sys.executable, '-m', 'sugrm_jax.main']
    with open('/dev/full', 'w') as full:
        done = subprocess.run(
            [*words, *overrides(data_path, tmp_path / 'run')],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
        )
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert 'output' in line and 'No space left on device' in line
