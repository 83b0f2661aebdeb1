"""Spoiled files are read or refused; `python -m benchmarks.fuzz` is the long form."""

import pickle

import hypothesis
import hypothesis.extra.numpy as hnp
import hypothesis.strategies as st
import numpy as np
import pytest

from benchmarks import fuzz, mutations
from sugrm_jax.data import mmsa
from sugrm_jax.data.text import no_tokens
from sugrm_jax.errors import UserError

SOUND = mutations.sound(np.random.default_rng(0))
del SOUND['features']  # a description, no split
FIELDS = sorted(SOUND['train'])

_dtypes = st.sampled_from(['<f2', '<f4', '>f8', '<i4', 'u1', '?', '<U3', 'S2'])
_shapes = hnp.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=6)
_arrays = _dtypes.flatmap(lambda dtype: hnp.arrays(dtype, _shapes))
_atoms = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3)
_values = (
    _arrays
    | st.recursive(_atoms, lambda inner: st.lists(inner, max_size=6), max_leaves=9)
    | _arrays.map(np.ndarray.tolist)
)


def made_in_place_of(array):
    """Values of the right count, of which any may be odd."""
    count = len(array)
    shapes = st.just(array.shape) | _shapes.map(lambda shape: (count, *shape))
    return hnp.arrays(np.float32, shapes, elements=st.floats(width=32))


@st.composite
def _data_sets(draw):
    """The sound data set with some fields replaced or gone, in some split."""
    data = {name: dict(split) for name, split in SOUND.items()}
    for _ in range(draw(st.integers(1, 4))):
        split, field = (
            data[draw(st.sampled_from(sorted(data)))],
            draw(st.sampled_from(FIELDS)),
        )
        likely = made_in_place_of(np.asarray(SOUND['train'][field]))
        split[field] = draw(_values | likely)
        if draw(st.integers(0, 9)) == 0:
            del split[field]
    return data


@hypothesis.settings(deadline=None, max_examples=300)
@hypothesis.given(_data_sets(), st.booleans(), st.integers(2, 5))
def test_a_data_set_with_odd_fields_is_read_or_refused(data, fixed_text, protocol):
    # Through a pickle, as only what a file can hold matters.
    raw = pickle.loads(pickle.dumps(data, protocol))
    try:
        dataset = mmsa.make_dataset(
            raw, path='x.pkl', sha256='0', fixed_text=fixed_text, tokenizer=no_tokens
        )
    except UserError as error:
        assert 'x.pkl' in str(error)
        return
    for split in dataset.splits.values():
        assert np.isfinite(split.audio).all() and np.isfinite(split.vision).all()
        assert np.isfinite(split.label).all() and len(split.ids) == len(split.label)


@pytest.mark.parametrize(
    ('kind', 'count'),
    [
        ('pickle', 1500),
        ('folder', 300),
        ('safetensors', 300),
        ('pytorch', 300),
        ('results', 300),
        ('run', 60),
        ('checkpoint', 60),
    ],
)
def test_spoiled_files_are_read_or_refused_and_nothing_else(kind, count):
    counts, faults = fuzz.campaign(kind, seed=0, numbers=list(range(count)))
    assert not faults
    # Neither is the whole corpus so spoiled that nothing behind the first check is met.
    assert counts[fuzz.READ] > count / 50 and counts[fuzz.REFUSED] > count / 10


@pytest.mark.parametrize(
    ('reader', 'told'),
    [
        (lambda place: 1 / 0, 'ZeroDivisionError'),
        (lambda place: bytearray(200 * 2**20), 'MiB for a file'),
        (lambda place: exec('1'), 'Acted: exec'),
        (lambda place: (place / 'new').write_text(''), 'Acted: open'),
        (lambda place: __import__('os').system('true'), 'Acted: os.system'),
    ],
)
def test_the_judge_sees_faults(reader, told, tmp_path, monkeypatch):
    monkeypatch.setattr(fuzz, '_usual', set())
    fuzz.watch()
    kind = fuzz.Kind(None, None, (reader,))
    assert told in fuzz.judge(kind, tmp_path)


def test_a_process_that_dies_is_a_fault(monkeypatch, tmp_path):
    outcomes = list(fuzz.outcomes('none', 0, [0, 1], tmp_path))
    assert [number for number, _ in outcomes] == [0, 1]
    assert all('the process ended with' in outcome for _, outcome in outcomes)
