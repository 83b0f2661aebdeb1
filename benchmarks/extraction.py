"""How fast clips become features: seconds of clip per second of one core, by stage.

    python -m benchmarks.extraction

In the environment of requirements-video.txt. The clip is made: a photograph of a face
(the one that matplotlib comes with) that sways, 1280 × 720 at 25 frames a second in
H.264, and a gliding tone with noise. Processor time of all threads is counted, so that
other processes disturb little.
"""

from __future__ import annotations

import argparse
import fractions
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from benchmarks.measure import Spread, say
from sugrm_jax.ending import ending
from sugrm_jax.errors import UserError
from sugrm_jax.extract import acoustics, clip, faces, media
from sugrm_jax.extract.libraries import library
from sugrm_jax.extract.types import LONGEST, Piece

WIDTH, HEIGHT, FPS = 1280, 720, 25
SOUND_RATE = 48_000


def write_clip(path: Path, seconds: int) -> None:
    """Encodes the made clip, of a length in seconds."""
    av = library('av')
    picture, sound = _picture(), _sound(seconds)
    with av.open(str(path), 'w') as container:
        film = container.add_stream('h264', rate=FPS)
        film.width, film.height, film.pix_fmt = WIDTH, HEIGHT, 'yuv420p'
        track = container.add_stream('aac', rate=SOUND_RATE, layout='mono')
        for i in range(seconds * FPS):
            sway = round(60 * np.sin(2 * np.pi * i / (3 * FPS)))
            frame = av.VideoFrame.from_ndarray(np.roll(picture, sway, 1), 'rgb24')
            frame.pts, frame.time_base = i, fractions.Fraction(1, FPS)
            container.mux(film.encode(frame))
        container.mux(film.encode())
        whole = av.AudioFrame.from_ndarray(sound[None], 's16', 'mono')
        whole.rate, whole.pts = SOUND_RATE, 0
        size = track.codec_context.frame_size
        cutter = av.AudioResampler(track.format, 'mono', SOUND_RATE, frame_size=size)
        for part in (*cutter.resample(whole), *cutter.resample(None)):
            container.mux(track.encode(part))
        container.mux(track.encode())


def _picture() -> np.ndarray:
    """The photograph in the middle of a grey picture, uint8 `[720, 1280, 3]`."""
    path = library('matplotlib.cbook').get_sample_data(
        'grace_hopper.jpg', asfileobj=False
    )
    photograph = np.asarray(library('PIL.Image').open(path).convert('RGB'))
    picture = np.full((HEIGHT, WIDTH, 3), 128, np.uint8)
    top, left = (HEIGHT - len(photograph)) // 2, (WIDTH - photograph.shape[1]) // 2
    picture[top : top + len(photograph), left : left + photograph.shape[1]] = photograph
    return picture


def _sound(seconds: int) -> np.ndarray:
    """Int16 `[S]`: a tone that glides between 120 and 280 Hz, and some noise."""
    moments = np.arange(seconds * SOUND_RATE) / SOUND_RATE
    hertz = 200 + 80 * np.sin(2 * np.pi * 0.5 * moments)
    wave = np.sin(2 * np.pi * np.cumsum(hertz) / SOUND_RATE)
    noise = np.random.default_rng(0).normal(size=len(wave))
    return (8000 * wave + 400 * noise).astype(np.int16)


def stages(path: Path) -> dict[str, Callable[[], object]]:
    """What is timed, by name."""
    piece, damage = Piece(str(path)), media.Damage()
    sound = media.sound(piece, acoustics.SAMPLE_RATE, damage)
    frames = list(media.pictures(piece, faces.RATE, damage))
    if sound is None:
        raise UserError(f'{path} has no sound track, though one was written.')
    return {
        'decode sound': lambda: media.sound(piece, acoustics.SAMPLE_RATE, damage),
        'decode pictures': lambda: list(media.pictures(piece, faces.RATE, damage)),
        'acoustic features': lambda: acoustics.acoustics(sound),
        'face features': lambda: faces.faces(frames),
        'all of it': lambda: clip.extract(piece),
    }


def processor_seconds(call: Callable[[], object]) -> float:
    """Processor time of a call, all threads of this process together."""
    start = time.process_time()
    call()
    return time.process_time() - start


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog='python -m benchmarks.extraction')
    parser.add_argument('--seconds', type=int, default=20, help='of the clip')
    parser.add_argument('--rounds', type=int, default=5)
    options = parser.parse_args(arguments)
    if not (1 <= options.seconds <= LONGEST and options.rounds >= 1):
        parser.error(f'--seconds is 1 to {LONGEST:g} and --rounds 1 or more')
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / 'made.mp4'
        write_clip(path, options.seconds)
        found = clip.extract(Piece(str(path)))
        say(f'{len(found.audio)} audio steps, {len(found.vision)} vision steps')
        for name, call in stages(path).items():
            call()  # the libraries load what they need
            times = [processor_seconds(call) for _ in range(options.rounds)]
            speed = Spread(tuple(options.seconds / t for t in times), '× real time')
            print(f'{name:<20}{speed} on one core', flush=True)
    return 0


if __name__ == '__main__':
    sys.exit(ending(main))
