"""The command `python -m sugrm_jax.extract`: makes data files of videos."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from sugrm_jax.ending import ending
from sugrm_jax.errors import UserError
from sugrm_jax.extract.run import Extractor, extract_clip, extract_dataset
from sugrm_jax.interrupt import StopRequest

GOES_ON = 'Stopped; what was extracted is kept, and the same command goes on.'


def main(
    arguments: Sequence[str] | None = None, extractor: Extractor | None = None
) -> int:
    """Runs the command; returns its exit status."""
    # Workers are ended and half-written files cleared away when a signal comes.
    return ending(_extract, _parse(arguments), extractor, stop=StopRequest(GOES_ON))


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog='python -m sugrm_jax.extract',
        usage='%(prog)s CLIPS LABELS.csv OUT.pkl [--jobs=N]\n'
        '       %(prog)s CLIP OUT.pkl [--text="…" | --subtitles=FILE] [--jobs=N]',
        description='Makes a data file of a folder of clips and their labels, or of '
        'one clip to predict on. docs/own_clips.md says more.',
    )
    parser.add_argument(
        'paths', nargs='+', metavar='PATH', help='CLIPS LABELS.csv OUT.pkl, or CLIP OUT'
    )
    parser.add_argument(
        '--text',
        help='what is said in the one clip; - reads it from standard input, in UTF-8',
    )
    parser.add_argument(
        '--subtitles', help='.srt or .vtt of the one clip; each is an utterance'
    )
    parser.add_argument(
        '--jobs', type=int, help='clips at a time (default: one for each processor)'
    )
    return parser.parse_args(arguments)


def _extract(options: argparse.Namespace, extractor: Extractor | None) -> None:
    if options.jobs is not None and options.jobs < 1:
        raise UserError(f'--jobs is 1 or more, not {options.jobs}.')
    shared = {'jobs': options.jobs, 'extractor': extractor}
    if len(options.paths) == 3:
        for name in ('text', 'subtitles'):
            if getattr(options, name) is not None:
                raise UserError(
                    f'--{name} is for one clip; for many write it in the labels.'
                )
        extract_dataset(*options.paths, **shared)
    elif len(options.paths) == 2:
        # With subtitles --text is refused: nobody should be waiting for it before.
        asked = options.text == '-' and options.subtitles is None
        text = _standard_input() if asked else options.text
        texts = {'text': text, 'subtitles': options.subtitles}
        extract_clip(*options.paths, **texts, **shared)
    else:
        raise UserError(
            f'{len(options.paths)} paths are given: name CLIPS LABELS.csv OUT.pkl, or '
            'CLIP OUT.pkl for one clip.'
        )


def _standard_input() -> str:
    content = sys.stdin.buffer.read() if sys.stdin else b''  # None: it is closed
    try:
        return content.decode('utf-8-sig')
    except UnicodeDecodeError as error:
        raise UserError(
            f'The text on standard input is not UTF-8 (byte {error.start}): write it '
            'with that encoding.'
        ) from error
