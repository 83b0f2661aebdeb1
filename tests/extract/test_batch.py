"""Going on after a stop, and clips that end the process that decodes them."""

import io
import os
import pathlib
import re
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from sugrm_jax.errors import UserError
from sugrm_jax.extract import batch, parts
from sugrm_jax.extract.types import Features, Piece
from sugrm_jax.interrupt import Interrupted, StopRequest
from tests.extract import fakes

ROOT = pathlib.Path(__file__).parents[2]


@pytest.fixture
def pieces(clips):
    """Pieces of four clips, by their content."""

    def write(*content):
        folder = clips({f'{i}.mp4': text for i, text in enumerate(content)})
        return [Piece(str(folder / f'{i}.mp4')) for i in range(len(content))]

    return write


def run(pieces, folder, pool=fakes.threads, extract=fakes.extract, **options):
    done = []
    with parts.claimed(folder):
        found = batch.extract_all(
            pieces,
            fakes.DESCRIPTION,
            folder,
            decoding=options,
            jobs=2,
            extract=extract,
            advance=lambda: done.append(1),
            pool=pool,
        )
    assert len(done) == len(pieces)
    return found


def test_features_come_in_the_order_of_the_pieces(pieces, tmp_path):
    found = run(pieces('audio', 'audio vision', 'vision', 'x'), tmp_path / 'parts')
    assert [f.audio.shape for f in found] == [(3, 2), (3, 2), (0, 2), (0, 2)]
    assert [f.vision.shape for f in found] == [(0, 1), (2, 1), (2, 1), (0, 1)]
    assert [f.audio.max(initial=0) for f in found] == [1, 2, 0, 0]


def stopping(piece):
    """Stops at the third clip, as Ctrl-C would."""
    if piece.path.endswith('2.mp4'):
        raise KeyboardInterrupt
    return fakes.extract(piece)


def test_what_is_done_is_not_done_again(pieces, tmp_path):
    given, folder = pieces(*['audio vision'] * 4), tmp_path / 'parts'
    with pytest.raises(KeyboardInterrupt):
        run(given, folder, extract=stopping)
    before = len(list(folder.glob('*.npz')))
    assert 1 <= before <= 3
    run(given, folder)
    calls = fakes.calls(tmp_path)
    assert set(calls) == {'0', '1', '2', '3'} and len(list(folder.glob('*.npz'))) == 4
    kept = run(given, folder)
    assert fakes.calls(tmp_path) == calls
    assert kept[3].problems == () and kept[3].audio.tolist() == [[2, 2]] * 3


def test_a_piece_that_is_named_twice_is_done_once(pieces, tmp_path):
    (one,) = pieces('audio')
    assert len(run([one, one], tmp_path / 'parts')) == 2
    assert fakes.calls(tmp_path) == ['0']


def test_whatever_features_depend_on_is_in_their_name(pieces, tmp_path):
    (piece,) = pieces('audio')
    names = {parts.key(piece, {}), parts.key(piece, {'source': 'x 2'})}
    names |= {
        parts.key(Piece(piece.path, 0, 1), {}),
        parts.key(Piece(piece.path, 0, 2), {}),
    }
    os.utime(piece.path, (1, 1))
    names.add(parts.key(piece, {}))
    pathlib.Path(piece.path).write_text('longer')
    os.utime(piece.path, (1, 1))
    names.add(parts.key(piece, {}))
    names.add(parts.key(pieces('x', 'longer')[1], {}))
    assert len(names) == 7
    with pytest.raises(UserError, match=r'none\.mp4 cannot be read: No such file'):
        parts.key(Piece(str(tmp_path / 'none.mp4')), {})


def test_features_of_another_decoder_are_made_again(pieces, tmp_path):
    given, folder = pieces('audio'), tmp_path / 'parts'
    run(given, folder, source='av 1')
    run(given, folder, source='av 1')
    run(given, folder, source='av 2')
    assert fakes.calls(tmp_path) == ['0', '0']


@pytest.mark.parametrize(
    ('word', 'pool'), [('broken', fakes.threads), ('crash', batch.processes)]
)
def test_what_could_not_be_read_is_tried_again(pieces, tmp_path, word, pool):
    given, folder = pieces('audio', word), tmp_path / 'parts'
    first = run(given, folder, pool=pool)
    assert [f.readable for f in first] == [True, False]
    # As where a file could not be opened, and can: neither size nor time changes.
    second = run(given, folder, extract=readable)
    assert [f.readable for f in second] == [True, True]
    assert second[1].problems == ()


def readable(piece):
    """Finds something in whatever it is given."""
    if piece.path.endswith('0.mp4'):
        raise AssertionError('it was kept')
    return Features(*[np.ones((1, 1), np.float32)] * 2)


def odd(piece):
    """Fails at the second clip as no one thought of."""
    if piece.path.endswith('1.mp4'):
        raise MemoryError if piece.path.endswith('/0/1.mp4') else KeyError('a stream')
    return fakes.extract(piece)


@pytest.mark.parametrize('pool', [fakes.threads, batch.processes])
def test_a_clip_that_fails_in_an_unknown_way_is_given_up_alone(clips, tmp_path, pool):
    folder = clips({f'{f}/{i}.mp4': 'audio' for f in range(2) for i in range(3)})
    given = [Piece(str(folder / f'{f}/{i}.mp4')) for f in range(2) for i in range(3)]
    found = run(given, tmp_path / 'parts', pool=pool, extract=odd)
    assert [f.readable for f in found] == [True, False, True] * 2
    assert found[1].problems == ('unreadable: MemoryError',)
    assert found[4].problems == ("unreadable: KeyError: 'a stream'",)


def missing(piece):
    raise UserError('a library is missing')


@pytest.mark.parametrize('pool', [fakes.threads, batch.processes])
def test_what_concerns_all_clips_is_an_error(pieces, tmp_path, pool):
    with pytest.raises(UserError, match='a library is missing'):
        run(pieces('audio'), tmp_path / 'parts', pool=pool, extract=missing)


def npz(write=np.savez, **changed):
    """The content of a part, changed."""
    content = io.BytesIO()
    features = np.zeros((1, 2), np.float32)
    fields = {'audio': features, 'vision': features, 'problems': np.zeros(0, '<U1')}
    write(content, **fields | changed)
    return content.getvalue()


DAMAGED = {
    'empty': b'',
    'half': npz()[:-30],
    'compressed': npz(np.savez_compressed),
    'objects': npz(problems=np.array([pathlib.Path], object)),
    'flat': npz(audio=np.zeros(2, np.float32)),
    'other numbers': npz(vision=np.zeros((1, 2))),
    'no words': npz(problems=np.zeros(2)),
}


@pytest.mark.parametrize('damage', DAMAGED)
def test_damaged_parts_are_made_again(pieces, tmp_path, damage):
    given, folder = pieces('audio', 'vision'), tmp_path / 'parts'
    run(given, folder)
    (first, _) = folder.glob('*.npz')
    first.write_bytes(DAMAGED[damage])
    run(given, folder)
    assert len(fakes.calls(tmp_path)) == 3


def test_problems_are_kept_too(tmp_path):
    features = Features(
        np.ones((2, 3), np.float32), np.ones((0, 1), np.float32), ('a', 'b')
    )
    tmp_path.joinpath('mine').write_text('not to be removed')
    parts.save(tmp_path, '0' * 64, features)
    found = parts.load(tmp_path, '0' * 64)
    np.testing.assert_array_equal(found.audio, features.audio, strict=True)
    np.testing.assert_array_equal(found.vision, features.vision, strict=True)
    assert (found.problems, found.readable) == (('a', 'b'), True)
    assert parts.load(tmp_path, '1' * 64) is None
    parts.clear(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ['mine']


def test_a_full_disk_is_told_and_leaves_nothing_half(tmp_path, monkeypatch):
    def full(file, **_):
        file.write(b'half')
        raise OSError(28, 'No space left on device')

    monkeypatch.setattr(np, 'savez', full)
    features = Features(*[np.ones((1, 1), np.float32)] * 2)
    with pytest.raises(UserError, match=r'npz could not be written: No space left'):
        parts.save(tmp_path, '0' * 64, features)
    assert not list(tmp_path.iterdir())


def test_a_clip_that_ends_its_process_is_given_up_alone(pieces, tmp_path):
    given = pieces('audio', 'crash', 'audio', 'audio')
    found = run(given, tmp_path / 'parts', pool=batch.processes)
    assert [f.readable for f in found] == [True, False, True, True]
    assert found[1].problems == (batch.CRASHED,)
    assert (found[1].audio.shape, found[1].vision.shape) == ((0, 2), (0, 1))


def test_files_whose_length_is_not_known(pieces):
    paths = [piece.path for piece in pieces('seconds=3', 'broken', 'odd', 'seconds=4')]
    found = batch.lengths(paths, fakes.duration, jobs=2, pool=fakes.threads)
    assert [found[path] for path in paths] == [3, None, None, 4]


def duration(path):
    raise UserError('a library is missing')


def test_a_missing_library_is_told_with_the_first_length(pieces):
    paths = [piece.path for piece in pieces('audio')]
    with pytest.raises(UserError, match='a library is missing'):
        batch.lengths(paths, duration, jobs=1, pool=fakes.threads)


class Stop(Exception):
    """Ends a pool, and its workers at once."""


def test_ctrl_c_reaches_no_worker_that_is_starting():
    with pytest.raises(Stop), batch.processes(3) as pool:
        for _ in range(3):
            pool.submit(time.sleep, 60)
        assert len(pool._processes) == 3
        for pid in pool._processes:
            said = pathlib.Path(f'/proc/{pid}/status').read_text()
            (blocked,) = re.findall(r'^SigBlk:\s*(\w+)', said, re.MULTILINE)
            assert int(blocked, 16) & 1 << signal.SIGINT - 1
        raise Stop
    assert signal.SIGINT not in signal.pthread_sigmask(signal.SIG_BLOCK, [])


def test_a_signal_waits_until_a_worker_is_there(monkeypatch):
    start, started = batch.ProcessPoolExecutor.submit, []

    def submit(*task):
        signal.raise_signal(signal.SIGTERM)
        started.append(start(*task))

    monkeypatch.setattr(batch.ProcessPoolExecutor, 'submit', submit)
    with pytest.raises(Interrupted), StopRequest(), batch.processes(1) as pool:
        pool.submit(time.sleep, 60)
    assert len(started) == 1


COMMAND = (
    'import sys; from sugrm_jax.extract.command import main; '
    'from tests.extract.fakes import SPAWNING; '
    'sys.exit(main(sys.argv[1:], SPAWNING))'
)


@pytest.mark.parametrize('number', [signal.SIGINT, signal.SIGTERM])
def test_a_stopped_command_goes_on(six, tmp_path, number):
    folder, labels = six
    slow = folder / 'v5' / 'c5.mp4'
    slow.write_text('slow')
    words = [sys.executable, '-c', COMMAND, folder, labels, tmp_path / 'o.pkl']
    command = [*map(str, words), '--jobs=2']
    # A group of its own, as a terminal makes: Ctrl-C reaches the workers, too.
    # A shell's background job hands down that Ctrl-C is ignored.
    process = subprocess.Popen(
        command,
        cwd=ROOT,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    kept = tmp_path / 'o.pkl.parts'
    for _ in range(1200):  # a minute: workers start slowly on a busy machine
        if kept.is_dir() and len(list(kept.glob('[0-9a-f]*.npz'))) == 5:
            break
        time.sleep(0.05)
    os.killpg(process.pid, number) if number == signal.SIGINT else process.terminate()
    _, said = process.communicate(timeout=90)
    assert process.returncode == 128 + number
    assert 'the same command goes on' in said and 'Traceback' not in said
    assert not (tmp_path / 'o.pkl').exists()
    slow.write_text('audio')
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert sorted(fakes.calls(folder)) == ['c0', 'c1', 'c2', 'c3', 'c4', 'c5', 'c5']
    assert (tmp_path / 'o.pkl').exists() and not kept.exists()
