"""From the landmarks of a face to a few named measures of its expression.

The landmarks are those of MediaPipe's FaceMesh, whose numbering is fixed. Left and
right are the person's own. Before anything is measured the face is moved to the middle
between its outer eye corners, turned until these lie level, and scaled by their
distance; so the measures of the face do not depend on where it is in the picture, how
large it is, or how the head is tilted. What was taken out is not lost: the tilt is
`head_roll`, the size `face_size`.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

# Landmarks of FaceMesh that are used, by what they are.
EYE_OUTER = {'left': 263, 'right': 33}
EYE_LIDS = {'left': ((385, 380), (387, 373)), 'right': ((160, 144), (158, 153))}
LOWER_LID = {'left': 374, 'right': 145}
BROW_INNER = {'left': 336, 'right': 107}
BROW_MIDDLE = {'left': 334, 'right': 105}
MOUTH_CORNER = {'left': 291, 'right': 61}
CHEEK = {'left': 425, 'right': 205}
NOSE_WING = {'left': 358, 'right': 129}
JAW = {'left': 397, 'right': 172}
SIDE = {'left': 454, 'right': 234}
LIP_TOP, LIP_UPPER, LIP_LOWER, LIP_BOTTOM = 0, 13, 14, 17
NOSE_BASE, CHIN, FOREHEAD = 2, 152, 10
LANDMARKS = 468

_X, _Y, _Z = range(3)
_SHARE, _RADIANS = 'fraction of the inter-ocular distance', 'radians'


def _distance(face: np.ndarray, a: int, b: int) -> float:
    return float(np.linalg.norm(face[a] - face[b]))


def _between(face: np.ndarray, pair: dict[str, int]) -> float:
    return _distance(face, pair['left'], pair['right'])


def _above(face: np.ndarray, upper: int, lower: int) -> float:
    """How far one point lies above another; the picture's y grows downward."""
    return float(face[lower, _Y] - face[upper, _Y])


def _lift(face: np.ndarray, side: str) -> float:
    """How far a corner of the mouth lies above the middle between the lips."""
    middle = (face[LIP_UPPER, _Y] + face[LIP_LOWER, _Y]) / 2
    return float(middle - face[MOUTH_CORNER[side], _Y])


def _opening(face: np.ndarray, side: str) -> float:
    return float(np.mean([_distance(face, *lids) for lids in EYE_LIDS[side]]))


def _yaw(face: np.ndarray) -> float:
    x, _, z = face[SIDE['left']] - face[SIDE['right']]
    return float(np.arctan2(z, x))


def _pitch(face: np.ndarray) -> float:
    _, y, z = face[CHIN] - face[FOREHEAD]
    return float(np.arctan2(z, y))


# Name → how it is measured on the normalised face, and the unit.
_MEASURES: dict[str, tuple[Callable[[np.ndarray], float], str]] = {
    'mouth_opening': (lambda f: _distance(f, LIP_UPPER, LIP_LOWER), _SHARE),
    'mouth_width': (lambda f: _between(f, MOUTH_CORNER), _SHARE),
    'mouth_corner_lift_left': (lambda f: _lift(f, 'left'), _SHARE),
    'mouth_corner_lift_right': (lambda f: _lift(f, 'right'), _SHARE),
    'upper_lip_thickness': (lambda f: _distance(f, LIP_TOP, LIP_UPPER), _SHARE),
    'lower_lip_thickness': (lambda f: _distance(f, LIP_LOWER, LIP_BOTTOM), _SHARE),
    'nose_to_upper_lip': (lambda f: _above(f, NOSE_BASE, LIP_TOP), _SHARE),
    'nose_width': (lambda f: _between(f, NOSE_WING), _SHARE),
    'eye_opening_left': (lambda f: _opening(f, 'left'), _SHARE),
    'eye_opening_right': (lambda f: _opening(f, 'right'), _SHARE),
    'cheek_to_eye_left': (
        lambda f: _above(f, LOWER_LID['left'], CHEEK['left']),
        _SHARE,
    ),
    'cheek_to_eye_right': (
        lambda f: _above(f, LOWER_LID['right'], CHEEK['right']),
        _SHARE,
    ),
    # The outer eye corners lie at y = 0.
    'brow_height_inner_left': (lambda f: -float(f[BROW_INNER['left'], _Y]), _SHARE),
    'brow_height_inner_right': (lambda f: -float(f[BROW_INNER['right'], _Y]), _SHARE),
    'brow_height_middle_left': (lambda f: -float(f[BROW_MIDDLE['left'], _Y]), _SHARE),
    'brow_height_middle_right': (lambda f: -float(f[BROW_MIDDLE['right'], _Y]), _SHARE),
    'brow_distance': (lambda f: _between(f, BROW_INNER), _SHARE),
    'jaw_drop': (lambda f: _above(f, NOSE_BASE, CHIN), _SHARE),
    'jaw_width': (lambda f: _between(f, JAW), _SHARE),
    'jaw_shift': (lambda f: float(f[CHIN, _X] - f[NOSE_BASE, _X]), _SHARE),
    'head_yaw': (_yaw, _RADIANS),
    'head_pitch': (_pitch, _RADIANS),
}
NAMES = (*_MEASURES, 'head_roll', 'face_size')
UNITS = (
    *(unit for _, unit in _MEASURES.values()),
    _RADIANS,
    "inter-ocular distance as a fraction of the picture's height",
)


def normalise(landmarks: np.ndarray) -> tuple[np.ndarray, float, float]:
    """The face in its own measure.

    Args:
      landmarks: `[468, 3]`, all three axes in one unit: x to the picture's right, y
        down, z away from the camera.

    Returns:
      The landmarks in inter-ocular distances, with the outer eye corners level and the
      middle between them at 0; the roll in radians, positive where the head is tilted
      towards the person's left shoulder; and the inter-ocular distance in the unit of
      `landmarks`.
    """
    left, right = (landmarks[EYE_OUTER[side]] for side in ('left', 'right'))
    x, y, _ = left - right
    roll, size = float(np.arctan2(y, x)), float(np.linalg.norm(left - right))
    cosine, sine = np.cos(roll), np.sin(roll)
    turn = np.array([[cosine, sine, 0], [-sine, cosine, 0], [0, 0, 1]])
    return (landmarks - (left + right) / 2) @ turn.T / size, roll, size


def measure(landmarks: np.ndarray, height: float) -> np.ndarray:
    """The measures `NAMES` of one face, float32 `[24]`.

    Args:
      landmarks: see `normalise`; the outer eye corners are two different points.
      height: of the picture, in the landmarks' unit.

    Returns:
      Lengths in inter-ocular distances. `head_yaw` is positive where the person looks
      to their left, `head_pitch` where they look down, `jaw_shift` where the chin is
      to their left.
    """
    face, roll, size = normalise(np.asarray(landmarks, np.float64))
    values = [measure(face) for measure, _ in _MEASURES.values()]
    return np.array([*values, roll, size / height], np.float32)
