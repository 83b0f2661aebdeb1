"""Self-MM's rule for unimodal labels, on numbers worked by hand.

The multimodal task's centres are (3, 0) and (−3, 0), those of t, which has one feature,
1 and −3. In float32, 1 + 1e-8 is 1, so that these cases are exact unless a test says
otherwise.
"""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from absl.testing import parameterized
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from sugrm_jax import self_mm_labels as rule

LABELS = np.array([3, 1, 0, -1, -3], np.float32)
FEATURES = {
    'm': np.array([[4, 0], [2, 0], [9, 12], [-2, 0], [-4, 0]], np.float32),
    't': np.array([[2], [0], [10], [-2], [-4]], np.float32),
}
WIDTHS = {'m': 2, 't': 1}
# Twice as far from the negative centre as from the positive one: δ_m is 1.
NEAR = np.array([[1, 0]], np.float32)


def seen(labels=LABELS, features=FEATURES, zero_is_positive=False, present=None):
    """The memory after every sample was seen once."""
    memory = rule.start_memory(labels, WIDTHS, zero_is_positive=zero_is_positive)
    present = np.ones(len(labels), bool) if present is None else np.array(present)
    index = np.arange(len(labels))
    return rule.remember(memory, features, index, present={'t': present})


def regenerated(memory, unimodal, index, epoch, multimodal=NEAR, bound=None):
    """New labels of t of the whole split; every sample of the batch has it."""
    count = len(index)
    features = {
        'm': jnp.broadcast_to(jnp.float32(multimodal), (count, 2)),
        't': jnp.float32(unimodal).reshape(count, 1),
    }
    present = {'t': np.ones(count, bool)}
    after = jax.jit(rule.regenerate, static_argnames='bound')(
        memory, features, np.array(index), epoch, present=present, bound=bound
    )
    chex.assert_trees_all_equal(after.replace(labels=memory.labels), memory)
    return after.labels['t']


def centres(memory, task):
    return [x.tolist() for x in rule.centres(memory, task)]


class Memory(chex.TestCase):
    def test_starts_with_y_m_everywhere(self):
        memory = rule.start_memory(LABELS, WIDTHS, zero_is_positive=False)
        assert memory.labels.keys() == {'t'}
        np.testing.assert_array_equal(memory.labels['t'], LABELS)
        buffers = {x.unsafe_buffer_pointer() for x in jax.tree.leaves(memory)}
        assert len(buffers) == len(jax.tree.leaves(memory))

    def test_centres(self):
        assert centres(seen(), 'm') == [[3, 0], [-3, 0]]
        assert centres(seen(), 't') == [[1], [-3]]

    def test_labels_of_zero_may_count_as_positive(self):
        memory = seen(zero_is_positive=True)
        assert centres(memory, 'm') == [[5, 4], [-3, 0]]
        assert centres(memory, 't') == [[4], [-3]]

    def test_centres_go_by_each_tasks_own_current_labels(self):
        """Sample 3 has become positive in t, sample 1 has left both classes."""
        memory = seen().replace(labels={'t': jnp.float32([3, 0, 0, 0.5, -3])})
        assert centres(memory, 'm') == [[3, 0], [-3, 0]]
        assert centres(memory, 't') == [[0], [-4]]

    def test_samples_without_the_modality_are_in_no_centre_of_it(self):
        memory = seen(present=[True, False, True, True, False])
        assert centres(memory, 'm') == [[3, 0], [-3, 0]]
        assert centres(memory, 't') == [[2], [-2]]

    def test_remember_keeps_what_is_not_in_the_batch(self):
        """Rows that fill the batch have the split's size as index."""
        new = {'m': np.full((3, 2), 7.0), 't': np.full((3, 1), 6.0)}
        here = {'t': np.array([True, True, True])}
        after = rule.remember(seen(), new, np.array([5, 1, 5]), present=here)
        assert after.features['t'].ravel().tolist() == [2, 6, 10, -2, -4]
        assert after.features['m'][:, 0].tolist() == [4, 7, 9, -2, -4]


class Labels(chex.TestCase):
    @chex.variants(with_jit=True, without_jit=True)
    @parameterized.parameters(
        # δ_m, δ_s, y_m; half of δ_s / δ_m · y_m and y_m + δ_s − δ_m.
        (1, 2, 1, 2),
        (1, 2, -1, -1),
        (2, -1, 3, -0.75),
        (-0.5, 1, -1, 1.25),
        (4, 4, 2.5, 2.5),
    )
    def test_by_hand(self, multimodal, unimodal, label, wanted):
        generate = self.variant(rule.generated_labels)
        new = generate(*(jnp.float32([x]) for x in (label, multimodal, unimodal)))
        np.testing.assert_array_equal(new, [wanted])

    @chex.variants(with_jit=True, without_jit=True)
    @parameterized.parameters(
        ((0, 0), 0),  # as far: 0/3
        ((1, 0), 1),  # (4 − 2)/2
        ((-2, 0), -0.8),  # (1 − 5)/5
        ((-3, 0), -1),  # on the negative centre: (0 − 6)/6
    )
    def test_leaning(self, feature, wanted):
        delta = self.variant(rule.leaning)(
            jnp.float32([feature]), jnp.float32([3, 0]), jnp.float32([-3, 0])
        )
        # Fifths are rounded.
        np.testing.assert_allclose(delta, [wanted], rtol=1e-6)

    def test_epochs(self):
        """t at 0 has δ_t = (3 − 1)/1 = 2: from y_m = 1 the new label is 2."""
        memory = seen()
        for epoch, wanted in (
            (1, 1),  # as it was
            (2, 5 / 3),  # 1/3 · 1 + 2/3 · 2
            (3, 11 / 6),  # 1/2 · 5/3 + 1/2 · 2
        ):
            labels = regenerated(memory, [0], [1], epoch)
            # Thirds are rounded.
            np.testing.assert_allclose(labels, [3, wanted, 0, -1, -3], rtol=1e-6)
            memory = memory.replace(labels={'t': labels})

    def test_labels_come_from_the_centres_before_the_batch(self):
        """Sample 0's feature in t moves from 2 to 4, and t's positive centre to 2."""
        memory = seen()
        features = {'m': FEATURES['m'][:2], 't': np.float32([[4], [0]])}
        here = {'t': np.array([True, True])}
        after = rule.update(memory, features, np.arange(2), 3, present=here, bound=None)
        # δ_m = (5 − 1)/1 and δ_t = (3 − 1)/1 give ½ (½ + 1 + 2 − 4), halved with 1.
        assert after.labels['t'][1] == 0.375
        assert centres(after, 't') == [[2], [-3]]
        # The next batch is labelled from the new one: δ_t = (3 − 2)/2, δ_m = 1.
        after = after.replace(labels=memory.labels)
        assert regenerated(after, [0], [1], 3)[1] == 0.75

    def test_an_absent_modality_keeps_its_label(self):
        features = {'m': np.repeat(NEAR, 2, 0), 't': np.zeros((2, 1), np.float32)}
        here = {'t': np.array([True, False])}
        after = rule.update(
            seen(), features, np.array([1, 3]), 3, present=here, bound=None
        )
        np.testing.assert_array_equal(after.labels['t'], [3, 1.5, 0, -1, -3])

    def test_bound_comes_before_the_average(self):
        """t at 1.0 lies on its positive centre: δ_t is 4 / 1e-8."""
        labels = regenerated(seen(), [1], [1], 3)
        assert labels[1] == 2  # of 1 and 3, the largest label
        assert regenerated(seen(), [1], [1], 3, bound=2.0)[1] == 1.5

    def test_rows_that_fill_the_batch_touch_nothing(self):
        labels = regenerated(seen(), [0, 1, 1], [1, 5, 5], 3)
        np.testing.assert_array_equal(labels, [3, 1.5, 0, -1, -3])


@pytest.mark.parametrize('labels', ([3, 1, 2, 1, 3], [-3, -1, 0, -1, -3], [0] * 5))
def test_a_class_without_samples_leaves_y_m(labels):
    labels = np.float32(labels)
    new = regenerated(seen(labels), [0, 0], [1, 3], 3)
    np.testing.assert_array_equal(new, labels)


def test_a_multimodal_feature_halfway_between_its_centres():
    """δ_m = 0: α is 2 / 1e-8, and the label's sign decides."""
    labels = regenerated(seen(), [0, 0, 0], [1, 2, 3], 3, multimodal=[[0, 0]])
    # Halves of 1 and 3, of 0 and ½ (0 + 0 + 2 − 0), of −1 and −3.
    np.testing.assert_array_equal(labels, [3, 2, 0.5, -2, -3])


VALUES = st.floats(width=32, allow_nan=False, allow_infinity=False) | st.floats(
    -4, 4, width=32
)


@jax.jit
def three_epochs(memory, features, present, bound):
    for epoch in (1, 2, 3):
        memory = rule.update(
            memory, features, jnp.arange(5), epoch, present=present, bound=bound
        )
    return memory.labels['t']


@settings(deadline=None, max_examples=200)
@given(
    multimodal=arrays.arrays(np.float32, (5, 2), elements=VALUES),
    unimodal=arrays.arrays(np.float32, (5, 1), elements=VALUES),
    labels=arrays.arrays(np.float32, 5, elements=st.floats(-3, 3, width=32)),
    present=arrays.arrays(bool, 5),
    zero_is_positive=st.booleans(),
    bound=st.sampled_from([3.0, 7.0]),
)
def test_labels_stay_finite_and_within_the_bound(
    multimodal, unimodal, labels, present, zero_is_positive, bound
):
    memory = rule.start_memory(labels, WIDTHS, zero_is_positive=zero_is_positive)
    features = {'m': multimodal, 't': unimodal}
    new = np.asarray(three_epochs(memory, features, {'t': present}, bound))
    assert np.isfinite(new).all()
    # A few float32 roundings of values of at most 7.
    assert (np.abs(new) <= bound + 1e-5).all()
    np.testing.assert_array_equal(new[~present], labels[~present])
