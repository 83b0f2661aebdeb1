"""Modalities left out of a data set."""

import dataclasses

import numpy as np
import pytest

from sugrm_jax.data import modalities
from sugrm_jax.data.mmsa import make_dataset
from tests.training.conftest import tiny_data


@pytest.fixture(scope='module')
def dataset():
    return make_dataset(tiny_data(), path='tiny')


def test_all_kept_is_the_same(dataset):
    kept = modalities.keep_only(dataset, ('t', 'a', 'v'))
    assert all(kept.splits[name] is x for name, x in dataset.splits.items())


def test_text_only(dataset):
    kept = modalities.keep_only(dataset, ('t',))
    for name, split in kept.splits.items():
        count = len(split)
        for x, length in (
            (split.audio, split.audio_length),
            (split.vision, split.vision_length),
        ):
            assert x.shape == (count, 8, 1)  # the steps of the text
            assert not x.any() and not length.any()
        np.testing.assert_array_equal(split.tokens, dataset.splits[name].tokens)
    assert kept.sha256 == dataset.sha256


def test_without_text(dataset):
    with_text = dataset.map(
        lambda split: dataclasses.replace(split, text=np.ones((len(split), 8, 6)))
    )
    split = modalities.keep_only(with_text, ('v', 'a')).valid
    assert split.tokens.shape == (7, 3, 1) and not split.tokens.any()
    assert split.text.shape == (7, 1, 1) and not split.text.any()
    np.testing.assert_array_equal(split.audio, dataset.valid.audio)


def test_aligned_data_keep_their_steps(dataset):
    def align(split):
        return dataclasses.replace(
            split, audio=split.audio[:, :8], vision=split.vision[:, :8]
        )

    split = modalities.keep_only(dataset.map(align), ('t', 'v')).train
    assert split.audio.shape == (21, 8, 1)


@pytest.mark.parametrize('wrong', [(), ('t', 'x'), ('t', 't')])
def test_no_modalities(wrong):
    with pytest.raises(ValueError, match='modalities must be some of'):
        modalities.check(wrong)
