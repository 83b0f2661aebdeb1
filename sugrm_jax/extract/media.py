"""Sound and pictures of a media file, decoded with PyAV (ffmpeg's libraries).

A file that is damaged somewhere gives what comes before the damage.
"""

from __future__ import annotations

import contextlib
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

_MICROSECONDS = 1_000_000  # the unit of ffmpeg's times of a whole file
T = TypeVar('T')


class Unreadable(Exception):
    """The file is no media file, or is damaged before anything could be read."""


@contextlib.contextmanager
def _opened(path: str) -> Iterator[Any]:
    av = library('av')
    try:
        with av.open(path, metadata_errors='replace') as container:
            yield container
    except (av.FFmpegError, OSError) as error:
        raise Unreadable(getattr(error, 'strerror', None) or str(error)) from error


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


def sound(piece: Piece, rate: int) -> np.ndarray | None:
    """The sound of a piece, all channels mixed.

    Args:
      piece: what to decode.
      rate: samples per second, Hz.

    Returns:
      Float32 `[S]` in ±1, or None without a sound track. A track that begins late is
      preceded by silence, so that sound and picture begin together.

    Raises:
      Unreadable: see there.
    """
    start, end = piece.start or 0.0, piece.end
    chunks, offset = [], None
    with _opened(piece.path) as container:
        if not container.streams.audio:
            return None
        resampler = library('av').AudioResampler('flt', 'mono', rate)
        for frame in _decoded(container, container.streams.audio[0], start):
            time = frame.time - _beginning(container)
            if end is not None and time >= end:
                break
            if time + frame.samples / frame.sample_rate <= start:
                continue
            offset = time if offset is None else offset
            frame.pts = None  # or the resampler would fill gaps by its own rules
            chunks += [part.to_ndarray()[0] for part in resampler.resample(frame)]
        chunks += [part.to_ndarray()[0] for part in resampler.resample(None)]
    samples = np.concatenate([np.zeros(0, np.float32), *chunks])
    return _trimmed(samples, (offset or 0.0) - start, rate, end and end - start)


def _trimmed(
    samples: np.ndarray, offset: float, rate: int, length: float | None
) -> np.ndarray:
    """Samples from time 0 on, of which the first was at `offset` seconds."""
    shift = round(offset * rate)
    moved = np.pad(samples, (max(shift, 0), 0))[max(-shift, 0) :]
    return moved if length is None else moved[: round(length * rate)]


def pictures(piece: Piece, rate: float) -> Iterator[np.ndarray]:
    """The pictures of a piece, uint8 `[H, W, 3]`, RGB, upright, `rate` a second.

    None at all without a picture track; a cover is none. Raises `Unreadable`.
    """
    cover = library('av').stream.Disposition.attached_pic
    with _opened(piece.path) as container:
        tracks = [s for s in container.streams.video if not s.disposition & cover]
        if not tracks:
            return
        start = piece.start or 0.0
        beginning = _beginning(container)
        timed = (
            (frame.time - beginning, frame)
            for frame in _decoded(container, tracks[0], start)
            if frame.time is not None
        )
        for frame, repeats in sampled(timed, rate, start, piece.end):
            upright = _upright(frame, float(tracks[0].sample_aspect_ratio or 1))
            yield from itertools.repeat(upright, repeats)


def sampled(
    timed: Iterable[tuple[float, T]], rate: float, start: float, end: float | None
) -> Iterator[tuple[T, int]]:
    """What is shown at `start`, `start + 1 / rate`, …, whatever the rate of the film.

    Args:
      timed: times in seconds and frames, in order; a frame is shown until the next
        one comes, the last as long as the one before it.
      rate: a second.
      start, end: seconds; without an end all there is.

    Yields:
      A frame, and at how many of the moments it is shown (at least one).
    """
    tick, shown, time, lasts = 0, None, 0.0, 0.0
    for then, frame in itertools.chain(timed, [(None, None)]):
        if shown is not None:
            lasts = lasts if then is None else then - time
            until = time + lasts if then is None else then
            until = until if end is None else min(until, end)
            # The small number keeps 0.1 + 0.2 from being another moment than 0.3.
            last = int(np.ceil((until - start) * rate - 1e-6))
            if last > tick:
                yield shown, last - tick
                tick = last
        if then is None or (end is not None and then >= end):
            return
        shown, time = frame, then


def _beginning(container: Any) -> float:
    """Seconds at which the file's own clock begins."""
    return (container.start_time or 0) / _MICROSECONDS


def _decoded(container: Any, stream: Any, start: float) -> Iterator[Any]:
    """Frames from before `start` on, up to the end or the first damage."""
    error = library('av').FFmpegError
    if start > 0:
        container.seek(int((start + _beginning(container)) * _MICROSECONDS))
    frames = iter(container.decode(stream))
    for count in itertools.count():
        try:
            frame = next(frames)
        except StopIteration:
            return
        except error:
            if count == 0:
                raise
            return
        yield frame


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
