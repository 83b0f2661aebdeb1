"""A data set in MMSA format as a folder of arrays, read batch by batch.

    dataset.json            what the folder holds, ids, transcripts
    scaling.npz             statistics of the train split, see `scaling.Scaling`
    train/audio.npy         float32 [N, L_a, D_a]; vision and text alike
    train/audio_last.npy    see `fields.Sequences`
    train/text_bert.npy     and other small arrays, by their names in the pickle

`read` gives what the pickle would, but for the sequences, which stay in their files:
all checks and notes are then those of `mmsa.make_dataset`.
"""

from __future__ import annotations

import dataclasses
import json
import math
import os
import pathlib
from collections.abc import Mapping
from typing import Any, BinaryIO

import numpy as np

from sugrm_jax import archives
from sugrm_jax.config import typed
from sugrm_jax.data import description
from sugrm_jax.data.fields import Sequences, last_step, mend, numbers, strings
from sugrm_jax.data.stored import Stored, chunks
from sugrm_jax.errors import UserError
from sugrm_jax.regular import open_regular, read_bytes
from sugrm_jax.types import MODALITIES
from sugrm_jax.unpickling import FREE_STEPS

MANIFEST, SCALING = 'dataset.json', 'scaling.npz'
FORMAT = 1
SEQUENCES = ('text', 'audio', 'vision')
TEXTS = ('id', 'raw_text')
ARRAYS = (
    'text_bert',
    'audio_lengths',
    'vision_lengths',
    'regression_labels',
    *(f'regression_labels_{s.upper()}' for s in MODALITIES),
)


@dataclasses.dataclass(frozen=True)
class Layout:
    """Of an array in a file: `dtype` as numpy writes it in short."""

    dtype: str
    shape: tuple[int, ...]


@dataclasses.dataclass(frozen=True)
class Content:
    """Of a split.

    Attributes:
      id, raw_text: as in the pickle.
      mended: `Sequences.mended` by field.
      arrays: by file, without its ending.
    """

    id: tuple[str, ...]
    raw_text: tuple[str, ...]
    mended: dict[str, int]
    arrays: dict[str, Layout]


@dataclasses.dataclass(frozen=True)
class Manifest:
    """What `dataset.json` holds.

    Attributes:
      format: of the folder.
      sha256: of the pickle.
      splits: by name.
      features: see `description.read`.
    """

    format: int
    sha256: str
    splits: dict[str, Content]
    features: dict[str, Any] = dataclasses.field(default_factory=dict)


def save_sequences(path: pathlib.Path, array: np.ndarray) -> Sequences:
    """Writes the sequences of a modality as `path`, mended, a part at a time.

    Args:
      path: of the `.npy` file.
      array: numbers of any kind, `[N, L, D]`.

    Returns:
      What was written; it stays in the file.
    """
    last, mended = np.zeros(len(array), np.int32), 0
    with path.open('wb') as file:
        header = dict(descr=Stored.dtype.str, fortran_order=False, shape=array.shape)
        np.lib.format.write_array_header_1_0(file, header)
        for rows in chunks(len(array)):
            part, count = mend(array[rows])
            last[rows], mended = last_step(part), mended + count
            file.write(np.ascontiguousarray(part, Stored.dtype))
    np.save(path.with_name(f'{path.stem}_last.npy'), last)
    layout = Layout(Stored.dtype.str, array.shape)
    return Sequences(_stored(path, layout), last, mended)


def save_rest(
    folder: pathlib.Path,
    raw: Mapping[str, Mapping],
    sha256: str,
    features: dict[str, Any],
) -> None:
    """Writes all but the sequences, which `save_sequences` has written before.

    Args:
      folder: has a folder for each split.
      raw: laid out as an MMSA file, checked, its sequences as `Sequences`.
      sha256: of the pickle.
      features: see `description.read`.
    """
    splits = {name: _save_split(folder / name, split) for name, split in raw.items()}
    manifest = dataclasses.asdict(Manifest(FORMAT, sha256, splits, features))
    (folder / MANIFEST).write_text(json.dumps(manifest), 'utf-8')


def _save_split(folder: pathlib.Path, split: Mapping[str, Any]) -> Content:
    mended, layouts = {}, {}
    for field in ARRAYS:
        if field in split:
            array = numbers(split[field], field)
            np.save(folder / f'{field}.npy', np.ascontiguousarray(array))
            layouts[field] = Layout(array.dtype.str, array.shape)
    for field in SEQUENCES:
        if field in split:
            found = split[field]
            mended[field] = found.mended
            layouts[field] = Layout(found.array.dtype.str, found.array.shape)
            layouts[f'{field}_last'] = Layout(found.last.dtype.str, found.last.shape)
    texts = {field: tuple(strings(split[field], field)) for field in TEXTS}
    return Content(**texts, mended=mended, arrays=layouts)


def read(path: str | os.PathLike) -> tuple[dict[str, dict[str, Any]], str]:
    """What the folder holds, laid out as an MMSA file, and its pickle's SHA-256.

    Raises:
      UserError: the folder was not made by `data.convert`, or a file of it is missing,
        cut short or another one.
    """
    path = pathlib.Path(path)
    manifest = _manifest(path)
    splits = {name: _split(path / name, x) for name, x in manifest.splits.items()}
    return splits | {description.KEY: manifest.features}, manifest.sha256


def _manifest(folder: pathlib.Path) -> Manifest:
    path = folder / MANIFEST
    try:
        text = read_bytes(path).decode(
            'ascii'
        )  # as json writes it: a byte for each letter
        # Every part becomes an object, which is many times as large.
        # (Commas of transcripts count, too: these are long enough for it.)
        if sum(map(text.count, ',:[{')) > FREE_STEPS + len(text) // 24:
            raise UserError('it is made of too many small parts')
        content = json.loads(text)
        if isinstance(content, dict) and content.get('format', FORMAT) != FORMAT:
            raise UserError(f'it has format {content["format"]}, not {FORMAT}')
        return typed(Manifest, content, 'dataset')
    except FileNotFoundError as error:
        raise UserError(
            f'The folder {folder} has no {MANIFEST}: name a pickle in MMSA format, or '
            'a folder that python -m sugrm_jax.data convert made of one.'
        ) from error
    except OSError as error:
        raise UserError(f'{path} cannot be read: {error.strerror}.') from error
    except (ValueError, RecursionError, UserError) as error:
        raise _damaged(path, f'{error}'.rstrip('.')) from error


def _split(folder: pathlib.Path, content: Content) -> dict[str, Any]:
    raw: dict[str, Any] = {'id': list(content.id), 'raw_text': list(content.raw_text)}
    layouts = content.arrays
    for field in ARRAYS:
        if field in layouts:
            raw[field] = _array(folder / f'{field}.npy', layouts[field])
    for field in SEQUENCES:
        if field in layouts:
            if field not in content.mended or f'{field}_last' not in layouts:
                raise _damaged(folder.parent / MANIFEST, f'{field} is not all there')
            array = _stored(folder / f'{field}.npy', layouts[field])
            last = f'{field}_last'
            last = _array(folder / f'{last}.npy', layouts[last])
            if last.shape != (len(array),) or last.dtype != np.int32:
                raise _damaged(folder / f'{field}_last.npy', 'it is of another shape')
            raw[field] = Sequences(array, last, content.mended[field])
    return raw


def _stored(path: pathlib.Path, layout: Layout) -> Stored:
    if layout.dtype != Stored.dtype.str or len(layout.shape) != 3:
        raise _damaged(path, f'it should be float32 [N, L, D], not {layout}')
    file, offset = _open(path, layout)
    return Stored(file, offset, layout.shape, layout.shape[1])


def _array(path: pathlib.Path, layout: Layout) -> np.ndarray:
    file, _ = _open(path, layout)
    with file:
        return np.fromfile(file, layout.dtype).reshape(layout.shape)


def _open(path: pathlib.Path, layout: Layout) -> tuple[BinaryIO, int]:
    """The file, checked to hold such an array, and where its values begin."""
    try:
        file = open_regular(path)
    except OSError as error:
        raise _damaged(path, f'it cannot be read: {error.strerror}') from error
    try:
        np.lib.format.read_magic(file)
        shape, fortran, dtype = np.lib.format.read_array_header_1_0(file)
        offset = file.tell()
        if fortran or dtype.hasobject or Layout(dtype.str, shape) != layout:
            raise ValueError(f'it holds {dtype} {list(shape)}')
        missing = offset + dtype.itemsize * math.prod(shape) - os.stat(path).st_size
        if missing:
            raise ValueError(f'its size differs by {-missing} bytes')
    except (ValueError, *archives.DAMAGED) as error:
        file.close()
        raise _damaged(path, f'{error}') from error
    return file, offset


def _damaged(path: pathlib.Path, reason: str) -> UserError:
    return UserError(
        f'{path} is not as python -m sugrm_jax.data convert wrote it ({reason}): '
        'convert the pickle again.'
    )
