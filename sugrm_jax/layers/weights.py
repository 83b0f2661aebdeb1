"""Reads a checkpoint's tensors without PyTorch and without running its pickle.

`pytorch_model.bin` is a zip with one pickle (which tensor lies where in which
storage) and one file of raw numbers per storage. The pickle is read by an
unpickler that admits only the names such a table needs.
"""

from __future__ import annotations

import collections
import math
import pickle
import zipfile
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import ml_dtypes
import numpy as np

from sugrm_jax import archives
from sugrm_jax.errors import UserError
from sugrm_jax.unpickling import FREE_BYTES, TooMuch, Unpickler

SAFETENSORS, TORCH = 'model.safetensors', 'pytorch_model.bin'

# What reading a damaged pickle or zip can raise, from malformed opcodes to names
# that are not in the archive.
_DAMAGED = (
    pickle.UnpicklingError,
    ArithmeticError,
    AttributeError,
    EOFError,
    LookupError,
    MemoryError,
    RuntimeError,
    TypeError,
    ValueError,
)


class _StorageType(NamedTuple):
    """Stands in for `torch.FloatStorage` and its like."""

    dtype: str


_STORAGE_TYPES = {
    'DoubleStorage': _StorageType('<f8'),
    'FloatStorage': _StorageType('<f4'),
    'HalfStorage': _StorageType('<f2'),
    'BFloat16Storage': _StorageType('bfloat16'),
    'LongStorage': _StorageType('<i8'),
    'IntStorage': _StorageType('<i4'),
    'ShortStorage': _StorageType('<i2'),
    'CharStorage': _StorageType('<i1'),
    'ByteStorage': _StorageType('<u1'),
    'BoolStorage': _StorageType('?'),
}


class _Storage(NamedTuple):
    key: str
    dtype: str
    size: int


class _Tensor(NamedTuple):
    """Where a tensor lies; offset and strides count elements, not bytes."""

    storage: _Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]


class Tensors:
    """A checkpoint's tensors by BertModel's present names; each is taken once.

    Raises:
      UserError: as `read_weights` does.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._left = {
            # A model with heads holds the encoder as `bert`; TensorFlow's names for
            # LayerNorm's parameters live on in old checkpoints.
            name.removeprefix('bert.')
            .replace('LayerNorm.gamma', 'LayerNorm.weight')
            .replace('LayerNorm.beta', 'LayerNorm.bias'): tensor
            for name, tensor in read_weights(folder).items()
        }

    def take(self, name: str, shape: tuple[int, ...]) -> np.ndarray:
        """The tensor of that name and shape; UserError if it is not there."""
        if name not in self._left:
            raise UserError(
                f'{self._folder}: the weights lack the tensor {name}, of shape {shape}.'
            )
        tensor = self._left.pop(name)
        if tensor.shape != shape:
            raise UserError(
                f'{self._folder}: the tensor {name} has shape {tensor.shape}, but '
                f'config.json asks for {shape}; config and weights do not belong '
                'together.'
            )
        return tensor

    def dense(self, name: str, fan_in: int, fan_out: int) -> dict[str, np.ndarray]:
        """A linear layer; PyTorch keeps its kernel as `[out, in]`."""
        return {
            'kernel': self.take(f'{name}.weight', (fan_out, fan_in)).T,
            'bias': self.take(f'{name}.bias', (fan_out,)),
        }

    def norm(self, name: str, width: int) -> dict[str, np.ndarray]:
        """A LayerNorm."""
        return {
            'scale': self.take(f'{name}.weight', (width,)),
            'bias': self.take(f'{name}.bias', (width,)),
        }

    def check_all_taken(self) -> None:
        """Heads and poolers may be left over, parts of the encoder may not."""
        for name in self._left:
            if name.startswith('encoder.') or name.endswith('_embeddings.weight'):
                raise UserError(
                    f'{self._folder}: the weights have a tensor {name}, which a model '
                    'of this config.json lacks; config and weights do not belong '
                    'together.'
                )


def read_weights(folder: Path) -> dict[str, np.ndarray]:
    """Every tensor of a checkpoint by its name in the file, as float32.

    Reads `model.safetensors`, or else `pytorch_model.bin` (PyTorch 1.6 or later).

    Raises:
      UserError: neither is there, or the file is damaged, of the format before
        PyTorch 1.6, or names anything but tensors (nothing of it is executed).
    """
    if (folder / SAFETENSORS).is_file():
        return _read_safetensors(folder / SAFETENSORS)
    if (folder / TORCH).is_file():
        return _read_torch(folder / TORCH)
    raise UserError(f'{folder} holds no weights: neither {SAFETENSORS} nor {TORCH}.')


def _read_safetensors(path: Path) -> dict[str, np.ndarray]:
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    try:
        tensors = load_file(path)
    except SafetensorError as error:
        raise UserError(
            f'{path} is not a whole safetensors file ({error}); fetch it again.'
        ) from error
    return {name: np.asarray(x, np.float32) for name, x in tensors.items()}


def _read_torch(path: Path) -> dict[str, np.ndarray]:
    if not _is_zip(path):
        raise UserError(
            f'{path} is damaged, or in the format PyTorch used before 1.6, which is '
            f'not read here; save it again with a newer PyTorch or use {SAFETENSORS}.'
        )
    try:
        with path.open('rb') as file, archives.opened(file) as archive:
            return _read_archive(archive, path)
    except _DAMAGED as error:
        raise UserError(
            f'{path} cannot be read as PyTorch weights '
            f'({type(error).__name__}: {error}); fetch it again.'
        ) from error


def _is_zip(path: Path) -> bool:
    try:
        return zipfile.is_zipfile(path)
    except zipfile.BadZipFile:  # of the kind that spans several disks
        return False


def _read_archive(archive: zipfile.ZipFile, path: Path) -> dict[str, np.ndarray]:
    tables = [n for n in archive.namelist() if n.split('/')[1:] == ['data.pkl']]
    if len(tables) != 1:
        raise ValueError('it has no data.pkl')
    root = tables[0].split('/')[0]
    order = f'{root}/byteorder'
    if order in archive.namelist() and archive.read(order) != b'little':
        raise UserError(f'{path} was written on a big-endian machine; not read here.')
    with archive.open(tables[0]) as file:
        table = _TableUnpickler(file, archive.getinfo(tables[0]).file_size, path)
        tensors = table.load()
    if not isinstance(tensors, dict):
        raise UserError(f'{path} holds no table of tensors by name.')
    for name, tensor in tensors.items():
        if not isinstance(tensor, _Tensor):
            raise UserError(f'{path}: {name!r} is not a tensor; only tensors are read.')
    # Tensors may share a storage, but each is a copy here.
    room = 4 * path.stat().st_size + FREE_BYTES
    if sum(4 * abs(math.prod(tensor.shape)) for tensor in tensors.values()) > room:
        raise TooMuch('it unfolds to far more than its size')
    storages: dict[_Storage, np.ndarray] = {}
    arrays = {}
    for name, tensor in tensors.items():
        storage = tensor.storage
        if storage not in storages:
            storages[storage] = _read_storage(archive, root, storage)
        arrays[name] = _view(storages[storage], tensor).astype(np.float32)
    return arrays


def _read_storage(archive: zipfile.ZipFile, root: str, storage: _Storage) -> np.ndarray:
    entry = archive.getinfo(f'{root}/data/{storage.key}')
    dtype = np.dtype(
        ml_dtypes.bfloat16 if storage.dtype == 'bfloat16' else storage.dtype
    )
    numbers = np.frombuffer(archive.read(entry), dtype)
    if len(numbers) < storage.size:
        raise ValueError(f'{entry.filename} is shorter than the table says')
    return numbers


def _view(numbers: np.ndarray, tensor: _Tensor) -> np.ndarray:
    """The tensor as a strided view of its storage, bounds checked."""
    offset, shape, strides = tensor[1:]
    if not all(isinstance(n, int) and n >= 0 for n in (offset, *shape, *strides)):
        raise ValueError('offset, shape and strides must be whole and not negative')
    last = offset + sum((n - 1) * s for n, s in zip(shape, strides, strict=True))
    size = math.prod(shape)
    if size and (last >= len(numbers) or size > len(numbers)):
        raise ValueError(f'a tensor of shape {shape} reaches beyond its storage')
    return np.lib.stride_tricks.as_strided(
        numbers[offset:], shape, [s * numbers.itemsize for s in strides]
    )


class _TableUnpickler(Unpickler):
    """Admits dictionaries, and tensors and storages as descriptions of ours."""

    def __init__(self, file: BinaryIO, size: int, path: Path) -> None:
        super().__init__(file, size)
        self._path = path

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) == ('collections', 'OrderedDict'):
            return collections.OrderedDict
        if (module, name) == ('torch._utils', '_rebuild_tensor_v2'):
            # Made anew for each use: a pickle may set attributes on what it gets.
            return lambda *args: _Tensor(args[0], args[1], tuple(args[2]), args[3])
        if module == 'torch' and name in _STORAGE_TYPES:
            return _STORAGE_TYPES[name]
        raise UserError(
            f'{self._path} asks for {module}.{name}, which is no part of saved '
            f'weights; it was not run. Use a {SAFETENSORS} from a source you trust.'
        )

    def persistent_load(self, pid: Any) -> _Storage:
        kind, storage_type, key, _, size = pid
        if kind != 'storage' or not isinstance(storage_type, _StorageType):
            raise pickle.UnpicklingError(f'unknown reference {pid!r:.80}')
        return _Storage(key, storage_type.dtype, size)
