"""What the page refuses: to fetch what a client names, and requests without an end."""

import json
import socket
import types

import pytest

gr = pytest.importorskip('gradio')
httpx = pytest.importorskip('httpx')

from gradio import processing_utils, route_utils  # noqa: E402

from sugrm_jax.prediction import web  # noqa: E402

ADDRESS = 'https://example.org/x.mp4'
FETCHED = {'path': ADDRESS, 'meta': {'_type': 'gradio.FileData'}}


class Unread:
    """An explainer that says what it was given."""

    def __init__(self, folder):
        self.predictor = types.SimpleNamespace(run=folder)
        self.examples = types.SimpleNamespace(
            split=types.SimpleNamespace(ids=['a'], raw_text=['hi'])
        )

    def example(self, row):
        return str(row), []

    def clip(self, clip, text, subtitles):
        return f'{clip} {text}', []


@pytest.fixture(scope='module')
def served(tmp_path_factory):
    folder = tmp_path_factory.mktemp('served')
    with pytest.MonkeyPatch.context() as patch, socket.socket() as free:
        patch.setenv('GRADIO_TEMP_DIR', str(folder))
        free.bind(('127.0.0.1', 0))
        port = free.getsockname()[1]
        free.close()
        page = web.build(Unread(folder))
        address = web.serve(page, '127.0.0.1', port)
        yield f'{address}gradio_api/', folder
        page.close(verbose=False)


@pytest.fixture
def fetched(monkeypatch):
    """Addresses that the page asked for."""
    asked = []

    async def fetch(url, *_, **__):
        asked.append(url)
        raise AssertionError('it fetches')

    monkeypatch.setattr(processing_utils, 'async_ssrf_protected_download', fetch)
    monkeypatch.setattr(route_utils.safehttpx, 'async_validate_url', fetch)
    return asked


def answer(api, endpoint, *data):
    """The event that a call ends with, and its data."""
    call = f'{api}call/{endpoint}'
    event = httpx.post(call, json={'data': data}).json()['event_id']
    kind, said = httpx.get(f'{call}/{event}', timeout=60).text.strip().splitlines()
    return kind.removeprefix('event: '), json.loads(said.removeprefix('data: '))


def test_what_is_no_address_is_taken(served):
    api, folder = served
    (path,) = httpx.post(f'{api}upload', files={'files': ('x.mp4', b'x')}).json()
    kind, (shown, _) = answer(api, 'predict_clip', FETCHED | {'path': path}, 'hi', None)
    assert kind == 'complete' and shown == f'{path} hi'
    assert path.startswith(str(folder))


@pytest.mark.parametrize(
    ('endpoint', 'data'),
    [
        ('predict_clip', [FETCHED, 'hi', None]),
        ('predict_clip', [None, 'hi', FETCHED]),
        # Components that are for other things would fetch it, too.
        ('predict_clip', [None, FETCHED, None]),
        ('predict_clip', [None, [{'x': FETCHED}], None]),
        ('predict_example', [FETCHED]),
    ],
)
def test_no_file_is_fetched_by_its_address(endpoint, data, served, fetched):
    kind, said = answer(served[0], endpoint, *data)
    assert kind == 'error' and 'Upload the file' in said['error']
    assert not fetched


@pytest.mark.parametrize(
    'path',
    [
        f'file={ADDRESS}',
        f'file%3D{ADDRESS}',
        'file=http://example.org/x.mp4',
        'FILE=HTTPS://example.org/x.mp4',
        f'file/{ADDRESS}',
        f'proxy={ADDRESS}',
    ],
)
def test_nothing_is_passed_on_from_elsewhere(path, served, fetched):
    answered = httpx.get(f'{served[0]}{path}')
    assert answered.status_code == 403 and answered.text == 'Nothing is fetched here.'
    assert 'Content-Security-Policy' in answered.headers
    assert not fetched


def test_a_recording_is_not_decoded_here(served):
    files = {'video': ('x.mp4', b'x')}
    assert httpx.post(f'{served[0]}process_recording', files=files).status_code == 403


def test_an_upload_is_bounded_however_many_files_it_has(served, monkeypatch):
    api, _ = served
    monkeypatch.setattr(web, 'UPLOAD', 2**10)
    monkeypatch.setattr(web, 'REQUEST', 2**12)
    files = [('files', (f'{i}.mp4', bytes(1000))) for i in range(6)]
    assert httpx.post(f'{api}upload', files=files[:2]).status_code == 200
    assert httpx.post(f'{api}upload', files=files).status_code == 413


def test_a_request_without_a_length_is_bounded(served, monkeypatch):
    monkeypatch.setattr(web, 'REQUEST', 2**12)

    def words():
        yield b'{"data": ["'
        for _ in range(10):
            yield b'x' * 1000
        yield b'"]}'

    call = f'{served[0]}call/predict_example'
    headers = {'Content-Type': 'application/json'}
    answered = httpx.post(call, content=words(), headers=headers)
    assert answered.status_code == 413


@pytest.mark.parametrize('way', ['run', 'api'])
def test_nobody_passes_by_the_queue(way, served):
    words = {'data': [None, 'hi', None]}
    assert httpx.post(f'{served[0]}{way}/predict_clip', json=words).status_code == 404


def test_nothing_is_kept_in_the_browser(served):
    assert httpx.get(f'{served[0]}runs').status_code == 404
    assert httpx.get(f'{served[0]}run-history/buckets').status_code == 404
