"""Measures of a hand-made face, and what they do not depend on."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sugrm_jax.extract.geometry import LANDMARKS, NAMES, UNITS, measure, normalise

# Of a face seen from the front, 100 pixels between the outer eye corners, the middle
# between them at (200, 150); x to the right, y down. The person's left is on the right.
POINTS = {
    33: (150, 150), 263: (250, 150),  # outer eye corners
    160: (160, 147), 144: (160, 153), 158: (170, 146), 153: (170, 154),  # right lids
    385: (230, 145), 380: (230, 155), 387: (240, 144), 373: (240, 156),  # left lids
    145: (165, 154), 374: (235, 156),  # lower lids
    107: (185, 130), 336: (215, 125), 105: (165, 128), 334: (235, 120),  # brows
    61: (175, 230), 291: (225, 220),  # corners of the mouth
    0: (200, 215), 13: (200, 222), 14: (200, 228), 17: (200, 238),  # lips
    2: (200, 200), 152: (203, 260), 10: (200, 90),  # nose, chin, forehead
    205: (165, 194), 425: (235, 186),  # cheeks
    129: (180, 195), 358: (220, 195),  # wings of the nose
    172: (145, 235), 397: (255, 235), 234: (130, 160), 454: (270, 160),  # jaw, sides
}  # fmt: skip
# In hundredths of the inter-ocular distance, worked by hand.
EXPECTED = {
    'mouth_opening': 6,
    'mouth_width': np.hypot(50, 10),
    'mouth_corner_lift_left': 5,
    'mouth_corner_lift_right': -5,
    'upper_lip_thickness': 7,
    'lower_lip_thickness': 10,
    'nose_to_upper_lip': 15,
    'nose_width': 40,
    'eye_opening_left': 11,
    'eye_opening_right': 7,
    'cheek_to_eye_left': 30,
    'cheek_to_eye_right': 40,
    'brow_height_inner_left': 25,
    'brow_height_inner_right': 20,
    'brow_height_middle_left': 30,
    'brow_height_middle_right': 22,
    'brow_distance': np.hypot(30, 5),
    'jaw_drop': 60,
    'jaw_width': 110,
    'jaw_shift': 3,
}
# What says how the head is held and how large it is.
POSE = ('head_yaw', 'head_pitch', 'head_roll', 'face_size')
HEIGHT = 400


def face():
    landmarks = np.zeros((LANDMARKS, 3))
    for number, (x, y) in POINTS.items():
        landmarks[number, :2] = x, y
    return landmarks


def measures(landmarks, height=HEIGHT):
    return dict(zip(NAMES, measure(landmarks, height).astype(float), strict=True))


def turned(landmarks, angle, axes):
    """Turned by an angle in the plane of two axes, from the first to the second."""
    a, b = axes
    result = landmarks.copy()
    result[:, a] = np.cos(angle) * landmarks[:, a] - np.sin(angle) * landmarks[:, b]
    result[:, b] = np.sin(angle) * landmarks[:, a] + np.cos(angle) * landmarks[:, b]
    return result


def test_every_measure_of_a_face():
    found = measures(face())
    assert set(found) == {*EXPECTED, *POSE} and len(UNITS) == len(NAMES) == 24
    for name, value in EXPECTED.items():
        assert found[name] == pytest.approx(value / 100, abs=1e-6), name
    assert [found[name] for name in POSE] == pytest.approx([0, 0, 0, 0.25], abs=1e-6)


def test_how_the_head_is_held():
    # From x to z: the left side moves away, the person looks to their left.
    assert measures(turned(face(), 0.3, (0, 2)))['head_yaw'] == pytest.approx(0.3)
    # From y to z: the chin moves away, the person looks down.
    assert measures(turned(face(), 0.2, (1, 2)))['head_pitch'] == pytest.approx(0.2)
    # From x to y: the left eye sinks, the head is tilted to the left.
    assert measures(turned(face(), 0.1, (0, 1)))['head_roll'] == pytest.approx(0.1)


def test_an_open_mouth_and_a_smile_show():
    landmarks = face()
    landmarks[14, 1] += 20
    assert measures(landmarks)['mouth_opening'] == pytest.approx(0.26)
    landmarks = face()
    landmarks[[61, 291], 1] -= 10
    found = measures(landmarks)
    assert found['mouth_corner_lift_left'] == pytest.approx(0.15)
    assert found['mouth_corner_lift_right'] == pytest.approx(0.05)


@given(
    shift=st.tuples(*[st.floats(-1000, 1000)] * 3),
    scale=st.floats(0.1, 10),
    roll=st.floats(-3, 3),
    yaw=st.floats(-0.5, 0.5),
)
def test_place_size_and_tilt_change_nothing_else(shift, scale, roll, yaw):
    noise = np.random.default_rng(0).normal(size=(LANDMARKS, 3))
    before = turned(face() + noise, yaw, (0, 2))
    at_rest = turned(before, -normalise(before)[1], (0, 1))
    moved = turned(at_rest, roll, (0, 1)) * scale + shift
    ours, theirs = measures(moved), measures(at_rest)
    assert ours.pop('head_roll') == pytest.approx(roll, abs=1e-5)
    assert ours.pop('face_size') == pytest.approx(scale * theirs['face_size'], rel=1e-5)
    assert ours == pytest.approx({name: theirs[name] for name in ours}, abs=1e-5)


def test_the_face_in_its_own_measure():
    own, roll, size = normalise(turned(face(), 0.4, (0, 1)) * 3)
    assert (roll, size) == pytest.approx((0.4, 300))
    np.testing.assert_allclose(own[33], [-0.5, 0, 0], atol=1e-12)
    np.testing.assert_allclose(own[263], [0.5, 0, 0], atol=1e-12)
