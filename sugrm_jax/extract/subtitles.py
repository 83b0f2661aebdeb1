"""Subtitles, SubRip (.srt) or WebVTT (.vtt), as texts with times."""

from __future__ import annotations

import dataclasses
import html
import itertools
import re
from pathlib import Path

from sugrm_jax.errors import UserError
from sugrm_jax.regular import open_regular

EXTENSIONS = ('srt', 'vtt')

# Bytes of a file: subtitles of many hours are smaller.
LARGEST = 1024 * 1024

# Characters of a line that a message quotes.
SHOWN = 80

_ARROW = '-->'
# SubRip has a comma before the milliseconds, WebVTT a point and, if it likes, no hours.
_TIME = re.compile(r'(?:(\d{1,6}):)?([0-5]?\d):([0-5]?\d)(?:[.,](\d{1,3}))?')
# <i>, <v Speaker>, <00:01.500> and the {\an8} of players.
_MARKUP = re.compile(r'</?[A-Za-z0-9][^<>]*>|\{\\[^{}]*\}')


@dataclasses.dataclass(frozen=True)
class Cue:
    """One subtitle.

    Attributes:
      start, end: seconds.
      text: on one line, without markup.
    """

    start: float
    end: float
    text: str


def read(path: str | Path) -> list[Cue]:
    """The subtitles of a file that say something, by their start.

    Raises:
      UserError: the file cannot be read, is larger than `LARGEST` or not UTF-8, has a
        cue whose time makes no sense, or has no cue at all.
    """
    try:
        with open_regular(path) as file:
            content = file.read(LARGEST + 1)
    except OSError as error:
        raise UserError(f'{path} cannot be read: {error.strerror}.') from error
    if len(content) > LARGEST:
        raise UserError(f'{path} is larger than 1 MiB: name a file of subtitles.')
    try:
        # The mark that some editors put before UTF-8 is no part of the text.
        text = content.decode('utf-8-sig')
    except UnicodeDecodeError as error:
        raise UserError(
            f'{path} is not UTF-8 (byte {error.start}): save it with that encoding.'
        ) from error
    return parse(text, str(path))


def parse(text: str, where: str) -> list[Cue]:
    """The cues in the text of a file.

    A cue begins with its line of times and ends before an empty line or the next cue.
    Numbers, names, notes and styles stand outside cues and say nothing.

    Args:
      text: what the file holds.
      where: its name, for messages.

    Raises:
      UserError: see `read`.
    """
    lines, cues = text.splitlines(), []
    heads = [i for i, line in enumerate(lines) if _ARROW in line]
    for head, following in itertools.pairwise([*heads, len(lines)]):
        place = f'{where}, line {head + 1}'
        start, end = _times(lines[head], place)
        body = lines[head + 1 : following]
        said = _said(body, place, following < len(lines))
        cues.append(Cue(start, end, said))
    said = [cue for cue in cues if cue.text]
    if not said:
        raise UserError(
            f'{where} has no subtitles: each is a line such as 00:00:01,000 --> '
            '00:00:02,500 and its text below.'
        )
    return sorted(said, key=lambda cue: cue.start)


def _times(line: str, where: str) -> tuple[float, float]:
    before, _, after = (part.split() for part in line.partition(_ARROW))
    if len(before) != 1 or not after:
        raise UserError(f'{where}: {line.strip()[:SHOWN]!r} is not START --> END.')
    # Behind the end WebVTT says where the subtitle is shown.
    start, end = _seconds(before[0], where), _seconds(after[0], where)
    if end <= start:
        raise UserError(f'{where}: the subtitle ends before it begins; mend its times.')
    return start, end


def _seconds(time: str, where: str) -> float:
    match = _TIME.fullmatch(time)
    if not match:
        raise UserError(f'{where}: {time[:SHOWN]!r} is no time such as 00:00:02,500.')
    hours, minutes, seconds, fraction = match.groups()
    whole = int(hours or 0) * 3600 + int(minutes) * 60 + int(seconds)
    return whole + (int(fraction.ljust(3, '0')) / 1000 if fraction else 0.0)


def _said(lines: list[str], where: str, follows: bool) -> str:
    """The text of a cue.

    Args:
      lines: between its times and those of the next cue, or the end of the file.
      where: for messages.
      follows: whether there is a next cue.
    """
    said = list(itertools.takewhile(str.strip, lines))
    # Where no empty line parts two cues, the number of the second stands alone.
    if follows and said and len(said) == len(lines) and said[-1].strip().isdigit():
        said.pop()
    try:
        plain = html.unescape(_MARKUP.sub('', ' '.join(said)))
    except ValueError as error:  # of a number with thousands of digits
        raise UserError(f'{where}: the text has a &#… that is no character.') from error
    return ' '.join(plain.split())


def spoken(cues: list[Cue], start: float | None, end: float | None) -> str:
    """What is said from `start` to `end`, seconds, by the cues' middles; or all."""
    return ' '.join(
        cue.text
        for cue in cues
        if start is None or end is None or start <= (cue.start + cue.end) / 2 < end
    )
