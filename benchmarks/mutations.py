"""Ways to spoil a data file: by what it means, by its instructions, by its bytes.

Everything is drawn from the generator that is given, so that a number names a file.
"""

from __future__ import annotations

import copy
import io
import pickle
import pickletools
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

Generator = np.random.Generator

FIELDS = ('audio', 'vision', 'text')
SIZES = {'train': 6, 'valid': 4, 'test': 3}
WIDTHS = {'audio': 5, 'vision': 4, 'text': 6}
# What is at the edge of some type, as a number and as the bytes of one.
EDGES = (0, 1, 2**7, 2**8 - 1, 2**15, 2**16 - 1, 2**31 - 1, 2**32 - 1, 2**63 - 1)
ODD_NUMBERS = (np.nan, np.inf, -np.inf, 0.0, -0.0, 1e-45, 1e18, 3e38, 1e300, -1, 0.5)


def sound(
    rng: Generator, sizes: Mapping[str, int] = SIZES
) -> dict[str, dict[str, Any]]:
    """A small sound data set, laid out as an MMSA file that we extracted."""
    splits = {name: _split(rng, name, count) for name, count in sizes.items()}
    return splits | {'features': {x: _description(x) for x in ('audio', 'vision')}}


def _description(field: str) -> dict[str, Any]:
    width = WIDTHS[field]
    return {
        'names': [f'{field} {i}' for i in range(width)],
        'units': ['dB'] * width,
        'rate_hz': 100.0,
        'source': 'somebody 1.0',
    }


def _split(rng: Generator, name: str, count: int) -> dict[str, Any]:
    label = np.linspace(-3, 3, count, dtype=np.float32)
    split = {
        'id': np.array([f'{name}$_${i}' for i in range(count)]),
        'raw_text': np.array([f'this is {name}'] * count),
        'regression_labels': label,
        'regression_labels_T': label[::-1].copy(),
        'classification_labels': np.sign(label) + 1,
        'annotations': ['Negative'] * count,
        'start': [0.5 * i for i in range(count)],
        'end': np.arange(1, count + 1, dtype=np.float32),
    }
    for field, steps in (('audio', 7), ('vision', 9), ('text', 8)):
        shape = (count, steps, WIDTHS[field])
        split[field] = rng.normal(size=shape).astype(np.float32)
    for field, steps in (('audio', 7), ('vision', 9)):
        split[f'{field}_lengths'] = rng.integers(1, steps + 1, count).tolist()
    tokens = np.zeros((count, 3, 8), np.float32)
    tokens[:, :2, :4] = [[1, 23, 3, 2], [1, 1, 1, 1]]
    return split | {'text_bert': tokens}


# By meaning. -----------------------------------------------------------------------


def odd_value(rng: Generator) -> Any:
    """Something that no field should be."""
    shape = tuple(int(n) for n in rng.integers(0, 5, rng.integers(0, 5)))
    values = (
        None,
        '',
        b'\xff\xfe',
        '\ud800',
        'a' * 5000,
        10**400,
        10**4000,
        -1,
        True,
        float('nan'),
        1e308,
        [],
        {},
        (),
        [[]],
        [[1], [2, 3]],
        [None, 'a', 1],
        {'a': {'b': [1]}},
        np.float64('nan'),
        np.float32(25),
        np.int64(-3),
        np.array(['a', None, 3], object),
        np.array(7),
        np.array('text'),
        np.zeros(shape),
        np.ones(shape, 'i1'),
        np.full(shape, 'ab'),
        np.zeros((0, 3, 8)),
    )
    return values[rng.integers(len(values))]


def _retyped(array: np.ndarray, rng: Generator) -> Any:
    kinds = ('f2', 'f8', '>f4', 'i1', 'u1', 'i8', 'u8', '?', 'O', 'U', 'S')
    with np.errstate(all='ignore'):
        return array.astype(kinds[rng.integers(len(kinds))])


def _reshaped(array: np.ndarray, rng: Generator) -> Any:
    axis = int(rng.integers(array.ndim)) if array.ndim else 0
    ways = (
        lambda: array[..., None],
        lambda: array[None],
        lambda: array.T,
        lambda: np.take(array, [], axis),
        lambda: np.take(array, [0], axis),
        lambda: np.repeat(array, 3, axis),
        lambda: array.ravel(),
        lambda: np.atleast_1d(array)[:-1],
    )
    return ways[rng.integers(len(ways))]() if array.size else array


def _with_odd_numbers(array: np.ndarray, rng: Generator) -> Any:
    array = array.copy()
    if array.size:
        with np.errstate(all='ignore'):
            some = rng.integers(array.size, size=3)
            array.flat[some] = ODD_NUMBERS[rng.integers(len(ODD_NUMBERS))]
    return array


def _as_lists(array: np.ndarray, rng: Generator) -> Any:
    ways = (
        lambda: array.tolist(),
        lambda: tuple(array),
        lambda: [*array, *array],
        lambda: [*array.tolist(), odd_value(rng)],
    )
    return ways[rng.integers(len(ways))]()


def _changed(value: Any, rng: Generator) -> Any:
    ways = (_retyped, _reshaped, _with_odd_numbers, _as_lists)
    try:
        array = np.asarray(value)
        return ways[rng.integers(len(ways))](array, rng)
    except (TypeError, ValueError, OverflowError):  # what numpy will not make of it
        return odd_value(rng)


def change_meaning(data: dict[str, Any], rng: Generator) -> Any:
    """The data set with one to four things wrong, or none by chance."""
    data = copy.deepcopy(data)
    for _ in range(rng.integers(1, 5)):
        name = str(rng.choice(list(data))) if data else 'train'
        split = data.get(name)
        if not isinstance(split, dict) or not split or rng.random() < 0.05:
            data[name] = odd_value(rng)
            continue
        field = str(rng.choice(list(split)))
        while isinstance(split[field], dict) and split[field] and rng.random() < 0.8:
            split = split[field]
            field = str(rng.choice(list(split)))
        way = rng.random()
        if way < 0.1:
            del split[field]
        elif way < 0.15:
            del data[name]
        elif way < 0.2:
            split[str(odd_value(rng))[:20]] = split[field]
        elif way < 0.45:
            split[field] = odd_value(rng)
        else:
            split[field] = _changed(split[field], rng)
    return data


# By instructions. ------------------------------------------------------------------


def shuffle_instructions(data: bytes, rng: Generator) -> bytes:
    """A pickle with some of its instructions doubled, dropped, swapped or borrowed."""
    starts = [position for _, _, position in pickletools.genops(data)]
    parts = [data[a:b] for a, b in zip(starts, [*starts[1:], len(data)], strict=True)]
    for _ in range(rng.integers(1, 6)):
        i, j = (int(n) for n in rng.integers(1, len(parts), 2))
        way = rng.integers(5)
        if way == 0:
            parts.insert(i, parts[j])
        elif way == 1 and len(parts) > 3:
            del parts[i]
        elif way == 2:
            parts[i], parts[j] = parts[j], parts[i]
        elif way == 3:
            parts[i:i] = parts[min(i, j) : max(i, j)] * int(rng.integers(1, 4))
        else:
            code = pickletools.opcodes[rng.integers(len(pickletools.opcodes))]
            parts.insert(i, code.code.encode('latin1') + _argument(rng))
    return b''.join(parts)


def _argument(rng: Generator) -> bytes:
    return (b'', _edge(rng), b'1\n', b'numpy\nload\n', b'\1a')[rng.integers(5)]


# By bytes. -------------------------------------------------------------------------


def _edge(rng: Generator) -> bytes:
    number, size = EDGES[rng.integers(len(EDGES))], int(rng.choice([1, 2, 4, 8]))
    return (number % 256**size).to_bytes(size, 'little')


def change_bytes(data: bytes, rng: Generator) -> bytes:
    """A file with some bytes flipped, cut out, put in or cut off."""
    data = bytearray(data)
    for _ in range(rng.integers(1, 6)):
        if not data:
            break
        i, size = int(rng.integers(len(data))), int(rng.integers(1, 40))
        way = rng.integers(6)
        if way == 0:
            data[i] ^= 1 << int(rng.integers(8))
        elif way == 1:
            data[i] = int(rng.integers(256))
        elif way == 2:
            del data[i : i + size]
        elif way == 3:
            edge = _edge(rng)
            data[i : i + len(edge)] = edge
        elif way == 4:
            j = int(rng.integers(len(data)))
            data[i:i] = data[j : j + size]
        elif rng.random() < 0.3:
            del data[i:]
    return bytes(data)


def as_pickle(content: Any, rng: Generator) -> bytes:
    """A pickle of any protocol, under the module names of numpy 1 or 2."""
    protocol = int(rng.integers(6))
    file = io.BytesIO()
    pickle.Pickler(file, protocol).dump(content)
    data = file.getvalue()
    if protocol < 2 and rng.random() < 0.5:
        return data.replace(b'numpy._core.', b'numpy.core.')
    return data


def spoiled_pickle(rng: Generator) -> bytes:
    """A data set's pickle, spoiled in one of the three ways."""
    data = sound(rng)
    ways: tuple[Callable[[], bytes], ...] = (
        lambda: as_pickle(change_meaning(data, rng), rng),
        lambda: shuffle_instructions(as_pickle(data, rng), rng),
        lambda: change_bytes(as_pickle(data, rng), rng),
    )
    return ways[rng.integers(3)]()
