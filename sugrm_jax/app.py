"""A page in the browser that predicts the sentiment of clips, and shows why.

python -m sugrm_jax.app --run=runs/demo
python -m sugrm_jax.app --run=runs/mine --examples=DATA.pkl --port=8000

Needs gradio: pip install -r requirements-app.txt. Ctrl-C ends it.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib.util
import os
import pathlib
import sys
import tempfile
import time
from collections.abc import Sequence

from sugrm_jax.ending import ending
from sugrm_jax.errors import UserError
from sugrm_jax.interrupt import StopRequest
from sugrm_jax.terminal import Terminal

LOOPBACK = ('127.0.0.1', 'localhost', '::1')
# Seconds: uploads older than an hour are looked for every ten minutes and removed.
SWEEP, AGE = 600, 3600


def main(arguments: Sequence[str] | None = None) -> int:
    """The command: 2 for what the user can mend, 128 + signal when it was ended."""
    return ending(run, _parse(arguments), stop=StopRequest())


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser('python -m sugrm_jax.app', description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument('--run', required=True, help='folder of a finished run')
    parser.add_argument('--port', type=int, default=7860, help='7860 by default')
    parser.add_argument(
        '--host',
        default=LOOPBACK[0],
        help='address to listen at; by default only this machine can reach the page',
    )
    parser.add_argument(
        '--examples',
        help="data file in MMSA format to choose from; by default the run's own",
    )
    parser.add_argument(
        '--video_python',
        help='python of the environment that requirements-video.txt was installed in '
        '(the variable SUGRM_VIDEO_PYTHON by default)',
    )
    options = parser.parse_args(arguments)
    if not 0 < options.port < 2**16:
        parser.error(f'--port={options.port} must be 1 to {2**16 - 1}')
    return options


def run(options: argparse.Namespace) -> None:
    """Serves until a signal comes.

    Raises:
      UserError: gradio is missing, the run or the examples cannot be read, or the port
        is taken.
    """
    if importlib.util.find_spec('gradio') is None:
        raise UserError('It needs gradio: pip install -r requirements-app.txt')
    with tempfile.TemporaryDirectory(
        prefix='sugrm_app_', ignore_cleanup_errors=True
    ) as scratch:
        _serve(options, scratch)


def _serve(options: argparse.Namespace, scratch: str) -> None:
    # Uploads, and whatever else is put aside for a while, end with the process. Gradio
    # reads its settings when it is imported.
    tempfile.tempdir = scratch
    os.environ |= {
        'GRADIO_TEMP_DIR': os.path.join(scratch, 'gradio'),
        'GRADIO_ANALYTICS_ENABLED': 'False',
    }
    # Heavy imports wait until the command line is known to be good.
    from sugrm_jax.parallel import keep_compiled
    from sugrm_jax.prediction import Predictor, web
    from sugrm_jax.prediction.children import Children
    from sugrm_jax.prediction.explain import Explainer, read_examples

    keep_compiled()
    predictor = Predictor.load(options.run)
    examples = read_examples(predictor, options.examples)
    children = Children()
    explainer = Explainer(predictor, examples, options.video_python, children)
    page = web.build(explainer)
    try:
        with children:
            address = web.serve(page, options.host, options.port)
            _say(address, options.host)
            while True:
                time.sleep(SWEEP)
                sweep(scratch)
    finally:
        page.close(verbose=False)


def _say(address: str, host: str) -> None:
    console = Terminal()
    if host not in LOOPBACK:
        console.print('Whoever reaches this machine can use the page: it asks nobody.')
    console.print(f'Open {address} (Ctrl-C ends it).', highlight=False, soft_wrap=True)


def sweep(folder: str) -> None:
    """Removes the files of a folder, and of those in it, that are older than `AGE`."""
    # Another thread may remove any of them meanwhile: os.walk passes over folders that
    # are gone, unlike pathlib.
    for within, _, names in os.walk(folder):
        for path in [pathlib.Path(within, name) for name in names]:
            with contextlib.suppress(FileNotFoundError):
                if time.time() - path.stat().st_mtime > AGE:
                    path.unlink()


if __name__ == '__main__':
    sys.exit(main())
