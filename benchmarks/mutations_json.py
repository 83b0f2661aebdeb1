"""Ways to spoil what is written as JSON, by what it means.

As in `mutations`, everything is drawn from the generator that is given.
"""

from __future__ import annotations

import json
import math
import pathlib
import struct
from typing import Any

import numpy as np

from benchmarks import mutations

Generator = np.random.Generator

# Numbers of type by its name in safetensors, and their bits.
DTYPES = {
    **{'F64': 64, 'F32': 32, 'F16': 16, 'BF16': 16, 'C64': 64, 'BOOL': 8},
    **{f'{kind}{bits}': bits for kind in 'IU' for bits in (8, 16, 32, 64)},
    **dict.fromkeys(('F8_E4M3', 'F8_E5M2', 'F8_E8M0', 'F8_E4M3FNUZ'), 8),
    **{'F6_E2M3': 6, 'F6_E3M2': 6, 'F4': 4},
}
_ODD = (
    None,
    [],
    {},
    [[]],
    {'a': 1},
    True,
    False,
    'x',
    '',
    '../../..',
    'file',
    'none',
    '~no.such.user/x',
    'é' * 300,
    0.5,
    1.5,
    -1.5,
    0.0,
    1e300,
    math.nan,
    math.inf,
    -1,
    3,
    30,
    2**29,
    10**30,
    10**400,
    *mutations.EDGES,
)
# What a parser itself may stumble over, in place of a whole file.
_WHOLE = (
    b'[' * 100_000,
    b'{"a":' * 100_000,
    b'[1' + b'0' * 5000 + b']',
    b'',
    b'{}',
    b'null',
    b'"x"',
    b'3',
    b'\xff\xfe{}',
)


def change(value: Any, rng: Generator) -> Any:
    """The same but for one part of it, at any depth, gone or of another meaning."""
    if isinstance(value, dict | list) and value and rng.random() < 0.9:
        keys = list(value) if isinstance(value, dict) else range(len(value))
        key = keys[rng.integers(len(keys))]
        changed = value.copy()
        if rng.random() < 0.15:
            del changed[key]
        else:
            changed[key] = change(value[key], rng)
        return changed
    # Of the same type half of the time: others are soon refused.
    alike = [x for x in _ODD if type(x) is type(value)]
    odd = alike if alike and rng.random() < 0.5 else _ODD
    return odd[rng.integers(len(odd))]


def spoil(data: bytes, rng: Generator) -> bytes:
    """A file of JSON, spoiled by its meaning; what is none is spoiled by its bytes."""
    if rng.random() < 0.05:
        return _WHOLE[rng.integers(len(_WHOLE))]
    try:
        content = json.loads(data)
    except ValueError:
        return mutations.change_bytes(data, rng)
    for _ in range(rng.integers(1, 3)):
        content = change(content, rng)
    return json.dumps(content).encode()


def spoil_any(place: pathlib.Path, rng: Generator) -> pathlib.Path:
    """Changes one file below `place`: JSON by its meaning, or any by its bytes."""
    below = sorted(x for x in place.rglob('*') if x.is_file())
    path = below[rng.integers(len(below))]
    way = spoil if rng.random() < 0.7 else mutations.change_bytes
    path.write_bytes(way(path.read_bytes(), rng))
    return path


def spoil_weights(place: pathlib.Path, rng: Generator) -> pathlib.Path:
    """`spoil_any`, or the header of `model.safetensors` is changed, and fits or not."""
    if rng.random() < 0.3:
        return spoil_any(place, rng)
    path = place / 'model.safetensors'
    data = path.read_bytes()
    (size,) = struct.unpack('<Q', data[:8])
    header, body = json.loads(data[8 : 8 + size]), data[8 + size :]
    if rng.random() < 0.5:
        header = change(header, rng)
    else:
        header, body = _retyped(header, rng)
    text = json.dumps(header).encode()
    path.write_bytes(struct.pack('<Q', len(text)) + text + body)
    return path


def _retyped(header: dict[str, Any], rng: Generator) -> tuple[dict[str, Any], bytes]:
    """A header with one tensor, or with all, of another type, and zeros that fit it."""
    names = [name for name in header if name != '__metadata__']
    some = names if rng.random() < 0.3 else [names[rng.integers(len(names))]]
    dtype = list(DTYPES)[rng.integers(len(DTYPES))]
    header, at = dict(header), 0
    for name in names:
        tensor = header[name] | ({'dtype': dtype} if name in some else {})
        end = at + math.prod(tensor['shape']) * DTYPES[tensor['dtype']] // 8
        header[name], at = tensor | {'data_offsets': [at, end]}, end
    return header, bytes(at)
