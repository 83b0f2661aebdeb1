import errno
import json
import os
import re
import shutil
import struct
import subprocess
import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sugrm_jax.errors import UserError
from sugrm_jax.results import files


def strict(text):
    """JSON as the standard has it, without NaN and Infinity."""

    def refuse(word):
        raise AssertionError(f'{word} is not JSON')

    return json.loads(text, parse_constant=refuse)


def test_json_ready_keeps_json_valid(tmp_path):
    tree = {
        'corr': np.float32('nan'),
        'top': float('inf'),
        'epoch': np.int64(3),
        'best': np.bool_(True),
        'pair': (1, np.array([0.5, -np.inf])),
        'where': Path('a/b'),
        4: None,
    }
    files.write_json(tmp_path / 'x.json', tree)
    assert strict((tmp_path / 'x.json').read_text()) == {
        'corr': None,
        'top': None,
        'epoch': 3,
        'best': True,
        'pair': [1, [0.5, None]],
        'where': 'a/b',
        '4': None,
    }


def test_history_is_one_valid_line_per_epoch_and_never_doubles(tmp_path, tiny):
    path = tmp_path / files.HISTORY
    assert files.read_history(path) == []
    files.write_history(path, tiny['history'](2))
    files.write_history(path, tiny['history'](3))
    lines = path.read_text().splitlines()
    assert [strict(line)['epoch'] for line in lines] == [1, 2, 3]
    assert strict(lines[0])['valid']['corr'] is None
    assert files.read_history(path) == files.json_ready(tiny['history'](3))


def refuse(code):
    def raises(*_):
        raise OSError(code, os.strerror(code))

    return raises


@pytest.mark.parametrize('where', ['replace', 'fsync'])
@pytest.mark.parametrize('code', [errno.ENOSPC, errno.EROFS])
def test_a_refusing_disk_leaves_the_old_file(tmp_path, monkeypatch, where, code):
    path = tmp_path / 'results.json'
    files.write_json(path, {'old': 1})
    monkeypatch.setattr(os, where, refuse(code))
    with pytest.raises(UserError) as caught:
        files.write_json(path, {'new': 2})
    assert str(path) in str(caught.value)
    assert os.strerror(code) in str(caught.value)
    assert 'intact' in str(caught.value)
    assert files.read_json(path) == {'old': 1}
    # What was half written is gone: a full disk needs the space.
    assert [file.name for file in tmp_path.iterdir()] == ['results.json']


def test_a_kill_while_writing_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / 'metrics.jsonl'
    files.write_history(path, [{'epoch': 1}])

    def kill(_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(os, 'fsync', kill)
        with pytest.raises(KeyboardInterrupt):
            files.write_history(path, [{'epoch': 1}, {'epoch': 2}])
    assert files.read_history(path) == [{'epoch': 1}]
    files.write_history(path, [{'epoch': 1}, {'epoch': 2}])
    assert files.read_history(path) == [{'epoch': 1}, {'epoch': 2}]


def test_a_file_where_the_folder_should_be(tmp_path):
    (tmp_path / 'run').write_text('')
    with pytest.raises(UserError, match='could not be written'):
        files.write_json(tmp_path / 'run' / 'results.json', {})


@pytest.mark.parametrize('write', ['events', 'labels', 'predictions'])
def test_every_writer_goes_through_the_same_door(tmp_path, monkeypatch, tiny, write):
    def call():
        if write == 'events':
            files.write_events(tmp_path, tiny['history']())
        elif write == 'labels':
            found = tiny['labels']()
            files.write_labels(tmp_path / 'x', found['ids'], found['m'], found, {})
        else:
            files.write_predictions(tmp_path / 'x', tiny['predictions']())

    monkeypatch.setattr(os, 'replace', refuse(errno.ENOSPC))
    with pytest.raises(UserError, match='No space left'):
        call()


# Half surrogate pairs have no UTF-8; they are tested on their own below.
WORDS = st.text(st.characters(exclude_categories=('Cs',)), max_size=20)
NUMBER = st.none() | st.floats(width=32, allow_infinity=False)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(WORDS, WORDS, NUMBER, NUMBER), max_size=4))
def test_predictions_read_back_as_written(tmp_path_factory, rows):
    path = tmp_path_factory.mktemp('run') / files.PREDICTIONS
    names = ('id', 'text', 'm', 'generated_v')
    written = [dict(zip(names, row, strict=True)) | {'split': 'x'} for row in rows]
    files.write_predictions(path, written)
    back = files.read_predictions(path)
    assert [(r['id'], r['text']) for r in back] == [(r[0], r[1]) for r in rows]
    for row, (*_, m, v) in zip(back, rows, strict=True):
        given = np.float32([m, v])  # None becomes NaN
        np.testing.assert_array_equal(np.float32([row['m'], row['generated_v']]), given)
        assert np.isnan(row['label'])


def test_predictions_columns_and_empty_cells(tmp_path):
    path = tmp_path / files.PREDICTIONS
    row = {'split': 'test', 'id': 'a', 'text': 'x,"y"', 'label': np.float32(0.1)}
    # As float64 a label of 2.4 would be written 2.4000000953674316.
    row |= {'t': float(np.float32(2.4)), 'a': np.float32(-2.4)}
    files.write_predictions(path, [row | {'m': 1, 'v': float('nan')}])
    assert path.read_text().splitlines() == [
        'split,id,text,label,m,t,a,v,generated_t,generated_a,generated_v',
        'test,a,"x,""y""",0.1,1.0,2.4,-2.4,,,,',
    ]


def test_half_a_surrogate_pair_is_written(tmp_path):
    path = tmp_path / files.PREDICTIONS
    files.write_predictions(path, [{'split': 'x', 'id': 'a', 'text': 'b\ud83d'}])
    assert files.read_predictions(path)[0]['text'] == 'b\\ud83d'


def test_labels_read_back_as_written(run, tiny):
    back, given = files.read_labels(run / files.LABELS), tiny['labels']()
    assert set(back) == set(given)
    for name, array in given.items():
        np.testing.assert_array_equal(back[name], array)
        assert name == 'ids' or back[name].dtype == np.float32


READERS = {
    'results.json': files.read_json,
    'metrics.jsonl': files.read_history,
    'predictions.csv': files.read_predictions,
    'labels.npz': files.read_labels,
}


@pytest.mark.parametrize('name', READERS)
def test_damage_is_told(run, name):
    content = (run / name).read_bytes()
    (run / name).write_bytes(content[: len(content) // 2] + b'"\xff')
    with pytest.raises(UserError, match=f'{name} is damaged'):
        READERS[name](run / name)


@pytest.mark.parametrize('name', sorted(set(READERS) - {'metrics.jsonl'}))
def test_a_missing_file_is_told(tmp_path, name):
    with pytest.raises(UserError, match=f'There is no .*{name}'):
        READERS[name](tmp_path / name)


def test_a_missing_column_is_told(run):
    (run / files.PREDICTIONS).write_text('split,id,text\ntest,a,b\n')
    with pytest.raises(UserError, match='label'):
        files.read_predictions(run / files.PREDICTIONS)


def events(path):
    """(tag, step, value, time) of every scalar in an event file."""
    from tensorboardX.proto.event_pb2 import Event

    content, found = path.read_bytes(), []
    while content:
        (size,) = struct.unpack('<Q', content[:8])
        event = Event.FromString(content[12 : 12 + size])
        content = content[16 + size :]
        for value in event.summary.value:
            found.append((value.tag, event.step, value.simple_value, event.wall_time))
    return found


def test_events_are_rebuilt_not_doubled(tmp_path, tiny):
    path = tmp_path / files.EVENTS
    files.write_events(tmp_path, tiny['history'](2))
    before = path.stat().st_size
    files.write_events(tmp_path, tiny['history'](3))
    assert list((tmp_path / 'tensorboard').iterdir()) == [path]
    found = events(path)
    mae = [(step, value) for tag, step, value, _ in found if tag == 'valid/mae']
    assert mae == [(1, 1.0), (2, 0.5), (3, np.float32(1 / 3))]
    # The first epoch's correlation is undefined, so it has no point.
    assert [step for tag, step, *_ in found if tag == 'valid/corr'] == [2, 3]
    assert [step for tag, step, *_ in found if tag == 'train/loss'] == [1, 2, 3]
    # A running TensorBoard reads on at the old end, which must be a record's start.
    grown = path.read_bytes()[before:]
    (size,) = struct.unpack('<Q', grown[:8])
    assert size < len(grown)


def test_events_are_as_tensorboards_own_writer_has_them(tmp_path, monkeypatch, tiny):
    from tensorboardX import SummaryWriter

    monkeypatch.setattr(files.time, 'time', lambda: 1e9)
    files.write_events(tmp_path, tiny['history'](1))
    with SummaryWriter(tmp_path / 'theirs') as writer:
        for tag, *rest in events(tmp_path / files.EVENTS):
            writer.add_scalar(tag, *(rest[i] for i in (1, 0, 2)))
    (theirs,) = (tmp_path / 'theirs').iterdir()
    assert (tmp_path / files.EVENTS).read_bytes() == theirs.read_bytes()


def test_events_need_no_other_folder(tmp_path, monkeypatch, tiny):
    monkeypatch.setattr(tempfile, 'tempdir', str(tmp_path / 'none'))
    files.write_events(tmp_path, tiny['history'](1))


def test_event_times_are_those_of_the_run(tmp_path, tiny):
    files.write_events(tmp_path, tiny['history'](3))
    times = [t for tag, *_, t in events(tmp_path / files.EVENTS) if tag == 'valid/mae']
    # 1.5 s an epoch; float64 seconds since 1970 are good to 2.4e-7.
    np.testing.assert_allclose(np.diff(times), 1.5, atol=1e-6)


def test_versions(monkeypatch):
    """This package's own is that of the code that runs, installed or not."""
    monkeypatch.setattr(files, 'PACKAGES', ('numpy', 'no-such-package-here'))
    found = files.versions()
    assert found['numpy'] == np.__version__
    assert found['no-such-package-here'] is None
    assert found['python'].startswith('3.')
    assert re.fullmatch(r'\d+\.\d+\.\d+', found['sugrm_jax'])


@pytest.mark.skipif(shutil.which('git') is None, reason='git is not installed')
def test_git_revision(tmp_path, monkeypatch):
    def git(*words):
        who = ['-c', 'user.name=a', '-c', 'user.email=a@b']
        command = ['git', '-C', str(tmp_path), *who, *words]
        done = subprocess.run(command, check=True, capture_output=True, text=True)
        return done.stdout.strip()

    package = tmp_path / 'package'
    package.mkdir()
    assert files.git_revision(package) is None
    git('init')
    (package / 'a.py').write_text('1')
    git('add', 'package')
    assert files.git_revision(package) is None  # no commit yet
    git('commit', '-m', 'first')
    head = git('rev-parse', 'HEAD')
    assert files.git_revision(package) == head
    (package / 'a.py').write_text('2')
    assert files.git_revision(package) == f'{head}+changes'
    # A copy installed in a folder that this repository does not track.
    (tmp_path / 'venv').mkdir()
    (tmp_path / 'venv' / 'a.py').write_text('1')
    assert files.git_revision(tmp_path / 'venv') is None
    monkeypatch.setenv('PATH', '')
    assert files.git_revision(package) is None


def test_json_nested_without_end_is_damaged(tmp_path):
    path = tmp_path / 'results.json'
    path.write_text('[' * 100_000)
    with pytest.raises(UserError, match=r'results\.json is damaged'):
        files.read_json(path)
    with pytest.raises(UserError, match=r'results\.json is damaged'):
        files.read_history(path)
