"""The loss by hand, the order of what follows a step, subsets of tasks."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from sugrm_jax.errors import UserError
from sugrm_jax.objectives.multitask import MultitaskConfig, multitask
from sugrm_jax.types import Batch, Outputs

LABELS = np.array([3, 1, 0, -1, -3], np.float32)
GENERATED = {
    't': np.array([3, 2, 0, 0, 0], np.float32),
    'a': np.array([0, 1, 0, 0.5, 0], np.float32),
    'v': np.array([0, 7, 0, -1.5, 0], np.float32),
}
# tanh of 1/2, 1, 3/2 and 6, to six decimals.
TANH = {0.5: 0.462117, 1: 0.761594, 1.5: 0.905148, 6: 0.999988}


def objective(
    loss='l1', labels='sugrm', label_bound=None, zero_is_positive=False, tasks='mtav'
):
    config = MultitaskConfig(loss, labels, label_bound, zero_is_positive)
    return multitask(config, dict.fromkeys(tasks, 2))


def batch(index):
    index = np.array(index, np.int32)
    label = np.append(LABELS, 0)[index]
    weight = np.float32(index < len(LABELS))
    return Batch(*[None] * 5, label=label, index=index, weight=weight)


def outputs(prediction=None, feature=None, present=None, size=2):
    return Outputs(
        prediction=prediction,
        feature=feature,
        present=dict.fromkeys('tav', jnp.ones(size, bool)) | (present or {}),
    )


def loss_terms(loss='l1', present=None, tasks='mtav'):
    """Samples 1 and 3, with labels 1 and −1, and errors of 1/2 and 2, of both signs."""
    o, index = objective(loss, tasks=tasks), [1, 3]
    memory = o.start(LABELS)
    if tasks != 'm':
        generated = {s: jnp.array(GENERATED[s]) for s in o.labels(memory)}
        memory = memory.replace(labels=generated)
    truth = {'m': LABELS} | GENERATED
    error = np.array([0.5, -2], np.float32)
    prediction = {task: truth[task][index] + error for task in tasks}
    return o.loss(outputs(prediction, present=present), batch(index), memory)


@pytest.mark.parametrize(
    ('loss', 'errors'),
    [
        ('l1', (0.5, 2)),
        ('l2', (0.25, 4)),
        (
            'huber',
            (0.125, 1.5),
        ),
    ],
)
def test_loss(loss, errors):
    """The distance |y_s − y_m| is 1 and 1 for t, 0 and 3/2 for a, 6 and 1/2 for v."""
    small, large = errors
    wanted = {
        'm': [small, large],
        't': [TANH[1] * small, TANH[1] * large],
        'a': [0, TANH[1.5] * large],
        'v': [TANH[6] * small, TANH[0.5] * large],
    }
    terms = loss_terms(loss)
    assert terms.keys() == wanted.keys()
    for task, values in wanted.items():
        # The tanh are given to six decimals.
        np.testing.assert_allclose(terms[task], values, atol=5e-6)


def test_an_absent_modality_has_no_loss_of_its_own():
    whole, part = loss_terms(), loss_terms(present={'t': jnp.array([True, False])})
    np.testing.assert_array_equal(part['t'], [whole['t'][0], 0])
    for task in 'mav':
        np.testing.assert_array_equal(part[task], whole[task])


def test_before_labels_are_generated_only_the_multimodal_loss_counts():
    """tanh|y_m − y_m| = 0."""
    o = objective()
    prediction = dict.fromkeys('mtav', jnp.array([0.0, 0.0]))
    terms = o.loss(outputs(prediction), batch([1, 4]), o.start(LABELS))
    np.testing.assert_array_equal(terms['m'], [1, 3])
    for s in 'tav':
        np.testing.assert_array_equal(terms[s], [0, 0])


FEATURES = np.array([[4, 0], [2, 0], [9, 12], [-2, 0], [-4, 0]], np.float32)


def update(o, memory, multimodal, unimodal, index, epoch):
    feature = {'m': jnp.float32(multimodal)}
    feature |= dict.fromkeys('tav', jnp.float32(unimodal))
    step = jax.jit(o.update)
    out = outputs(feature=feature, size=len(index))
    return step(memory, out, batch(index), jnp.int32(epoch))


def test_the_first_epoch_fills_the_memory_and_leaves_labels():
    o = objective()
    memory = o.start(LABELS)
    for index in ([4, 1], [0, 2], [3, 5]):
        x = np.append(FEATURES, [[99, 99]], 0)[index]
        memory = update(o, memory, x, x + 5, index, epoch=1)
    np.testing.assert_array_equal(memory.features, FEATURES)
    np.testing.assert_array_equal(memory.centroids.positive, [3, 0])
    np.testing.assert_array_equal(memory.centroids.lowest, [-4, 0])
    for labels in o.labels(memory).values():
        np.testing.assert_array_equal(labels, LABELS)


def test_labels_come_from_the_centroids_before_the_batch():
    """Sample 0's feature moves from (4, 0) to (12, 0), and with it two centroids.

    With those from before, `D_max` is 8: sample 2, with F*_m at (0, 0) and F*_s at
    (1, 0), gets 6 · 1/8, halved. Those from after have `D_max` 16: half of 6 · 1/16.
    """
    o = objective()
    memory = update(o, o.start(LABELS), FEATURES, FEATURES, range(5), epoch=1)
    moved, own = [[12, 0], [0, 0]], [[12, 0], [1, 0]]
    memory = update(o, memory, moved, own, [0, 2], epoch=3)
    np.testing.assert_array_equal(o.labels(memory)['t'], [3, 1, 0.375, -1, -3])
    np.testing.assert_array_equal(memory.centroids.positive, [7, 0])
    np.testing.assert_array_equal(memory.centroids.highest, [12, 0])
    # The next batch is labelled from the new ones.
    memory = update(o, memory, [[0, 0]], [[1, 0]], [1], epoch=3)
    np.testing.assert_array_equal(o.labels(memory)['t'][1], 1 + 0.1875)


def test_the_released_codes_settings_reach_label_generation():
    o = objective(label_bound=3.0, zero_is_positive=True)
    memory = update(o, o.start(LABELS), FEATURES, FEATURES, range(5), epoch=1)
    # (4 + 2 + 9) / 3 and 12 / 3, where thirds are rounded.
    np.testing.assert_allclose(memory.centroids.positive, [5, 4], rtol=1e-6)
    memory = update(o, memory, [[0, 0]], [[6, 4]], [1], epoch=3)
    # 1 + 6 · sqrt(52)/8 is clamped to 3, then halved with 1.
    assert o.labels(memory)['v'][1] == 2


@pytest.mark.parametrize('labels', ['sugrm', 'self_mm'])
@pytest.mark.parametrize('tasks', ['mt', 'mav', 'mv'])
def test_labels_are_generated_for_the_tasks_there_are(labels, tasks):
    every = {task: FEATURES + i for i, task in enumerate('mtav')}

    def after(tasks):
        o = objective(labels=labels, tasks=tasks)
        memory = o.start(LABELS)
        for epoch in (1, 2, 3):
            feature = {task: x * epoch for task, x in every.items() if task in tasks}
            out = outputs(feature=feature, size=5)
            memory = o.update(memory, out, batch(range(5)), epoch)
        return o.labels(memory)

    all_labels, some = after('mtav'), after(tasks)
    assert some.keys() == set(tasks) - {'m'}
    for s, x in some.items():
        np.testing.assert_array_equal(x, all_labels[s])
        assert (x != LABELS).any()


def test_only_the_tasks_there_are_have_a_loss():
    whole = loss_terms()
    for tasks in ('mt', 'mv', 'm'):
        part = loss_terms(tasks=tasks)
        assert ''.join(part) == tasks
        for task in tasks:
            np.testing.assert_array_equal(part[task], whole[task])


def test_with_the_multimodal_task_alone_nothing_is_remembered():
    o = objective(tasks='m')
    assert not jax.tree.leaves(o.start(LABELS))
    assert o.labels(o.start(LABELS)) == {}


def test_self_mms_labels_are_bounded_by_the_annotated_ones_or_as_set():
    """δ_m is tiny, and α beyond all bounds."""
    for bound, limit in ((None, 3), (2.0, 2)):
        o = objective(labels='self_mm', label_bound=bound)
        memory = update(o, o.start(LABELS), FEATURES, FEATURES, range(5), epoch=1)
        memory = update(o, memory, [[0.0, 0.1]], [[3, 0.5]], [1], epoch=3)
        # Half of the bound and of the label before, 1.
        assert abs(o.labels(memory)['t'][1]) == (limit + 1) / 2


def test_ulgm_is_refused_without_a_common_space():
    config = MultitaskConfig('l1', 'sugrm', None, False)
    with pytest.raises(UserError, match='common_width must be the same for all tasks'):
        multitask(config, {'m': 2, 't': 2, 'a': 3})
    multitask(MultitaskConfig('l1', 'self_mm', None, False), {'m': 2, 't': 3})


@pytest.mark.parametrize('field', ['loss', 'labels'])
def test_unknown_names_are_refused(field):
    with pytest.raises(ValueError, match=f'{field} must be one of'):
        objective(**{field: 'l3'})
