"""Vision: the measures of a face in every frame that shows one.

Landmarks are those of FaceMesh in MediaPipe 0.10.14, whose model is inside the package;
newer releases want a model file by path.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from sugrm_jax.extract import geometry
from sugrm_jax.extract.libraries import library, version

# Frames per second, Hz: expressions change more slowly than speech.
RATE = 10.0


def describe() -> dict:
    """What the features are: names, units, rate in Hz and where they come from."""
    return {
        'names': list(geometry.NAMES),
        'units': list(geometry.UNITS),
        'rate_hz': RATE,
        'source': f'mediapipe {version("mediapipe")} face mesh',
    }


def faces(frames: Iterable[np.ndarray]) -> tuple[np.ndarray, int]:
    """Measures of the most prominent face of a clip.

    Args:
      frames: uint8 `[H, W, 3]`, RGB, in order, `RATE` a second.

    Returns:
      Float32 `[L, 24]`, a row for each frame with a face, and the number of frames.
    """
    rows, count = [], 0
    mesh = library('mediapipe').solutions.face_mesh
    # A mesh follows the face from frame to frame, so every clip has one of its own.
    with mesh.FaceMesh(static_image_mode=False, max_num_faces=1) as tracker:
        for frame in frames:
            count += 1
            found = tracker.process(frame).multi_face_landmarks
            if found:
                rows.append(_row(found[0].landmark, *frame.shape[:2]))
    measured = [row for row in rows if np.isfinite(row).all()]
    return np.array(measured, np.float32).reshape(-1, len(geometry.NAMES)), count


def _row(points: Iterable, height: int, width: int) -> np.ndarray:
    """FaceMesh gives x and z in widths of the picture and y in heights."""
    landmarks = np.array([(p.x, p.y, p.z) for p in points]) * (width, height, width)
    with np.errstate(divide='ignore', invalid='ignore'):  # a face of no size
        return geometry.measure(landmarks, height)
