"""Folders that emerge whole: what is left, and what is said, when they do not."""

import errno
import shutil
import signal

import pytest

from sugrm_jax.errors import UserError
from sugrm_jax.folders import emerging
from sugrm_jax.interrupt import Interrupted, StopRequest


def test_a_folder_is_there_at_the_end(tmp_path):
    with emerging(tmp_path / 'in' / 'out') as folder:
        (folder / 'x').touch()
        assert not (tmp_path / 'in' / 'out').exists()
    (out,) = (tmp_path / 'in').iterdir()
    assert [x.name for x in out.iterdir()] == ['x']


def test_a_signal_leaves_nothing(tmp_path):
    with pytest.raises(Interrupted), StopRequest(), emerging(tmp_path / 'out'):
        signal.raise_signal(signal.SIGTERM)
    assert not list(tmp_path.iterdir())


def test_a_file_that_is_read_meanwhile_is_not_taken_for_the_folder(tmp_path):
    missing = tmp_path / 'missing'
    with pytest.raises(FileNotFoundError, match='missing'), emerging(tmp_path / 'out'):
        missing.read_bytes()
    assert not list(tmp_path.iterdir())


def write(folder):
    (folder / 'no' / 'x').touch()


def copy(folder):
    """As `shutil` does it on a full disk, where the file that is read comes first."""
    raise OSError(errno.ENOSPC, 'No space left', 'source', None, f'{folder}/x')


def flush(_):
    raise OSError(errno.ENOSPC, 'No space left')


def vague(_):
    raise shutil.SpecialFileError('is a named pipe')


@pytest.mark.parametrize(
    ('body', 'reason'),
    [
        (write, 'No such file or directory'),
        (copy, 'No space left'),
        (flush, 'No space left'),
        (vague, 'is a named pipe'),
    ],
)
def test_a_refusal_of_the_disk_is_one_sentence(body, reason, tmp_path):
    out = tmp_path / 'out'
    said = f'The folder {out} cannot be written: {reason}. Name one'
    with pytest.raises(UserError, match=said), emerging(out) as folder:
        body(folder)
    assert not list(tmp_path.iterdir())


def test_a_place_that_takes_no_folder_is_one_sentence(tmp_path):
    (tmp_path / 'file').touch()
    with (
        pytest.raises(UserError, match='file/in/out cannot be written: Not a dir'),
        emerging(tmp_path / 'file' / 'in' / 'out'),
    ):
        pytest.fail('there is no folder')
