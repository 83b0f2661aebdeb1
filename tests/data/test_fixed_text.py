"""Fixed text features, the field `text` of an MMSA file."""

import numpy as np
import pytest

from sugrm_jax.data.mmsa import make_dataset
from sugrm_jax.errors import UserError


def make(raw, **options):
    return make_dataset(raw, path='data.pkl', **options)


def test_fixed_text_features_are_read_only_when_asked_for(mmsa):
    """They are larger than all else together."""
    raw = mmsa(text=lambda _: 'whatever')
    assert make(raw).notes == ()
    assert make(raw).train.text is None


def steps_and_width(raw):
    return raw['train']['text_bert'].shape[2], 6


def test_fixed_text_features(mmsa):
    raw = mmsa()
    steps, width = steps_and_width(raw)
    for split in raw.values():
        split['text'] = np.ones((len(split['id']), steps, width))
    raw['valid']['text'][1, 2, 3] = np.inf
    dataset = make(raw, fixed_text=True)
    assert dataset.train.text.shape == (len(dataset.train), steps, width)
    assert dataset.train.text.dtype == np.float32
    assert dataset.valid.text[1, 2].tolist() == [1, 1, 1, 0, 1, 1]
    assert dataset.notes == (
        'valid: 1 text value was not finite or too large and became 0',
    )
    np.testing.assert_array_equal(dataset.train.tokens, make(raw).train.tokens)


def test_fixed_text_features_alone_have_a_mask(mmsa):
    raw = mmsa()
    for split in raw.values():
        del split['text_bert']
        split['text'] = np.ones((len(split['id']), 4, 6))
        split['text'][0, 2:] = 0
    tokens = make(raw, fixed_text=True).train.tokens
    assert tokens[0, 1].tolist() == [1, 1, 0, 0]
    assert tokens[1, 1].tolist() == [1, 1, 1, 1]
    assert not tokens[:, [0, 2]].any()


def test_fixed_text_features_are_refused(mmsa):
    raw = mmsa()
    steps, width = steps_and_width(raw)
    with pytest.raises(UserError, match="split train has no field 'text'"):
        make(raw, fixed_text=True)
    for split in raw.values():
        split['text'] = np.ones((len(split['id']), steps + 1, width))
    with pytest.raises(UserError, match=r'text has .* steps and text_bert'):
        make(raw, fixed_text=True)
    raw['train']['text'] = raw['train']['text'][1:]
    with pytest.raises(UserError, match=r'text has .* entries'):
        make(raw, fixed_text=True)
