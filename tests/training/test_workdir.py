"""Who may write in a run's folder, and which run it holds."""

import signal
import subprocess
import sys

import pytest

from sugrm_jax import UserError
from sugrm_jax.training.workdir import claimed, differences

HOLDER = """
import sys
from sugrm_jax.training.workdir import claimed
with claimed(sys.argv[1]):
    print('held', flush=True)
    sys.stdin.read()
"""


def test_a_second_process_is_refused_until_the_first_has_died(tmp_path):
    holder = subprocess.Popen(
        [sys.executable, '-c', HOLDER, tmp_path],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert holder.stdout.readline() == 'held\n'
    with pytest.raises(UserError, match=f'Another process .* {tmp_path}'):
        claimed(tmp_path).__enter__()
    holder.send_signal(signal.SIGKILL)
    holder.wait()
    with claimed(tmp_path) as folder:
        assert folder == tmp_path


def test_another_spelling_of_the_folder_is_the_same_folder(tmp_path):
    (tmp_path / 'real').mkdir()
    (tmp_path / 'link').symlink_to(tmp_path / 'real')
    with claimed(tmp_path / 'real'):
        for name in ('link', 'link/.', 'real/../link', 'real/'):
            with pytest.raises(UserError, match='Another process'):
                claimed(f'{tmp_path}/{name}').__enter__()


def test_the_folder_is_made_and_let_go_of(tmp_path):
    for _ in range(2):
        with claimed(str(tmp_path / 'a' / 'b')) as folder:
            assert folder.is_dir()


def test_a_folder_that_cannot_be_written(tmp_path):
    (tmp_path / 'file').write_text('')
    with (
        pytest.raises(UserError, match=r'cannot be written: .* --workdir'),
        claimed(tmp_path / 'file' / 'run'),
    ):
        pass


def test_differences_name_what_changed_and_what_is_new():
    before = {'config': {'a.b': 1, 'c': 2}, 'data_sha256': 'x'}
    assert differences(before, before) == []
    now = {'config': {'a.b': 1, 'd': 3}, 'data_sha256': 'y'}
    assert differences(before, now) == [
        "c: 2 there, '(absent)' here",
        "d: '(absent)' there, 3 here",
        "data file (SHA-256): 'x' there, 'y' here",
    ]
