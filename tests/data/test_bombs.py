"""Files made to use up memory or time: refused, in little of either."""

import pickle
import subprocess
import sys

import pytest

from sugrm_jax.data import pickles
from sugrm_jax.errors import UserError
from tests.data.assembler import EMPTY, dtype, name, program, value

FAR_MORE, MANY = 'unfolds to far more', 'too many small parts'


def lists_of_one(depth, width=10):
    content = ['x']
    for _ in range(depth):
        content = [content] * width
    return value(content)


def put(opcodes, place):
    """Keeps what the opcodes leave, to `get` it any number of times."""
    return opcodes + pickle.BINPUT + bytes([place]) + pickle.POP


def get(place):
    return pickle.BINGET + bytes([place])


def again_and_again(opcodes, times):
    return (opcodes + pickle.POP) * times + opcodes


def colliding(count):
    """Keys that Python's dict puts in one place: their remainders are alike."""
    keys = [value(i * (2**61 - 1)) for i in range(1, count)]
    return b'}(' + b'N'.join(keys) + b'Nu'


BOMBS = {
    'a table of keys': (b'N' + pickle.LONG_BINPUT + b'\xff\xff\xff\x7f', None),
    'a text that is not there': (pickle.BINBYTES8 + b'\0\0\0\0\0\1\0\0', 'Ran out'),
    'an array of bytes that is not there': (
        pickle.BYTEARRAY8 + b'\0\0\0\0\4\0\0\0',
        'Ran out',
    ),
    'a frame that is not there': (pickle.FRAME + b'\0\0\0\0\0\1\0\0', 'Ran out'),
    'a text decoded again': (
        put(name('_codecs', 'encode'), 100)
        + put(value(('a' * 10_000, 'latin1')), 101)
        + again_and_again(get(100) + get(101) + b'R', 3000),
        FAR_MORE,
    ),
    'objects of one list': (
        put(dtype('O8', '|', 63), 101)
        + put(value([None] * 10_000), 102)
        + again_and_again(
            EMPTY + b'(K\1' + value((10_000,)) + get(101) + b'\x89' + get(102) + b'tb',
            400,
        ),
        FAR_MORE,
    ),
    'lists of one list': (lists_of_one(60), FAR_MORE),
    'lists of a long text': (
        put(value('a' * 10_000), 100) + b'](' + get(100) * 60_000 + b'e',
        FAR_MORE,
    ),
    'empty lists': (b'](' + b']' * 600_000 + b'e', MANY),
    'keys that collide': (colliding(50_000), 'a large key of type int'),
    'sets': (b'](' + pickle.EMPTY_SET * 200_000 + b'e', 'type set'),
}


def measured(code):
    """Bytes that running `code` adds to the largest size of a process of its own."""
    probe = (
        'import resource\n'
        'from sugrm_jax.data import pickles\n'
        'from sugrm_jax.errors import UserError\n'
        'def peak(): return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n'
        'before = peak()\n'
    )
    done = subprocess.run(
        [sys.executable, '-c', f'{probe}{code}\nprint(1024 * (peak() - before))'],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    return int(done.stdout)


@pytest.mark.parametrize('bomb', BOMBS)
def test_bombs_are_refused_in_little_memory(bomb, write):
    opcodes, reason = BOMBS[bomb]
    path = write(program(opcodes))
    if reason is None:
        assert pickles.load(path) is None
    else:
        with pytest.raises(UserError, match=reason):
            pickles.load(path)
    code = f'try: pickles.load({str(path)!r})\nexcept UserError: pass'
    assert measured(code) < 4 * path.stat().st_size + 64 * 2**20
