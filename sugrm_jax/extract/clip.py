"""The features of one piece of one media file."""

from __future__ import annotations

import dataclasses

import numpy as np

from sugrm_jax.extract import acoustics, faces, media
from sugrm_jax.extract.libraries import version
from sugrm_jax.extract.types import LONGEST, Features, Piece


def describe() -> dict[str, dict]:
    """What the features are, by modality; it is written beside them.

    Raises:
      UserError: a library is missing.
    """
    return {'audio': acoustics.describe(), 'vision': faces.describe()}


def decoding() -> dict:
    """What decodes, and how.

    It is no part of `describe`: a run reads features that another version of PyAV
    decoded for, but those that are kept for going on are not mixed.

    Raises:
      UserError: a library is missing.
    """
    return {
        'source': f'av {version("av")}',
        'sample_rate_hz': acoustics.SAMPLE_RATE,
        'shortest_s': acoustics.SHORTEST,
        'longest_s': LONGEST,
        'longer_side_px': media.LONGER_SIDE,
        'gap_s': media.GAP,
        'most_damage': media.MOST_DAMAGE,
    }


def extract(piece: Piece) -> Features:
    """Decodes a piece and measures voice and face.

    What the piece lacks has length 0, and a sentence says why.

    Raises:
      UserError: a library is missing.
    """
    start = piece.start or 0.0
    # A file that takes longer than it says must not fill the memory.
    end = start + LONGEST if piece.end is None else piece.end
    piece = dataclasses.replace(piece, end=end)
    audio, audio_problem, heard = _audio(piece)
    vision, vision_problem, seen = _vision(piece)
    problems = [audio_problem] if audio_problem == vision_problem else []
    problems = problems or [audio_problem, vision_problem]
    return Features(audio, vision, tuple(filter(None, problems)), heard or seen)


def _audio(piece: Piece) -> tuple[np.ndarray, str, bool]:
    """Features, what was wrong with the sound, and whether it could be read."""
    nothing = np.zeros((0, len(acoustics.NAMES)), np.float32)
    damage = media.Damage()
    try:
        samples = media.sound(piece, acoustics.SAMPLE_RATE, damage)
    except media.Unreadable as error:
        return nothing, f'unreadable: {error}', False
    if samples is None:
        return nothing, 'no sound track', True
    if len(samples) < acoustics.SHORTEST * acoustics.SAMPLE_RATE:
        return nothing, 'no sound there, or less than 0.06 s', True
    if not samples.any():
        return nothing, 'sound track is silent', True
    return acoustics.acoustics(samples), _told('sound', damage), True


def _vision(piece: Piece) -> tuple[np.ndarray, str, bool]:
    """Features, what was wrong with the picture, and whether it could be read."""
    nothing = np.zeros((0, len(faces.geometry.NAMES)), np.float32)
    damage = media.Damage()
    try:
        vision, count = faces.faces(media.pictures(piece, faces.RATE, damage))
    except media.Unreadable as error:
        return nothing, f'unreadable: {error}', False
    if not count:
        return nothing, 'no picture', True
    if not len(vision):
        return vision, f'no face in {count} frames', True
    return vision, _told('picture', damage), True


def _told(track: str, damage: media.Damage) -> str:
    if not damage.packets:
        return ''
    return f'{track} track is damaged: {damage.packets} packets left out'
