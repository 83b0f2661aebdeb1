"""Files made to use up memory or time: refused, in little of either."""

import pickle
import re
import subprocess
import sys

import pytest

from tests.data.assembler import EMPTY, array, dtype, name, program, value

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
    'a table of keys': (b'N' + pickle.LONG_BINPUT + b'\xff\xff\xff\x7f', '^None'),
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
    'a text decoded again, by older instructions': (
        put(name('_codecs', 'encode'), 100)
        + put(value('a' * 10_000), 101)
        + put(value('latin1'), 102)
        + again_and_again(b'(' + get(100) + get(101) + get(102) + b'o', 3000),
        FAR_MORE,
    ),
    'an encoding of lists of one list': (
        name('_codecs', 'encode') + b'(' + value('a') + lists_of_one(60) + b'tR',
        'another encoding than latin1',
    ),
    'a shape of one large number': (
        put(value(2**8000), 100)
        + EMPTY
        + b'(K\1('
        + get(100) * 30_000
        + b't'
        + dtype('f8')
        + value(False)
        + value(b'')
        + b'tb',
        'a shape that none can have',
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
    'dicts of a long key': (
        put(value('a' * 10_000), 100)
        + b']('
        + (b'}' + get(100) + b'Ns') * 20_000
        + b'e',
        FAR_MORE,
    ),
    'texts of two letters': (
        array(dtype('S2', '|'), (300_000,), bytes(600_000)),
        FAR_MORE,
    ),
    'empty lists': (b'](' + b']' * 600_000 + b'e', MANY),
    'keys that collide': (colliding(50_000), 'a large key of type int'),
    'sets': (b'](' + pickle.EMPTY_SET * 200_000 + b'e', 'type set'),
}


# What it came to, and the bytes it added to the largest size of the process.
PROBE = """
import resource, sys
from sugrm_jax.data import pickles
from sugrm_jax.errors import UserError

def peak():
    return 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

before = peak()
try:
    told = repr(pickles.load(sys.argv[1]))
except UserError as error:
    told = str(error)
print(peak() - before, told)
"""


@pytest.mark.parametrize('bomb', BOMBS)
def test_bombs_are_refused_in_little_memory_and_time(bomb, write):
    opcodes, reason = BOMBS[bomb]
    path = write(program(opcodes))
    # By a process of its own, which can be ended while Python multiplies.
    done = subprocess.run(
        [sys.executable, '-c', PROBE, path],
        capture_output=True,
        text=True,
        check=True,
        timeout=10,
    )
    more, told = done.stdout.split(' ', 1)
    assert re.search(reason, told) and len(told) < 500
    assert int(more) < 4 * path.stat().st_size + 64 * 2**20
