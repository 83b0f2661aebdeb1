"""Single fields: what is stored in odd ways, and what is refused."""

import numpy as np
import pytest

from sugrm_jax.data import fields
from sugrm_jax.errors import UserError

WHERE = 'data.pkl, split train: field'


def same(ours, theirs):
    np.testing.assert_array_equal(ours, theirs, strict=True)


@pytest.mark.parametrize(
    'value',
    [
        np.array(['a', '7', 'ü']),
        np.array(['a', '7', 'ü'], object),
        ['a', 7, 'ü'],
        ('a', np.int64(7), 'ü'.encode()),
        [np.str_('a'), np.bytes_(b'7'), 'ü'],
    ],
)
def test_strings(value):
    assert fields.strings(value, WHERE) == ['a', '7', 'ü']
    assert all(type(text) is str for text in fields.strings(value, WHERE))


@pytest.mark.parametrize('value', [[None], [1.5], [['a']], np.array([['a']])])
def test_strings_refuses(value):
    with pytest.raises(UserError, match=f'{WHERE} must hold texts, not '):
        fields.strings(value, WHERE)


@pytest.mark.parametrize(
    ('value', 'reason'),
    [
        ([[1, 2], [3]], 'is ragged'),
        (['1', '2'], 'must hold numbers'),
        (np.array([{}], object), 'must hold numbers'),
        (np.array([1j]), 'must hold numbers'),
    ],
)
def test_numbers_refuses(value, reason):
    with pytest.raises(UserError, match=f'{WHERE} {reason}'):
        fields.numbers(value, WHERE)


def test_numbers_takes_lists_and_objects():
    same(fields.numbers([1, 2.5], WHERE), np.array([1, 2.5]))
    same(fields.numbers(np.array([1, 2.5], object), WHERE), np.array([1, 2.5]))


def test_features_become_float32_and_finite():
    value = np.array([[[0.1, np.nan]], [[-np.inf, np.inf]], [[1e39, -2.0]]])
    found = fields.sequences(value, WHERE)
    same(found.array, np.array([[[0.1, 0]], [[0, 0]], [[0, -2]]], np.float32))
    assert found.mended == 4  # 1e39 is beyond float32
    same(found.last, np.array([1, 0, 1], np.int32))
    assert np.isnan(value[0, 0, 1]), "the caller's array stays as it is"


def test_features_too_large_to_square_are_no_use():
    """Of float32's 3.4e38 the root is 1.8e19; some room is left for a sum."""
    value = np.array([[1e18, 1.1e18, -1.1e18, -3e38, 0]])
    found = fields.sequences(value, WHERE)
    same(found.array, np.array([[[1e18, 0, 0, 0, 0]]], np.float32))
    assert found.mended == 3
    with np.errstate(over='raise'):
        assert np.isfinite(np.square(found.array)).all()


def test_features_of_one_step():
    found = fields.sequences(np.array([[1, 2], [3, 4]]), WHERE)
    same(found.array, np.array([[[1, 2]], [[3, 4]]], np.float32))
    assert found.mended == 0


@pytest.mark.parametrize('shape', [(3,), (3, 2, 2, 2), (3, 0, 2), (3, 2, 0), (3, 0)])
def test_features_refuses_other_ranks(shape):
    written = (
        rf'\[{", ".join(map(str, shape))}\]' if shape != (3, 0) else r'\[3, 1, 0\]'
    )
    with pytest.raises(UserError, match=rf'must have the shape .*, not {written}'):
        fields.sequences(np.zeros(shape), WHERE)


# Last steps that are not zero: the second, none, the third (after a zero step).
STEPS = fields.sequences(np.array([[[1], [2], [0]], [[0]] * 3, [[1], [0], [3]]]), WHERE)


def test_lengths_are_where_the_features_end():
    same(fields.lengths(STEPS, None, WHERE), np.array([2, 0, 3], np.int32))


@pytest.mark.parametrize('claimed', [[3, 2, 0], np.array([3.0, 2, 0])])
def test_lengths_of_the_file_hold_but_for_absent_modalities(claimed):
    same(fields.lengths(STEPS, claimed, WHERE), np.array([3, 0, 0], np.int32))


@pytest.mark.parametrize('wrong', [-1, 4, 1.5, np.nan, np.inf])
def test_lengths_refuses(wrong):
    with pytest.raises(UserError, match=f'whole numbers from 0 to 3, .* holds {wrong}'):
        fields.lengths(STEPS, [1, wrong, 1], WHERE)


def test_tokens_are_whole():
    value = np.zeros((2, 3, 4))
    value[:, 0], value[:, 1, :2], value[1, 2] = 30521, 1, 1
    same(fields.tokens(value, WHERE), value.astype(np.int32))


@pytest.mark.parametrize(
    ('row', 'wrong', 'reason'),
    [
        (0, 0.5, 'whole numbers'),
        (0, -1, 'not negative'),
        (0, np.nan, 'whole numbers'),
        (0, np.inf, 'whole numbers'),
        (0, 2.0**31, 'whole numbers'),
        (1, 2, 'the mask'),
        (2, 2, 'the segment ids'),
    ],
)
def test_tokens_refuses(row, wrong, reason):
    value = np.zeros((2, 3, 4))
    value[1, row, 2] = wrong
    with pytest.raises(UserError, match=f'{WHERE}.*{reason}'):
        fields.tokens(value, WHERE)


@pytest.mark.parametrize('shape', [(3, 4), (2, 2, 4), (2, 3, 0), (2, 3, 4, 1)])
def test_tokens_refuses_other_shapes(shape):
    with pytest.raises(UserError, match=r'must have the shape \[N, 3, L\], not \['):
        fields.tokens(np.zeros(shape), WHERE)


def test_labels_at_the_limit_are_in_range():
    same(fields.labels([-1, 1.0], 'ab', 1.0, WHERE), np.array([-1, 1], np.float32))


@pytest.mark.parametrize(
    ('value', 'reason'),
    [
        ([0, np.nan], r'NaN or infinite for b \(nan\); take these utterances out'),
        ([-np.inf, 0], r'NaN or infinite for a \(-inf\)'),
        ([1.25, 0], r'outside ±1 for a \(1.25\); set data.label_range'),
        ([[1], [0]], r'must have the shape \[N\], not \[2, 1\]'),
    ],
)
def test_labels_refuses(value, reason):
    with pytest.raises(UserError, match=f'{WHERE}.*{reason}'):
        fields.labels(value, 'ab', 1.0, WHERE)


@pytest.mark.parametrize('value', [3, None, 'abc', np.array(3), {}])
def test_count_needs_an_array(value):
    with pytest.raises(UserError, match=f'{WHERE} must be an array'):
        fields.check_count(value, 3, WHERE)


def test_count():
    fields.check_count([[1], [2, 3]], 2, WHERE)
    with pytest.raises(UserError, match='has 2 entries where id has 3'):
        fields.check_count(np.zeros((2, 5)), 3, WHERE)


def test_names_are_cut_short():
    assert fields.some(list('abcde')) == 'a, b, c, d, e'
    assert fields.some(list('abcdef')) == 'a, b, c, d, e, … (6 in all)'


def test_tokens_behind_their_padding_are_refused():
    value = np.zeros((1, 3, 6))
    value[0, 1] = [0, 0, 1, 1, 1, 1]
    with pytest.raises(UserError, match='1 at the first tokens and 0 after'):
        fields.tokens(value, 'x.pkl: train: text_bert')


@pytest.mark.parametrize('kind', [np.uint16, np.uint8, np.int64, np.float32])
def test_padded_tokens_of_any_storage(kind):
    value = np.array([[[7, 8, 9, 0], [1, 1, 1, 0], [0, 0, 0, 0]]], kind)
    np.testing.assert_array_equal(fields.tokens(value, 'x'), value)


def test_whole_numbers_as_ids_have_an_end():
    """Python itself refuses to write out one of more than 4300 digits."""
    assert fields.strings([2**64, -(2**64)], WHERE) == [f'{2**64}', f'-{2**64}']
    for number in (2**64 + 1, -(2**64) - 1, 10**5000):
        with pytest.raises(UserError, match='must hold texts, not int'):
            fields.strings([number], WHERE)


def test_texts_have_an_end():
    assert fields.strings(['a' * 2**20], WHERE) == ['a' * 2**20]
    with pytest.raises(UserError, match=f'{WHERE} holds a text of 1048577 letters'):
        fields.strings(['a' * (2**20 + 1)], WHERE)
