"""Subtitles, SubRip (.srt) or WebVTT (.vtt), as texts with times."""

from __future__ import annotations

import dataclasses
import html
import re
from pathlib import Path

from sugrm_jax.errors import UserError

EXTENSIONS = ('srt', 'vtt')

_ARROW = re.compile(r'^\s*(\S+)\s*-->\s*(\S+)')
# SubRip has a comma before the milliseconds, WebVTT a point and, if it likes, no hours.
_TIME = re.compile(r'(?:(\d+):)?([0-5]?\d):([0-5]?\d)(?:[.,](\d{1,3}))?')
# <i>, <v Speaker>, <00:01.500> and the {\an8} of players.
_MARKUP = re.compile(r'</?[A-Za-z0-9][^>]*>|\{\\[^}]*\}')


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
      UserError: the file cannot be read, is not UTF-8, has a cue whose time makes no
        sense, or has no cue at all.
    """
    try:
        # The mark that some editors put before UTF-8 is no part of the text.
        text = Path(path).read_text('utf-8-sig')
    except OSError as error:
        raise UserError(f'{path} cannot be read: {error.strerror}.') from error
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
    for number, line in enumerate(lines, start=1):
        if '-->' in line:
            start, end = _times(line, f'{where}, line {number}')
            cues.append(Cue(start, end, _said(lines[number:])))
    said = [cue for cue in cues if cue.text]
    if not said:
        raise UserError(
            f'{where} has no subtitles: each is a line such as 00:00:01,000 --> '
            '00:00:02,500 and its text below.'
        )
    return sorted(said, key=lambda cue: cue.start)


def _times(line: str, where: str) -> tuple[float, float]:
    match = _ARROW.match(line)
    if not match:
        raise UserError(f'{where}: {line.strip()!r} is not START --> END.')
    start, end = (_seconds(time, where) for time in match.groups())
    if end <= start:
        raise UserError(f'{where}: the subtitle ends before it begins; mend its times.')
    return start, end


def _seconds(time: str, where: str) -> float:
    match = _TIME.fullmatch(time)
    if not match:
        raise UserError(f'{where}: {time!r} is no time such as 00:00:02,500.')
    hours, minutes, seconds, fraction = match.groups()
    whole = int(hours or 0) * 3600 + int(minutes) * 60 + int(seconds)
    return whole + (int(fraction.ljust(3, '0')) / 1000 if fraction else 0.0)


def _said(lines: list[str]) -> str:
    """The text at the beginning of `lines`, up to where the cue ends."""
    said = []
    for k, line in enumerate(lines):
        follows = lines[k + 1] if k + 1 < len(lines) else ''
        # Where no empty line parts two cues, the number of the second stands alone.
        if not line.strip() or '-->' in line or '-->' in follows:
            break
        said.append(line)
    plain = html.unescape(_MARKUP.sub('', ' '.join(said)))
    return ' '.join(plain.split())


def spoken(cues: list[Cue], start: float | None, end: float | None) -> str:
    """What is said from `start` to `end`, seconds, by the cues' middles; or all."""
    return ' '.join(
        cue.text
        for cue in cues
        if start is None or end is None or start <= (cue.start + cue.end) / 2 < end
    )
