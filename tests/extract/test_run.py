"""From clips to data files, with made features; and what is said on the way."""

import dataclasses
import io
import pathlib
import pickle
import subprocess
import sys

import numpy as np
import pytest

from sugrm_jax.data import pickles
from sugrm_jax.errors import UserError
from sugrm_jax.extract import command, libraries, parts, run
from sugrm_jax.extract.assemble import assemble
from sugrm_jax.extract.types import Features, Piece, Utterance
from sugrm_jax.terminal import Terminal
from tests.extract import fakes

ROOT = pathlib.Path(__file__).parents[2]


def tokenizer(texts):
    tokens = np.zeros((len(texts), 3, 4), np.int32)
    tokens[:, 0], tokens[:, 1] = 101, 1
    return tokens


def extracted(folder, labels, out, extractor=fakes.EXTRACTOR):
    """What is said while a data set is made."""
    said = Terminal(file=io.StringIO(), width=200)
    run.extract_dataset(folder, labels, out, jobs=2, terminal=said, extractor=extractor)
    return said.file.getvalue()


# What is written. -----------------------------------------------------------------


def features(audio, vision):
    return Features(
        np.arange(1, 2 * audio + 1, dtype=np.float32).reshape(audio, 2),
        np.ones((vision, 1), np.float32),
    )


def test_the_layout_worked_by_hand():
    labels = {'regression_labels': 1.5, 'regression_labels_T': -1.0}
    utterances = [
        Utterance('a$_$1', 'one', 'train', Piece('a'), labels),
        Utterance('b$_$1', 'two', 'test', Piece('b'), labels),
        Utterance('a$_$2', 'three', 'train', Piece('c'), labels),
    ]
    found = assemble(
        utterances, [features(1, 0), features(0, 2), features(2, 1)], {'audio': {}}
    )
    assert list(found) == ['train', 'test', 'features']
    train = found['train']
    assert train['id'].tolist() == ['a$_$1', 'a$_$2']
    assert train['raw_text'].tolist() == ['one', 'three']
    assert train['audio'].dtype == train['vision'].dtype == np.float32
    assert train['audio'].tolist() == [[[1, 2], [0, 0]], [[1, 2], [3, 4]]]
    assert train['vision'].tolist() == [[[0], [0]], [[1], [0]]]
    assert (train['audio_lengths'], train['vision_lengths']) == ([1, 2], [0, 1])
    assert train['regression_labels'].dtype == np.float32
    assert train['regression_labels_T'].tolist() == [-1, -1]
    assert 'start' not in train and 'problems' not in train
    assert found['test']['audio'].shape == (1, 2, 2)


def test_a_modality_that_nobody_has_is_one_step_of_zeros():
    utterance = Utterance('a$_$1', 'x', 'predict', Piece('a', 0.5, 2), {})
    split = assemble([utterance], [features(0, 0)], {})['predict']
    assert split['audio'].shape == (1, 1, 2) and not split['audio'].any()
    assert (split['start'].tolist(), split['end'].tolist()) == ([0.5], [2])
    assert 'regression_labels' not in split


def test_what_was_wrong_stands_beside_what_is_predicted_on():
    pieces = [Piece('a', i, i + 1) for i in range(3)]
    utterances = [Utterance(f'a$_${p.start}', 'x', 'predict', p, {}) for p in pieces]
    found = [
        features(1, 1),
        dataclasses.replace(features(0, 0), problems=('no sound', 'no face')),
        dataclasses.replace(features(1, 0), problems=('no face',)),
    ]
    problems = assemble(utterances, found, {})['predict']['problems']
    assert problems.tolist() == ['', 'no sound; no face', 'no face']
    assert assemble(utterances[:1], found[:1], {})['predict']['problems'] == ['']


def test_a_data_set_is_read_by_the_loader(six, tmp_path):
    folder, labels = six
    (folder / 'v1' / 'c1.mp4').write_text('audio')
    (folder / 'v4' / 'c4.mp4').write_text('broken')
    out = tmp_path / 'out.pkl'
    extracted(folder, labels, out)
    # The environment of the extraction has no jax stack.
    mmsa = pytest.importorskip('sugrm_jax.data.mmsa', exc_type=ImportError)
    dataset = mmsa.load_dataset(out, tokenizer=tokenizer)
    assert dataset.train.ids == ['v0$_$c0', 'v1$_$c1']
    assert dataset.train.raw_text == ['text 0', 'text 1']
    assert dataset.train.vision_length.tolist() == [2, 0]
    assert dataset.test.audio_length.tolist() == [0, 3]
    assert dataset.valid.label.tolist() == [-0.5, 0.5]
    assert dataset.train.audio[0].tolist() == [[2, 2]] * 3
    assert pickles.load(out)['features'] == fakes.DESCRIPTION
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        'clips', 'labels.csv', 'out.pkl',
    ]  # fmt: skip


def test_what_clips_lack_is_told(six, tmp_path):
    folder, labels = six
    (folder / 'v1' / 'c1.mp4').write_text('audio')
    (folder / 'v4' / 'c4.mp4').write_text('broken')
    said = extracted(folder, labels, tmp_path / 'out.pkl')
    lines = [line for line in said.splitlines() if '$_$' in line]
    assert len(lines) == 2
    assert 'v1$_$c1' in lines[0] and 'no vision' in lines[0]
    assert 'v4$_$c4' in lines[1] and 'unreadable: broken' in lines[1]
    assert 'out.pkl: utterances: 6, with audio: 5, with vision: 4' in said


def test_a_long_list_is_cut_and_counted(six, tmp_path, monkeypatch):
    folder, labels = six
    for i in range(6):
        (folder / f'v{i}' / f'c{i}.mp4').write_text('audio')
    monkeypatch.setattr(run, 'SHOWN', 4)
    said = extracted(folder, labels, tmp_path / 'out.pkl')
    assert said.count('no vision') == 4 and '… and 2 more.' in said


def test_no_readable_clip_is_an_error(six, tmp_path):
    folder, labels = six
    for i in range(6):
        (folder / f'v{i}' / f'c{i}.mp4').write_text('broken')
    with pytest.raises(
        UserError, match=r'None of the utterances \(6\) .*c0\.mp4.*unreadable: broken'
    ):
        extracted(folder, labels, tmp_path / 'out.pkl')
    assert not (tmp_path / 'out.pkl').exists()


def test_clips_that_take_too_long_are_refused_first(six, tmp_path):
    folder, labels = six
    (folder / 'v3' / 'c3.mp4').write_text('audio seconds=61')
    with pytest.raises(UserError, match=r'c3\.mp4: .* takes 61 s, .* start and end'):
        extracted(folder, labels, tmp_path / 'out.pkl')
    assert not fakes.calls(folder)


def test_a_clip_that_ends_a_process_does_not_end_the_command(six, tmp_path):
    folder, labels = six
    (folder / 'v3' / 'c3.mp4').write_text('crash')
    said = extracted(folder, labels, tmp_path / 'out.pkl', fakes.SPAWNING)
    assert 'out.pkl: utterances: 6, with audio: 5, with vision: 5' in said


def test_two_at_once_do_not_write_one_file(six, tmp_path):
    out = tmp_path / 'data.pkl'
    folder = tmp_path / 'data.pkl.parts'
    with (
        parts.claimed(folder),
        pytest.raises(UserError, match='Another process is extracting into'),
    ):
        extracted(*six, out)
    assert not out.exists()
    extracted(*six, out)
    assert out.exists() and not folder.exists()


def test_a_full_disk_leaves_no_half_file(six, tmp_path, monkeypatch):
    def full(content, file, protocol):
        file.write(b'half')
        raise OSError(28, 'No space left on device')

    folder, labels = six
    out = tmp_path / 'out.pkl'
    with monkeypatch.context() as patch:
        patch.setattr(pickle, 'dump', full)
        with pytest.raises(UserError, match=r'out\.pkl could not be written: No space'):
            extracted(folder, labels, out)
    names = sorted(path.name for path in tmp_path.iterdir())
    assert names == ['clips', 'labels.csv', 'out.pkl.parts']
    calls = fakes.calls(folder)
    extracted(folder, labels, out)
    assert out.exists() and fakes.calls(folder) == calls


# One clip. ------------------------------------------------------------------------


@pytest.fixture
def clip(clips):
    return clips({'talk/my.talk.mp4': 'audio vision seconds=70'}) / 'talk/my.talk.mp4'


SRT = '1\n00:00:00,500 --> 00:00:02,000\nwell\n\n2\n00:01:00,000 --> 00:01:05,000\nno\n'


def predict(capsys, *arguments):
    """Exit status and what stderr got."""
    status = command.main(list(map(str, arguments)), fakes.EXTRACTOR)
    return status, capsys.readouterr().err


def test_every_subtitle_is_a_row(clip, tmp_path, capsys):
    (tmp_path / 's.srt').write_text(SRT)
    out = tmp_path / 'out.pkl'
    assert predict(capsys, clip, out, f'--subtitles={tmp_path}/s.srt')[0] == 0
    content = pickles.load(out)
    assert list(content) == ['predict', 'features']
    rows = content['predict']
    assert rows['id'].tolist() == ['my.talk$_$0001', 'my.talk$_$0002']
    assert rows['raw_text'].tolist() == ['well', 'no']
    assert rows['start'].tolist() == [0.5, 60] and rows['end'].tolist() == [2, 65]
    assert not [field for field in rows if 'label' in field]


def test_subtitles_beside_the_clip_are_found(clip, tmp_path, capsys):
    clip.with_name('my.talk.vtt').write_text(SRT)
    assert predict(capsys, clip, tmp_path / 'out.pkl')[0] == 0
    assert len(pickles.load(tmp_path / 'out.pkl')['predict']['id']) == 2


def test_one_text_is_one_row(clip, tmp_path, capsys):
    clip.write_text('audio seconds=4.5')
    assert predict(capsys, clip, tmp_path / 'out.pkl', '--text= so\nit is')[0] == 0
    rows = pickles.load(tmp_path / 'out.pkl')['predict']
    assert rows['raw_text'].tolist() == ['so it is']
    assert rows['start'].tolist() == [0] and rows['end'].tolist() == [4.5]
    assert rows['problems'].tolist() == ['no vision']


def typed(monkeypatch, content):
    monkeypatch.setattr(sys, 'stdin', io.TextIOWrapper(io.BytesIO(content)))


def test_a_text_on_standard_input(clip, tmp_path, capsys, monkeypatch):
    clip.write_text('audio')
    typed(monkeypatch, f'so\n{"très " * 50_000}\n'.encode())
    assert predict(capsys, clip, tmp_path / 'out.pkl', '--text=-')[0] == 0
    rows = pickles.load(tmp_path / 'out.pkl')['predict']
    assert rows['raw_text'].tolist() == ['so' + ' très' * 50_000]


@pytest.mark.parametrize(
    ('content', 'message'),
    [
        ('très'.encode('latin-1'), 'standard input is not UTF-8 (byte 2)'),
        (b'\n', '--text is empty'),
        (None, '--text is empty'),
    ],
)
def test_mistakes_on_standard_input(
    clip, tmp_path, capsys, monkeypatch, content, message
):
    if content is None:  # closed: python … <&-
        monkeypatch.setattr(sys, 'stdin', None)
    else:
        typed(monkeypatch, content)
    status, said = predict(capsys, clip, tmp_path / 'out.pkl', '--text=-')
    assert status == 2 and message in said and len(said.splitlines()) == 1


def test_a_long_subtitle_is_refused(clip, tmp_path, capsys):
    clip.with_name('my.talk.srt').write_text(SRT.replace('01:05', '02:01'))
    status, said = predict(capsys, clip, tmp_path / 'out.pkl')
    assert status == 2 and '60 to 121 s: the utterance takes 61 s' in said


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        ('{clip} out.pkl', 'Give --text="…", or --subtitles=FILE'),
        ('{clip} out.pkl --text=a --subtitles=b', 'not both'),
        ('{clip} out.pkl --text=', '--text is empty'),
        ('{clip} out.pkl --text=a', 'takes 70 s, and 60 s is the most'),
        ('{clip} out.pkl --subtitles=none.srt', 'none.srt cannot be read'),
        ('{clip} out.txt --text=a', 'must end in .pkl, unlike out.txt'),
        ('{clip} {clip}.pkl --text=a', '.pkl is there already'),
        ('none.mp4 out.pkl --text=a', 'There is no file none.mp4'),
        ('. out.pkl', '. is a folder, and its clips need labels'),
        ('{clip}.pkl out.pkl --text=a', 'is none of mp4, mkv'),
        ('{broken} out.pkl --text=a', 'broken.mp4 cannot be read as a media file'),
        ('a b.csv out.pkl --text=a', '--text is for one clip'),
        ('a b.csv out.pkl --text=-', '--text is for one clip'),
        ('{clip} out.pkl --text=- --subtitles=b', 'not both'),
        ('a b.csv out.pkl --subtitles=a', '--subtitles is for one clip'),
        ('a b.csv out.pkl --jobs=0', '--jobs is 1 or more, not 0'),
        ('out.pkl', '1 paths are given: name CLIPS'),
    ],
)
def test_mistakes_on_the_command_line(clip, capsys, monkeypatch, arguments, message):
    pathlib.Path(f'{clip}.pkl').write_text('')
    broken = clip.with_name('broken.mp4')
    broken.write_text('broken')
    monkeypatch.chdir(clip.parent)
    words = arguments.format(clip=clip, broken=broken).split(' ')
    status, said = predict(capsys, *words)
    assert status == 2 and message in said
    assert len(said.splitlines()) == 1
    assert not (clip.parent / 'out.pkl').exists()


# Libraries. -----------------------------------------------------------------------


def test_a_missing_library_is_told_with_the_line_that_installs_it():
    for ask in (libraries.library, libraries.version):
        with pytest.raises(
            UserError,
            match=r'no_such_thing.*requirements-video\.txt.*'
            'SUGRM_VIDEO_PYTHON',
        ):
            ask('no_such_thing')


def test_nothing_heavy_is_imported():
    source = 'import sys, sugrm_jax.extract.command; print(*sys.modules)'
    found = subprocess.run(
        [sys.executable, '-c', source],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    heavy = {'jax', 'flax', 'av', 'opensmile', 'mediapipe', 'pandas', 'absl'}
    assert not heavy & set(found.stdout.split())
