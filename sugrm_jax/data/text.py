"""From transcripts to BERT's token ids."""

from __future__ import annotations

import functools
import os
import pathlib
from collections.abc import Callable
from typing import Any

import numpy as np

from sugrm_jax import regular
from sugrm_jax.errors import UserError

_FILES = ('vocab.txt', 'tokenizer.json')
_SPECIAL = ('[CLS]', '[SEP]', '[PAD]', '[UNK]')


def make_tokenizer(
    folder: pathlib.Path, length: int = 50
) -> Callable[[list[str]], np.ndarray]:
    """A BERT tokenizer of fixed length.

    Args:
      folder: has `vocab.txt` or `tokenizer.json`; lower-casing and the like are as its
        `tokenizer_config.json` says. It is read when the tokenizer is first called.
      length: `L_t`. Shorter texts are padded; longer ones lose their end, but for the
        final `[SEP]`.

    Returns:
      `N` texts → int32 `[N, 3, L_t]`: token ids, mask, segment ids. It raises a
      `UserError` when the folder has no usable tokenizer.
    """

    def tokenize(texts: list[str]) -> np.ndarray:
        encoded = _read(folder)(
            texts,
            padding='max_length',
            truncation=True,
            max_length=length,
            return_tensors='np',
        )
        rows = [encoded[k] for k in ('input_ids', 'attention_mask', 'token_type_ids')]
        return np.stack(rows, axis=1).astype(np.int32)

    return tokenize


def word_pieces(folder: pathlib.Path, ids: np.ndarray) -> list[str]:
    """The vocabulary's entries, such as 'un' and '##happy', of int `[L]` token ids.

    Raises:
      UserError: the folder has no usable tokenizer.
    """
    return _read(folder).convert_ids_to_tokens(ids.tolist())


def no_tokens(texts: list[str]) -> np.ndarray:
    """Stands in for a tokenizer where it is not known which encoder will read."""
    return np.zeros((len(texts), 3, 1), np.int32)


@functools.cache
def _read(folder: pathlib.Path) -> Any:
    """The folder's tokenizer."""
    folder = pathlib.Path(folder)
    if not any((folder / name).is_file() for name in _FILES):
        raise UserError(
            f'{folder} has no tokenizer: it needs {" or ".join(_FILES)}, as the folder '
            'of a Hugging Face BERT has.'
        )
    # Its advice on import is to install PyTorch, which we do without.
    os.environ.setdefault('TRANSFORMERS_NO_ADVISORY_WARNINGS', '1')
    from transformers import BertTokenizer

    try:
        regular.check(folder)  # the library opens its files itself
        tokenizer = BertTokenizer.from_pretrained(folder, local_files_only=True)
    except (OSError, KeyError, ValueError) as error:
        raise UserError(f'{folder}: the tokenizer cannot be read: {error}.') from error
    # Without what the library adds by itself, under ids that no encoder has.
    vocabulary = tokenizer.backend_tokenizer.get_vocab(with_added_tokens=False)
    missing = [token for token in _SPECIAL if token not in vocabulary]
    if missing:
        raise UserError(
            f'{folder}: the vocabulary lacks {", ".join(missing)}; it is not a BERT '
            "model's."
        )
    return tokenizer
