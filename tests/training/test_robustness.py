"""The test split without a modality, and with that of other utterances."""

import dataclasses

import numpy as np
import pytest

from sugrm_jax.config import plain
from sugrm_jax.data import missing
from sugrm_jax.data.modalities import keep_only_of
from sugrm_jax.models.system import System
from sugrm_jax.prediction import Predictor
from sugrm_jax.training import plans as plans_module
from sugrm_jax.training import robustness as module
from sugrm_jax.training.evaluate import evaluate
from sugrm_jax.training.plans import Plans
from sugrm_jax.training.robustness import changed, robustness
from sugrm_jax.training.setup import prepare
from sugrm_jax.types import MODALITIES

SYSTEM = System(model=None, objective=None, masks_padding=True)
# Of 12 steps of audio: no batch is cut, or those of short utterances are.
WORTH = [200, 12]


@pytest.fixture(scope='module')
def setup(finished, shared):
    return prepare(plain(finished[0]), shared)


def test_what_a_run_says_is_what_its_model_predicts_on_data_without(finished, setup):
    """By another way, in which utterances are neither packed nor batched alike."""
    _, workdir, results = finished
    predictor, split = Predictor.load(workdir), setup.dataset.test
    without = keep_only_of(split, ('t', 'v'))
    # What it was trained on has so wide features, of which none is read.
    assert not without.audio_length.any()
    without = dataclasses.replace(without, audio=np.full_like(split.audio, 7))
    donors = missing.others(len(split), module.SEED)
    swapped = dataclasses.replace(
        split, vision=split.vision[donors], vision_length=split.vision_length[donors]
    )
    texts = dataclasses.replace(split, tokens=split.tokens[donors])
    for kind, s, other in (
        ('removed', 'a', without),
        ('noise', 'v', swapped),
        ('noise', 't', texts),
    ):
        expected = evaluate(predictor(other), split, 3.0)
        assert results['robustness'][kind][s] == pytest.approx(expected, abs=1e-5)
        assert results['robustness'][kind][s]['mae'] != results['test']['mae']


def test_every_case_has_the_metrics_of_test(finished):
    *_, results = finished
    found = results['robustness']
    assert list(found) == ['removed', 'noise']
    for cases in found.values():
        assert list(cases) == list(MODALITIES)
        for metrics in cases.values():
            assert metrics.keys() == results['test'].keys()
    assert len({metrics['mae'] for x in found.values() for metrics in x.values()}) == 6


@pytest.mark.parametrize('worth', WORTH)
def test_the_plans_hold_everything_in_the_shapes_that_are_compiled(
    setup, monkeypatch, worth
):
    monkeypatch.setattr(plans_module, 'WORTH_CUTTING', worth)
    plans, split = Plans(setup, 1), setup.dataset.test
    compiled = {
        (plan.share, plan.packing.group.shape[1:])
        for parts in plans.whole.values()
        for plan in parts
    }
    for cases in changed(split, SYSTEM).values():
        for s, other in cases.items():
            index = []
            for plan in plans.of(other):
                rows = plan.index[plan.index < len(split)]
                assert other.audio_length[rows].max() <= plan.share * 12
                assert other.vision_length[rows].max() <= plan.share * 9
                fits = plan.packing.length.sum() == other.tokens[:, 1][rows].sum()
                assert fits, s
                shape = plan.share, plan.packing.group.shape[1:]
                assert shape in compiled
                index.extend(rows)
            np.testing.assert_array_equal(np.sort(index), np.arange(len(split)))


def test_more_packed_rows_than_planned_are_given_where_texts_need_them(setup):
    plans, split = Plans(setup, 1), setup.dataset.test
    (usual,) = plans.of(split)
    plans._eval_packed = {1.0: 1}  # as if the texts so far had needed no more
    (plan,) = plans.of(split)
    assert 1 < plan.packing.group.shape[1] <= usual.packing.group.shape[1]


def test_without_cut_batches_there_are_none_for_an_absent_modality(setup, monkeypatch):
    """Utterances that have only become short are no reason to compile once more."""
    monkeypatch.setattr(plans_module, 'WORTH_CUTTING', 12)

    def longest(split):
        full = {f'{x}_length': np.full(len(split), n) for x, n in LENGTHS.items()}
        return dataclasses.replace(split, **full)

    dataset = setup.dataset.map(longest)
    plans = Plans(dataclasses.replace(setup, dataset=dataset), 1)
    short = missing.removed(missing.removed(dataset.test, 'a'), 'v')
    assert [plan.share for plan in plans.of(short)] == [1.0]


LENGTHS = {'audio': 12, 'vision': 9}


def defined(split, system=SYSTEM):
    return {
        kind: ''.join(s for s, other in cases.items() if other is not None)
        for kind, cases in changed(split, system).items()
    }


def test_what_cannot_be_done_is_left_out(setup):
    split = setup.dataset.test
    assert defined(split) == {'removed': 'tav', 'noise': 'tav'}
    needs = SYSTEM._replace(needs_text=True)
    assert defined(split, needs) == {'removed': 'av', 'noise': 'tav'}
    released = SYSTEM._replace(masks_padding=False)
    assert defined(split, released) == {'removed': '', 'noise': 'tav'}
    no_vision = keep_only_of(split, ('t', 'a'))
    assert defined(no_vision) == {'removed': 'ta', 'noise': 'ta'}
    audio = keep_only_of(split, ('a',))
    assert defined(audio) == {'removed': '', 'noise': 'a'}
    one = dataclasses.replace(
        split,
        label=split.label[:1],
        tokens=split.tokens[:1],
        audio_length=np.ones(1, int),
        vision_length=np.ones(1, int),
    )
    assert defined(one) == {'removed': 'tav', 'noise': ''}


def test_a_prediction_that_is_not_finite_has_no_metrics(setup):
    split = setup.dataset.test

    def predict(other):
        return {'m': split.label / other.audio_length.any()}

    with np.errstate(invalid='ignore', divide='ignore'):
        found = robustness(predict, split, SYSTEM, 3.0)
    assert found['removed']['a'] is None
    assert found['removed']['t']['mae'] == 0 == found['noise']['a']['mae']
