"""Files of other formats, given as data: the message says what they look like."""

import gzip
import io
import pickle

import numpy as np
import pytest

from sugrm_jax.data import pickles
from sugrm_jax.errors import UserError


def saved(save, *args):
    """What a function writes to a file."""
    with io.BytesIO() as file:
        save(file, *args)
        return file.getvalue()


FOREIGN = {
    'npz': (saved(np.savez, np.ones(2)), 'a zip archive, such as .npz'),
    'npy': (saved(np.save, np.ones(2)), 'a numpy .npy file'),
    'hdf5': (b'\x89HDF\r\n\x1a\n\0', 'an HDF5 file'),
    'gzip': (gzip.compress(pickle.dumps({})), 'a gzip archive'),
    'lfs': (b'version https://git-lfs.github.com/spec/v1\n', 'a Git LFS pointer'),
    'html': (b'<!DOCTYPE html><html>', 'a web page or XML'),
    'csv': (b'video_id,clip_id,text,label\nab,1,hello,0.5\n', 'text, such as CSV'),
    # To a pickle `c` and `i` say: look up the name that follows.
    'csv of clips': (b'clip_id,video_id\n1,ab\n', 'text, such as CSV'),
    'csv of ids': (b'id,label\nab$_$1,0.5\n', 'text, such as CSV'),
    'csv in latin1': ('Äther,1\n'.encode('latin1'), 'text, such as CSV'),
    'csv with CR': (b'clip\r\nab\r\n', 'text, such as CSV'),
    'json': (b'{"train": []}', 'text, such as CSV or JSON'),
    'words': (b'hello', 'text, such as CSV'),
}


@pytest.mark.parametrize('kind', FOREIGN)
def test_other_formats_are_named(kind, write):
    data, looks = FOREIGN[kind]
    with pytest.raises(UserError) as error:
        pickles.load(write(data))
    message = str(error.value)
    assert f'data.pkl is not a pickle but looks like {looks}' in message
    assert f'begins with {data[:32]!r}.' in message
    assert 'a pickle in MMSA format' in message
    assert 'fetch' not in message
