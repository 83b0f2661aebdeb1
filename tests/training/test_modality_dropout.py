"""Samples that lose modalities in training: how many, which, and what that changes."""

import os
import pickle
import signal

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sugrm_jax import UserError, load_config, parallel, train
from sugrm_jax.config import plain
from sugrm_jax.data.batches import gather, samples_of
from sugrm_jax.interrupt import Interrupted
from sugrm_jax.layers.text import TokenPacker
from sugrm_jax.models.system import System
from sugrm_jax.training import modality_dropout as module
from sugrm_jax.training.feed import put_batch
from sugrm_jax.training.modality_dropout import draw_lost, lose_at_random, without
from sugrm_jax.training.plans import Plans
from sugrm_jax.training.programs import make_programs
from sugrm_jax.training.setup import prepare
from sugrm_jax.training.shared import Shared
from sugrm_jax.training.state import start_state
from sugrm_jax.training.step import forward, step_keys
from sugrm_jax.training.workdir import identity
from sugrm_jax.types import MODALITIES
from tests.training.conftest import tiny_config, tiny_data
from tests.training.runs import assert_alike, figures, stop_after

RATE = 0.5
SYSTEM = System(model=None, objective=None, masks_padding=True)


def drawn(has, may=None, rate=RATE, seed=0):
    has = np.asarray(has, bool)
    may = has if may is None else np.asarray(may, bool)
    return np.asarray(draw_lost(jax.random.key(seed), has, may, rate))


@settings(max_examples=30, deadline=None)
@given(
    has=st.lists(
        st.lists(st.booleans(), min_size=3, max_size=3), min_size=8, max_size=8
    ),
    rate=st.floats(0.01, 0.999),
    seed=st.integers(0, 2**31),
)
def test_only_what_is_there_is_lost_and_never_all(has, rate, seed):
    has, lost = np.array(has), drawn(has, rate=rate, seed=seed)
    assert not (lost & ~has).any()
    np.testing.assert_array_equal((has & ~lost).any(1), has.any(1))


@pytest.mark.parametrize('rate', [0.2, 0.7])
def test_each_modality_is_lost_so_often_and_any_one_is_kept(rate):
    count = 40_000
    lost = drawn(np.ones((count, 3), bool), rate=rate)
    kept = rate**3 / 3  # all would go, and this one stays
    expected = rate - kept
    # Four standard errors.
    error = 4 * (expected * (1 - expected) / count) ** 0.5
    np.testing.assert_allclose(lost.mean(0), expected, atol=error)
    # All three subsets of two lost are as frequent.
    alone = [(lost.sum(1) == 2) & ~lost[:, k] for k in range(3)]
    share = rate**2 * (1 - rate) + kept
    np.testing.assert_allclose(
        [x.mean() for x in alone], share, atol=4 * (share / count) ** 0.5
    )


def test_the_last_modality_is_never_lost():
    alone = np.eye(3, dtype=bool)[np.arange(300) % 3]
    assert not drawn(alone, rate=0.99).any()


def test_rows_that_only_fill_a_batch_change_no_other_draw():
    few = drawn(np.ones((5, 3), bool))
    np.testing.assert_array_equal(drawn(np.ones((8, 3), bool))[:5], few)


def test_keys_are_of_the_step_and_of_no_other_use():
    key = jax.random.key(3)
    keys = [module.modality_key(key, i) for i in range(3)]
    keys += [k for i in range(3) for k in step_keys(key, i).values()]
    data = {tuple(np.asarray(jax.random.key_data(k))) for k in keys}
    assert len(data) == 9


def test_a_system_that_needs_text_keeps_it(setup):
    batch = first_batch(setup)
    lose = module.modality_dropout(0.9, SYSTEM._replace(needs_text=True))
    lost = [lose(batch, jax.random.key(i)) for i in range(20)]
    for other in lost:
        np.testing.assert_array_equal(other.tokens, batch.tokens)
        jax.tree.map(np.testing.assert_array_equal, other.packing, batch.packing)
    # Text is left, so that both of the others may go.
    both = [(x.audio_length == 0) & (x.vision_length == 0) for x in lost]
    assert np.mean(both) > 0.6


def test_where_nothing_is_absent_it_is_refused(config):
    config.train.modality_dropout = 0.1
    config.model.padding = 'released'
    with pytest.raises(UserError, match=r"set config.model.padding to 'masked', or"):
        prepare(plain(config))


@pytest.mark.parametrize('rate', [-0.1, 1.0, float('nan')])
def test_what_is_no_probability_is_refused(config, rate):
    config.train.modality_dropout = rate
    with pytest.raises(
        UserError, match='modality_dropout must be at least 0 and below'
    ):
        prepare(plain(config))


def test_off_it_is_no_part_of_the_program_nor_of_the_runs_identity(
    setup, config, monkeypatch
):
    config.train.modality_dropout = 0.0
    off = plain(config)
    del config.train.modality_dropout
    assert identity(off, 'x') == identity(plain(config), 'x')
    on = off | {'train': off['train'] | {'modality_dropout': 0.1}}
    assert identity(on, 'x') != identity(off, 'x')
    assert setup.lose is not None
    assert prepare(off).lose is None
    assert load_config('configs/demo.py', []).train.modality_dropout == 0


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp('dropout')


@pytest.fixture(scope='module')
def lossy(folder):
    """A config whose samples lose half of their modalities."""
    path = folder / 'tiny.pkl'
    path.write_bytes(pickle.dumps(tiny_data()))
    config = tiny_config(path)
    config.train.modality_dropout = RATE
    return config


@pytest.fixture(scope='module')
def common_programs():
    return Shared()


@pytest.fixture(scope='module')
def setup(lossy, common_programs):
    return prepare(plain(lossy), common_programs)


@pytest.fixture(scope='module')
def programs(setup, common_programs):
    return common_programs.programs(
        setup.experiment.unseeded, lambda: make_programs(setup, parallel.data_mesh())
    )


def first_batch(setup):
    """Eight samples in packed rows, on the host."""
    plan = Plans(setup, 1).epoch(1)[0]
    return gather(samples_of(setup.dataset.train), plan)


def test_a_lost_modality_is_as_one_that_never_was(setup, programs):
    """Of packed text and of features: predictions are those of data without it."""
    plan, mesh = Plans(setup, 1).whole['train'][0][0], parallel.data_mesh()
    samples = samples_of(setup.dataset.train)
    gone = {'t': [1, 0, 0, 1], 'a': [0, 1, 0, 1], 'v': [0, 0, 1, 0]}
    gone = {s: np.array(x, bool) for s, x in gone.items()}
    batch = put_batch(samples, plan, mesh)
    variables = {'params': setup.params, **setup.stats}
    found = programs.evaluate(variables, jax.jit(without)(batch, gone))

    there = {s: ~x for s, x in gone.items()}
    real = gather(samples, plan)
    tokens = real.tokens * there['t'][:, None, None]
    rows = plan.packing.group.shape[0]
    repacked = TokenPacker(tokens)(np.arange(4)[None], rows)
    never = real.replace(
        tokens=tokens,
        audio=real.audio * there['a'][:, None, None],
        audio_length=real.audio_length * there['a'],
        vision=real.vision * there['v'][:, None, None],
        vision_length=real.vision_length * there['v'],
        packing=jax.tree.map(lambda x: x[0], repacked),
    )
    expected = programs.evaluate(variables, parallel.join(never, mesh))
    for s in MODALITIES:
        np.testing.assert_array_equal(found.present[s], there[s])
    for task, values in expected.prediction.items():
        np.testing.assert_allclose(found.prediction[task], values, atol=1e-6)
    # Nothing is left of what was lost, whoever reads it, a lost text's rows among it.
    lost, packing = without(real, gone), without(real, gone).packing
    for field in ('tokens', 'audio', 'audio_length', 'vision', 'vision_length'):
        np.testing.assert_array_equal(getattr(lost, field), getattr(never, field))
    np.testing.assert_array_equal(packing.length > 0, there['t'])
    assert set(np.unique(packing.group)) == {0, 2, 3}
    assert not packing.position[packing.group == 0].any()


def test_no_gradient_reaches_a_lost_modality(lossy):
    config = lossy.copy_and_resolve_references()
    # Of all encoders the one that compiles soonest.
    config.model.encoder = 'lstm'
    setup = prepare(plain(config))
    batch = first_batch(setup)
    text = np.random.default_rng(0).normal(size=(8, 8, 32)).astype(np.float32)
    batch = batch.replace(text=text, packing=None)
    system, key = setup.system, jax.random.key(5)
    state = start_state(
        setup.params,
        setup.optimizer,
        system.objective,
        setup.dataset.train.label,
        averaged=False,
        stats=setup.stats,
    )

    @jax.jit
    def gradients(features):
        def loss(features):
            lost = setup.lose(batch.replace(**features), key)
            found = forward(
                state.params,
                state,
                lost,
                step_keys(key, 0),
                model=system.model,
                objective=system.objective,
            )
            return found[0]

        return jax.grad(loss)(features)

    features = {'text': text, 'audio': batch.audio, 'vision': batch.vision}
    found = gradients(jax.tree.map(jnp.asarray, features))
    lost = lose_at_random(batch, key, rate=RATE, keeps=())
    lengths = module.lengths(lost)
    for s, field in (('t', 'text'), ('a', 'audio'), ('v', 'vision')):
        reached = np.abs(found[field]).sum((1, 2)) > 0
        np.testing.assert_array_equal(reached, lengths[s] > 0)
        assert 0 < reached.sum() < 8


def test_the_label_of_a_lost_modality_stays_in_that_step(setup, programs):
    plan, mesh = Plans(setup, 1).epoch(1), parallel.data_mesh()
    samples = samples_of(setup.dataset.train)
    state = programs.start(
        *jax.device_get((setup.params,)),
        labels=setup.dataset.train.label,
        stats=setup.stats,
    )
    asked = parallel.join(np.zeros(1, bool), mesh)
    seed, moved, kept = np.uint32(1), [], []
    for step in range(3):
        batch, index = put_batch(samples, plan[step], mesh), plan[step].index
        before = jax.device_get(setup.system.objective.labels(state.memory))
        state, _ = programs.train(state, batch, np.int32(2), seed, asked)
        after = jax.device_get(setup.system.objective.labels(state.memory))
        lost = setup.lose(batch, module.modality_key(jax.random.key(seed), step))
        # Before the first step there are no centres, and no label moves.
        for s, length in module.lengths(lost).items() if step else ():
            real = index < len(setup.dataset.train)
            moved.extend((before[s] != after[s])[index[real]])
            kept.extend(np.asarray(length > 0)[real])
    np.testing.assert_array_equal(moved, kept)
    assert 10 < sum(kept) < 30  # of 13 samples with three modalities


def test_a_stopped_run_ends_alike(lossy, common_programs, folder, monkeypatch):
    whole = train(lossy, folder / 'whole', shared=common_programs)
    with monkeypatch.context() as patch:
        stop_after(patch, 5, lambda: os.kill(os.getpid(), signal.SIGTERM))
        with pytest.raises(Interrupted):
            train(lossy, folder / 'stopped', shared=common_programs)
    resumed = train(lossy, folder / 'stopped', shared=common_programs)
    assert figures(resumed) == figures(whole)
    assert resumed['robustness'] == whole['robustness']
    assert_alike(folder / 'stopped', folder / 'whole')
