"""The batches of a whole run: all samples, one shape, the same after a stop."""

import dataclasses

import jax
import numpy as np
import pytest

from sugrm_jax import parallel
from sugrm_jax.config import plain
from sugrm_jax.layers.text import TokenPacker
from sugrm_jax.training import evaluate
from sugrm_jax.training import plans as plans_module
from sugrm_jax.training.fixed_text import encode_texts
from sugrm_jax.training.plans import Plans
from sugrm_jax.training.programs import make_programs
from sugrm_jax.training.setup import prepare
from tests.training.conftest import SIZES


@pytest.fixture
def setup(config):
    return prepare(plain(config))


@pytest.mark.parametrize(('devices', 'rows', 'eval_rows'), [(1, 8, 4), (3, 9, 6)])
def test_every_split_is_whole(setup, devices, rows, eval_rows):
    plans = Plans(setup, devices)
    assert plans.steps == 3
    for epoch in (1, 2):
        index = plans.epoch(epoch).index
        assert index.shape == (3, rows)
        np.testing.assert_array_equal(np.sort(index[index < 21]), np.arange(21))
    assert (plans.epoch(1).index != plans.epoch(2).index).any()
    for name, count in SIZES.items():
        (plan,) = plans.whole[name]
        index = plan.index
        assert index.shape[1] == eval_rows and plan.share == 1
        np.testing.assert_array_equal(index[index < count], np.arange(count))


def test_all_batches_of_a_kind_have_the_same_packed_rows(setup):
    plans = Plans(setup, 1)
    shapes = {plans.epoch(epoch).packing.group.shape for epoch in range(1, 9)}
    assert len(shapes) == 1
    whole = [plan for parts in plans.whole.values() for plan in parts]
    assert len({plan.packing.group.shape[1:] for plan in whole}) == 1


def with_lengths(dataset, **steps):
    """Texts of so many tokens each in some splits, of at most 8."""
    changed = {}
    for name, count in steps.items():
        split = getattr(dataset, name)
        tokens = np.zeros_like(split.tokens)
        tokens[:, :2, :count] = [[[7], [1]]]
        changed[name] = dataclasses.replace(split, tokens=tokens)
    return dataclasses.replace(dataset, **changed)


# Four short texts share two rows; four long ones have a row each.
SHORT, LONG = 4, 8


def test_the_test_split_has_no_say_in_how_others_are_packed(setup):
    dataset = with_lengths(setup.dataset, train=SHORT, valid=SHORT, test=LONG)
    whole = Plans(dataclasses.replace(setup, dataset=dataset), 1).whole
    rows = {name: plans[0].packing.group.shape[1] for name, plans in whole.items()}
    assert rows == {'train': 2, 'valid': 2, 'test': 4}


def test_only_train_has_a_say_in_how_its_texts_are_encoded(setup, monkeypatch):
    rows = []
    original = TokenPacker.__call__

    def spy(packer, index, count):
        rows.append(count)
        return original(packer, index, count)

    monkeypatch.setattr(TokenPacker, '__call__', spy)
    dataset = with_lengths(setup.dataset, train=SHORT, valid=LONG, test=SHORT)
    params = setup.params['text']
    encode_texts(dataset, setup.system.model.text, params, packs=True, size=4)
    assert rows == [2, 4, 2]


def test_an_epoch_beyond_the_planned_ones_gets_the_rows_it_needs(setup):
    plans = Plans(setup, 1)
    needed = plans.epoch(2).packing.group.shape[1]
    assert needed > 1
    plans._packed = 1  # as if the planned epochs had needed no more
    plan = plans.epoch(2)
    assert 1 < plan.packing.group.shape[1] <= needed
    jax.tree.map(np.testing.assert_array_equal, plan, plans.epoch(2))


def test_where_padding_takes_part_nothing_is_packed(config):
    config.model.padding = 'released'
    plans = Plans(prepare(plain(config)), 1)
    assert plans.epoch(1).packing is None
    assert all(plan.packing is None for (plan,) in plans.whole.values())


def test_text_that_is_encoded_already_is_not_packed(config, monkeypatch):
    monkeypatch.setattr(plans_module, 'WORTH_CUTTING', 12)
    config.text.finetune = False
    plans = Plans(prepare(plain(config)), 1)
    assert plans.epoch(1).packing is None
    assert [plan.packing for plan in plans.whole['train']] == [None, None]
    assert [plan.share for plan in plans.whole['train']] == [0.5, 1.0]


def test_short_utterances_are_evaluated_apart(setup, monkeypatch):
    monkeypatch.setattr(plans_module, 'WORTH_CUTTING', 12)
    plans = Plans(setup, 1)
    for name, split in setup.dataset.splits.items():
        found = []
        for plan in plans.whole[name]:
            index = plan.index[plan.index < len(split)]
            # Of 12 and 9 steps.
            assert split.audio_length[index].max() <= plan.share * 12
            assert split.vision_length[index].max() <= plan.share * 9
            found.extend(index)
        np.testing.assert_array_equal(np.sort(found), np.arange(len(split)))
    assert [plan.share for plan in plans.whole['train']] == [0.5, 1.0]


def test_aligned_data_are_not_cut(setup, monkeypatch):
    """Audio and vision would no longer have the steps of the text."""
    monkeypatch.setattr(plans_module, 'WORTH_CUTTING', 1)
    split = setup.dataset.train
    split = dataclasses.replace(
        split, audio=split.audio[:, :8], audio_length=np.full(len(split), 2)
    )
    ((share, order),) = plans_module.by_length(split)
    assert share == 1 and len(order) == len(split)


def test_cutting_padding_changes_no_prediction(setup, monkeypatch):
    mesh = parallel.data_mesh()
    evaluate_step = make_programs(setup, mesh).evaluate
    variables = {'params': setup.params, **setup.stats}
    split, found = setup.dataset.train, []
    for worth in (200, 12):
        monkeypatch.setattr(plans_module, 'WORTH_CUTTING', worth)
        plans = Plans(setup, 1).whole['train']
        found.append(evaluate.predict(evaluate_step, variables, split, plans, mesh))
    assert len(plans) == 2
    for task, predictions in found[0].items():
        # float32 sums in another order, of values of order 1.
        np.testing.assert_allclose(predictions, found[1][task], atol=2e-5)
