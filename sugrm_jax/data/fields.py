"""One field of an MMSA file at a time: from what people store to what we compute with.

`where` names the file, the split and the field in messages.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from sugrm_jax.data.stored import LARGEST, Stored, chunks
from sugrm_jax.errors import UserError

_LARGEST_ID = 2**64
# Letters: nobody says so much in an utterance.
_LONGEST_TEXT = 2**20
# Numbers that are looked at together, for what is said of each takes room, too.
_BLOCK = 2**20


def check_count(value: Any, count: int, where: str) -> None:
    """Raises a `UserError` unless `value` has one entry for each of `count` ids."""
    check_array(value, where)
    if len(value) != count:
        raise UserError(f'{where} has {len(value)} entries where id has {count}.')


def check_array(value: Any, where: str) -> None:
    """Raises a `UserError` unless `value` has entries."""
    if not _is_array(value):
        raise UserError(f'{where} must be an array, not {type(value).__name__}.')


def strings(value: Any, where: str) -> list[str]:
    """Texts or ids as `N` str; bytes are read as UTF-8, whole numbers written out.

    What no file could hold in turn, half of a surrogate pair, becomes a question mark.
    """
    result = []
    for item in value:
        if isinstance(item, bytes):
            item = item.decode('utf-8', errors='replace')
        number = isinstance(item, int | np.integer) and abs(item) <= _LARGEST_ID
        if not isinstance(item, str) and not number:
            raise UserError(f'{where} must hold texts, not {type(item).__name__}.')
        text = str(item)
        if len(text) > _LONGEST_TEXT:
            raise UserError(f'{where} holds a text of {len(text)} letters.')
        result.append(_encodable(text))
    return result


def _encodable(text: str) -> str:
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode('utf-8', 'replace').decode()
    return text  # the same object, of which there is one only


def numbers(value: Any, where: str) -> np.ndarray:
    """A field of numbers as an array; lists and arrays of objects are taken too."""
    if isinstance(value, np.ndarray) and value.dtype.kind == 'O':
        value = value.tolist()
    # Numpy would give every entry the room of the longest text.
    if isinstance(value, list | tuple) and (kind := _no_number(value)):
        raise UserError(f'{where} must hold numbers, not {kind}.')
    try:
        array = np.asarray(value)
    except ValueError as error:
        raise UserError(f'{where} is ragged: its rows differ in shape.') from error
    if array.dtype.kind not in 'biuf':
        raise UserError(f'{where} must hold numbers, not values of {array.dtype}.')
    return array


def _no_number(values: Sequence[Any]) -> str | None:
    """The type of the first entry, at any depth, that is no number; None if all are."""
    for value in values:
        if isinstance(value, list | tuple):
            kind = _no_number(value)
        elif isinstance(value, np.ndarray):
            kind = None if value.dtype.kind in 'biuf' else f'values of {value.dtype}'
        else:
            known = isinstance(value, bool | int | float | np.number | np.bool_)
            kind = None if known else type(value).__name__
        if kind:
            return kind
    return None


@dataclasses.dataclass(frozen=True, eq=False)
class Sequences:
    """The sequences of one modality, fit for use.

    Attributes:
      array: float32 `[N, L, D]`, finite.
      last: int32 `[N]`, steps up to the last one that is not all 0.
      mended: values that were NaN, ±inf or beyond `LARGEST` and became 0.
    """

    array: np.ndarray | Stored
    last: np.ndarray
    mended: int

    def __len__(self) -> int:
        return len(self.array)


def sequences(value: Any, where: str) -> Sequences:
    """What a file has for a modality, `[N, L, D]` or `[N, D]`; or `Sequences` as such.

    NaN, ±inf and what is beyond `LARGEST` become 0: real files have −inf where the
    logarithm of a silent frame was taken.
    """
    if isinstance(value, Sequences):
        return value
    array, count = mend(steps(value, where))
    return Sequences(array, last_step(array), count)


def steps(value: Any, where: str) -> np.ndarray:
    """Numbers of any kind as `[N, L, D]`; `[N, D]` is one step per utterance."""
    array = numbers(value, where)
    if array.ndim == 2:
        array = array[:, None]
    if array.ndim != 3 or 0 in array.shape[1:]:
        raise UserError(
            f'{where} must have the shape [N, L, D] or [N, D], not {shape(array)}.'
        )
    return array


def mend(array: np.ndarray) -> tuple[np.ndarray, int]:
    """Finite float32, and how many values were no use (see `Sequences`)."""
    with np.errstate(over='ignore'):  # too large for float32 is counted as inf
        result = array.astype(np.float32, order='C', copy=False)
    count = sum(int(_useless(block).sum()) for block in _blocks(result))
    if count:
        result = result.copy() if result is array else result
        for block in _blocks(result):
            block[_useless(block)] = 0
    return result, count


def _useless(array: np.ndarray) -> np.ndarray:
    return ~((array >= -LARGEST) & (array <= LARGEST))  # true for NaN


def _blocks(array: np.ndarray) -> Iterator[np.ndarray]:
    """Views `[n]` of an array in C order, one after the other."""
    flat = array.reshape(-1)
    return (flat[i : i + _BLOCK] for i in range(0, flat.size, _BLOCK))


def last_step(array: np.ndarray) -> np.ndarray:
    """`Sequences.last` of float32 `[N, L, D]`."""
    last = np.zeros(len(array), np.int32)
    for rows in chunks(len(array)):
        real = array[rows[0] : rows[-1] + 1].any(axis=2)
        back = real[:, ::-1].argmax(axis=1)
        last[rows] = np.where(real.any(axis=1), array.shape[1] - back, 0)
    return last


def lengths(found: Sequences, claimed: Any, where: str) -> np.ndarray:
    """Real steps of each sequence, int32 `[N]`.

    Args:
      found: the sequences.
      claimed: the file's lengths, or None, when the last step that is not zero counts
        as the last (aligned files have no lengths).
      where: for messages.

    Returns:
      The lengths; 0 for an all-zero sequence whatever the file claims: such an
      utterance lacks the modality.
    """
    if claimed is None:
        return found.last
    given, size = numbers(claimed, where), found.array.shape[1]
    if given.shape != found.last.shape:
        raise UserError(f'{where} must have the shape [N], not {shape(given)}.')
    fits = (given >= 0) & (given <= size) & (given == np.floor(given))
    if not fits.all():
        raise UserError(
            f'{where} must be whole numbers from 0 to {size}, the length of '
            f'the sequences; it holds {given[~fits][0]}.'
        )
    return np.where(found.last > 0, given, 0).astype(np.int32)


def pad(array: np.ndarray | Stored, axis: int, size: int) -> np.ndarray | Stored:
    """`array` with zeros behind it along `axis`, up to `size`."""
    missing = size - array.shape[axis]
    if not missing:
        return array
    if isinstance(array, Stored):
        return array.padded(size)
    return np.pad(array, [(0, missing * (k == axis)) for k in range(array.ndim)])


def tokens(value: Any, where: str) -> np.ndarray:
    """Token ids, mask and segment ids as int32 `[N, 3, L]`; files store floats."""
    array = numbers(value, where)
    if array.ndim != 3 or array.shape[1] != 3 or array.shape[2] == 0:
        raise UserError(f'{where} must have the shape [N, 3, L], not {shape(array)}.')
    result = np.empty(array.shape, np.int32)
    source = np.ascontiguousarray(array)
    for block, to in zip(_blocks(source), _blocks(result), strict=True):
        limit = np.float64(np.iinfo(np.int32).max)
        if not ((block >= 0) & (block <= limit) & (block == np.floor(block))).all():
            raise UserError(f'{where} must hold whole numbers that are not negative.')
        to[:] = block
    for row, name in ((1, 'mask'), (2, 'segment ids')):
        if result[:, row].max(initial=0) > 1:
            raise UserError(f'{where}: the {name}, row {row}, must be 0 or 1.')
    # Lengths are taken from the mask, and packing reads the first tokens.
    mask = result[:, 1]
    if (mask[:, 1:] > mask[:, :-1]).any():
        raise UserError(
            f'{where}: the mask, row 1, must be 1 at the first tokens and 0 after '
            'them; move the tokens to the front.'
        )
    return result


def labels(
    value: Any, ids: Sequence[str], label_range: float, where: str
) -> np.ndarray:
    """Sentiment labels as float32 `[N]`, all finite and in range."""
    array = numbers(value, where).astype(np.float32)
    if array.shape != (len(ids),):
        raise UserError(f'{where} must have the shape [N], not {shape(array)}.')
    for bad, what, mend in (
        (~np.isfinite(array), 'NaN or infinite', 'take these utterances out'),
        (
            np.abs(array) > label_range,
            f'outside ±{label_range:g}',
            'set data.label_range: 3 for MOSI and MOSEI, 1 for CH-SIMS',
        ),
    ):
        if bad.any():
            named = [f'{ids[i]} ({array[i]:g})' for i in np.flatnonzero(bad)]
            raise UserError(f'{where}: {what} for {some(named)}; {mend}.')
    return array


def some(names: list[str], most: int = 5) -> str:
    """The first names, and how many there are when that is not all."""
    shown = ', '.join(names[:most])
    return f'{shown}, … ({len(names)} in all)' if len(names) > most else shown


def shape(array: np.ndarray | Stored) -> str:
    """A shape as the documentation writes it: `[N, L, D]`."""
    return f'[{", ".join(map(str, array.shape))}]'


def _is_array(value: Any) -> bool:
    if isinstance(value, np.ndarray):
        return value.ndim > 0
    return isinstance(value, list | tuple | Sequences)
