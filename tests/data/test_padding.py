"""Splits whose sequences are padded to different lengths."""

import numpy as np
import pytest

from sugrm_jax.errors import UserError
from tests.data.test_mmsa import make, same

STEPS = {'text_bert': 8, 'audio': 7, 'vision': 9}


def longer(field, count=12):
    """Zeros behind the steps of a field, up to `count` of them."""
    widths = [(0, 0)] * 3
    widths[2 if field == 'text_bert' else 1] = (0, count - STEPS[field])
    return lambda x: np.pad(x, widths)


@pytest.mark.parametrize('field', STEPS)
def test_splits_are_padded_to_the_length_of_train(field, mmsa):
    """Train has 12 steps, the others what they have: all get 12, zeros behind."""
    length, ours = STEPS[field], {'text_bert': 'tokens'}.get(field, field)
    axis = 2 if field == 'text_bert' else 1
    before, dataset = make(mmsa()), make(mmsa('train', **{field: longer(field)}))
    for name, found in dataset.splits.items():
        array = getattr(found, ours)
        assert array.shape[axis] == 12
        kept, added = np.split(array, [length], axis)
        same(kept, getattr(before.splits[name], ours))
        assert not added.any()
        for other in ('audio_length', 'vision_length'):
            same(getattr(found, other), getattr(before.splits[name], other))
    assert dataset.notes == (
        f'{field} has sequences of different length (12 in train, {length} in valid, '
        f'{length} in test); they were padded with zeros (12 in train, 12 in valid, 12 '
        'in test)',
    )


@pytest.mark.parametrize('field', STEPS)
@pytest.mark.parametrize('split', ['valid', 'test'])
def test_a_longer_split_makes_no_other_longer(field, split, mmsa):
    before, dataset = make(mmsa()), make(mmsa(split, **{field: longer(field)}))
    ours = {'text_bert': 'tokens'}.get(field, field)
    for name in {'train', 'valid', 'test'} - {split}:
        same(getattr(dataset.splits[name], ours), getattr(before.splits[name], ours))
    found = getattr(dataset.splits[split], ours)
    assert found.shape[2 if field == 'text_bert' else 1] == 12
    assert dataset.notes == ()


def test_one_long_sequence_does_not_lengthen_all_others(mmsa):
    raw = mmsa()
    raw['train'] = {field: x[:2] for field, x in raw['train'].items()}
    raw['train']['audio'] = np.ones((2, 2**18, 5), np.float32)
    del raw['train']['audio_lengths']
    with pytest.raises(UserError, match=r'audio has sequences of very different len'):
        make(raw)
