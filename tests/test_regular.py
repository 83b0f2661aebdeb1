"""Pipes and devices in a stranger's folder are refused, at once and by name."""

import os
import pathlib
import shutil
import signal

import pytest

from sugrm_jax import UserError, regular
from sugrm_jax.data import mmsa, scaling
from sugrm_jax.data.text import make_tokenizer
from sugrm_jax.extract import labels, subtitles
from sugrm_jax.layers.pretrained import load_params, read_config
from sugrm_jax.results import files
from tests.recordings import FIXTURES

BERT = FIXTURES / 'bert_tiny'
READERS = {
    'data.pkl': mmsa.load_dataset,
    'dataset.json': lambda path: mmsa.load_dataset(path.parent),
    'scaling.npz': scaling.Scaling.load,
    'config.json': lambda path: read_config(path.parent),
    'model.safetensors': lambda path: load_params(path.parent, read_config(BERT)),
    'pytorch_model.bin': lambda path: load_params(path.parent, read_config(BERT)),
    'tokenizer_config.json': lambda path: make_tokenizer(path.parent)(['good']),
    'results.json': files.read_json,
    'metrics.jsonl': files.read_history,
    'error.txt': files.read_text,
    'predictions.csv': files.read_predictions,
    'labels.npz': files.read_labels,
    'labels.csv': lambda path: labels.read(path, path.parent),
    'talk.srt': subtitles.read,
}


@pytest.fixture(autouse=True)
def patience():
    """Nothing waits for whoever should write to a pipe."""

    def waited(*_):
        raise AssertionError('it is still reading')

    usual = signal.signal(signal.SIGALRM, waited)
    signal.setitimer(signal.ITIMER_REAL, 5)
    yield
    signal.setitimer(signal.ITIMER_REAL, 0)
    signal.signal(signal.SIGALRM, usual)


def pipe(path):
    os.mkfifo(path)


def device(path):
    path.symlink_to('/dev/null')  # which at least has an end


@pytest.mark.parametrize('make', [pipe, device])
@pytest.mark.parametrize('name', READERS)
def test_what_is_no_regular_file_is_refused_by_name(name, make, tmp_path):
    shutil.copy(BERT / 'config.json', tmp_path / 'config.json')
    (tmp_path / 'vocab.txt').write_text('[PAD]\n[UNK]\n[CLS]\n[SEP]\ngood')
    (tmp_path / name).unlink(missing_ok=True)
    make(tmp_path / name)
    with pytest.raises(UserError, match=f'{tmp_path}.*(no regular|no weights)'):
        READERS[name](tmp_path / name)


def test_a_link_to_a_file_is_one(tmp_path):
    (tmp_path / 'file').write_bytes(b'abc')
    (tmp_path / 'link').symlink_to('file')
    assert regular.read_bytes(tmp_path / 'link') == b'abc'


def test_no_more_is_read_than_a_file_says_it_has():
    # Which says 0, and goes on.
    assert regular.read_bytes('/proc/self/maps') == b''


def test_a_folder_of_files_and_folders_is_one_to_read(tmp_path):
    (tmp_path / 'in').mkdir()
    (tmp_path / 'in' / 'file').write_text('')
    (tmp_path / 'nowhere').symlink_to('gone')
    regular.check(tmp_path)
    pipe(tmp_path / 'in' / 'pipe')
    with pytest.raises(OSError, match='no regular file') as refused:
        regular.check(tmp_path)
    assert pathlib.Path(refused.value.filename).name == 'pipe'
