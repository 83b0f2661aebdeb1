"""The utterances of one clip whose sentiment nobody has labelled."""

from __future__ import annotations

import os
from pathlib import Path

from sugrm_jax.errors import UserError
from sugrm_jax.extract import subtitles
from sugrm_jax.extract.labels import sidecar
from sugrm_jax.extract.media import EXTENSIONS
from sugrm_jax.extract.types import LONGEST, Piece, Utterance

SPLIT = 'predict'


def utterances(
    clip: str | Path, length: float, text: str | None, subtitle_file: str | Path | None
) -> list[Utterance]:
    """One utterance with `text`, or one for each subtitle.

    Args:
      clip: the media file.
      length: of it, seconds.
      text: what is said in the whole clip; or None.
      subtitle_file: .srt or .vtt; without it and `text` the one beside the clip.

    Raises:
      UserError: text and subtitles, or neither; a subtitle or the clip takes longer
        than `LONGEST`; the subtitles cannot be read.
    """
    path = Path(os.path.abspath(clip))
    if text is not None and subtitle_file is not None:
        raise UserError('Give --text or --subtitles, not both.')
    if text is not None:
        if not text.strip():
            raise UserError('--text is empty: write what is said in the clip.')
        cues = [subtitles.Cue(0.0, length, ' '.join(text.split()))]
    else:
        beside = subtitle_file or sidecar(path)
        if beside is None:
            raise UserError(
                f'What is said in {clip}? Give --text="…", or --subtitles=FILE with a '
                f'.srt or .vtt file, or put {path.stem}.srt beside the clip.'
            )
        cues = subtitles.read(beside)
    for cue in cues:
        check_length(cue.end - cue.start, f'{clip}, {cue.start:g} to {cue.end:g} s')
    return [
        Utterance(
            id=f'{path.stem}$_${number:04d}',
            text=cue.text,
            split=SPLIT,
            piece=Piece(str(path), cue.start, cue.end),
        )
        for number, cue in enumerate(cues, start=1)
    ]


def check_clip(clip: str | Path) -> None:
    """Raises a `UserError` unless `clip` is a file with a known ending."""
    if os.path.isdir(clip):
        raise UserError(
            f'{clip} is a folder, and its clips need labels: name CLIPS LABELS.csv '
            'OUT.pkl.'
        )
    if not os.path.isfile(clip):
        raise UserError(f'There is no file {clip}: name the clip.')
    if Path(clip).suffix.lstrip('.').lower() not in EXTENSIONS:
        raise UserError(
            f'{clip} is none of {", ".join(EXTENSIONS)}: convert it, or name another.'
        )


def check_length(seconds: float, where: str) -> None:
    """Raises a `UserError` if an utterance takes longer than `LONGEST`."""
    if seconds > LONGEST:
        raise UserError(
            f'{where}: the utterance takes {seconds:.0f} s, and {LONGEST:g} s is the '
            'most. Say where each utterance is: in the columns start and end of the '
            'labels, or, for one clip, with --subtitles.'
        )
