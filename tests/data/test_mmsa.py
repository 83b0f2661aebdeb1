"""Whole files: a sound one, one with each oddity, one with each fault."""

import hashlib
import os
import pathlib

import numpy as np
import pytest

from sugrm_jax.data import mmsa as reader
from sugrm_jax.data.simulate import simulate
from sugrm_jax.errors import UserError


def same(ours, theirs):
    np.testing.assert_array_equal(ours, theirs, strict=True)


def make(raw, **options):
    return reader.make_dataset(raw, path='data.pkl', **options)


def edit(index, value):
    """A change of a field: a copy with one entry replaced."""

    def change(array):
        array = array.copy()
        array[index] = value
        return array

    return change


# What is sound. ------------------------------------------------------------------


def test_a_file_comes_through(mmsa, write):
    raw = mmsa()
    path = write(raw)
    dataset = reader.load_dataset(path)
    assert (dataset.path, dataset.label_range, dataset.notes) == (str(path), 3.0, ())
    assert dataset.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert [len(split) for split in dataset.splits.values()] == [6, 4, 3]
    for name, split in dataset.splits.items():
        assert split.ids == raw[name]['id'].tolist()
        assert split.raw_text == raw[name]['raw_text'].tolist()
        same(split.tokens, raw[name]['text_bert'].astype(np.int32))
        same(split.label, raw[name]['regression_labels'])
        for field in ('audio', 'vision'):
            same(getattr(split, field), raw[name][field])
            claimed = np.array(raw[name][f'{field}_lengths'], np.int32)
            same(getattr(split, f'{field}_length'), claimed)
        assert split.unimodal == {}


def test_storage_does_not_matter(mmsa):
    plain = make(mmsa())
    odd = make(
        mmsa(
            id=lambda x: [name.encode() for name in x.tolist()],
            raw_text=lambda x: x.astype(object),
            text_bert=lambda x: x.astype(np.int64),
            audio=lambda x: x.astype(np.float64),
            vision=lambda x: np.asfortranarray(x.astype('>f4')),
            audio_lengths=np.array,
            vision_lengths=None,  # found again: the steps after them are zero
            regression_labels=lambda x: x.astype(np.float64).tolist(),
            classification_labels=None,
            annotations=None,
        )
    )
    assert odd.notes == ()
    for a, b in zip(odd.splits.values(), plain.splits.values(), strict=True):
        assert (a.ids, a.raw_text) == (b.ids, b.raw_text)
        for field in ('tokens', 'label', 'audio', 'vision'):
            same(getattr(a, field), getattr(b, field))
            assert getattr(a, field).dtype.isnative
        same(a.audio_length, b.audio_length)
        same(a.vision_length, b.vision_length)


def test_unimodal_labels(mmsa):
    raw = mmsa(regression_labels=lambda x: x / 3)
    for split in raw.values():
        for k, s in enumerate('TAV', start=1):
            split[f'regression_labels_{s}'] = split['regression_labels'] / k
    dataset = make(raw, label_range=1.0)
    for name, split in dataset.splits.items():
        assert list(split.unimodal) == ['t', 'a', 'v']
        for k, s in enumerate('tav', start=1):
            same(split.unimodal[s], raw[name]['regression_labels'] / np.float32(k))
    assert dataset.notes == ()


def test_raw_text_is_tokenised(mmsa):
    def tokenizer(texts):
        return np.full((len(texts), 3, 4), len(texts[0]) % 2, np.int32)

    raw = mmsa(text_bert=None, raw_text=lambda x: ['odd'] * len(x))
    assert (make(raw, tokenizer=tokenizer).valid.tokens == 1).all()
    with pytest.raises(UserError, match='split train has no text_bert: give a token'):
        make(raw)
    # A file's own tokens are never replaced.
    same(make(mmsa(), tokenizer=tokenizer).test.tokens, make(mmsa()).test.tokens)


def test_simulated_data_are_such_a_file():
    sizes = dict(train=12, valid=6, test=6, audio_length=9, vision_length=9)
    raw = simulate(**sizes, seed=0)
    tokens = np.zeros((12, 3, 4), np.int32)
    options = {'tokenizer': lambda texts: tokens[: len(texts)]}
    dataset, again = make(raw, **options), make(raw, **options)
    assert list(dataset.train.unimodal) == ['t', 'a', 'v']
    assert (dataset.train.audio_length == 0).sum() == 1
    assert dataset.sha256 == again.sha256
    raw['test']['audio'][0, 0, 0] += 1
    assert make(raw, **options).sha256 != dataset.sha256


# What is odd. --------------------------------------------------------------------


def test_bad_values_are_mended_and_counted(mmsa):
    dataset = make(
        mmsa(
            'train',
            audio=edit(np.s_[0, 0, :3], [np.nan, np.inf, -np.inf]),
            vision=edit(np.s_[1, 0, 0], np.nan),
        )
    )
    same(dataset.train.audio[0, 0, :3], np.zeros(3, np.float32))
    assert dataset.train.vision[1, 0, 0] == 0
    assert dataset.notes == (
        'train: 3 audio values were not finite or too large and became 0',
        'train: 1 vision value was not finite or too large and became 0',
    )


def test_a_step_of_bad_values_only_makes_no_length(mmsa):
    raw = mmsa('test', audio=edit(2, -np.inf), audio_lengths=None)
    dataset = make(raw)
    assert dataset.test.audio_length[2] == 0
    assert dataset.notes == (
        'test: 35 audio values were not finite or too large and became 0',
        'utterances without audio: 1 of 3 in test',
    )


def test_absent_modalities(mmsa):
    raw = mmsa(
        'valid', vision=edit(np.s_[:2], 0), vision_lengths=lambda _: [0, 5, 9, 9]
    )
    raw['test']['vision'][0] = 0
    raw['train']['audio'][:3] = 0
    raw['train']['audio_lengths'][:3] = [0, 0, 0]
    dataset = make(raw)
    same(dataset.valid.vision_length, np.array([0, 0, 9, 9], np.int32))
    assert dataset.notes == (
        'utterances without audio: 3 of 6 in train',
        'utterances without vision: 2 of 4 in valid, 1 of 3 in test; '
        'the file gives 2 of them a length, but all is 0',
    )


def test_features_beyond_the_length_stay_and_are_noted(mmsa):
    raw = mmsa(
        'valid', audio=edit(np.s_[3, 6], 1), audio_lengths=lambda _: [7, 7, 7, 2]
    )
    dataset = make(raw)
    assert dataset.valid.audio_length[3] == 2
    same(dataset.valid.audio, raw['valid']['audio'])
    assert dataset.notes == ('valid: 1 of 4 utterances have audio beyond their length',)


def test_one_vector_is_one_step(mmsa):
    dataset = make(mmsa(audio=lambda x: x[:, 0] + 9, audio_lengths=None))
    assert dataset.train.audio.shape == (6, 1, 5)
    same(dataset.train.audio_length, np.ones(6, np.int32))


def test_ids_in_more_than_one_split(mmsa):
    raw = mmsa('valid', id=edit(0, 'train$_$5'))
    raw['test']['id'] = np.array(['train$_$5', 'train$_$1', 'test$_$2'])
    told = (
        'ids in more than one split: train$_$1 (train and test), '
        'train$_$5 (train and valid and test)'
    )
    dataset = make(raw)
    assert dataset.notes == (told,)
    assert reader.shared_ids(dataset.splits) == {
        'train$_$1': ['train', 'test'],
        'train$_$5': ['train', 'valid', 'test'],
    }
    with pytest.raises(UserError) as error:
        make(raw, strict=True)
    assert str(error.value).startswith(f'data.pkl: {told}. Set data.strict')
    assert make(mmsa(), strict=True).notes == ()


def test_a_suspicious_label_range(mmsa):
    raw = mmsa(regression_labels=lambda x: x / 3)
    (note,) = make(raw).notes
    assert note.startswith('no label is beyond ±1, of a range of ±3')
    assert make(raw, label_range=1.0).notes == ()


# What is wrong. ------------------------------------------------------------------


def grow(x):
    return np.concatenate([x, x[:1]])


FAULTS = {
    'one field longer': ('raw_text', grow, 'has 4 entries where id has 3'),
    'one array longer': ('audio', grow, 'has 4 entries where id has 3'),
    'tokens longer': ('text_bert', grow, 'has 4 entries where id has 3'),
    'labels longer': ('regression_labels', grow, 'has 4 entries where id has 3'),
    'lengths longer': ('audio_lengths', grow, 'has 4 entries where id has 3'),
    'classes longer': ('annotations', grow, 'has 4 entries where id has 3'),
    'ids longer': ('id', grow, 'has 3 entries where id has 4'),
    'a field of nothing': ('vision', lambda _: None, 'vision must be an array'),
    'rank 4': ('audio', lambda x: x[..., None], r'audio must have .* \[3, 7, 5, 1\]'),
    'rank 1': ('vision', lambda x: x[:, 0, 0], r'vision must have .* not \[3\]'),
    'tokens of rank 2': ('text_bert', lambda x: x[:, 0], r'text_bert must have'),
    'text for numbers': ('audio', lambda x: x.astype(str), 'audio must hold numbers'),
    'numbers for text': (
        'raw_text',
        lambda x: np.zeros(len(x)),
        'raw_text must hold texts',
    ),
    'half a token': ('text_bert', lambda x: x / 2, 'text_bert must hold whole'),
    'a length too long': ('audio_lengths', lambda x: [8, 1, 1], 'from 0 to 7'),
    'NaN labels': ('regression_labels', edit(1, np.nan), r'NaN .* for test\$_\$1 '),
    'constant labels': ('regression_labels', np.zeros_like, 'labels are all 0'),
    'out of range': ('regression_labels', edit(2, 3.5), r'outside ±3 for test\$_\$2 '),
    'another width': ('audio', lambda x: x[:, :, :4], r'audio has the shape '),
}


@pytest.mark.parametrize('fault', FAULTS)
def test_a_faulty_field_is_refused(fault, mmsa):
    field, change, reason = FAULTS[fault]
    raw = mmsa('test', **{field: change})
    with pytest.raises(UserError, match=reason) as error:
        make(raw)
    message = str(error.value)
    assert message.startswith('data.pkl') and 'test' in message
    if fault != 'ids longer':
        assert field in message


def test_other_shapes_are_shown(mmsa):
    with pytest.raises(
        UserError, match=r'\[6, 7, 5\] in train and \[4, 7, 4\] in valid'
    ):
        make(mmsa('valid', audio=lambda x: x[:, :, :4]))


@pytest.mark.parametrize('field', reader.NEEDED)
def test_a_missing_field(field, mmsa):
    with pytest.raises(UserError, match=f"split valid has no field '{field}'; it has "):
        make(mmsa('valid', **{field: None}))


@pytest.mark.parametrize('name', reader.SPLITS)
def test_a_missing_split(name, mmsa):
    raw = mmsa()
    raw['dev'] = raw.pop(name)
    with pytest.raises(
        UserError, match=f"data.pkl has no split '{name}'; it has dev, "
    ):
        make(raw)


@pytest.mark.parametrize('name', reader.SPLITS)
def test_an_empty_split(name, mmsa):
    raw = mmsa(name, **dict.fromkeys(mmsa()['train'], lambda x: x[:0]))
    with pytest.raises(UserError, match=f'split {name} is empty'):
        make(raw)


@pytest.mark.parametrize('raw', [[], None, np.zeros(3), {}])
def test_another_layout(raw):
    with pytest.raises(
        UserError, match=r'data.pkl has no split|data.pkl holds a value'
    ):
        make(raw)


def test_a_split_that_is_none(mmsa):
    with pytest.raises(
        UserError, match='split test must be a dict of arrays, not list'
    ):
        make({**mmsa(), 'test': []})


def test_fields_in_some_splits_only(mmsa):
    raw = mmsa()
    raw['train']['regression_labels_A'] = np.zeros(6)
    with pytest.raises(UserError, match='unimodal labels for a, valid for nothing'):
        make(raw)


def test_the_file_is_named(mmsa, write):
    path = write(mmsa('test', audio=None), 'mine.pkl')
    with pytest.raises(UserError, match=r"mine\.pkl, split test has no field 'audio'"):
        reader.load_dataset(path)


def test_options_reach_the_file(mmsa, write):
    raw = mmsa(regression_labels=lambda x: x / 3, text_bert=None)
    raw['test']['id'] = raw['train']['id'][:3]
    options = {
        'label_range': 1.0,
        'strict': False,
        'tokenizer': lambda texts: np.zeros((len(texts), 3, 2)),
    }
    path = write(raw)
    dataset = reader.load_dataset(path, **options)
    assert dataset.label_range == 1.0
    assert dataset.train.tokens.shape == (6, 3, 2)
    for name, other, reason in (
        ('label_range', 0.5, 'outside ±0.5'),
        ('strict', True, 'ids in more than one split'),
        ('tokenizer', None, 'no text_bert'),
    ):
        with pytest.raises(UserError, match=reason):
            reader.load_dataset(path, **(options | {name: other}))


# Real clips. ---------------------------------------------------------------------


def real(name):
    folder = os.environ.get('SUGRM_DATA')
    path = pathlib.Path(folder or '', name)
    if not folder or not path.exists():
        pytest.skip(f'SUGRM_DATA has no {name}')
    return path


def test_real_clips():
    dataset = reader.load_dataset(real('mosi_clips.pkl'), strict=True)
    assert [len(split) for split in dataset.splits.values()] == [262, 51, 86]
    assert dataset.train.audio.shape == (262, 375, 33)
    assert dataset.train.vision.shape == (262, 150, 140)
    assert dataset.train.tokens.shape == (262, 3, 50)
    assert not (dataset.train.label == -3).any()
    assert dataset.notes == ()


def test_real_text_whose_vision_is_a_placeholder():
    dataset = reader.load_dataset(real('mosi_text.pkl'))
    assert [len(split) for split in dataset.splits.values()] == [1050, 229, 234]
    for split in dataset.splits.values():
        assert (split.audio_length == 1).all() and (split.vision_length == 0).all()
    (note,) = dataset.notes
    assert note.startswith('utterances without vision: 1050 of 1050 in train, 229 of')
