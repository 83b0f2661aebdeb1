"""labels.csv, in MMSA's layout, and the clips that it names.

All is checked before the first clip is decoded: a mistake in the last line should not
show after hours.
"""

from __future__ import annotations

import csv
import io
import math
import os
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

from sugrm_jax.errors import UserError
from sugrm_jax.extract import subtitles
from sugrm_jax.extract.media import EXTENSIONS
from sugrm_jax.extract.types import LONGEST, Piece, Utterance
from sugrm_jax.regular import open_regular

SPLITS = ('train', 'valid', 'test')
NEEDED = ('video_id', 'clip_id', 'text', 'label', 'mode')
UNIMODAL = ('label_T', 'label_A', 'label_V')
TIMES = ('start', 'end')


def read(path: str | Path, clips: str | Path) -> list[Utterance]:
    """The utterances that a file describes, in its order.

    Args:
      path: comma-separated, with the columns `NEEDED`, all of `UNIMODAL` or none, and
        `TIMES` or not; other columns are left alone.
      clips: folder of `VIDEO_ID/CLIP_ID.EXT` or `VIDEO_ID.EXT`.

    Raises:
      UserError: the first mistake, with file, line and column.
    """
    rows = _rows(Path(path))
    if not os.path.isdir(clips):
        raise UserError(f'There is no folder {clips}: name the folder of the clips.')
    videos = Counter(row['video_id'] for _, row in rows)
    seen: dict[str, str] = {}
    utterances = []
    for where, row in rows:
        utterance = _utterance(row, where, Path(clips), videos[row['video_id']] == 1)
        if utterance.id in seen:
            raise UserError(
                f'{where}: video_id and clip_id are those of {seen[utterance.id]}; '
                'each pair names one utterance.'
            )
        seen[utterance.id] = where
        utterances.append(utterance)
    _check_splits(utterances, str(path))
    return utterances


def _rows(path: Path) -> list[tuple[str, dict[str, str]]]:
    """Where each row stands, and its cells by column, stripped."""
    try:
        # The mark that spreadsheets put before UTF-8 is no part of the first column.
        with io.TextIOWrapper(open_regular(path), 'utf-8-sig', newline='') as file:
            reader = csv.DictReader(file)
            _check_columns(reader.fieldnames or (), str(path))
            rows, line = [], reader.line_num + 1
            for row in reader:
                where = f'{path}, line {line}'
                if None in row or None in row.values():
                    raise UserError(
                        f'{where} has {"more" if None in row else "fewer"} cells than '
                        'there are columns; a text with a comma needs quotation marks '
                        'around it.'
                    )
                rows.append((where, {k: v.strip() for k, v in row.items()}))
                line = reader.line_num + 1
    except OSError as error:
        raise UserError(f'{path} cannot be read: {error.strerror}.') from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise UserError(f'{path} is no CSV file in UTF-8: {error}.') from error
    return rows


def _check_columns(names: Sequence[str], path: str) -> None:
    for name in NEEDED:
        if name not in names:
            raise UserError(
                f'{path} has no column {name}; its first line must name the columns '
                f'{", ".join(NEEDED)}, with commas between.'
            )
    for group in (UNIMODAL, TIMES):
        absent = [name for name in group if name not in names]
        if 0 < len(absent) < len(group):
            raise UserError(
                f'{path} has no column {absent[0]}: of {", ".join(group)} it has all '
                'or none.'
            )
    if doubled := [name for name, count in Counter(names).items() if count > 1]:
        raise UserError(f'{path} has two columns {doubled[0]}; leave one of them out.')


def _utterance(
    row: Mapping[str, str], where: str, clips: Path, alone: bool
) -> Utterance:
    for name in ('video_id', 'clip_id'):
        if not row[name] or '/' in row[name] or '\\' in row[name] or row[name] == '..':
            raise UserError(
                f'{where}, column {name}: {row[name]!r} is no name of a file.'
            )
    if row['mode'] not in SPLITS:
        raise UserError(
            f'{where}, column mode: {row["mode"]!r} is not one of {", ".join(SPLITS)}.'
        )
    labels = {'regression_labels': _number(row, 'label', where)}
    for name in UNIMODAL:
        if name in row:
            labels[f'regression_labels_{name[-1]}'] = _number(row, name, where)
    start, end = _stretch(row, where)
    found = _find(clips, row, where, alone or start is not None)
    piece = Piece(os.path.abspath(found), start, end)
    return Utterance(
        id=f'{row["video_id"]}$_${row["clip_id"]}',
        text=row['text'] or _transcript(found, piece, where),
        split=row['mode'],
        piece=piece,
        labels=labels,
    )


def _number(row: Mapping[str, str], name: str, where: str) -> float:
    try:
        value = float(row[name])
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise UserError(f'{where}, column {name}: {row[name]!r} is no number.')
    return value


def _stretch(row: Mapping[str, str], where: str) -> tuple[float | None, float | None]:
    """Start and end in seconds, or None for the whole file."""
    given = [name for name in TIMES if row.get(name)]
    if not given:
        return None, None
    if len(given) == 1:
        raise UserError(f'{where}: {given[0]} is given alone; give start and end.')
    start, end = (_number(row, name, where) for name in TIMES)
    if not 0 <= start < end:
        raise UserError(
            f'{where}, columns start and end: {start:g} to {end:g} is no stretch of '
            'time; seconds since the beginning of the video are meant.'
        )
    if end - start > LONGEST:
        raise UserError(
            f'{where}, columns start and end: the utterance takes {end - start:g} s, '
            f'and {LONGEST:g} s is the most; split it.'
        )
    return start, end


def _find(clips: Path, row: Mapping[str, str], where: str, whole: bool) -> Path:
    """The file of a row.

    Args:
      clips: their folder.
      row: with video_id and clip_id.
      where: for messages.
      whole: whether a file of the whole video will do.
    """
    own = clips / row['video_id'] / row['clip_id']
    video = clips / row['video_id']
    stems = (own, video)
    for stem in stems:
        found = [p for e in EXTENSIONS if (p := Path(f'{stem}.{e}')).is_file()]
        if len(found) > 1:
            raise UserError(
                f'{where}: there are {found[0]} and {found[1]}; keep one of them.'
            )
        if found and stem == video and not whole:
            raise UserError(
                f'{where}: {found[0]} holds several utterances; say in the columns '
                'start and end, in seconds, where this one is.'
            )
        if found:
            return found[0]
    raise UserError(
        f'{where}: there is neither {own}.EXT nor {video}.EXT; EXT is one of '
        f'{", ".join(EXTENSIONS)}.'
    )


def _transcript(clip: Path, piece: Piece, where: str) -> str:
    """What is said in a piece, according to the subtitles beside its file."""
    beside = sidecar(clip)
    if beside is None:
        raise UserError(
            f'{where}, column text is empty, and there is no {clip.stem}.srt or .vtt '
            f'beside {clip}: write what is said, or put subtitles there.'
        )
    text = subtitles.spoken(subtitles.read(beside), piece.start, piece.end)
    if not text:
        raise UserError(
            f'{where}, column text is empty, and {beside} says nothing between '
            f'{piece.start:g} and {piece.end:g} s: write what is said.'
        )
    return text


def sidecar(clip: Path) -> Path | None:
    """The subtitles beside a clip: the same name with another ending, or None."""
    beside = [clip.with_suffix(f'.{ending}') for ending in subtitles.EXTENSIONS]
    return next((path for path in beside if path.is_file()), None)


def _check_splits(utterances: Sequence[Utterance], path: str) -> None:
    """Refuses what no training could use."""
    for split in SPLITS:
        labels = {u.labels['regression_labels'] for u in utterances if u.split == split}
        if not labels:
            raise UserError(
                f'{path}, column mode: no utterance is {split}; a data set needs '
                f'{", ".join(SPLITS)}.'
            )
        if len(labels) == 1:
            raise UserError(
                f'{path}, column label: all of {split} is {labels.pop():g}, so there '
                'is nothing to learn or to measure; give it utterances that differ.'
            )
