"""Archives of arrays: what is read, and what is refused."""

import numpy as np
import pytest

from sugrm_jax import archives


def test_arrays_come_back(tmp_path):
    path, array = tmp_path / 'a.npz', np.arange(6, dtype=np.float32).reshape(2, 3)
    path.write_bytes(archives.write_npz({'x': array}))
    (name, found), *_ = archives.read_npz(path).items()
    assert name == 'x'
    np.testing.assert_array_equal(found, array, strict=True)


def test_an_encrypted_archive_is_refused(tmp_path):
    """Found by spoiled bytes: one bit of an entry's flags says so."""
    content = bytearray(archives.write_npz({'x': np.zeros(3)}))
    content[content.index(b'PK\x01\x02') + 8] |= 1
    (tmp_path / 'a.npz').write_bytes(content)
    with pytest.raises(ValueError, match='encrypted'):
        archives.read_npz(tmp_path / 'a.npz')
