"""Pickles put together by hand, from pieces that numpy would not write."""

import pickle


def value(content):
    """The opcodes that put a plain value on the stack."""
    return pickle.dumps(content, 2)[2:-1]


def name(module, attribute):
    """The opcodes that put a named object on the stack, dots or not."""
    return value(module) + value(attribute) + pickle.STACK_GLOBAL


NDARRAY, DTYPE = name('numpy', 'ndarray'), name('numpy', 'dtype')
RECONSTRUCT = name('numpy.core.multiarray', '_reconstruct')
FROMBUFFER = name('numpy.core.numeric', '_frombuffer')
# An array on its way, as numpy begins all of them.
EMPTY = RECONSTRUCT + b'(' + NDARRAY + value((0,)) + value(b'b') + b'tR'


def program(*opcodes):
    return pickle.PROTO + b'\4' + b''.join(opcodes) + pickle.STOP


def dtype(code, order='<', flags=0):
    state = (3, order, None, None, None, -1, -1, flags)
    return DTYPE + value((code, False, True)) + b'R' + value(state) + b'b'


def array(kind, shape, data):
    """`kind` is the opcodes of the dtype; `data` a plain value."""
    return (
        EMPTY
        + b'('
        + value(1)
        + value(shape)
        + kind
        + value(False)
        + value(data)
        + b'tb'
    )
