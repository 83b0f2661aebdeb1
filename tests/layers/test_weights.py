"""Reading weights: safetensors and PyTorch's format; nothing of a file is run."""

import copy
import io
import json
import pickle
import re
import struct
import subprocess
import sys
import zipfile

import ml_dtypes
import numpy as np
import pytest
from safetensors.numpy import save_file

from benchmarks.fuzz import grown
from sugrm_jax.errors import UserError
from sugrm_jax.layers.weights import Tensors, read_weights


@pytest.mark.parametrize('dtype', [np.float16, ml_dtypes.bfloat16])
def test_half_precision_safetensors_become_float32(tmp_path, dtype):
    numbers = np.random.default_rng(0).normal(size=(2, 3)).astype(dtype)
    save_file({'x': numbers}, tmp_path / 'model.safetensors')
    found = Tensors(tmp_path).take('x', (2, 3))
    np.testing.assert_array_equal(found, numbers.astype(np.float32), strict=True)


@pytest.mark.parametrize('dtype', [np.int8, np.uint8, np.bool_])
def test_numbers_of_8_bits_are_no_weights(tmp_path, dtype):
    numbers = {'x': np.ones((2, 3), dtype), 'y': np.ones(3, np.float32)}
    save_file(numbers, tmp_path / 'model.safetensors')
    tensors = Tensors(tmp_path)
    tensors.take('y', (3,))
    with pytest.raises(UserError, match='tensor x holds numbers of 8 bits'):
        tensors.take('x', (2, 3))


@pytest.mark.parametrize(
    ('dtype', 'bits'),
    [('F8_E4M3', 8), ('F8_E5M2', 8), ('F8_E8M0', 8), ('F4', 4), ('C64', 64)],
)
def test_numbers_that_are_no_plain_floats_are_refused(dtype, bits, tmp_path):
    """Numpy has no such type, or the imaginary part would be lost."""
    tensor = {'dtype': dtype, 'shape': [8], 'data_offsets': [0, bits]}
    header = json.dumps({'x': tensor}).encode()
    content = struct.pack('<Q', len(header)) + header + bytes(bits)
    (tmp_path / 'model.safetensors').write_bytes(content)
    message = f'model.safetensors: the tensor x holds numbers of type {dtype}, but'
    with pytest.raises(UserError, match=message):
        read_weights(tmp_path)


def test_damaged_safetensors(tmp_path):
    path = tmp_path / 'model.safetensors'
    save_file({'x': np.zeros(100, np.float32)}, path)
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(UserError, match='not a whole safetensors file'):
        read_weights(tmp_path)


def test_no_weights(tmp_path):
    with pytest.raises(UserError, match=r'neither model\.safetensors nor pytorch'):
        read_weights(tmp_path)


# pytorch_model.bin. Opcodes of protocol 0 are lines of text.


def integers(*numbers):
    return b'(' + b''.join(b'I%d\n' % n for n in numbers) + b't'


def tensor(size=6, offset=0, shape=(2, 3), strides=(3, 1), storage=b'FloatStorage'):
    reference = b'(Vstorage\nctorch\n%b\nV0\nVcpu\nI%d\ntQ' % (storage, size)
    rest = b'I%d\n' % offset + integers(*shape) + integers(*strides)
    hooks = b'I00\nccollections\nOrderedDict\n)R'
    return b'ctorch._utils\n_rebuild_tensor_v2\n(' + reference + rest + hooks + b'tR'


def torch_file(folder, value, extra=None, compression=zipfile.ZIP_STORED):
    """A `pytorch_model.bin` with the table `{'x': value}` over the numbers 0 to 5."""
    files = {
        'data.pkl': b'\x80\x02}Vx\n' + value + b's.',
        'data/0': np.arange(6, dtype='<f4').tobytes(),
    } | (extra or {})
    with zipfile.ZipFile(folder / 'pytorch_model.bin', 'w', compression) as archive:
        for name, content in files.items():
            archive.writestr(f'archive/{name}', content)
    return folder


@pytest.mark.parametrize(
    ('layout', 'wanted'),
    [
        ({}, [[0, 1, 2], [3, 4, 5]]),
        ({'shape': (3, 2), 'strides': (1, 3)}, [[0, 3], [1, 4], [2, 5]]),
        ({'offset': 2, 'shape': (2,), 'strides': (3,)}, [2, 5]),
        ({'offset': 4, 'shape': (), 'strides': ()}, 4),
        ({'offset': 6, 'shape': (0, 3), 'strides': (3, 1)}, np.zeros((0, 3))),
    ],
)
def test_tensors_by_offset_and_strides(tmp_path, layout, wanted):
    found = read_weights(torch_file(tmp_path, tensor(**layout)))['x']
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, wanted)


@pytest.mark.parametrize(
    ('storage', 'dtype'),
    [
        (b'HalfStorage', np.float16),
        (b'BFloat16Storage', ml_dtypes.bfloat16),
        (b'LongStorage', np.int64),
    ],
)
def test_storages_of_other_types(tmp_path, storage, dtype):
    numbers = np.array([1, -2, 3, 0, 5, 96]).astype(dtype)
    torch_file(tmp_path, tensor(storage=storage), {'data/0': numbers.tobytes()})
    np.testing.assert_array_equal(read_weights(tmp_path)['x'].ravel(), numbers)


@pytest.mark.parametrize(
    'layout',
    [
        {'offset': 1},
        {'offset': -1},
        {'strides': (4, 1)},
        {'offset': 3, 'strides': (-3, 1)},
        {'shape': (2, -3)},
        {'shape': (7,), 'strides': (0,)},
        {'shape': (2, 3, 1)},
        {'size': 7},
    ],
)
def test_tensors_beyond_their_storage_are_refused(tmp_path, layout):
    with pytest.raises(UserError, match='cannot be read as PyTorch weights'):
        read_weights(torch_file(tmp_path, tensor(**layout)))


@pytest.mark.parametrize(
    ('module', 'name'),
    [
        ('pathlib', 'Path'),
        ('builtins', 'eval'),
        ('torch', 'load'),
        ('torch._utils', '_rebuild_parameter'),
        ('numpy', 'ndarray'),
    ],
)
def test_forbidden_names_are_refused_by_name(tmp_path, module, name):
    value = f'c{module}\n{name}\n'.encode()
    with pytest.raises(UserError, match=rf'asks for {module}\.{name}.*not run'):
        read_weights(torch_file(tmp_path, value))


def test_nothing_of_a_hostile_file_runs(tmp_path):
    witness = tmp_path / 'witness'
    command = f'touch {witness}'
    # system(command), which this very pickle runs when it is read by pickle.load.
    value = b'cposix\nsystem\n(V%b\ntR' % command.encode()
    pickle.load(io.BytesIO(b'\x80\x02}Vx\n' + value + b's.'))
    assert witness.exists(), 'the hostile file is not hostile'
    witness.unlink()
    with pytest.raises(UserError, match=r'posix\.system'):
        read_weights(torch_file(tmp_path, value))
    assert not witness.exists()


@pytest.mark.parametrize(
    ('value', 'extra', 'message'),
    [
        (b'I1\n', {}, "'x' is not a tensor"),
        (tensor(), {'byteorder': b'big'}, 'big-endian'),
        (tensor(), {'data.pkl': b'I1\n.'}, 'no table of tensors'),
        (tensor(), {'data.pkl': b'\x80\x02}Vx'}, 'EOFError'),
        (tensor(), {'data.pkl': b''}, 'EOFError'),
        (tensor(), {'sub/data.pkl': b''}, None),
        (b'(Vmodule\nI1\ntQ', {}, 'cannot be read'),
        (tensor().replace(b'V0\n', b'V../../1\n'), {}, 'cannot be read'),
    ],
)
def test_odd_archives(tmp_path, value, extra, message):
    torch_file(tmp_path, value, extra)
    if message is None:
        assert read_weights(tmp_path)['x'].shape == (2, 3)
    else:
        with pytest.raises(UserError, match=message):
            read_weights(tmp_path)


def test_compressed_archives_are_refused(tmp_path):
    with pytest.raises(UserError, match='compressed'):
        read_weights(torch_file(tmp_path, tensor(), compression=zipfile.ZIP_DEFLATED))


MANY = 200


def shared_by_many():
    """Tensors of one storage of 1 MB; each would be a copy."""
    one = tensor(size=2**18, shape=(2**18,), strides=(1,))
    table = b''.join(b'Vx%d\n%bs' % (i, one) for i in range(MANY))
    return {
        'data.pkl': b'\x80\x02}' + table + b'.',
        'data/0': np.zeros(2**18, '<f4').tobytes(),
    }


def test_tensors_of_the_same_numbers_are_not_copied_without_end(tmp_path):
    tensors = Tensors(torch_file(tmp_path, tensor(), shared_by_many()))
    tensors.take('x7', (2**18,))
    with pytest.raises(UserError, match='unfold to more than their size'):
        for i in range(7):
            tensors.take(f'x{i}', (2**18,))


# Beside a tensor and a storage: what stands for the pairs, the shape and the key.
PAIRS = b'ccollections\nOrderedDict\n((VaI1\nttR'
HUGE = b'L%dL\n' % 2**8000
REPEATED = HUGE + b'p9\n' + b'g9\n' * 999
STORAGE = b'(Vstorage\nctorch\nFloatStorage\n%bVcpu\nI6\ntQ'
NESTED = b'Va\n' + b''.join(b'p%d\n0(' % i + b'g%d\n' % i * 9 + b't' for i in range(60))


@pytest.mark.parametrize(
    ('value', 'reason'),
    [
        (b'](' + b']' * 600_000 + b'e', 'too many small parts'),
        (PAIRS, 'takes 0 positional arguments'),
        (tensor().replace(integers(2, 3), b'(' + REPEATED + b't'), 'a shape that none'),
        (tensor().replace(integers(3, 1), b'(' + HUGE * 2 + b't'), 'a shape that none'),
        (tensor().replace(integers(2, 3), b'](I2\nI3\ne'), 'a shape that none'),
        (tensor(size=2**60), 'a shape that none'),
        (STORAGE % NESTED, 'something unknown'),
        (STORAGE.replace(b'Vstorage\n', NESTED) % b'V0\n', 'something unknown'),
    ],
    ids=['parts', 'pairs', 'shape', 'strides', 'list', 'size', 'key', 'kind'],
)
def test_bombs_are_refused(tmp_path, value, reason):
    torch_file(tmp_path, value)
    # By a process of its own, which can be ended while Python multiplies.
    code = (
        'from pathlib import Path\n'
        'from sugrm_jax.layers.weights import read_weights\n'
        f'read_weights(Path({str(tmp_path)!r}))'
    )
    done = subprocess.run(
        [sys.executable, '-c', code], capture_output=True, text=True, timeout=20
    )
    told = done.stderr.splitlines()[-1]
    assert re.search(f'UserError: .*cannot be read as PyTorch weights.*{reason}', told)
    assert len(told) < 500


def test_a_storage_is_read_once(tmp_path):
    """Whatever size and type the tensors say that it has."""
    kinds = (b'FloatStorage', b'IntStorage', b'HalfStorage')
    table = b''.join(
        b'Vx%d\n%bs' % (i, tensor(i, 0, (1,), (1,), kinds[i % 3])) for i in range(MANY)
    )
    numbers = {'data.pkl': b'\x80\x02}' + table + b'.', 'data/0': bytes(2**20)}
    torch_file(tmp_path, tensor(), numbers)
    found, more = grown(lambda: read_weights(tmp_path))
    assert len(found) == MANY and more < 2**23


def test_entries_that_overlap_are_refused(tmp_path):
    """A zip whose directory names the same bytes many times."""
    torch_file(tmp_path, tensor(), {'data/0': bytes(2**20)})
    path = tmp_path / 'pytorch_model.bin'
    with zipfile.ZipFile(path, 'a') as archive:
        (first,) = [x for x in archive.infolist() if x.filename == 'archive/data/0']
        for i in range(1, MANY):
            again = copy.copy(first)
            again.filename = f'archive/data/{i}'
            archive.filelist.append(again)
        archive._didModify = True
    assert path.stat().st_size < 2**21
    with pytest.raises(UserError, match='unfolds to more than its size'):
        read_weights(tmp_path)


def test_format_before_1_6_and_rubbish_are_refused(tmp_path):
    # The old format starts with a pickled magic number.
    (tmp_path / 'pytorch_model.bin').write_bytes(b'\x80\x02\x8a\nl\xfc\x9cF\xf9 j')
    with pytest.raises(UserError, match=r'before 1\.6.*newer PyTorch'):
        read_weights(tmp_path)
