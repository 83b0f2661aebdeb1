"""SubRip and WebVTT as people and tools write them."""

import contextlib
import time

import pytest

from sugrm_jax.errors import UserError
from sugrm_jax.extract import subtitles
from sugrm_jax.extract.subtitles import Cue, parse, read, spoken

SRT = """1
00:00:01,000 --> 00:00:02,500
It was
<i>great</i> &amp; fun.

2
01:00:00,050 --> 01:00:01,000
{\\an8}So long.
"""
VTT = """WEBVTT - a title
Kind: captions

STYLE
::cue { color: red }

NOTE nobody reads this

intro
00:01.000 --> 00:02.500 align:start position:0%
<v Ann>It was <00:01.700><c.loud>great</c> &amp; fun.</v>

01:00:00.050 --> 01:00:01.000
So long.
"""
CUES = [Cue(1.0, 2.5, 'It was great & fun.'), Cue(3600.05, 3601.0, 'So long.')]


@pytest.mark.parametrize('text', [SRT, VTT], ids=['srt', 'vtt'])
@pytest.mark.parametrize('ending', ['\n', '\r\n', '\r'])
def test_texts_and_times(text, ending):
    assert parse(text.replace('\n', ending), 'f') == CUES


def test_the_mark_before_utf8_is_no_text(tmp_path):
    path = tmp_path / 'a.srt'
    # Without its number, so that the mark stands before a time.
    path.write_bytes(b'\xef\xbb\xbf' + SRT.removeprefix('1\n').encode())
    assert read(path) == CUES


@pytest.mark.parametrize(
    ('text', 'cues'),
    [
        # No empty line between two cues: the second's number is no text.
        (
            '1\n00:00:00,0 --> 00:00:01,0\nyes\n2\n00:00:01,0 --> 00:00:02,0\nno',
            [Cue(0, 1, 'yes'), Cue(1, 2, 'no')],
        ),
        # Anything else in its place is said.
        (
            '00:00:00,0 --> 00:00:01,0\nyes\nindeed\n00:00:01,0 --> 00:00:02,0\nno',
            [Cue(0, 1, 'yes indeed'), Cue(1, 2, 'no')],
        ),
        ('0:00:00 --> 0:00:01\nyes\n\n2\n0:00:01 --> 0:00:02', [Cue(0, 1, 'yes')]),
        # A number that is said stays.
        ('00:00:00,0 --> 00:00:01,0\n7\nof them\n', [Cue(0, 1, '7 of them')]),
        # Out of order, no fraction, one digit of it, an empty cue.
        (
            '00:00:05 --> 00:00:06\nb\n\n00:00:01,5 --> 00:00:02,25\na\n\n'
            '00:00:08,000 --> 00:00:09,000\n\n',
            [Cue(1.5, 2.25, 'a'), Cue(5, 6, 'b')],
        ),
        # Neither an angle bracket nor an arrow of another kind is markup.
        ('00:01.000 --> 00:02.000\n3 < 4 -> yes', [Cue(1, 2, '3 < 4 -> yes')]),
        ('100:00:00.000 --> 100:00:01.000\nlong', [Cue(360000, 360001, 'long')]),
    ],
)
def test_odd_files(text, cues):
    assert parse(text, 'f') == cues


@pytest.mark.parametrize(
    ('text', 'message'),
    [
        ('', 'a.srt has no subtitles'),
        ('1\n00:00:01,000 --> 00:00:02,000\n\n', 'has no subtitles'),
        ('\n00:00:02,000 --> 00:00:02,000\nx', 'line 2: the subtitle ends before'),
        ('soon --> 00:00:02,000\nx', "line 1: 'soon' is no time"),
        ('00:61:00,000 --> 00:62:02,000\nx', "'00:61:00,000' is no time"),
        ('--> 00:00:02,000\nx', 'is not START --> END'),
        ('00:00:02,000 -->\nx', 'is not START --> END'),
        ('a 00:00:01,000 --> 00:00:02,000\nx', 'is not START --> END'),
        ('9' * 5000 + ':00:00 --> 00:00:01', "line 1: '9{80}' is no time"),
        ('00:00 --> 00:01\nx\n\n00:01 --> 00:02\n&#' + '9' * 5000, 'line 4: .*&#'),
    ],
)
def test_mistakes_are_told_with_file_and_line(text, message):
    with pytest.raises(UserError, match=message):
        parse(text, 'a.srt')


def test_files_that_cannot_be_read(tmp_path):
    with pytest.raises(UserError, match=r'none\.srt cannot be read: No such file'):
        read(tmp_path / 'none.srt')
    (tmp_path / 'a.srt').write_bytes(SRT.replace('great', 'gr\xe4t').encode('latin-1'))
    with pytest.raises(UserError, match=r'not UTF-8 \(byte 44\): save it'):
        read(tmp_path / 'a.srt')


def test_files_that_are_no_subtitles(tmp_path):
    path = tmp_path / 'a.srt'
    text = SRT.ljust(subtitles.LARGEST)
    path.write_text(text)
    assert read(path) == CUES
    path.write_text(text + ' ')
    with pytest.raises(UserError, match=r'a\.srt .* larger than 1 MiB'):
        read(path)


@pytest.mark.parametrize(
    'text',
    [
        '00:00 --> 00:01\n' * 60_000,
        '00:00 --> 00:01\n' + 'a\n' * 500_000,
        '00:00 --> 00:01\nx' + '<a' * 500_000,
        '00:00 --> 00:01\nx' + '{\\' * 500_000,
        '00:00' + ' ' * 500_000 + 'x' + '-->' * 100_000,
        '00:00 --> ' + ' ' * 900_000,
    ],
    ids=['cues', 'lines', 'tags', 'braces', 'arrows', 'spaces'],
)
def test_the_largest_files_take_no_time(text):
    begun = time.process_time()
    with contextlib.suppress(UserError):
        parse(text, 'f')
    assert time.process_time() - begun < 5


def test_what_is_said_in_a_stretch():
    cues = [Cue(0, 2, 'a'), Cue(2, 4, 'b'), Cue(4, 6, 'c')]
    assert spoken(cues, None, None) == 'a b c'
    # The middle counts: 1, 3 and 5 s.
    assert spoken(cues, 1, 3) == 'a'
    assert spoken(cues, 1.1, 5.1) == 'b c'
    assert spoken(cues, 6, 9) == ''
