"""Predicting on a clip: its features come from the environment that has the tools.

MediaPipe's requirements contradict JAX's, so extraction runs in an environment of its
own (`requirements-video.txt`), and hands over a file.
"""

from __future__ import annotations

import os
import pathlib
import signal
import subprocess
import sys
import tempfile

from sugrm_jax.errors import UserError
from sugrm_jax.interrupt import Interrupted, StopRequest
from sugrm_jax.prediction.children import Children
from sugrm_jax.prediction.predictor import Predictor
from sugrm_jax.prediction.samples import Found

ENDINGS = ('.mp4', '.mkv', '.webm', '.avi', '.mov', '.wav', '.mp3', '.flac')
VARIABLE = 'SUGRM_VIDEO_PYTHON'


def is_clip(path: str | os.PathLike) -> bool:
    """Whether the file's name is one of a clip."""
    return pathlib.Path(path).suffix.lower() in ENDINGS


def read(
    predictor: Predictor,
    clip: str | os.PathLike,
    *,
    text: str | None = None,
    subtitles: str | os.PathLike | None = None,
    python: str | None = None,
    limit: float | None = None,
    children: Children | None = None,
) -> Found:
    """The utterances of a clip: one for each subtitle, or all of it.

    Args:
      predictor: that is to read them.
      clip: video or sound.
      text: what is said in it, if there are no subtitles.
      subtitles: .srt or .vtt; by default the file beside the clip, if any.
      python: of the environment for extraction; by default what the variable
        SUGRM_VIDEO_PYTHON says, and else this one.
      limit: seconds that extraction may take; by default any number.
      children: that extraction, which ends with this call anyhow, is to end with. In
        the main thread a signal ends it, too.

    Raises:
      UserError: the clip cannot be read, or not in time, or there are no tools to do
        so; its features are others than those the run was trained on.
    """
    python = python or os.environ.get(VARIABLE) or sys.executable
    command = [python, '-m', 'sugrm_jax.extract', os.fspath(clip)]
    words = b'' if text is None else _encoded(text, clip)
    # Words are no argument: those are short, and others on this machine see them.
    options = [] if text is None else ['--text=-']
    if subtitles is not None:
        options.append(f'--subtitles={subtitles}')
    try:
        with (
            StopRequest(),
            tempfile.TemporaryDirectory(prefix='sugrm_clip_') as scratch,
            Children() as own,
        ):
            out = os.path.join(scratch, 'clip.pkl')
            _run(
                [*command, out, *options],
                words,
                limit,
                children or own,
                clip=clip,
                scratch=scratch,
            )
            return _read(predictor, out, clip)
    except Interrupted as stop:
        # All is cleared away: now what the signal does elsewhere.
        signal.raise_signal(stop.signum)
        raise


def _read(predictor: Predictor, made: str, clip: str | os.PathLike) -> Found:
    """As `predictor.read`; nobody knows the file that was made but by its clip."""
    try:
        return predictor.read(made)
    except UserError as error:
        raise UserError(str(error).replace(made, os.fspath(clip))) from error


def _encoded(text: str, clip: str | os.PathLike) -> bytes:
    try:
        return text.encode()
    except UnicodeEncodeError as error:
        raise UserError(
            f'What is said in {clip} is no text at character {error.start + 1}, which '
            'UTF-8 has not: type it anew.'
        ) from error


def _run(
    command: list[str],
    words: bytes,
    limit: float | None,
    children: Children,
    *,
    clip: str | os.PathLike,
    scratch: str,
) -> None:
    """Runs a command that extracts `clip`, and puts aside in `scratch` what it must."""
    # The environment need not have this package installed.
    home = str(pathlib.Path(__file__).parents[2])
    search = os.pathsep.join(filter(None, [home, os.environ.get('PYTHONPATH')]))
    env = os.environ | {'PYTHONPATH': search, 'TMPDIR': scratch}
    failed = f'The features of {clip} were not extracted'
    try:
        status, said = children.run(command, words, env, limit)
    except OSError as error:
        raise UserError(
            f'{command[0]} cannot be started ({error.strerror}): name the python of '
            'the environment that requirements-video.txt was installed in, with '
            f'--video_python or the variable {VARIABLE}.'
        ) from error
    except subprocess.TimeoutExpired as error:
        raise UserError(
            f'{failed} in {limit / 60:g} minutes: cut it, or make its picture smaller.'
        ) from error
    if status:
        lines = said.strip().splitlines() or ['it said nothing']
        raise UserError(f'{failed}: {lines[-1]}')
