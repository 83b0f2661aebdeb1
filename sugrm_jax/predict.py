"""Predicts sentiment with a run that has finished.

python -m sugrm_jax.predict --run=runs/demo DATA.pkl
python -m sugrm_jax.predict --run=runs/mine clip.mp4 --text="I loved every minute."
python -m sugrm_jax.predict --run=runs/mine talk.mp4 --subtitles=talk.srt --out=talk.csv
"""

from __future__ import annotations

import argparse
import functools
import pathlib
import sys
from collections.abc import Sequence

from sugrm_jax.ending import ending
from sugrm_jax.errors import UserError
from sugrm_jax.interrupt import StopRequest


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; 0 when predictions were made, else as `ending` says."""
    return ending(predict, _parse(arguments), stop=StopRequest())


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser('python -m sugrm_jax.predict', description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument('data', help='a file in MMSA format, or a clip')
    parser.add_argument('--run', required=True, help='folder of a finished run')
    parser.add_argument('--split', help="of the file; 'predict' or 'test' by default")
    words = parser.add_mutually_exclusive_group()
    words.add_argument('--text', help='what is said in the clip')
    words.add_argument('--subtitles', help='.srt or .vtt: one prediction for each')
    parser.add_argument(
        '--video_python',
        help='python of the environment that requirements-video.txt was installed in '
        '(the variable SUGRM_VIDEO_PYTHON by default)',
    )
    parser.add_argument('--out', type=pathlib.Path, help='.csv or .json to write')
    parser.add_argument('--plot', type=pathlib.Path, help='.png of sentiment over time')
    options = parser.parse_args(arguments)
    if options.out and options.out.suffix not in ('.csv', '.json'):
        parser.error(f'--out={options.out} must end with .csv or .json')
    if options.plot and options.plot.suffix != '.png':
        parser.error(f'--plot={options.plot} must end with .png')
    for path in filter(None, (options.out, options.plot)):
        if not path.parent.is_dir():
            parser.error(f'{path}: there is no folder {path.parent}')
    return options


def predict(options: argparse.Namespace) -> None:
    """Predicts, prints the table and writes what was asked for."""
    # Heavy imports wait until the command line is known to be good.
    from sugrm_jax.parallel import keep_compiled
    from sugrm_jax.prediction import Predictor, clips, output
    from sugrm_jax.terminal import Terminal

    is_clip = clips.is_clip(options.data)
    check_options(options, is_clip, clips.ENDINGS)
    keep_compiled()
    predictor = Predictor.load(options.run)
    if is_clip:
        found = clips.read(
            predictor,
            options.data,
            text=options.text,
            subtitles=options.subtitles,
            python=options.video_python,
        )
    else:
        found = predictor.read(options.data, options.split)
    console = Terminal()
    say = functools.partial(
        console.print, highlight=False, markup=False, soft_wrap=True
    )
    for note in found.notes:
        say(f'note: {note}')
    rows = output.rows(found, predictor(found.split))
    console.print(output.table(rows), highlight=False, crop=False)
    if options.out:
        output.write(options.out, rows)
        say(f'{options.out} holds all predictions.')
    if options.plot:
        from sugrm_jax.results import files, timeline

        limit = predictor.experiment.data.label_range
        figure = timeline.timeline(rows, limit, pathlib.Path(options.data).name)
        files.write_bytes(options.plot, timeline.png(figure), output.OTHERWISE)
        say(f'{options.plot} shows them over time.')


def check_options(
    options: argparse.Namespace, is_clip: bool, endings: Sequence[str]
) -> None:
    """Raises a `UserError` where an option is for data of the other kind.

    Args:
      options: of the command line.
      is_clip: whether to predict on a clip, and not on a data file.
      endings: of clips, for the message.
    """
    if is_clip:
        others, kind = ('split',), 'a clip'
    else:
        others = ('text', 'subtitles', 'video_python')
        kind = f'no clip ({", ".join(endings)})'
    given = [f'--{name}' for name in others if getattr(options, name) is not None]
    if given:
        raise UserError(f'{options.data} is {kind}: leave {" and ".join(given)} away.')


if __name__ == '__main__':
    sys.exit(main())
