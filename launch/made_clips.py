"""Makes clips of a drawn speaker: for trying, and testing, the way from clip to mood.

    python launch/made_clips.py FOLDER

FOLDER gets `clips/` with `labels.csv`, and `talk.mp4`, a longer clip with subtitles.
The words come from the grammar of the simulated data, the voice from espeak-ng, higher,
faster and louder the better the mood; the mouth of the drawn face moves with the sound
and its corners and brows with the mood. Runs where requirements-video.txt is installed.
"""

from __future__ import annotations

import argparse
import csv
import fractions
import io
import pathlib
import shutil
import subprocess
import sys
import wave

import av
import numpy as np

sys.path.insert(0, str(pathlib.Path(__file__).parents[1]))
from sugrm_jax.data import sentences

SIZE, FPS, RATE = 240, 10, 22_050
COUNTS = {'train': 20, 'valid': 5, 'test': 5}
TALK = 5


def speech(text: str, mood: float) -> np.ndarray:
    """What espeak-ng says, int16 `[S]` at 22,050 Hz, with a pause behind it."""
    command = ['espeak-ng', '--stdout', '-p', str(round(50 + 12 * mood))]
    command += ['-s', str(round(160 + 12 * mood)), '-a', str(round(110 + 25 * mood))]
    said = subprocess.run([*command, text], capture_output=True, check=True).stdout
    with wave.open(io.BytesIO(said)) as file:
        assert file.getframerate() == RATE
        # It writes to a pipe, so its header does not know the length.
        samples = np.frombuffer(file.readframes(2**31 // 4), np.int16)
    return np.concatenate([samples, np.zeros(RATE // 3, np.int16)])


def loudness(samples: np.ndarray) -> np.ndarray:
    """Of each frame, 0 to 1: how far the mouth is open."""
    frames = -(-len(samples) * FPS // RATE)
    padded = np.resize(samples.astype(float), frames * RATE // FPS + 1)
    parts = np.array_split(padded[: frames * RATE // FPS], frames)
    power = np.array([np.sqrt(np.mean(part**2)) for part in parts])
    return power / max(power.max(), 1.0)


def draw(mood: float, opened: float, turn: float) -> np.ndarray:
    """A face, uint8 `[240, 240, 3]`; the length of the picture is 1.

    Args:
      mood: -3 to 3; bends the mouth and lifts the brows.
      opened: 0 to 1, the mouth.
      turn: shift to the right.
    """
    y, x = np.mgrid[0:SIZE, 0:SIZE] / SIZE
    x = x - turn
    picture = np.full((SIZE, SIZE, 3), (150.0, 170.0, 190.0))

    def oval(cy: float, cx: float, ry: float, rx: float) -> np.ndarray:
        return ((y - cy) / ry) ** 2 + ((x - cx) / rx) ** 2

    def paint(distance: np.ndarray, edge: float, colour, share: float = 1.0) -> None:
        mask = share * np.clip((1 - distance) / edge, 0, 1)[..., None]
        picture[:] = picture * (1 - mask) + mask * np.asarray(colour, float)

    paint(oval(1.05, 0.5, 0.28, 0.42), 0.05, (60, 70, 110))  # shoulders
    paint(oval(0.80, 0.5, 0.22, 0.11), 0.1, (195, 150, 125))  # neck
    paint(oval(0.40, 0.5, 0.36, 0.275), 0.06, (60, 40, 30))  # hair
    skin = oval(0.50, 0.5, 0.315, 0.225)
    light = 1 - 0.35 * np.clip(skin, 0, 1) - 0.6 * (x - 0.5)
    paint(skin, 0.06, np.array([225, 180, 155]) * light[..., None])
    for side in (-1, 1):
        eye = 0.5 + 0.095 * side
        paint(oval(0.435, eye, 0.05, 0.065), 0.6, (120, 80, 70), 0.35)
        paint(oval(0.445, eye, 0.020, 0.043), 0.2, (250, 250, 250))
        paint(oval(0.445, eye, 0.019, 0.019), 0.2, (70, 45, 30))
        paint(oval(0.445, eye, 0.009, 0.009), 0.3, (10, 10, 10))
        brow = 0.375 - 0.012 * mood + 0.12 * side * (x - eye) + 1.8 * (x - eye) ** 2
        thick = ((y - brow) / 0.013) ** 2 + ((x - eye) / 0.06) ** 4
        paint(thick, 0.5, (50, 32, 25))
        nostril = oval(0.585, 0.5 + 0.022 * side, 0.010, 0.012)
        paint(nostril, 0.5, (90, 50, 45), 0.45)
    paint(oval(0.53, 0.515, 0.075, 0.022), 0.9, (140, 95, 80), 0.3)  # nose
    paint(oval(0.545, 0.493, 0.03, 0.014), 0.9, (255, 225, 205), 0.3)
    bend = 0.68 + mood * (0.012 - 0.9 * (x - 0.5) ** 2)
    half = 0.012 + 0.03 * opened
    across = (x - 0.5) ** 2
    paint(((y - bend) / (half + 0.008)) ** 2 + across / 0.085**2, 0.25, (175, 70, 75))
    inner = ((y - bend) / (0.75 * half)) ** 2 + across / 0.07**2
    paint(inner, 0.3, (70, 20, 25), min(1, 0.3 + 3 * opened))
    return picture.clip(0, 255).astype(np.uint8)


def film(samples: np.ndarray, moods: np.ndarray) -> list[np.ndarray]:
    """Frames for sound `[S]` and a mood for each of its frames."""
    opened = loudness(samples)
    sway = 0.02 * np.sin(np.arange(len(opened)) / FPS)
    return [draw(m, o, s) for m, o, s in zip(moods, opened, sway, strict=True)]


def write(path: pathlib.Path, samples: np.ndarray, frames: list[np.ndarray]) -> None:
    """Encodes a clip: H.264 and AAC."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), 'w') as container:
        video = container.add_stream('h264', rate=FPS)
        video.width, video.height, video.pix_fmt = SIZE, SIZE, 'yuv420p'
        audio = container.add_stream('aac', rate=RATE, layout='mono')
        for i, picture in enumerate(frames):
            frame = av.VideoFrame.from_ndarray(picture, 'rgb24')
            frame.pts, frame.time_base = i, fractions.Fraction(1, FPS)
            container.mux(video.encode(frame))
        container.mux(video.encode())
        whole = av.AudioFrame.from_ndarray(samples[None], 's16', 'mono')
        whole.rate, whole.pts = RATE, 0
        cutter = av.AudioResampler(
            audio.format, 'mono', RATE, frame_size=audio.codec_context.frame_size
        )
        for part in (*cutter.resample(whole), *cutter.resample(None)):
            container.mux(audio.encode(part))
        container.mux(audio.encode())


def moods_of(samples: np.ndarray, mood: float) -> np.ndarray:
    return np.full(len(loudness(samples)), mood)


def sentence(rng: np.random.Generator) -> sentences.Phrase:
    """One opinion; rarely a lukewarm one."""
    while True:
        phrase = sentences.draw_opinion(rng, 'movie')
        if abs(phrase.value) > 1 or rng.random() < 0.2:
            return phrase


def make_clips(folder: pathlib.Path, rng: np.random.Generator) -> None:
    """`clips/VIDEO/CLIP.mp4` and `labels.csv`."""
    rows = []
    for mode, count in COUNTS.items():
        for i in range(count):
            phrase = sentence(rng)
            video, clip = f'{mode}{i // 5}', f'{i % 5}'
            samples = speech(phrase.text, phrase.value)
            frames = film(samples, moods_of(samples, phrase.value))
            write(folder / 'clips' / video / f'{clip}.mp4', samples, frames)
            rows.append((video, clip, phrase.text, f'{phrase.value:.2f}', mode))
    with open(folder / 'labels.csv', 'w', newline='', encoding='utf-8') as file:
        columns = ('video_id', 'clip_id', 'text', 'label', 'mode')
        csv.writer(file).writerows([columns, *rows])


def make_talk(folder: pathlib.Path, rng: np.random.Generator) -> None:
    """`talk.mp4` of several opinions, and `talk.srt`."""
    sound, frames, cues, start = [], [], [], 0.0
    for i in range(TALK):
        phrase = sentence(rng)
        samples = speech(phrase.text, phrase.value)
        # Whole frames, so that sound and picture stay together.
        count = len(loudness(samples))
        samples = np.pad(samples, (0, count * RATE // FPS - len(samples)))
        frames += film(samples, moods_of(samples, phrase.value))
        end = start + len(samples) / RATE
        cues.append(f'{i + 1}\n{_stamp(start)} --> {_stamp(end)}\n{phrase.text}\n')
        sound.append(samples)
        start = end
    write(folder / 'talk.mp4', np.concatenate(sound), frames)
    (folder / 'talk.srt').write_text('\n'.join(cues), 'utf-8')


def _stamp(seconds: float) -> str:
    whole, rest = divmod(round(seconds * 1000), 1000)
    return f'{whole // 3600:02}:{whole // 60 % 60:02}:{whole % 60:02},{rest:03}'


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('folder', type=pathlib.Path)
    folder = parser.parse_args().folder
    if not shutil.which('espeak-ng'):
        print('espeak-ng is not there: apt-get install espeak-ng', file=sys.stderr)
        return 2
    rng = np.random.default_rng(1)
    make_clips(folder, rng)
    make_talk(folder, rng)
    print(f'{folder} holds {sum(COUNTS.values())} clips, labels.csv and talk.mp4')
    return 0


if __name__ == '__main__':
    sys.exit(main())
