"""The paper's rule for unimodal labels, on numbers worked by hand.

Five samples with two-dimensional features make round centroids: the positive centre is
(3, 0), the negative one (−3, 0), and `D_max` the distance from (4, 0) to (−4, 0), 8.
Distances and labels of these cases are exact in float32 unless a test says otherwise.
"""

import chex
import jax
import jax.numpy as jnp
import numpy as np
from absl.testing import parameterized
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from sugrm_jax import ulgm

LABELS = np.array([3, 1, 0, -1, -3], np.float32)
FEATURES = np.array([[4, 0], [2, 0], [9, 12], [-2, 0], [-4, 0]], np.float32)
WIDTHS = dict.fromkeys('mtav', 2)
# Of a batch of one, (0, 0): as far from the positive centre as from the negative.
MIDDLE = np.zeros((1, 2), np.float32)


def seen(labels=LABELS, features=FEATURES, zero_is_positive=False):
    """The memory after every sample was seen once."""
    memory = ulgm.start_memory(labels, WIDTHS, zero_is_positive=zero_is_positive)
    return ulgm.remember(memory, jnp.asarray(features), jnp.arange(len(labels)))


def batch(*unimodal, multimodal=MIDDLE):
    """Features by task: every modality has the same."""
    multimodal = jnp.broadcast_to(jnp.asarray(multimodal), (len(unimodal), 2))
    return {'m': multimodal} | dict.fromkeys('tav', jnp.float32(unimodal))


def regenerated(variant, memory, features, index, epoch, bound=None, present=None):
    """New labels by modality of the whole split."""
    present = present or dict.fromkeys('tav', jnp.ones(len(index), bool))

    def run(memory, features, index, epoch):
        return ulgm.regenerate(
            memory, features, index, epoch, present=present, bound=bound
        )

    after = variant(run)(memory, features, jnp.array(index), jnp.int32(epoch))
    chex.assert_trees_all_equal(after.replace(labels=memory.labels), memory)
    return after.labels


class Memory(chex.TestCase):
    def test_starts_with_y_m_everywhere(self):
        memory = ulgm.start_memory(LABELS, WIDTHS, zero_is_positive=False)
        for s in 'tav':
            np.testing.assert_array_equal(memory.labels[s], LABELS)
        np.testing.assert_array_equal(memory.multimodal, LABELS)
        np.testing.assert_array_equal(memory.features, np.zeros((5, 2)))
        buffers = {x.unsafe_buffer_pointer() for x in jax.tree.leaves(memory)}
        assert len(buffers) == len(jax.tree.leaves(memory))

    @chex.variants(with_jit=True, without_jit=True)
    def test_centroids(self):
        memory = ulgm.start_memory(LABELS, WIDTHS, zero_is_positive=False)
        remember = self.variant(ulgm.remember)
        centroids = remember(memory, FEATURES, np.arange(5)).centroids
        np.testing.assert_array_equal(centroids.positive, [3, 0])
        np.testing.assert_array_equal(centroids.negative, [-3, 0])
        np.testing.assert_array_equal(centroids.highest, [4, 0])
        np.testing.assert_array_equal(centroids.lowest, [-4, 0])
        assert ulgm.largest_distance(centroids) == 8

    def test_released_positive_centre_takes_in_labels_of_zero(self):
        centroids = seen(zero_is_positive=True).centroids
        # (4 + 2 + 9) / 3 and 12 / 3; a weight of 1/3 is rounded.
        np.testing.assert_allclose(centroids.positive, [5, 4], rtol=1e-6)
        np.testing.assert_array_equal(centroids.negative, [-3, 0])

    def test_samples_not_seen_yet_count_as_zero(self):
        memory = ulgm.start_memory(LABELS, WIDTHS, zero_is_positive=False)
        memory = ulgm.remember(memory, FEATURES[:1], np.array([0]))
        np.testing.assert_array_equal(memory.centroids.positive, [2, 0])
        np.testing.assert_array_equal(memory.centroids.negative, [0, 0])

    def test_most_extreme_labels_stand_in_for_three(self):
        memory = seen([2, 2, -0.5, -1], [[4, 0], [8, 0], [1, 1], [0, 8]])
        np.testing.assert_array_equal(memory.centroids.highest, [6, 0])
        np.testing.assert_array_equal(memory.centroids.lowest, [0, 8])
        assert ulgm.largest_distance(memory.centroids) == 10

    def test_remember_keeps_what_is_not_in_the_batch(self):
        memory = seen()
        # Rows that fill the batch have the split's size as index.
        after = ulgm.remember(memory, np.full((3, 2), 7.0), np.array([5, 1, 5]))
        wanted = FEATURES.copy()
        wanted[1] = 7
        np.testing.assert_array_equal(after.features, wanted)
        np.testing.assert_array_equal(after.centroids.positive, [5.5, 3.5])
        chex.assert_trees_all_equal(after.labels, memory.labels)


class Direction(chex.TestCase):
    @chex.variants(with_jit=True, without_jit=True)
    @parameterized.parameters(
        # Multimodal, unimodal; D_s^p/D_s^n against D_m^p/D_m^n.
        ((0, 0), (1, 0), 1),  # 2/4 < 3/3
        ((0, 0), (-1, 0), -1),  # 4/2 > 3/3
        ((0, 0), (0, 4), 0),  # 5/5 = 3/3
        ((0, 0), (9, 0), 1),  # 6/12 < 3/3
        ((1, 0), (0, 4), -1),  # 5/5 > 2/4
        ((2, 0), (9, 0), -1),  # 6/12 > 1/5: nearer, yet not by ratio
        ((1, 0), (9, 0), 0),  # 6/12 = 2/4
        ((0, 0), (-3, 0), -1),  # D_s^n = 0
        ((-3, 0), (0, 0), 1),  # D_m^n = 0
        ((-3, 0), (-3, 0), 0),  # both
        ((0, 0), (3, 0), 1),  # D_s^p = 0
    )
    def test_by_hand(self, multimodal, unimodal, wanted):
        sign = self.variant(ulgm.direction)(
            jnp.float32([multimodal]),
            jnp.float32([unimodal]),
            jnp.float32([3, 0]),
            jnp.float32([-3, 0]),
        )
        np.testing.assert_array_equal(sign, [wanted])


class Labels(chex.TestCase):
    @chex.variants(with_jit=True, without_jit=True)
    @parameterized.parameters(
        ((1, 0), 1.75),  # 1 + 6 · 1/8
        ((-2, 0), -0.5),  # 1 − 6 · 2/8
        ((0, 4), 1),  # the direction is 0, whatever the distance
        ((20, 0), 7),  # 1 + 6 · 8/8: cut off at D_max, and no clamp to 3
        ((-20, 0), -5),
        ((0, 0), 1),
    )
    def test_by_hand(self, unimodal, wanted):
        generate = self.variant(ulgm.generated_labels)
        label = generate(
            jnp.float32([1]),
            MIDDLE,
            jnp.float32([unimodal]),
            seen().centroids,
            label_span=jnp.float32(6),
            both_signs=jnp.bool_(True),
        )
        np.testing.assert_array_equal(label, [wanted])

    @chex.variants(with_jit=True, without_jit=True)
    @parameterized.parameters((1, 7), (2, 5), (3, 4), (4, 3.4))
    def test_momentum_average(self, epoch, wanted):
        """Of 1 and 7: weights 0 and 1, 1/3 and 2/3, 1/2 and 1/2, 3/5 and 2/5."""
        average = self.variant(ulgm.momentum_average)(1.0, 7.0, jnp.int32(epoch))
        # Thirds and fifths are rounded.
        np.testing.assert_allclose(average, wanted, rtol=1e-6)

    @chex.variants(with_jit=True, without_jit=True)
    def test_epochs(self):
        memory, features = seen(), batch((1, 0), (-20, 0))
        for epoch, wanted in [
            (1, (1, -1)),  # as they were
            (2, (1.5, -5)),  # 1/3 · 1 + 2/3 · 1.75, 1/3 · −1 + 2/3 · −7
            (3, (1.625, -6)),  # halves
        ]:
            labels = regenerated(self.variant, memory, features, [1, 3], epoch)
            for s in 'tav':
                # Thirds are rounded.
                np.testing.assert_allclose(
                    labels[s], [3, wanted[0], 0, wanted[1], -3], rtol=1e-6
                )
            memory = memory.replace(labels=labels)

    @chex.variants(with_jit=True, without_jit=True)
    def test_bound_comes_before_the_average(self):
        features = batch((20, 0), (-20, 0))
        free = regenerated(self.variant, seen(), features, [1, 3], 2)['a']
        # 1/3 · 1 + 2/3 · 7, and with the new label clamped 1/3 · 1 + 2/3 · 3.
        np.testing.assert_allclose(free, [3, 5, 0, -5, -3], rtol=1e-6)
        bound = regenerated(self.variant, seen(), features, [1, 3], 2, bound=3.0)['a']
        np.testing.assert_allclose(bound, [3, 7 / 3, 0, -7 / 3, -3], rtol=1e-6)

    def test_modalities_use_their_own_features_and_labels(self):
        memory = seen()
        memory = memory.replace(labels=memory.labels | {'v': jnp.full(5, 2.0)})
        features = batch((1, 0)) | {'a': jnp.float32([[-1, 0]])}
        labels = regenerated(lambda f: f, memory, features, [2], 3)
        # Halves of 0 or 2 and of ±0.75.
        assert labels['t'][2] == 0.375
        assert labels['a'][2] == -0.375
        assert labels['v'][2] == 1.375

    @chex.variants(with_jit=True, without_jit=True)
    def test_absent_modality_keeps_y_m(self):
        present = dict.fromkeys('tav', jnp.array([True, True]))
        present['v'] = jnp.array([False, True])
        features = batch((1, 0), (-20, 0))
        labels = regenerated(self.variant, seen(), features, [1, 3], 3, present=present)
        np.testing.assert_array_equal(labels['a'], [3, 1.375, 0, -4, -3])
        np.testing.assert_array_equal(labels['v'], [3, 1, 0, -4, -3])

    @chex.variants(with_jit=True, without_jit=True)
    def test_rows_that_fill_the_batch_touch_nothing(self):
        features = batch((1, 0), (20, 0), (-20, 0))
        labels = regenerated(self.variant, seen(), features, [1, 5, 5], 3)
        for s in 'tav':
            np.testing.assert_array_equal(labels[s], [3, 1.375, 0, -1, -3])


class EdgeCases(chex.TestCase):
    @chex.variants(with_jit=True, without_jit=True)
    def test_span_is_that_of_the_labels_present(self):
        memory = seen([2, 0.5, -1], [[4, 0], [0, 0], [-4, 0]])
        labels = regenerated(self.variant, memory, batch((2, 0)), [1], 3)
        # y_s = 0.5 + (2 + 1) · 2/8 = 1.25; half of it and of 0.5.
        np.testing.assert_array_equal(labels['t'], [2, 0.875, -1])

    @chex.variants(with_jit=True, without_jit=True)
    @parameterized.parameters(
        ([3, 1, 0], False), ([-3, -1, 0], False), ([3, 1, 0], True)
    )
    def test_a_class_without_samples_leaves_y_m(self, present, zero_is_positive):
        features = [[4, 0], [2, 0], [-4, 0]]
        memory = seen(present, features, zero_is_positive=zero_is_positive)
        labels = regenerated(self.variant, memory, batch((1, 0), (9, 0)), [0, 2], 2)
        np.testing.assert_allclose(labels['t'], present, rtol=1e-6)

    def test_labels_of_zero_make_up_the_released_positive_class(self):
        memory = seen([-3, -1, 0], FEATURES[[4, 3, 0]], zero_is_positive=True)
        labels = regenerated(lambda f: f, memory, batch((1, 0)), [2], 3)
        # D_max = 8 and the span 3: half of 3 · 1/8.
        assert labels['t'][2] == 0.1875

    @chex.variants(with_jit=True, without_jit=True)
    def test_no_distance_between_the_extremes_leaves_y_m(self):
        features = FEATURES.copy()
        features[4] = features[0]
        labels = regenerated(
            self.variant, seen(features=features), batch((1, 0)), [1], 3
        )
        np.testing.assert_array_equal(labels['t'], LABELS)

    @chex.variants(with_jit=True, without_jit=True)
    def test_features_on_the_negative_centre(self):
        on = (-3, 0)
        for multimodal, unimodal, wanted in [
            ((0, 0), on, -1.125),  # − 6 · 3/8, halved
            (on, (0, 0), 1.125),
            (on, on, 0),
        ]:
            features = batch(unimodal, multimodal=multimodal)
            labels = regenerated(self.variant, seen(), features, [2], 3)
            assert labels['a'][2] == wanted


FINITE = st.floats(width=32, allow_nan=False, allow_infinity=False) | st.floats(
    -4, 4, width=32
)


@jax.jit
def two_epochs(memory, features, present, bound):
    for epoch in (2, 3):
        memory = ulgm.regenerate(
            memory, features, jnp.arange(4), epoch, present=present, bound=bound
        )
    return memory.labels


@settings(deadline=None, max_examples=200)
@given(
    stored=arrays.arrays(np.float32, (4, 2), elements=FINITE),
    features=arrays.arrays(np.float32, (4, 4, 2), elements=FINITE),
    labels=arrays.arrays(np.float32, 4, elements=st.floats(-3, 3, width=32)),
    present=arrays.arrays(bool, (3, 4)),
    zero_is_positive=st.booleans(),
    bounded=st.booleans(),
)
def test_labels_stay_finite_and_near_y_m(
    stored, features, labels, present, zero_is_positive, bounded
):
    memory = seen(labels, stored, zero_is_positive)
    features = dict(zip('mtav', features, strict=True))
    present = dict(zip('tav', present, strict=True))
    bound = 3.0 if bounded else jnp.inf
    generated = two_epochs(memory, features, present, bound)
    for s in 'tav':
        assert np.isfinite(generated[s]).all()
        moved = np.abs(generated[s] - labels)
        # A dozen float32 roundings of values of at most 9.
        assert (moved <= np.ptp(labels) + 1e-5).all()
        if bounded:
            assert (np.abs(generated[s]) <= 3 + 1e-5).all()
        np.testing.assert_array_equal(generated[s][~present[s]], labels[~present[s]])


@settings(deadline=None, max_examples=200)
@given(
    stored=arrays.arrays(np.float32, (4, 2), elements=FINITE),
    features=arrays.arrays(np.float32, (4, 4, 2), elements=FINITE),
    # The average doubles them, and a span may be twice as large again.
    labels=arrays.arrays(
        np.float32, 4, elements=st.floats(-(2.0**125), 2.0**125, width=32)
    ),
)
def test_labels_stay_finite_whatever_the_scale_of_those_given(stored, features, labels):
    memory = seen(labels, stored, zero_is_positive=False)
    everywhere = {s: np.ones(4, bool) for s in 'tav'}
    features = dict(zip('mtav', features, strict=True))
    for values in two_epochs(memory, features, everywhere, jnp.inf).values():
        assert np.isfinite(values).all()
