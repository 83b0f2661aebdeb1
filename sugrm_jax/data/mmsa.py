"""Data sets in MMSA format, the field's exchange format, as typed splits.

A file is a pickle `{train|valid|test: {field: array}}`. What real files get wrong and
can be mended (infinities in features, tokens stored as floats, splits padded to
different lengths) is mended and noted; what cannot be trusted (labels, widths) is a
`UserError`.
"""

from __future__ import annotations

import dataclasses
import hashlib
import math
import os
from collections.abc import Mapping
from typing import Any

import numpy as np

from sugrm_jax.data import description, fields, folder, pickles, remarks
from sugrm_jax.data.splits import NEEDED, Tokenizer, check_fields, listed, make_split
from sugrm_jax.data.stored import Stored
from sugrm_jax.errors import UserError
from sugrm_jax.types import Dataset, Split

# SHA-256 → name, of the files as the field shares them.
KNOWN_FILES = {
    '78e0f8b5ef8ff71558e7307848fc1fa929ecb078203f565ab22b9daab2e02524': (
        'MOSI unaligned_50.pkl'
    ),
    'd3994fd25681f9c7ad6e9c6596a6fe9b4beb85ff7d478ba978b124139002e5f9': (
        'MOSI aligned_50.pkl'
    ),
    'ad8b23d50557045e7d47959ce6c5b955d8d983f2979c7d9b7b9226f6dd6fec1f': (
        'MOSEI unaligned_50.pkl'
    ),
    '45eccfb748a87c80ecab9bfac29582e7b1466bf6605ff29d3b338a75120bf791': (
        'MOSEI aligned_50.pkl'
    ),
    'c9e20c13ec0454d98bb9c1e520e490c75146bfa2dfeeea78d84de047dbdd442f': (
        'SIMS unaligned_39.pkl'
    ),
}
SPLITS = ('train', 'valid', 'test')
# The fields that are sequences, and the axis of their steps; their name in a file.
_STEPS = {'tokens': 2, 'text': 1, 'audio': 1, 'vision': 1}
_NAMES = {'tokens': 'text_bert', 'text': 'text', 'audio': 'audio', 'vision': 'vision'}

# Numbers that padding may add to small data.
ROOM = 2**22


def load_dataset(
    path: str | os.PathLike,
    *,
    label_range: float = 3.0,
    strict: bool = False,
    tokenizer: Tokenizer | None = None,
    fixed_text: bool = False,
) -> Dataset:
    """Reads an MMSA file.

    Args:
      path: the pickle, or the folder that `data.convert` made of it.
      label_range: labels lie in `[-label_range, label_range]`: 3 for MOSI and MOSEI,
        1 for CH-SIMS.
      strict: refuse ids that are in more than one split, rather than note them.
      tokenizer: `N` texts → int32 `[N, 3, L_t]` (ids, mask, segment ids), for splits
        that have no `text_bert`.
      fixed_text: read the fixed text features `text`, too. A split without `text_bert`
        then has no tokens but a mask: the steps of `text` that are not all 0.

    Returns:
      The data set. Its notes say what was mended and what is odd.

    Raises:
      UserError: the file cannot be read (`read`) or used (`make_dataset`).
    """
    raw, sha256 = read(path)
    return make_dataset(
        raw,
        path=os.fspath(path),
        sha256=sha256,
        label_range=label_range,
        strict=strict,
        tokenizer=tokenizer,
        fixed_text=fixed_text,
    )


def read(path: str | os.PathLike) -> tuple[Any, str]:
    """What a pickle holds, or a folder made of it, and the pickle's SHA-256.

    Raises:
      UserError: see `pickles.load` and `folder.read`.
    """
    if os.path.isdir(path):
        return folder.read(path)
    return pickles.load(path), fingerprint(path)


def fingerprint(path: str | os.PathLike) -> str:
    """SHA-256 of a file, in hexadecimal."""
    with open(path, 'rb') as file:
        return hashlib.file_digest(file, 'sha256').hexdigest()


def fingerprint_arrays(raw: Mapping[str, Mapping[str, Any]]) -> str:
    """SHA-256 of arrays that are in no file, by split and field, in hexadecimal."""
    digest = hashlib.sha256()
    for name in sorted(raw):
        for field in sorted(raw[name]):
            array = np.asarray(raw[name][field])
            digest.update(f'{name}/{field}/{array.dtype.str}{array.shape}'.encode())
            digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()


def make_dataset(
    raw: Any,
    *,
    path: str,
    sha256: str | None = None,
    label_range: float = 3.0,
    strict: bool = False,
    tokenizer: Tokenizer | None = None,
    fixed_text: bool = False,
) -> Dataset:
    """The data set in `raw`, which is laid out as an MMSA file.

    Args:
      raw: by split, a dict of arrays.
      path: where it came from, for messages.
      sha256: the file's fingerprint; None for arrays that were simulated.
      label_range, strict, tokenizer, fixed_text: see `load_dataset`.

    Raises:
      UserError: a split or field is missing or empty, of another size, rank or type
        than it should be, or of another width in another split; tokens are no
        tokens; labels are missing, constant or out of range; `strict` and shared ids.
    """
    check_layout(raw, path)
    splits, notes = {}, []
    for name in SPLITS:
        splits[name], found = make_split(
            raw[name],
            f'{path}, split {name}',
            label_range=label_range,
            tokenizer=tokenizer,
            fixed_text=fixed_text,
        )
        notes += [f'{name}: {note}' for note in found]
    check_same(splits, path)
    splits, padded = pad(splits, path)
    notes += [*remarks.absent(splits, raw), *padded]
    if shared := shared_ids(splits):
        note = remarks.shared(shared)
        if strict:
            raise UserError(f'{path}: {note}. Set data.strict to false to allow it.')
        notes.append(note)
    return Dataset(
        **splits,
        path=path,
        sha256=sha256 or fingerprint_arrays(raw),
        label_range=label_range,
        notes=(*notes, *remarks.narrow_labels(splits, label_range)),
        on_disk=isinstance(splits['train'].audio, Stored),
        features=description.read(raw, splits['train'], path),
    )


def check_layout(raw: Any, path: str) -> None:
    """Raises a `UserError` unless `raw` has the splits and each the needed fields."""
    if not isinstance(raw, Mapping):
        raise UserError(
            f'{path} holds a value of type {type(raw).__name__}; an MMSA file is a '
            f'dict of the splits {", ".join(SPLITS)}.'
        )
    for name in SPLITS:
        if name not in raw:
            raise UserError(
                f'{path} has no split {name!r}; it has {listed(raw)}. An MMSA file '
                f'has {", ".join(SPLITS)}.'
            )
        check_fields(raw[name], f'{path}, split {name}', NEEDED)


def check_same(splits: dict[str, Split], path: str) -> None:
    """Raises a `UserError` unless all splits have the same widths and modalities."""
    first = splits['train']
    for name, split in splits.items():
        for field in ('text', 'audio', 'vision'):
            ours, theirs = (getattr(s, field) for s in (first, split))
            if ours is not None and ours.shape[2] != theirs.shape[2]:
                raise UserError(
                    f'{path}: {field} has the shape {fields.shape(ours)} in train and '
                    f'{fields.shape(theirs)} in {name}; the width, which comes last, '
                    'must be the same.'
                )
        if set(split.unimodal) != set(first.unimodal):
            raise UserError(
                f'{path}: train has unimodal labels for {listed(first.unimodal)}, '
                f'{name} for {listed(split.unimodal)}.'
            )


def pad(splits: dict[str, Split], path: str) -> tuple[dict[str, Split], list[str]]:
    """The splits with sequences at least as long as those of train, and notes on it.

    Those of the other splits may be longer, for random draws have the shape of what is
    trained on: a split that had a say in it would change what is trained.

    Raises:
      UserError: that would take many times the memory.
    """
    notes = []
    for field, axis in _STEPS.items():
        if getattr(splits['train'], field) is None:
            continue
        sizes = {n: getattr(split, field).shape[axis] for n, split in splits.items()}
        wanted = {n: max(sizes['train'], size) for n, size in sizes.items()}
        _check_padding(splits, field, sizes, wanted, path)
        splits = {
            n: dataclasses.replace(
                split, **{field: fields.pad(getattr(split, field), axis, wanted[n])}
            )
            for n, split in splits.items()
        }
        if wanted != sizes:
            notes.append(
                f'{_NAMES[field]} has sequences of different length ({_each(sizes)}); '
                f'they were padded with zeros ({_each(wanted)})'
            )
    return splits, notes


def _each(sizes: dict[str, int]) -> str:
    return ', '.join(f'{size} in {name}' for name, size in sizes.items())


def _check_padding(
    splits: dict[str, Split],
    field: str,
    sizes: dict[str, int],
    wanted: dict[str, int],
    path: str,
) -> None:
    """Refuses one long sequence that would make many others as long."""
    arrays = {name: getattr(split, field) for name, split in splits.items()}
    before = sum(math.prod(x.shape) for x in arrays.values())
    after = sum(math.prod(x.shape) // sizes[n] * wanted[n] for n, x in arrays.items())
    if isinstance(arrays['train'], np.ndarray) and after > 2 * before + ROOM:
        raise UserError(
            f'{path}: {_NAMES[field]} has sequences of very different length '
            f'({_each(sizes)}), and would be padded ({_each(wanted)}); cut the long '
            'ones.'
        )


def shared_ids(splits: dict[str, Split]) -> dict[str, list[str]]:
    """Utterance ids in more than one split, with the splits they are in."""
    places: dict[str, list[str]] = {}
    for name, split in splits.items():
        for key in dict.fromkeys(split.ids):
            places.setdefault(key, []).append(name)
    return {key: names for key, names in places.items() if len(names) > 1}
