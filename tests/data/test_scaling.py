"""Standardisation: what it is fitted on, and what padding stays."""

import dataclasses

import hypothesis
import hypothesis.strategies as st
import numpy as np
import pytest

from sugrm_jax.data import load, scaling
from sugrm_jax.data import mmsa as reader
from sugrm_jax.errors import UserError
from tests.data.test_pickles import ATTACKS


def same(ours, theirs):
    np.testing.assert_array_equal(ours, theirs, strict=True)


@pytest.fixture
def dataset(mmsa):
    return reader.make_dataset(mmsa(), path='data.pkl')


def with_audio(split, steps, lengths):
    """The split with audio `[N, L, D]` from nested lists."""
    return dataclasses.replace(
        split,
        audio=np.array(steps, np.float32),
        audio_length=np.array(lengths, np.int32),
    )


def test_by_hand(dataset):
    # Real steps: (1, 5), (3, 5), (5, 5). Mean 3 and 5; variance 8/3 and none.
    split = with_audio(dataset.train, [[[1, 5], [3, 5]], [[5, 5], [99, 99]]], [2, 1])
    fitted = scaling.fit(split)
    std = np.float32(np.sqrt(8 / 3))
    same(fitted.audio_mean, np.array([3, 5], np.float32))
    same(fitted.audio_std, np.array([std, 1], np.float32))
    audio = scaling.apply(split, fitted).audio
    expected = np.array([[[-2 / std, 0], [0, 0]], [[2 / std, 0], [0, 0]]], np.float32)
    same(audio, expected)


@hypothesis.settings(
    deadline=None,
    suppress_health_check=[hypothesis.HealthCheck.function_scoped_fixture],
)
@hypothesis.given(st.integers(0, 2**32 - 1), st.floats(1e-3, 1e3), st.floats(-10, 10))
def test_real_steps_become_standard_and_padding_zero(dataset, seed, scale, offset):
    rng = np.random.default_rng(seed)
    audio = (rng.normal(size=(6, 7, 3)) * scale + offset * scale).astype(np.float32)
    length = rng.integers(0, 8, 6).astype(np.int32)
    length[0] = 7
    split = dataclasses.replace(dataset.train, audio=audio, audio_length=length)
    result = scaling.apply(split, scaling.fit(split))
    real = np.arange(7) < length[:, None]
    # An offset of up to ten deviations costs one of float32's seven digits.
    np.testing.assert_allclose(result.audio[real].mean(axis=0), 0, atol=1e-5)
    np.testing.assert_allclose(result.audio[real].std(axis=0), 1, atol=1e-5)
    assert result.audio.dtype == np.float32
    assert (result.audio[~real] == 0).all()
    assert split.audio is audio, 'the split itself stays'


def test_rounding_is_not_a_spread(dataset):
    # The mean of many 0.1 in float32 is not 0.1 to the last bit.
    steps = np.full((6, 7, 1), 0.1, np.float32)
    steps[0, 0] = np.nextafter(np.float32(0.1), np.float32(1))
    split = with_audio(dataset.train, steps, [7] * 6)
    fitted = scaling.fit(split)
    same(fitted.audio_std, np.ones(1, np.float32))
    assert np.abs(scaling.apply(split, fitted).audio).max() < 1e-7


def test_a_modality_that_is_nowhere(dataset):
    split = with_audio(dataset.train, np.zeros((6, 7, 2)), [0] * 6)
    fitted = scaling.fit(split)
    same(fitted.audio_mean, np.zeros(2, np.float32))
    same(fitted.audio_std, np.ones(2, np.float32))
    same(scaling.apply(split, fitted).audio, split.audio)


def test_all_splits_get_the_train_splits_statistics(dataset, mmsa, write):
    path = str(write(mmsa()))
    config = load.DataConfig(path, None, 3.0, True, False, ('t', 'a', 'v'))
    standard, fitted = load.load(config, None, 8, fixed_text=False)
    for a, b in zip(fitted, scaling.fit(dataset.train), strict=True):
        same(a, b)
    for name, split in standard.splits.items():
        before = dataset.splits[name]
        same(split.audio, scaling.apply(before, fitted).audio)
        same(split.vision, scaling.apply(before, fitted).vision)
        same(split.vision_length, before.vision_length)
        same(split.tokens, before.tokens)
    real = np.arange(9) < dataset.train.vision_length[:, None]
    # Twenty-odd steps in float32: a few roundings of 6e-8.
    np.testing.assert_allclose(standard.train.vision[real].std(axis=0), 1, atol=1e-6)


def test_saved_and_read_again(dataset, tmp_path):
    fitted = scaling.fit(dataset.train)
    (tmp_path / 'scaling.npz').write_bytes(fitted.to_bytes())
    for a, b in zip(
        scaling.Scaling.load(tmp_path / 'scaling.npz'), fitted, strict=True
    ):
        same(a, b)


def test_statistics_of_other_data(dataset):
    fitted = scaling.fit(dataset.train)._replace(vision_mean=np.zeros(9, np.float32))
    with pytest.raises(UserError, match=r'vision has 4 features, but .* have 9'):
        scaling.apply(dataset.test, fitted)


def test_statistics_that_cannot_be_read(dataset, tmp_path):
    path = tmp_path / 'scaling.npz'
    with pytest.raises(UserError, match=r'no feature statistics at .*scaling\.npz'):
        scaling.Scaling.load(path)
    path.write_bytes(scaling.fit(dataset.train).to_bytes())
    half = path.read_bytes()[:300]
    for content in (b'', b'text', half):
        path.write_bytes(content)
        with pytest.raises(UserError, match=r'scaling\.npz does not hold feature stat'):
            scaling.Scaling.load(path)
    np.savez(path, audio_mean=np.zeros(2))
    with pytest.raises(UserError, match='does not hold feature statistics'):
        scaling.Scaling.load(path)
    with path.open('wb') as file:
        np.save(file, np.zeros(2))
    with pytest.raises(UserError, match='does not hold feature statistics'):
        scaling.Scaling.load(path)


@pytest.mark.parametrize('attack', ATTACKS)
def test_code_among_statistics_does_not_run(attack, tmp_path):
    trace, path = tmp_path / 'trace', tmp_path / 'scaling.npz'
    np.savez(path, audio_mean=np.array([ATTACKS[attack](str(trace)), None], object))
    with np.load(path, allow_pickle=True) as archive:
        archive['audio_mean']
    assert trace.exists(), 'the attack itself must work'
    trace.unlink()
    with pytest.raises(UserError, match=r'scaling\.npz does not hold feature stat'):
        scaling.Scaling.load(path)
    assert not trace.exists()


@pytest.mark.parametrize('field', scaling.Scaling._fields)
@pytest.mark.parametrize('value', [np.nan, np.inf])
def test_statistics_that_are_not_finite(field, value, dataset, tmp_path):
    fitted = scaling.fit(dataset.train)
    wrong = getattr(fitted, field).copy()
    wrong[1] = value
    path = tmp_path / 'scaling.npz'
    path.write_bytes(fitted._replace(**{field: wrong}).to_bytes())
    with pytest.raises(UserError, match=f'{field} is not finite'):
        scaling.Scaling.load(path)
