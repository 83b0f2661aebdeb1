"""Sound and pictures of a media file, decoded with PyAV (ffmpeg's libraries).

Of a damaged file the parts that can be decoded count.
"""

from __future__ import annotations

import contextlib
import dataclasses
import itertools
from collections.abc import Iterable, Iterator
from typing import Any, TypeVar

import numpy as np

from sugrm_jax.extract.libraries import library
from sugrm_jax.extract.types import Piece

EXTENSIONS = ('mp4', 'mkv', 'webm', 'avi', 'mov', 'wav', 'mp3', 'flac')
# Pixels of a picture's longer side: a larger one only takes time, since the face's
# landmarks are found on 192 × 192.
LONGER_SIDE = 640

# Seconds by which sound may be early or late; more is a gap, not a rounding of times.
GAP = 0.05
# Damaged packets of one track, after which the rest is given up.
MOST_DAMAGE = 10_000

_MICROSECONDS = 1_000_000  # the unit of ffmpeg's times of a whole file
T = TypeVar('T')


class Unreadable(Exception):
    """The file is no media file, or is damaged before anything could be read."""


@dataclasses.dataclass
class Damage:
    """Counts the packets of a track that could not be decoded."""

    packets: int = 0


@contextlib.contextmanager
def _opened(path: str) -> Iterator[Any]:
    av = library('av')
    try:
        with av.open(path, metadata_errors='replace') as container:
            yield container
    # ValueError: PyAV about sizes, formats and names that make no sense.
    except (av.FFmpegError, OSError, ValueError, MemoryError) as error:
        said = getattr(error, 'strerror', None) or str(error)
        raise Unreadable(said or 'memory ran out') from error


def duration(path: str) -> float:
    """How long a file is, in seconds. Raises `Unreadable`."""
    with _opened(path) as container:
        if container.duration is not None:
            return container.duration / _MICROSECONDS
        # A browser's recording does not say; its packets do.
        ends = [
            float((packet.pts + (packet.duration or 0)) * packet.time_base)
            for packet in container.demux()
            if packet.pts is not None
        ]
        return max(ends, default=0.0) - _beginning(container)


def sound(piece: Piece, rate: int, damage: Damage) -> np.ndarray | None:
    """The sound of a piece, all channels mixed.

    Args:
      piece: what to decode.
      rate: samples per second, Hz.
      damage: counts what could not be decoded.

    Returns:
      Float32 `[S]` in ±1, or None without a sound track. Gaps in it, also before it
      begins, are silence, so that sound and picture stay together.

    Raises:
      Unreadable: see there.
    """
    start, end = piece.start or 0.0, piece.end
    with _opened(piece.path) as container:
        if not container.streams.audio:
            return None
        timed = (
            (frame.time - _beginning(container), frame)
            for frame in _decoded(container, container.streams.audio[0], start, damage)
        )
        return placed(_resampled(timed, rate, start, end), rate, start, end)


def _resampled(
    timed: Iterable[tuple[float, Any]], rate: int, start: float, end: float | None
) -> Iterator[tuple[float, np.ndarray]]:
    """Stretches of sound without a gap: when each begins, seconds, and its samples."""
    resampler, began, given, count = None, 0.0, 0.0, 0
    for time, frame in timed:
        lasts = frame.samples / frame.sample_rate
        if end is not None and time >= end:
            break
        if time + lasts <= start:
            continue
        # Compared with where the sound would be put, not with the end of the frame
        # before: packets that are lost here and there are small gaps, and add up.
        if resampler is None or abs(time - (began + given)) > GAP:
            if resampler is not None:
                yield began + count / rate, _samples(resampler, None)
            resampler = library('av').AudioResampler('flt', 'mono', rate)
            began, given, count = time, 0.0, 0
        frame.pts = None  # or the resampler would fill gaps by rules of its own
        samples = _samples(resampler, frame)
        yield began + count / rate, samples
        count += len(samples)
        given += lasts
    if resampler is not None:
        yield began + count / rate, _samples(resampler, None)


def _samples(resampler: Any, frame: Any) -> np.ndarray:
    """What comes out of a resampler for a frame; for None what it still holds."""
    parts = [part.to_ndarray()[0] for part in resampler.resample(frame)]
    return np.concatenate([np.zeros(0, np.float32), *parts])


def placed(
    stretches: Iterable[tuple[float, np.ndarray]],
    rate: int,
    start: float,
    end: float | None,
) -> np.ndarray:
    """Sounds at their places, float32 `[S]`, from `start` on, silence between them.

    Args:
      stretches: when each begins, seconds, and its samples.
      rate: samples per second, Hz.
      start, end: seconds; without an end up to the last sample.
    """
    found = [(round((time - start) * rate), part) for time, part in stretches]
    size = max([0, *(first + len(part) for first, part in found if len(part))])
    if end is not None:
        size = min(size, round((end - start) * rate))
    sound = np.zeros(size, np.float32)
    for first, part in found:
        here = part[max(-first, 0) :][: max(size - max(first, 0), 0)]
        sound[max(first, 0) :][: len(here)] = here
    return sound


def pictures(piece: Piece, rate: float, damage: Damage) -> Iterator[np.ndarray]:
    """The pictures of a piece, uint8 `[H, W, 3]`, RGB, upright, `rate` a second.

    None at all without a picture track; a cover is none. `damage` counts what could
    not be decoded. Raises `Unreadable`.
    """
    cover = library('av').stream.Disposition.attached_pic
    with _opened(piece.path) as container:
        tracks = [s for s in container.streams.video if not s.disposition & cover]
        if not tracks:
            return
        start = piece.start or 0.0
        beginning = _beginning(container)
        timed = (
            (
                frame.time - beginning,
                float((frame.duration or 0) * frame.time_base),
                frame,
            )
            for frame in _decoded(container, tracks[0], start, damage)
        )
        for frame, repeats in sampled(timed, rate, start, piece.end):
            upright = _upright(frame, float(tracks[0].sample_aspect_ratio or 1))
            yield from itertools.repeat(upright, repeats)


def sampled(
    timed: Iterable[tuple[float, float, T]],
    rate: float,
    start: float,
    end: float | None,
) -> Iterator[tuple[T, int]]:
    """What is shown at `start`, `start + 1 / rate`, …, whatever the rate of the film.

    Args:
      timed: frames in order, with their times and how long each lasts, in seconds, 0
        where that is not known. Only for the last it counts: see `_shown`.
      rate: a second.
      start, end: seconds; without an end all there is. Nothing is shown before the
        first frame.

    Yields:
      A frame, and at how many of the moments it is shown (at least one).
    """

    def first_moment(time: float) -> int:
        # The small number keeps 0.1 + 0.2 from being another moment than 0.3.
        return int(np.ceil((time - start) * rate - 1e-6))

    tick = 0
    for time, until, frame in _shown(timed, 1 / rate):
        tick = max(tick, first_moment(time))
        last = first_moment(until if end is None else min(until, end))
        if last > tick:
            yield frame, last - tick
            tick = last
        if end is not None and until >= end:
            return


def _shown(
    timed: Iterable[tuple[float, float, T]], alone: float
) -> Iterator[tuple[float, float, T]]:
    """From when until when each frame is shown, seconds.

    It is shown until the next one comes; the last for as long as it lasts, or, where
    that is not known, as long as the one before it. A film of one frame is shown for
    `alone` at least, so that it has a moment of its own.
    """
    between = 0.0
    for shown, following in itertools.pairwise(itertools.chain(timed, [None])):
        time, lasts, frame = shown
        if following is not None:
            until = following[0]
            between = until - time if until > time else between
        elif between:
            until = time + (lasts or between)
        else:
            until = time + max(lasts, alone)
        yield time, until, frame


def _beginning(container: Any) -> float:
    """Seconds at which the file's own clock begins."""
    return (container.start_time or 0) / _MICROSECONDS


def _decoded(
    container: Any, stream: Any, start: float, damage: Damage
) -> Iterator[Any]:
    """Frames that have a time, from `start` or somewhat before it on."""
    error = library('av').FFmpegError
    if start > 0:
        container.seek(int((start + _beginning(container)) * _MICROSECONDS))
    packets, decoded = container.demux(stream), False
    # Some damage repeats itself for ever: then nothing is read any more.
    while damage.packets <= MOST_DAMAGE:
        try:
            packet = next(packets)
        except StopIteration:
            break
        except error:
            damage.packets += 1
            packets = container.demux(stream)  # the old one is at its end
            continue
        try:
            frames = packet.decode()
        except error:
            damage.packets += 1
            continue
        for frame in frames:
            if frame.time is not None:
                decoded = True
                yield frame
    if damage.packets and not decoded:
        raise Unreadable('nothing of it can be decoded')


def _upright(frame: Any, aspect: float) -> np.ndarray:
    """The picture scaled to `LONGER_SIDE` at most and turned.

    Args:
      frame: of PyAV.
      aspect: a pixel's width as a multiple of its height; square ones come out.
    """
    width, height = frame.width * aspect, frame.height
    scale = min(1.0, LONGER_SIDE / max(width, height))
    size = [max(2, round(side * scale)) for side in (width, height)]
    array = frame.to_ndarray(format='rgb24', width=size[0], height=size[1])
    # Telephones film sideways and note by how much to turn.
    return np.ascontiguousarray(np.rot90(array, round(frame.rotation / 90)))
