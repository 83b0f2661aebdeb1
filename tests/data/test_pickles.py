"""Pickles: what is data comes through exactly; what is not is refused, unrun."""

import base64
import os
import pathlib
import pickle
import pickletools
import shutil
import subprocess
import tempfile
import zlib

import hypothesis
import hypothesis.extra.numpy as hnp
import hypothesis.strategies as st
import numpy as np
import pytest

from sugrm_jax.data import pickles
from sugrm_jax.errors import UserError
from tests.data.assembler import (
    DTYPE,
    EMPTY,
    FROMBUFFER,
    NDARRAY,
    RECONSTRUCT,
    array,
    dtype,
    name,
    program,
    value,
)

# Written by numpy 1.26.4, by protocol: zlib, base 85.
NUMPY_1 = {
    2: (
        'c-nQ7dsEXu6vflDV2!9K_<k#DQLIz}QIXcS5-qxl)(6IHnwn}!Iq6pIjE?<>LcfilK|Yx7-6Swf$'
        'DK(wN$;NDId`{h{U@|cDWPfFcO)FYxwPEMI`zQKE;VbSY6pScGOWOL>V886O-C5e!z#lshrc3eYA'
        'Z-NmQydgPQ!40dN9zZR5|)f{c^6^qUz_ct%Eef_Ei`RJ2Ga%)J?sEfk?6}TFY|f&XO)yR3@;iyS9'
        'qm41*ansnlk$r&uh`{gp%AOif@f?|OZuA&tg*JFo8QMf=nKg&|KOhZ*(>?B`0iTE+oS_mt~{p0sj'
        '^;jpr@f+JqYUYNvDVjp8TF4-PY&0#ZTrUgzYUPe~g@*0ts70o%ytMv|?Bon6?P79pjDo7n8v4^wd'
        ';T*&H$U`RbFh7k^@^FFSVx0d6#<u3q3tZyeMPxHxLal1GaM=|Y4>3M+i@1{c&%QPsyJiOlu13VlG'
        '$x2R$uJeC-rDPHTt-iC1WOe#P0_A1-00vY!;BYeE#z>Ev}PId8y!rA9W0PaN)|P!Ik!pS4#V9J?l'
        'IioR2attQh3PlXhT5@6&`cPvUsy9qxhC(@Ro2J2IfW?%nqI~Jatuk7sa^C^VH>M49}^{nwji?c~f'
        '1_6nGJ~s)Cns?E=-lVt5@MP+42@rq-nAT+h~~3*o%}J0Cs_Mjy0j9xmVw1$@i!PT+lb1i6dF81{i'
        '+7Q;t^C0Afa@v9Ty6yISe$J;*(w`WT#>NpN;TB1T7p9tzPR0Tfs=%4r{X4Z(g#NbCqt{yRY4$H&@'
        'LqIJb>!CFiO;;EQVl)}P3Vh?u>_6$THsS'
    ),
    4: (
        'c-nPRT}#6-6iw33O&Bs{{sSNCOW9z;9>fjmlYt3>k23l-GT6G&wO~PUFU}S6w(I}dPx2pVnpE9t7'
        'r4D7Jvryxd$ZI(u!iJ%0fXZw;AcTRohPO{3w?7MPol9MhIRtHJ`8<#7A&GLb|csTuSg*9YTzlz1}'
        'J(13p?-*_h3*=2_-9F6<+b8WbS8|$fyJ9TK(5JzJkGEaQh{e{7@8ulUfagwmo5KtDG%gK^${3_JH'
        'ZEnu)OEUkR}};pE}+kCvSZQre_Ctw}n=79{5)hIwv_aM1rHW$^5<%3XKY{Byy4FH?I2gJDjR1boR'
        'BKz2g-(ZaPSb|`v~5skV9yM-QDHRVX}!%Co7Th`bv)~M$-TKXchzXNR*q38#yU_QrwNu7vlVql$='
        '-AMDJvQ{X_+G_1Luhv)jv!`++-=jP?`)Z0#nXab#JKlR7*QJl6p3`CxL`}>&JTYgtXBTCB1k1U{<'
        '~K!315f'
    ),
    5: (
        'c-n1J!D_-l5Zzs)4JcHKz4h2bdJzQ+9!eDgJv3mU&|{G#CM2MV!~_~>sTXa9y*c%J`bqtRcCv{YQ'
        'wL^eH~aG5&fA@rzp5o7;tdo|Ux1%^(PSDoO+T=jIJE-T1YRB5fj==K+qME&gR-fUZG88VA)U|Pft'
        'SVqSVv(zwGhmi-GSBT2RwqJl{meD!C-Lziy;P$gkWe)V@u#vg%Dw!xg&5SWus&oI_4$jFsp4$gZv'
        'M0WX_(h_i9cJwX}vNX|hmRfO9Gos1N)+*Xbl0hprw3I-a~X3@p?4W?>MSAvWMt_=z`4H`kz%1*p`'
        '3RDlXkRDI~?dwebQ*hBTzGbj$_ERMm#C8r)FUoLoMX6j=-@iif`yM^NytWxE)SE&z6L^*BIbGz8H'
        'l=ZAiv&5Jjv{i(XEi{E$oLa*Dy{jF>l$Ja1Y_Z)U$3pI>^{1ECdbTE6ZS)g5me6r}mtD7!3f2y(C'
        '?*r0xCamD_Sgd|?XT7lWNgPGD2%*ASI1u9mLO{W0n%^%JO'
    ),
}
NUMPY_1_CONTENT = {
    'x': np.array([[1.5, -2], [0, np.inf]], '<f4'),
    'id': np.array(['a$_$1', 'b']),
    'o': np.array(['x', 'yy'], object),
    'n': [np.float64(2.5), np.str_('s'), np.str_('')],
    'e': np.zeros((0, 3), 'f8'),
    'f': np.asfortranarray(np.arange(6.0).reshape(2, 3)),
    'be': np.arange(3, dtype='>i4'),
    'b': np.array([True, False]),
}


def load_bytes(data):
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / 'data.pkl'
        path.write_bytes(data)
        return pickles.load(path)


def assert_same(ours, theirs):
    """Equal in type, dtype, shape and value, part by part; NaN equals NaN."""
    assert type(ours) is type(theirs)
    if isinstance(theirs, dict):
        assert list(ours) == list(theirs)
        for key in theirs:
            assert_same(ours[key], theirs[key])
    elif isinstance(theirs, list | tuple):
        assert len(ours) == len(theirs)
        for a, b in zip(ours, theirs, strict=True):
            assert_same(a, b)
    elif isinstance(theirs, np.ndarray | np.generic | float):
        np.testing.assert_array_equal(ours, theirs, strict=True)
    else:
        assert ours == theirs


def as_numpy_1(data):
    """The same pickle under numpy 1's module names."""
    if data[2:3] == pickle.FRAME:  # optional, and its length would be another
        data = data[:2] + data[11:]
    for part in (b'multiarray', b'numeric'):
        new, old = b'numpy._core.' + part, b'numpy.core.' + part
        data = data.replace(
            b'\x8c%c%b' % (len(new), new), b'\x8c%c%b' % (len(old), old)
        )
        data = data.replace(b'c%b\n' % new, b'c%b\n' % old)
    assert b'numpy._core' not in data
    return data


# Data. ---------------------------------------------------------------------------

_dtypes = st.sampled_from(['<f2', '<f4', '>f8', '<i4', '>i8', 'u1', '?', '<U3', 'S2'])
_texts = st.text(max_size=4)
_atoms = st.none() | st.booleans() | st.integers() | st.floats() | _texts | st.binary()
_scalars = st.sampled_from(
    [np.float32(0.1), np.int64(-3), np.str_('a$_$1'), np.str_(''), np.bool_(True)]
)
_keys = (
    _texts | st.binary() | _texts.map(np.str_) | st.integers(-(2**31) + 1, 2**31 - 1)
)
_arrays = _dtypes.flatmap(lambda d: hnp.arrays(d, hnp.array_shapes(min_side=0)))
_objects = st.lists(_texts).map(lambda texts: np.array([*texts, None], object)[:-1])
_values = st.recursive(
    _atoms | _scalars | _arrays | _arrays.map(np.transpose) | _objects,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.lists(inner, max_size=3).map(tuple)
        | st.dictionaries(_keys, inner, max_size=3)
    ),
    max_leaves=8,
)


@hypothesis.settings(deadline=None)
@hypothesis.given(_values, st.integers(0, 5), st.booleans())
def test_round_trip(value, protocol, numpy_1):
    data = pickle.dumps(value, protocol)
    assert_same(load_bytes(as_numpy_1(data) if numpy_1 else data), value)


@pytest.mark.parametrize('protocol', NUMPY_1)
def test_written_by_numpy_1(protocol):
    data = zlib.decompress(base64.b85decode(NUMPY_1[protocol]))
    assert_same(load_bytes(data), NUMPY_1_CONTENT)


@pytest.mark.parametrize('protocol', range(6))
def test_arrays_in_another_order_and_in_arrays(protocol):
    turned = np.arange(24.0).reshape(2, 3, 4).transpose(2, 0, 1)
    nested = np.empty(2, object)
    nested[0], nested[1] = np.arange(3), ('a', np.array(['b']))
    result = load_bytes(pickle.dumps([turned, turned.T, nested], protocol))
    assert_same(result[:2], [turned, turned.T])
    assert_same(result[2].tolist(), nested.tolist())


def test_shared_parts_stay_shared():
    value = ['x' * 1000]
    for _ in range(4):
        value = [value] * 10
    result = load_bytes(pickle.dumps(value))
    assert result[0] is result[9]


# Code. ---------------------------------------------------------------------------


class Call:
    """Pickles as a call of `function`."""

    def __init__(self, function, *args):
        self.reduced = function, args

    def __reduce__(self):
        return self.reduced


ATTACKS = {
    'os.system': lambda p: Call(os.system, f'touch {p}'),
    'subprocess': lambda p: Call(subprocess.call, ['touch', p]),
    'eval': lambda p: Call(eval, f"open({p!r}, 'w').close()"),
    'exec': lambda p: Call(exec, f"open({p!r}, 'w').close()"),
    'open': lambda p: Call(open, p, 'w'),
    'method': lambda p: Call(pathlib.Path.touch, pathlib.Path(p)),
    'shutil': lambda p: Call(shutil.copyfile, __file__, p),
    'numpy.savetxt': lambda p: Call(np.savetxt, p, [1]),
    'in an object array': lambda p: np.array([Call(os.system, f'touch {p}')], object),
    'in a data set': lambda p: {'train': {'id': [Call(os.system, f'touch {p}')]}},
    'as a key': lambda p: {('a', Call(os.system, f'touch {p}')): 1},
}


@pytest.mark.parametrize('protocol', range(6))
@pytest.mark.parametrize('attack', ATTACKS)
def test_code_is_refused_and_does_not_run(attack, protocol, tmp_path, write):
    trace = tmp_path / 'trace'
    data = pickle.dumps(ATTACKS[attack](str(trace)), protocol)
    pickle.loads(data)
    assert trace.exists(), 'the attack itself must work'
    trace.unlink()
    with pytest.raises(UserError, match=r'asks for .*not data; nothing of it was ex'):
        pickles.load(write(data))
    assert not trace.exists()


def test_the_assembler_assembles():
    data = program(array(dtype('f8'), (2,), bytes(6) + b'\xf0?' + bytes(8)))
    assert_same(load_bytes(data), np.array([1.0, 0.0]))
    assert_same(pickle.loads(data), np.array([1.0, 0.0]))


@pytest.mark.parametrize(
    ('module', 'attribute'),
    [
        ('numpy', 'load'),
        ('numpy', 'fromfile'),
        ('numpy.core.multiarray', 'fromfile'),
        ('numpy', 'core.multiarray.fromfile'),
        ('numpy', 'ndarray.tofile'),
        ('numpy', 'ndarray.__new__'),
        ('numpy.core.multiarray', '_reconstruct.__class__'),
        ('numpy.dtypes', 'ObjectDType'),
        ('numpy', 'memmap'),
        ('builtins', 'getattr'),
        ('builtins', 'bytes'),
        ('copyreg', '_reconstructor'),
        ('collections', 'OrderedDict'),
        ('_codecs', 'decode'),
        ('sugrm_jax.data.pickles', 'load'),
        ('', ''),
    ],
)
def test_other_names_are_refused_by_name(module, attribute):
    with pytest.raises(UserError, match=rf'asks for {module}\.{attribute}, which'):
        load_bytes(program(name(module, attribute)))


HUGE = 10**12
OTHER_DATA, NO_SHAPE = 'has other data', 'a shape that none can have'
# What the opcodes leave, or do, and why that is refused.
TRICKS = {
    'ndarray called': (NDARRAY + value(((HUGE,),)) + b'R', 'not callable'),
    'ndarray made': (NDARRAY + value(((HUGE,),)) + pickle.NEWOBJ, '__new__'),
    'huge array to fill': (
        RECONSTRUCT + b'(' + NDARRAY + value((HUGE,)) + value(b'b') + b'tR',
        'asks for a numpy array of its own kind',
    ),
    'array of another class': (
        RECONSTRUCT + b'(' + DTYPE + value((0,)) + value(b'b') + b'tR',
        'asks for a numpy array of its own kind',
    ),
    'array without content': (EMPTY, 'value'),
    'array with half a state': (EMPTY + value((1, (1,))) + b'b', 'values to unpack'),
    'too large a shape': (array(dtype('f8'), (HUGE,), bytes(8)), OTHER_DATA),
    'too small a shape': (array(dtype('f8'), (1,), bytes(16)), OTHER_DATA),
    'negative shape': (array(dtype('f8'), (-1, -1), bytes(8)), NO_SHAPE),
    'no shape': (array(dtype('f8'), 'ab', bytes(8)), NO_SHAPE),
    'huge array of objects': (array(dtype('O8', '|', 63), (HUGE,), [1]), OTHER_DATA),
    'elements of no size': (array(dtype('U0', '<', 8), (HUGE,), b''), OTHER_DATA),
    # numpy itself would take the bytes for addresses of objects.
    'objects from memory': (array(dtype('O8', '|', 0), (1,), bytes(8)), OTHER_DATA),
    'memory from objects': (array(dtype('f8'), (1,), [1.0]), OTHER_DATA),
    'no character': (
        array(dtype('U1', '<', 8), (1,), b'\xff\xff\xff\x7f'),
        'no character',
    ),
    'records': (DTYPE + value(('V8', False, True)) + b'R', r"numpy\.dtype\('V8'\)"),
    'dates': (array(dtype('M8'), (1,), bytes(8)), r"numpy\.dtype\('M8'\)"),
    'dtype of a list': (DTYPE + value(([('a', 'O')],)) + b'R', 'expected string'),
    'dtype with no state': (DTYPE + value(('f8',)) + b'R)b', 'out of range'),
    'huge buffer': (
        FROMBUFFER + b'(' + value(bytes(8)) + dtype('f8') + value((HUGE, 'C')) + b'tR',
        'positional argument',
    ),
    'another encoding': (
        name('_codecs', 'encode') + value(('a', 'utf-7')) + b'R',
        'asks for another encoding than latin1',
    ),
    'changed slot': (
        RECONSTRUCT + value((None, {'call': 1})) + b'b',
        'changes a function',
    ),
    'changed function': (RECONSTRUCT + value({'call': 1}) + b'b', 'changes a func'),
    'changed mark': (NDARRAY + value({'call': 1}) + b'b', '__dict__'),
    'a class': (NDARRAY, 'type object'),
    'a function': (RECONSTRUCT, 'type Function'),
    'a dtype': (dtype('f8'), 'type Dtype'),
    'a set': (value(1) + pickle.EMPTY_SET + b'(' + value(1) + b'\x90', 'type set'),
    'a bytearray': (pickle.BYTEARRAY8 + b'\1' + bytes(7) + b'a', 'type bytearray'),
    'a set among objects': (
        EMPTY
        + b'('
        + value(1)
        + value((1,))
        + dtype('O8', '|', 63)
        + value(False)
        + b']'
        + pickle.EMPTY_SET
        + b'atb',
        'type set',
    ),
    'a persistent id': (value('a') + pickle.BINPERSID, 'persistent'),
    'an extension code': (pickle.EXT1 + b'\1', 'extension code'),
    'a buffer from elsewhere': (pickle.NEXT_BUFFER, 'out-of-band'),
    'nested without end': (b']' * 100_000 + b'a' * 99_999, 'recursion'),
    'holding itself': (b']' + pickle.MEMOIZE + b'h\0a', 'recursion'),
}


@pytest.mark.parametrize('trick', TRICKS)
def test_tricks_are_refused(trick):
    opcodes, reason = TRICKS[trick]
    with pytest.raises(UserError, match=rf'data\.pkl.*{reason}'):
        load_bytes(program(opcodes))
    harmless = np.array([[1.0, 2.0]])
    assert_same(load_bytes(pickle.dumps(harmless)), harmless)  # nothing stays changed


# Broken files. -------------------------------------------------------------------

_SMALL = {'x': np.ones((2, 2)), 'id': np.array(['a', 'b']), 'l': [1, 2.5, None]}


@pytest.mark.parametrize('protocol', range(6))
def test_truncated(protocol, write):
    data = pickle.dumps(_SMALL, protocol)
    assert len(list(pickletools.genops(data))) > 20
    for end in range(len(data)):
        with pytest.raises(UserError, match=r'data\.pkl is empty, trunc'):
            pickles.load(write(data[:end]))


@pytest.mark.parametrize('protocol', range(6))
def test_damaged(protocol, write):
    data = pickle.dumps(_SMALL, protocol)
    refused = 0
    for i in range(len(data)):
        damaged = bytearray(data)
        damaged[i] ^= 0xFF
        try:
            pickles.load(write(bytes(damaged)))
        except UserError:
            refused += 1
    assert refused > len(data) / 3


@pytest.mark.parametrize('data', [b'', b'\0', b'\x80\4', b'\x80\4garbage'])
def test_not_a_whole_pickle(data, write):
    with pytest.raises(UserError, match=r'data\.pkl is empty, truncated or not a pick'):
        pickles.load(write(data))


def test_missing_file(tmp_path):
    with pytest.raises(UserError) as error:
        pickles.load(tmp_path / 'MOSI' / 'unaligned_50.pkl')
    for part in ('unaligned_50.pkl', 'MMSA', 'README'):
        assert part in str(error.value)


def test_folder(tmp_path):
    with pytest.raises(UserError, match='cannot be read: Is a directory'):
        pickles.load(tmp_path)
