"""Reads a checkpoint's tensors without PyTorch and without running its pickle.

`pytorch_model.bin` is a zip with one pickle (which tensor lies where in which
storage) and one file of raw numbers per storage. The pickle is read by an
unpickler that admits only the names such a table needs.
"""

from __future__ import annotations

import collections
import pickle
import zipfile
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import ml_dtypes
import numpy as np

from sugrm_jax import archives
from sugrm_jax.errors import UserError
from sugrm_jax.regular import open_regular
from sugrm_jax.unpickling import Unpickler, check_sizes, elements

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

# Of safetensors: those of weights, and of buffers beside them such as positions.
_NUMBERS = {'F64', 'F32', 'F16', 'BF16', 'BOOL'} | {
    f'{kind}{bits}' for kind in 'IU' for bits in (8, 16, 32, 64)
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

    Each becomes float32 as it is taken, so that what nobody takes costs nothing.

    Raises:
      UserError: as `read_weights` does.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        # Tensors may share their numbers, but each is a copy when it is taken.
        self._room = weights_file(folder).stat().st_size
        self._left = {
            # A model with heads holds the encoder as `bert`; TensorFlow's names for
            # LayerNorm's parameters live on in old checkpoints.
            name.removeprefix('bert.')
            .replace('LayerNorm.gamma', 'LayerNorm.weight')
            .replace('LayerNorm.beta', 'LayerNorm.bias'): tensor
            for name, tensor in read_weights(folder).items()
        }

    def take(self, name: str, shape: tuple[int, ...]) -> np.ndarray:
        """The tensor of that name and shape as float32.

        Raises:
          UserError: it is not there, of 8 bits, or one of many of the same numbers.
        """
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
        if tensor.itemsize < 2:
            raise UserError(
                f'{self._folder}: the tensor {name} holds numbers of 8 bits '
                f'({tensor.dtype}), whose scale is not known here; take weights of '
                'float32 or float16.'
            )
        self._room -= tensor.nbytes
        if self._room < 0:
            raise UserError(
                f'{self._folder}: the weights unfold to more than their size; take '
                'those of a source you trust.'
            )
        return np.asarray(tensor, np.float32)

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
    """Every tensor of a checkpoint by its name in the file, of the type it has there.

    Reads `model.safetensors`, or else `pytorch_model.bin` (PyTorch 1.6 or later), whose
    tensors may be views of the same numbers.

    Raises:
      UserError: neither is there, or the file is damaged, of the format before
        PyTorch 1.6, has numbers of other types (complex, or of 8 bits and fewer with a
        point), or names anything but tensors (nothing of it is executed).
    """
    path = weights_file(folder)
    return _read_safetensors(path) if path.name == SAFETENSORS else _read_torch(path)


def weights_file(folder: Path) -> Path:
    """The file with the weights; a `UserError` if there is none."""
    for name in (SAFETENSORS, TORCH):
        if (folder / name).is_file():
            return folder / name
    raise UserError(f'{folder} holds no weights: neither {SAFETENSORS} nor {TORCH}.')


def _read_safetensors(path: Path) -> dict[str, np.ndarray]:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, 'numpy') as file:
            for name in file.keys():  # noqa: SIM118 - it is no dict
                dtype = file.get_slice(name).get_dtype()
                if dtype not in _NUMBERS:
                    raise UserError(
                        f'{path}: the tensor {name:.80} holds numbers of type {dtype}, '
                        'but weights are read from F64, F32, F16 or BF16: convert it.'
                    )
            return file.get_tensors()
    except SafetensorError as error:
        raise UserError(
            f'{path} is not a whole safetensors file ({error}); fetch it again.'
        ) from error


def _read_torch(path: Path) -> dict[str, np.ndarray]:
    if not _is_zip(path):
        raise UserError(
            f'{path} is damaged, or in the format PyTorch used before 1.6, which is '
            f'not read here; save it again with a newer PyTorch or use {SAFETENSORS}.'
        )
    try:
        with open_regular(path) as file, archives.opened(file) as archive:
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
            raise UserError(
                f'{path}: {name!r:.80} is not a tensor; only tensors are read.'
            )
    storages: dict[str, bytes] = {}
    arrays = {}
    for name, tensor in tensors.items():
        key = tensor.storage.key
        if key not in storages:
            storages[key] = archive.read(f'{root}/data/{key}')
        arrays[name] = _view(storages[key], tensor)
    return arrays


def _view(storage: bytes, tensor: _Tensor) -> np.ndarray:
    """The tensor as a strided view of its storage, bounds checked."""
    (key, dtype, count), offset, shape, strides = tensor
    numbers = np.frombuffer(
        storage, ml_dtypes.bfloat16 if dtype == 'bfloat16' else dtype
    )
    if len(numbers) < count:
        raise ValueError(f'the storage {key:.80} is shorter than the table says')
    last = offset + sum((n - 1) * s for n, s in zip(shape, strides, strict=True))
    size = elements(shape)
    if size and (last >= len(numbers) or size > len(numbers)):
        raise ValueError(f'a tensor of shape {shape} reaches beyond its storage')
    return np.lib.stride_tricks.as_strided(
        numbers[offset:], shape, [s * numbers.itemsize for s in strides]
    )


def _tensor(storage: Any, offset: Any, shape: Any, strides: Any) -> _Tensor:
    """A tensor as the table has it, its parts of the right types."""
    if not isinstance(storage, _Storage):
        raise pickle.UnpicklingError('a tensor is of no storage')
    for sizes in ((offset,), shape, strides):
        check_sizes(sizes)
    return _Tensor(storage, offset, shape, strides)


class _TableUnpickler(Unpickler):
    """Admits dictionaries, and tensors and storages as descriptions of ours."""

    def __init__(self, file: BinaryIO, size: int, path: Path) -> None:
        super().__init__(file, size)
        self._path = path

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) == ('collections', 'OrderedDict'):
            # Empty, as it is written: no pairs whose keys nobody has looked at.
            return lambda: collections.OrderedDict()
        if (module, name) == ('torch._utils', '_rebuild_tensor_v2'):
            # Made anew for each use: a pickle may set attributes on what it gets.
            return lambda *args: _tensor(*args[:4])
        if module == 'torch' and name in _STORAGE_TYPES:
            return _STORAGE_TYPES[name]
        raise UserError(
            f'{self._path} asks for {module:.80}.{name:.80}, no part of saved '
            f'weights; it was not run. Use a {SAFETENSORS} from a source you trust.'
        )

    def persistent_load(self, pid: Any) -> _Storage:
        kind, storage_type, key, _, size = pid
        known = (kind, type(storage_type), type(key)) == ('storage', _StorageType, str)
        if not known:
            raise pickle.UnpicklingError('it refers to something unknown')
        check_sizes((size,))
        return _Storage(key, storage_type.dtype, size)
