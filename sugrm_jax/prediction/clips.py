"""Predicting on a clip: its features come from the environment that has the tools.

MediaPipe's requirements contradict JAX's, so extraction runs in an environment of its
own (`requirements-video.txt`), and hands over a file.
"""

from __future__ import annotations

import os
import pathlib
import subprocess
import sys
import tempfile

from sugrm_jax.errors import UserError
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
) -> Found:
    """The utterances of a clip: one for each subtitle, or all of it.

    Args:
      predictor: that is to read them.
      clip: video or sound.
      text: what is said in it, if there are no subtitles.
      subtitles: .srt or .vtt; by default the file beside the clip, if any.
      python: of the environment for extraction; by default what the variable
        SUGRM_VIDEO_PYTHON says, and else this one.

    Raises:
      UserError: the clip cannot be read, or there are no tools to do so; its features
        are others than those the run was trained on.
    """
    python = python or os.environ.get(VARIABLE) or sys.executable
    with tempfile.TemporaryDirectory(prefix='sugrm_clip_') as scratch:
        out = pathlib.Path(scratch) / 'clip.pkl'
        command = [python, '-m', 'sugrm_jax.extract', os.fspath(clip), str(out)]
        if text is not None:
            command.append(f'--text={text}')
        if subtitles is not None:
            command.append(f'--subtitles={subtitles}')
        _run(command)
        return predictor.read(out)


def _run(command: list[str]) -> None:
    # The environment need not have this package installed.
    home = str(pathlib.Path(__file__).parents[2])
    search = os.pathsep.join(filter(None, [home, os.environ.get('PYTHONPATH')]))
    try:
        done = subprocess.run(
            command,
            env=os.environ | {'PYTHONPATH': search},
            stderr=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            text=True,
            check=False,
        )
    except OSError as error:
        raise UserError(
            f'{command[0]} cannot be started ({error.strerror}): name the python of '
            'the environment that requirements-video.txt was installed in, with '
            f'--video_python or the variable {VARIABLE}.'
        ) from error
    if done.returncode:
        lines = done.stderr.strip().splitlines() or ['it said nothing']
        raise UserError(f'The features of {command[3]} were not extracted: {lines[-1]}')
