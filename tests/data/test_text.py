"""Transcripts to token ids, with the tokenizer of a local folder."""

import json
import shutil

import numpy as np
import pytest

from sugrm_jax.data.text import make_tokenizer
from sugrm_jax.errors import UserError
from sugrm_jax.layers.pretrained import resolve
from tests import recordings

WORDS = ['[PAD]', '[UNK]', '[CLS]', '[SEP]', 'good', 'Good', 'movie', '##s', '.']
PAD, UNK, CLS, SEP, GOOD, CAPITAL, MOVIE, PLURAL, DOT = range(len(WORDS))


@pytest.fixture
def folder(tmp_path):
    (tmp_path / 'vocab.txt').write_text('\n'.join(WORDS))
    return tmp_path


@pytest.fixture
def minilm():
    return resolve('minilm')


def test_ids_mask_and_segments(folder):
    tokens = make_tokenizer(folder, 6)(['Good movies.', '', 'odd'])
    ids = [
        [CLS, GOOD, MOVIE, PLURAL, DOT, SEP],
        [CLS, SEP, PAD, PAD, PAD, PAD],
        [CLS, UNK, SEP, PAD, PAD, PAD],
    ]
    mask = [[1] * 6, [1, 1, 0, 0, 0, 0], [1, 1, 1, 0, 0, 0]]
    expected = np.stack([ids, mask, np.zeros((3, 6))], axis=1).astype(np.int32)
    np.testing.assert_array_equal(tokens, expected, strict=True)


def test_a_cut_text_keeps_its_end_mark(folder):
    tokens = make_tokenizer(folder, 4)(['good good good movie'])
    assert tokens[0, 0].tolist() == [CLS, GOOD, GOOD, SEP]


def test_case_is_as_the_folder_says(folder):
    (folder / 'tokenizer_config.json').write_text(json.dumps({'do_lower_case': False}))
    tokens = make_tokenizer(folder, 4)(['Good good'])
    assert tokens[0, 0].tolist() == [CLS, CAPITAL, GOOD, SEP]


def test_minilm_as_recorded(minilm):
    recording = recordings.load('minilm_sentences')
    length = recording['ids'].shape[1]
    tokens = make_tokenizer(minilm, length)(recording['text'].tolist())
    np.testing.assert_array_equal(tokens[:, 0], recording['ids'])
    np.testing.assert_array_equal(tokens[:, 1], recording['mask'])
    assert make_tokenizer(minilm)(['a']).shape == (1, 3, 50)


@pytest.mark.parametrize('file', ['vocab.txt', 'tokenizer.json'])
def test_one_file_is_enough(file, minilm, tmp_path):
    shutil.copy(minilm / file, tmp_path)
    text = ["It's NOT that bad..."]
    whole, alone = (make_tokenizer(path, 12)(text) for path in (minilm, tmp_path))
    np.testing.assert_array_equal(alone, whole)


def test_nothing_is_read_before_there_is_text(tmp_path):
    tokenizer = make_tokenizer(tmp_path / 'nowhere')
    with pytest.raises(
        UserError, match=r'nowhere has no tokenizer: it needs vocab\.txt'
    ):
        tokenizer(['good'])


def test_a_vocabulary_that_is_not_berts(tmp_path):
    (tmp_path / 'vocab.txt').write_text('good\nmovie\n[PAD]\n[CLS]')
    with pytest.raises(UserError, match=r'the vocabulary lacks \[SEP\], \[UNK\]'):
        make_tokenizer(tmp_path)(['good'])


def test_a_broken_tokenizer(tmp_path):
    (tmp_path / 'tokenizer.json').write_text('{broken')
    with pytest.raises(UserError, match='the tokenizer cannot be read'):
        make_tokenizer(tmp_path)(['good'])
