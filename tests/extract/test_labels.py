"""labels.csv: what is read, and one clear sentence for each mistake."""

import os

import pytest

from sugrm_jax.errors import UserError
from sugrm_jax.extract.labels import read
from sugrm_jax.extract.types import Piece

COLUMNS = ('video_id', 'clip_id', 'text', 'label', 'mode')
UNIMODAL = ('label_T', 'label_A', 'label_V')
REST = [
    ('w', '1', 'b', '-1', 'train'),
    ('w', '2', 'c', '1', 'valid'),
    ('w', '3', 'd', '0', 'valid'),
    ('w', '4', 'e', '1', 'test'),
    ('w', '5', 'f', '0', 'test'),
]
FILES = {'v/1.mp4': '', **{f'w/{i}.mkv': '' for i in range(1, 6)}}


@pytest.fixture
def rows(clips, table):
    """Reads a first row, and rows that make it a whole data set."""

    def read_rows(first, columns=COLUMNS, files=(), rest=None):
        folder = clips(FILES | dict(files))
        given = REST if rest is None else rest
        padded = [(*row, *[''] * (len(columns) - len(COLUMNS))) for row in given]
        if set(UNIMODAL) <= set(columns):
            padded = [row[:5] + ('0',) * (len(columns) - 5) for row in padded]
        return read(table([first, *padded], columns), folder)

    return read_rows


def test_an_utterance(rows, tmp_path):
    first, *rest = rows((' v', '1', 'so, "good"', '2.5', 'train'))
    assert (first.id, first.text, first.split) == ('v$_$1', 'so, "good"', 'train')
    assert first.labels == {'regression_labels': 2.5}
    assert first.piece == Piece(str(tmp_path / 'clips' / 'v' / '1.mp4'))
    assert [u.id for u in rest] == [f'w$_${i}' for i in range(1, 6)]


def test_unimodal_labels_and_columns_of_no_concern(rows):
    first = rows(
        ('v', '1', 'a', '1', 'train', '1', '-2', '3', 'Positive'),
        (*COLUMNS, *UNIMODAL, 'annotation'),
    )[0]
    assert first.labels == {
        'regression_labels': 1,
        'regression_labels_T': 1,
        'regression_labels_A': -2,
        'regression_labels_V': 3,
    }


def test_a_stretch_of_a_long_video(rows, tmp_path):
    columns = (*COLUMNS, 'start', 'end')
    first = rows(('x', '1', 'a', '1', 'train', '10', '12.5'), columns, {'x.webm': ''})[
        0
    ]
    assert first.piece == Piece(str(tmp_path / 'clips' / 'x.webm'), 10, 12.5)


def test_a_video_of_one_utterance_needs_no_times(rows, tmp_path):
    first = rows(('x', '1', 'a', '1', 'train'), files={'x.wav': ''})[0]
    assert first.piece == Piece(str(tmp_path / 'clips' / 'x.wav'))


def test_an_empty_text_is_taken_from_subtitles(rows):
    times = '00:00:0{},000 --> 00:00:0{},000\n{}\n\n'
    srt = times.format(1, 2, 'one') + times.format(3, 4, 'two')
    assert rows(('v', '1', '', '1', 'train'), files={'v/1.srt': srt})[0].text == (
        'one two'
    )
    columns = (*COLUMNS, 'start', 'end')
    files = {'x.mp4': '', 'x.vtt': srt.replace(',', '.')}
    assert rows(('x', '1', '', '1', 'train', '3', '4'), columns, files)[0].text == 'two'
    with pytest.raises(UserError, match=r'says nothing between 5 and 6 s'):
        rows(('x', '1', '', '1', 'train', '5', '6'), columns, files)


TIMED = (*COLUMNS, 'start', 'end')


@pytest.mark.parametrize(
    ('first', 'columns', 'files', 'message'),
    [
        (('v', '1', 'a', 'x', 'train'), COLUMNS, {}, "column label: 'x' is no number"),
        (('v', '1', 'a', 'nan', 'train'), COLUMNS, {}, "label: 'nan' is no number"),
        (('v', '1', 'a', '', 'train'), COLUMNS, {}, "column label: '' is no number"),
        (('v', '1', 'a', '1', 'dev'), COLUMNS, {}, "mode: 'dev' is not one of train"),
        (('', '1', 'a', '1', 'train'), COLUMNS, {}, "column video_id: '' is no name"),
        (('v', '../v/1', 'a', '1', 'train'), COLUMNS, {}, 'column clip_id: .* no name'),
        (('..', '1', 'a', '1', 'train'), COLUMNS, {}, "video_id: '..' is no name"),
        (('v', '1', '', '1', 'train'), COLUMNS, {}, r'text is empty, .* 1\.srt or'),
        (('v', '2', 'a', '1', 'train'), COLUMNS, {}, r'neither .*v/2\.EXT nor .*mp4'),
        (('v', '1', 'a', '1'), COLUMNS, {}, 'fewer cells .* quotation marks'),
        (('v', '1', 'a', 'b', '1', 'train'), COLUMNS, {}, 'more cells than'),
        (('v', '1', 'a', '1', 'train'), COLUMNS, {'v/1.wav': ''}, 'there are .* keep'),
        (('w', '9', 'a', '1', 'train'), COLUMNS, {'w.mp4': ''}, 'several utterances'),
        (('w', '2', 'a', '1', 'train'), COLUMNS, {}, 'those of .*labels.csv, line 2'),
        (('v', '1', 'a', '1', 'train', '1', ''), TIMED, {}, 'start is given alone'),
        (('v', '1', 'a', '1', 'train', '', '1'), TIMED, {}, 'end is given alone'),
        (('v', '1', 'a', '1', 'train', '2', '2'), TIMED, {}, '2 to 2 is no stretch'),
        (('v', '1', 'a', '1', 'train', '-1', '2'), TIMED, {}, 'no stretch of time'),
        (('v', '1', 'a', '1', 'train', '0', '60.5'), TIMED, {}, '60.5 s.*split it'),
        (('v', '1', 'a', '1', 'train', 'x', '2'), TIMED, {}, "column start: 'x'"),
        (
            ('v', '1', 'a', '1', 'train', '0', '', '0'),
            (*COLUMNS, *UNIMODAL),
            {},
            "column label_A: '' is no number",
        ),
    ],
)
def test_mistakes_in_a_row(rows, first, columns, files, message):
    with pytest.raises(UserError, match=message) as caught:
        rows(first, columns, files)
    line = 4 if 'those of' in message else 2
    assert f'labels.csv, line {line}' in str(caught.value)


def test_lines_are_counted_where_a_text_has_several(rows):
    rest = [*REST, ('w', '6', 'g', '1', 'train')]
    with pytest.raises(UserError, match=r'line 9: there is neither'):
        rows(('v', '1', 'on\ntwo lines', '1', 'train'), rest=rest)


@pytest.mark.parametrize(
    ('columns', 'message'),
    [
        (COLUMNS[:-1], 'no column mode; its first line must name'),
        ((*COLUMNS, 'label_A'), 'no column label_T: of label_T, label_A, label_V'),
        ((*COLUMNS, 'start'), 'no column end: of start, end it has all or none'),
        ((*COLUMNS, 'text'), 'two columns text'),
    ],
)
def test_mistakes_in_the_columns(clips, table, columns, message):
    with pytest.raises(UserError, match=message):
        read(table([], columns), clips({}))


@pytest.mark.parametrize(
    ('rest', 'message'),
    [
        (REST[:3], 'column mode: no utterance is test'),
        ([*REST[:3], ('w', '4', 'e', '1', 'test')], 'all of test is 1, so there is'),
    ],
)
def test_splits_that_no_training_could_use(rows, rest, message):
    with pytest.raises(UserError, match=message):
        rows(('v', '1', 'a', '1', 'train'), rest=rest)


def test_files_that_cannot_be_read(tmp_path, table, clips):
    with pytest.raises(UserError, match=r'none\.csv cannot be read: No such file'):
        read(tmp_path / 'none.csv', tmp_path)
    with pytest.raises(UserError, match=r'There is no folder .*nowhere'):
        read(table([]), tmp_path / 'nowhere')
    for content in (b'video_id,\xff\xfe', b'video_id\x00,text\n'):
        (tmp_path / 'bad.csv').write_bytes(content)
        with pytest.raises(UserError, match=r'bad\.csv'):
            read(tmp_path / 'bad.csv', tmp_path)
    (tmp_path / 'empty.csv').write_text('')
    with pytest.raises(UserError, match='no column video_id'):
        read(tmp_path / 'empty.csv', tmp_path)


def test_the_mark_of_spreadsheets_is_no_part_of_a_column(rows, table, tmp_path, clips):
    folder = clips(FILES)
    path = table([('v', '1', 'a', '1', 'train'), *REST])
    path.write_bytes(b'\xef\xbb\xbf' + path.read_bytes())
    assert len(read(path, folder)) == 6
    assert os.path.isabs(read(path, folder)[0].piece.path)
