"""Large files are read in so many times their size, and little more.

Here of some 100 MB: of a small file nothing is told by the room that any of them has.
"""

import re
import zipfile

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from benchmarks.fuzz import ROOM, TIMES, grown
from sugrm_jax.data import mmsa as reader
from sugrm_jax.data.convert import convert
from sugrm_jax.errors import UserError
from sugrm_jax.layers.pretrained import load_params, read_config
from tests import recordings
from tests.layers.test_weights import tensor

SIZE = 96 * 2**20
# What has 8 bits becomes four times as large, beside the file's own bytes.
TIMES_OF_8_BITS = 5


def read_within(call, path, times=TIMES):
    """What the call returns, which reads the file or folder."""
    below = path.rglob('*') if path.is_dir() else [path]
    size = sum(x.stat().st_size for x in below)
    assert SIZE / 2 < size < 2 * SIZE
    result, more = grown(call)
    assert more < times * size + ROOM, f'{more / size:.2f} times {size}'
    return result


def with_large(raw, field, shape, dtype, fill, order='C'):
    """The data set with a field of `SIZE` bytes; `None` is the axis that is long.

    Almost all of it is in one split, of many utterances: so nothing but the size of
    that array is let go on the way.
    """
    train = {name: np.asarray(value) for name, value in raw['train'].items()}
    raw['train'] = {k: np.resize(x, (256, *x.shape[1:])) for k, x in train.items()}
    known = np.prod([n for n in shape if n], dtype=int) * np.dtype(dtype).itemsize
    long = SIZE // (256 * int(known))
    for split in raw.values():
        full = (len(split['id']), *(n or long for n in shape))
        split[field] = np.full(full, fill, dtype, order)
    return raw


@pytest.mark.parametrize(
    ('field', 'shape', 'dtype', 'fill', 'order', 'times'),
    [
        ('audio', (None, 5), 'f4', np.nan, 'C', TIMES),
        ('audio', (None, 5), 'f8', 1e300, 'F', TIMES),
        ('vision', (None, 1), 'f2', np.inf, 'C', TIMES),
        ('vision', (None, 4), 'i1', 1, 'C', TIMES_OF_8_BITS),
        ('text_bert', (3, None), 'i1', 1, 'C', TIMES_OF_8_BITS),
    ],
)
def test_pickles(field, shape, dtype, fill, order, times, mmsa, write):
    path = write(with_large(mmsa(), field, shape, dtype, fill, order))
    read_within(lambda: reader.load_dataset(path), path, times)


def test_pickles_of_text(mmsa, write):
    """One letter that is not of the first 256 makes a text four times as large."""
    raw = mmsa()
    raw['test']['raw_text'] = [f'{i}😀' + 'a' * (SIZE // 3) for i in range(3)]
    path = write(raw)

    def refused():
        with pytest.raises(UserError, match='raw_text holds a text of 33554434 let'):
            reader.load_dataset(path)

    read_within(refused, path, TIMES_OF_8_BITS)


def test_converted_data(mmsa, write, tmp_path):
    raw = with_large(mmsa(), 'text_bert', (3, None), 'i1', 1)
    convert(write(raw), tmp_path / 'converted', say=str)
    path = tmp_path / 'converted'
    read_within(lambda: reader.load_dataset(path), path, TIMES_OF_8_BITS)


@pytest.mark.parametrize('content', ['{},', '[],', '0.5,', '"aa",', '"aa":1,'])
def test_manifests_of_many_parts(content, mmsa, write, tmp_path):
    convert(write(mmsa()), tmp_path / 'converted', say=str)
    path = tmp_path / 'converted' / 'dataset.json'
    start, end = ('{', '"":1}') if ':' in content else ('[', '0]')
    path.write_text(start + content * (SIZE // len(content)) + end)

    def refused():
        with pytest.raises(UserError, match=r'dataset\.json.*too many small parts'):
            reader.load_dataset(path.parent)

    read_within(refused, path)


# Weights of float16, in either of the formats. -------------------------------------

TINY = recordings.FIXTURES / 'bert_tiny'
# Of the tiny checkpoint no two sizes are alike.
VOCABULARY, HIDDEN, INNER = 120, 32, 64


def weights(old, new):
    """The tiny checkpoint in float16, one size of it changed, and its config.json."""
    text = re.sub(rf': {old}\b', f': {new}', (TINY / 'config.json').read_text())
    tiny = load_file(TINY / 'model.safetensors')
    shapes = {k: [new if n == old else n for n in x.shape] for k, x in tiny.items()}
    return {name: np.ones(shape, 'f2') for name, shape in shapes.items()}, text


def save_torch(tensors, path):
    table = b''
    with zipfile.ZipFile(path, 'w') as archive:
        for name, x in tensors.items():
            strides = [n // x.itemsize for n in x.strides]
            told = tensor(x.size, 0, x.shape, strides, b'HalfStorage')
            key = b'V' + name.encode()
            table += key + b'\n' + told.replace(b'V0', key) + b's'
            archive.writestr(f'archive/data/{name}', x.tobytes())
        archive.writestr('archive/data.pkl', b'\x80\x02}' + table + b'.')


@pytest.mark.parametrize(
    ('old', 'new'), [(VOCABULARY, 1_500_000), (HIDDEN, 2400), (INNER, 390_000)]
)
@pytest.mark.parametrize(
    ('save', 'name'),
    [(save_file, 'model.safetensors'), (save_torch, 'pytorch_model.bin')],
)
def test_weights(old, new, save, name, tmp_path):
    tensors, text = weights(old, new)
    (tmp_path / 'config.json').write_text(text)
    save(tensors, tmp_path / name)
    del tensors
    params = read_within(lambda: load_params(tmp_path, read_config(tmp_path)), tmp_path)
    assert params['layers']['output']['kernel'].dtype == np.float32
