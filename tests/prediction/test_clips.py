"""Extraction in a process of its own: how it is called, and when it ends."""

import os
import pathlib
import signal
import subprocess
import sys
import threading

import pytest

from sugrm_jax import UserError
from sugrm_jax.interrupt import Interrupted, StopRequest
from sugrm_jax.prediction import children, clips
from sugrm_jax.prediction.children import Children
from tests.prediction.conftest import (
    assert_ended,
    hanging,
    hanging_extraction,
    program,
)


class Reader:
    """A predictor that reads as text what was extracted."""

    def read(self, path):
        return pathlib.Path(path).read_text()


def test_words_come_by_standard_input_and_by_no_argument(tmp_path):
    python = program(tmp_path / 'python', '(cat; echo; echo "$5") > "$4"')
    words = 'zwölf\0 Wörter ' * 20_000
    found = clips.read(Reader(), 'a.mp4', text=words, python=python)
    assert found == f'{words}\n--text=-\n'


def test_without_words_nothing_comes_by_standard_input(tmp_path):
    python = program(tmp_path / 'python', 'cat > "$4"; echo "$5" >> "$4"')
    found = clips.read(Reader(), 'a.mp4', subtitles='a.srt', python=python)
    assert found == '--subtitles=a.srt\n'


def test_words_that_are_no_text_are_one_sentence():
    with pytest.raises(UserError, match=r'in a\.mp4 is no text at character 4'):
        clips.read(Reader(), 'a.mp4', text='so \ud800', python='nowhere')


def test_extraction_that_takes_too_long_is_ended(tmp_path):
    python = hanging_extraction(tmp_path)
    with pytest.raises(UserError, match=r'of a\.mp4 were not extracted in 0\.05 min'):
        clips.read(Reader(), 'a.mp4', text='x', python=python, limit=3)
    assert_ended(hanging(tmp_path))


def test_what_extraction_leaves_behind_ends_with_it(tmp_path):
    commands = f'sleep 600 2>&- & echo $! > "{tmp_path}/pids"; touch "$TMPDIR/x" "$4"'
    python = program(tmp_path / 'python', commands)
    assert clips.read(Reader(), 'a.mp4', text='x', python=python) == ''
    assert_ended(hanging(tmp_path))


def test_extraction_ends_with_its_context(tmp_path):
    python, caught = hanging_extraction(tmp_path), []

    def read():
        with pytest.raises(UserError) as error:
            options = {'python': python, 'children': all_of_them}
            clips.read(Reader(), 'a.mp4', text='x', **options)
        caught.append(str(error.value))

    thread = threading.Thread(target=read, daemon=True)
    with Children() as all_of_them:
        thread.start()
        pids = hanging(tmp_path)
    assert_ended(pids)
    thread.join()
    (tmp_path / 'pids').unlink()
    # Nor is another one started.
    read()
    assert caught[1] == 'Stopped; no further program is started.'
    assert not (tmp_path / 'pids').exists()


def test_a_signal_while_extraction_is_started_ends_it(tmp_path, monkeypatch):
    started = []

    class Started(subprocess.Popen):
        def __init__(self, *arguments, **named):
            super().__init__(*arguments, **named)
            started.append(self.pid)
            signal.raise_signal(signal.SIGTERM)

    monkeypatch.setattr(children.subprocess, 'Popen', Started)
    python = program(tmp_path / 'python', 'exec sleep 600')
    with pytest.raises(Interrupted), StopRequest():
        clips.read(Reader(), 'a.mp4', text='x', python=python)
    assert_ended(started)


def test_a_signal_while_extraction_is_ended_leaves_none(tmp_path, monkeypatch):
    kill = children._kill

    def signalled(process):
        signal.raise_signal(signal.SIGTERM)
        kill(process)

    monkeypatch.setattr(children, '_kill', signalled)
    commands = f'sleep 600 2>&- & echo $! > "{tmp_path}/pids"; touch "$4"'
    python = program(tmp_path / 'python', commands)
    with pytest.raises(Interrupted), StopRequest():
        clips.read(Reader(), 'a.mp4', text='x', python=python)
    assert_ended(hanging(tmp_path))


READ = """
import sys
from sugrm_jax.prediction import clips
clips.read(None, 'a.mp4', text='x', python=sys.argv[1])
"""


@pytest.mark.parametrize('signum', [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_extraction_and_what_it_put_aside(signum, tmp_path):
    python, scratch = hanging_extraction(tmp_path), tmp_path / 'scratch'
    scratch.mkdir()
    run = subprocess.Popen(
        [sys.executable, '-c', READ, python],
        env=os.environ | {'TMPDIR': str(scratch)},
    )
    try:
        pids = hanging(tmp_path)
        run.send_signal(signum)
        assert run.wait(30) == -signum
    finally:
        run.kill()
    assert_ended(pids)
    assert not list(scratch.iterdir())
