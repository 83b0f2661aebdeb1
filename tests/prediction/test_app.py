"""The command that serves the page: what it answers, to whom, and what it leaves."""

import os
import signal
import socket
import subprocess
import sys
import time
from urllib.parse import urlsplit
from urllib.request import urlopen

import numpy as np
import pytest

from sugrm_jax import app
from tests.prediction.conftest import (
    app_running,
    assert_ended,
    fake_extraction,
    hanging,
    hanging_extraction,
    program,
)


def test_without_gradio_it_says_what_to_install(monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, 'gradio', None)
    monkeypatch.setattr(app.importlib.util, 'find_spec', lambda name: None)
    assert app.main(['--run=nowhere']) == 2
    said = capsys.readouterr().err
    assert said == 'It needs gradio: pip install -r requirements-app.txt\n'


def test_a_run_that_is_none_is_one_sentence(tmp_path, capsys, monkeypatch):
    pytest.importorskip('gradio')
    # What the command sets for its process ends with this test.
    monkeypatch.setattr(app.tempfile, 'tempdir', None)
    for name in ('GRADIO_TEMP_DIR', 'GRADIO_ANALYTICS_ENABLED'):
        monkeypatch.setenv(name, '')
    assert app.main([f'--run={tmp_path}']) == 2
    assert capsys.readouterr().err.count('\n') == 1


def test_what_is_old_is_swept_away(tmp_path):
    old, new = tmp_path / 'gradio' / 'a.mp4', tmp_path / 'b.mp4'
    old.parent.mkdir()
    for path in (old, new):
        path.write_bytes(b'x')
    os.utime(old, (time.time() - app.AGE - 1,) * 2)
    app.sweep(str(tmp_path))
    assert new.exists() and not old.exists()


def test_the_whole_way(runs, evaluated, tmp_path):
    """Both endpoints, errors, limits, who can connect, and what is left behind."""
    client_of = pytest.importorskip('gradio_client')
    httpx = pytest.importorskip('httpx')
    scratch = tmp_path / 'scratch'
    scratch.mkdir()
    for name in ('talk.wav', 'talk.srt'):
        (tmp_path / name).write_text('1\n00:00:00,000 --> 00:00:03,000\nhi\n')
    clip, words = (
        client_of.handle_file(tmp_path / f'talk.{x}') for x in ('wav', 'srt')
    )
    # Words that are typed are measured for ever.
    fake, hangs = fake_extraction(tmp_path), hanging_extraction(tmp_path)
    choice = f'[ "$5" = --text=- ] && exec "{hangs}"; exec "{fake}" "$@"'
    options = [f'--video_python={program(tmp_path / "python", choice)}']
    wanted = evaluated('sugrm', 'test')
    with app_running(runs('sugrm'), scratch, *options) as (address, process):
        client = client_of.Client(address, verbose=False, download_files=tmp_path)
        shown, (row,) = client.predict(4, api_name='/predict_example')
        assert 'class="cards"' in shown
        for task in 'mtav':
            assert row[task] == pytest.approx(wanted[task][4], abs=1e-5)
        _, rows = client.predict(clip, '', words, api_name='/predict_clip')
        found = [row['m'] for row in rows]
        np.testing.assert_allclose(found, wanted['m'], atol=1e-5)
        with pytest.raises(client_of.exceptions.AppError, match='one of them'):
            client.predict(clip, 'hi', words, api_name='/predict_clip')
        with pytest.raises(client_of.exceptions.AppError, match='not in the list'):
            client.predict(99, api_name='/predict_example')
        with pytest.raises(client_of.exceptions.AppError, match='Invalid file type'):
            client.predict(words, 'hi', None, api_name='/predict_clip')
        assert list(scratch.rglob('talk.wav'))
        files = {'files': b'0' * (50 * 2**20 + 1)}
        assert httpx.post(f'{address}gradio_api/upload', files=files).status_code == 413
        with urlopen(address) as page:
            assert "default-src 'self' " in page.headers['Content-Security-Policy']
        # Another address of this machine, where it would answer were it open to all.
        with socket.socket() as other:
            assert other.connect_ex(('127.0.0.2', urlsplit(address).port))
        client.submit(clip, 'so good', None, api_name='/predict_clip')
        pids = hanging(tmp_path)
        assert (tmp_path / 'words').read_text() == 'so good'
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 128 + signal.SIGTERM
        assert process.stdout.read() == 'Stopped.\n'
    assert_ended(pids)
    assert not list(scratch.iterdir())


def test_a_port_that_is_none_is_one_sentence(capsys):
    pytest.importorskip('gradio')
    with pytest.raises(SystemExit) as stopped:
        app.main(['--run=nowhere', '--port=99999'])
    assert stopped.value.code == 2
    assert '--port=99999 must be 1 to 65535' in capsys.readouterr().err


SERVE = """
import sys
import gradio as gr
from sugrm_jax.prediction import web
with gr.Blocks(analytics_enabled=False) as page:
    print(web.serve(page, sys.argv[1], int(sys.argv[2])))
"""


@pytest.mark.parametrize('host', ['nosuchhost.invalid', '::1'])
def test_a_host_serves_or_is_refused_in_one_sentence(host):
    pytest.importorskip('gradio')
    # In a process of its own, where the server's words are not pytest's to keep.
    command = [sys.executable, '-c', SERVE, host, '7999']
    done = subprocess.run(command, capture_output=True, text=True)
    if host == '::1' and not done.returncode:
        assert done.stdout == 'http://[::1]:7999/\n'
    else:
        assert done.returncode and 'ERROR' not in done.stderr
        last = done.stderr.splitlines()[-1]
        assert f'UserError: The page cannot be served on {host}, port 7999' in last


def test_a_port_that_is_taken_is_one_sentence(runs, tmp_path):
    pytest.importorskip('gradio')
    web = pytest.importorskip('sugrm_jax.prediction.web')
    import gradio as gr

    from sugrm_jax import UserError

    with socket.socket() as taken, gr.Blocks(analytics_enabled=False) as page:
        taken.bind(('127.0.0.1', 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(UserError, match=f'port {port}: choose another'):
            web.serve(page, '127.0.0.1', port)
