"""A converted file is the same data set, or a clear error."""

import dataclasses
import errno
import json
import signal

import numpy as np
import pytest

from sugrm_jax.data import command, folder, load, scaling
from sugrm_jax.data import mmsa as reader
from sugrm_jax.data.batches import gather, samples_of
from sugrm_jax.data.convert import convert
from sugrm_jax.data.stored import Stored
from sugrm_jax.errors import UserError
from sugrm_jax.types import Plan


def same(ours, theirs):
    np.testing.assert_array_equal(ours, theirs, strict=True)


def quietly(path, out, **options):
    return convert(path, out, say=lambda _: None, **options)


@pytest.fixture
def converted(mmsa, write, tmp_path):
    """A pickle and the folder made of it."""
    path = write(mmsa())
    quietly(path, tmp_path / 'out')
    return path, tmp_path / 'out'


def whole(array):
    return array[np.arange(len(array))]


def assert_same(ours, theirs):
    """The data set of a folder and that of a pickle."""
    for field in ('sha256', 'label_range', 'notes'):
        assert getattr(ours, field) == getattr(theirs, field)
    for name, split in ours.splits.items():
        other = theirs.splits[name]
        assert (split.ids, split.raw_text) == (other.ids, other.raw_text)
        assert split.unimodal.keys() == other.unimodal.keys()
        for s, labels in split.unimodal.items():
            same(labels, other.unimodal[s])
        for field in ('tokens', 'audio_length', 'vision_length', 'label'):
            same(getattr(split, field), getattr(other, field))
        for field in ('audio', 'vision', 'text'):
            mine, its = getattr(split, field), getattr(other, field)
            assert (mine is None) == (its is None)
            if mine is not None:
                assert isinstance(mine, Stored) and isinstance(its, np.ndarray)
                same(whole(mine), its)


def odd(raw):
    """Nearly all that can be mended or noted."""
    raw['train']['audio'] = raw['train']['audio'].astype('>f8')
    raw['train']['audio'][1, 0, :2] = np.inf, np.nan
    raw['valid']['audio'] = np.asfortranarray(raw['valid']['audio'][:, :4])
    raw['valid']['audio_lengths'] = [1, 2, 3, 4]
    raw['test']['vision'][1] = 0
    raw['test']['vision_lengths'] = np.array([2.0, 3, 1])
    raw['test']['id'] = ['train$_$0', b'x', 7]
    raw['test']['raw_text'] = np.array(['ü', '\ud800', ''], object)
    for split in raw.values():
        split['text'] = np.ones((len(split['id']), 8, 6))
        split['text'][0, 1, 0] = np.nan
        split['regression_labels_A'] = split['regression_labels'].astype(float)
    return raw


def without(*fields):
    def change(raw):
        for split in odd(raw).values():
            for field in fields:
                del split[field]
        return raw

    return change


# Each with how many notes it makes.
CASES = {
    'sound': (lambda raw: raw, 0),
    'odd': (odd, 6),
    'no lengths': (without('audio_lengths', 'vision_lengths'), 4),
    'no tokens': (without('text_bert'), 6),
}


@pytest.mark.parametrize('fixed_text', [False, True])
@pytest.mark.parametrize('case', CASES)
def test_the_same_data_set(mmsa, write, tmp_path, case, fixed_text):
    if case == 'sound' and fixed_text:
        pytest.skip('it has no text features')
    change, notes = CASES[case]
    path = write(change(mmsa()))
    quietly(path, tmp_path / 'out', fixed_text=fixed_text)
    options = dict(
        tokenizer=lambda texts: np.ones((len(texts), 3, 5), np.int32),
        fixed_text=fixed_text,
    )
    theirs = reader.load_dataset(path, **options)
    assert len(theirs.notes) == notes + 3 * fixed_text
    assert_same(reader.load_dataset(tmp_path / 'out', **options), theirs)


CONFIG = load.DataConfig('', None, 3.0, True, False, ('t', 'a', 'v'))


def from_both(pair, **changes):
    """The data set and statistics that a config makes of a pickle and of a folder."""
    return [
        load.load(
            dataclasses.replace(CONFIG, path=str(path), **changes),
            None,
            8,
            fixed_text=False,
        )
        for path in pair
    ]


@pytest.mark.parametrize('modalities', [('t', 'a', 'v'), ('t', 'v'), ('a',)])
@pytest.mark.parametrize('standardize', [False, True])
def test_the_same_batches(converted, modalities, standardize):
    """Bit for bit, so that all that is trained on them is the same, too."""
    (theirs, scaling_of_file), (ours, scaling_of_folder) = from_both(
        converted, standardize=standardize, modalities=modalities
    )
    for a, b in zip(scaling_of_file or (), scaling_of_folder or (), strict=True):
        same(a, b)
    assert ours.on_disk and not theirs.on_disk
    for name, split in ours.splits.items():
        for share in (0.5, 1.0):
            plan = Plan(np.array([2, 0, len(split)], np.int32), share=share)
            mine, its = (
                gather(samples_of(x), plan) for x in (split, theirs.splits[name])
            )
            for field in dataclasses.fields(mine):
                same(getattr(mine, field.name), getattr(its, field.name))
            if standardize and 'v' in modalities:
                assert abs(mine.vision).sum() > 0


def test_the_folder_leaves_the_config_its_say(converted):
    _, out = converted
    with pytest.raises(UserError, match='outside ±1'):
        reader.load_dataset(out, label_range=1.0)
    with pytest.raises(UserError, match=r"no field 'text'.*--fixed_text"):
        reader.load_dataset(out, fixed_text=True)


def test_shared_ids_are_refused_where_strict(mmsa, write, tmp_path):
    quietly(write(odd(mmsa())), tmp_path / 'out')
    with pytest.raises(UserError, match=r'out: ids in more than one split'):
        reader.load_dataset(tmp_path / 'out', strict=True)


# What goes wrong on the way. ----------------------------------------------------


def test_nothing_is_left_of_a_conversion_that_fails(mmsa, write, tmp_path, monkeypatch):
    def fails(path, kind, match):
        with pytest.raises(kind, match=match):
            quietly(path, tmp_path / 'in' / 'out')
        assert list((tmp_path / 'in').iterdir()) == []

    def stop(error):
        def save_rest(*_):
            raise error

        monkeypatch.setattr(folder, 'save_rest', save_rest)

    fails(tmp_path / 'missing.pkl', UserError, 'no data file')
    bad = write(mmsa('test', regression_labels=lambda x: x * 2), 'bad.pkl')
    fails(bad, UserError, 'split test: regression_labels: outside ±3')
    stop(OSError(errno.ENOSPC, 'No space left on device'))
    fails(write(mmsa()), UserError, 'in/out cannot be written: No space left')
    stop(KeyboardInterrupt())
    fails(write(mmsa()), KeyboardInterrupt, None)


def test_a_signal_leaves_nothing_of_a_conversion(mmsa, write, tmp_path, monkeypatch):
    def save_rest(*_):
        signal.raise_signal(signal.SIGTERM)

    monkeypatch.setattr(folder, 'save_rest', save_rest)
    words = ['convert', str(write(mmsa())), str(tmp_path / 'in' / 'out')]
    assert command.main(words) == 128 + signal.SIGTERM
    assert list((tmp_path / 'in').iterdir()) == []


def test_nothing_is_overwritten(converted):
    path, out = converted
    with pytest.raises(UserError, match='out exists: delete it, or name another'):
        quietly(path, out)


def test_others_may_read_it(converted):
    """A temporary folder's private mode must not stay."""
    _, out = converted
    assert out.stat().st_mode == (out / 'train').stat().st_mode


def cut_off(path):
    path.write_bytes(path.read_bytes()[:-1])


def objects(path):
    np.save(path, np.array([print] * 6, object), allow_pickle=True)


def change_manifest(**changes):
    def change(path):
        path.write_text(json.dumps(json.loads(path.read_text()) | changes))

    return change


@pytest.mark.parametrize(
    ('file', 'damage', 'reason'),
    [
        ('train/audio.npy', cut_off, 'size differs by -1 bytes'),
        ('test/vision.npy', lambda path: path.unlink(), 'No such file'),
        ('test/vision.npy', lambda path: path.write_bytes(b''), 'EOF'),
        ('valid/text_bert.npy', lambda path: path.write_text('text'), 'magic'),
        ('train/audio_last.npy', cut_off, 'size differs'),
        ('train/regression_labels.npy', objects, 'Object arrays|holds object'),
        (
            'train/audio.npy',
            lambda path: np.save(path, np.zeros((6, 7, 4), np.float32)),
            r'holds float32 \[6, 7, 4\]',
        ),
        (
            'train/audio.npy',
            lambda path: np.save(path, np.zeros((6, 7, 5))),
            'holds float64',
        ),
        (
            'train/audio.npy',
            lambda path: np.save(path, np.ones((6, 7, 5), np.float32, order='F')),
            'holds float32',
        ),
        ('dataset.json', cut_off, 'Expecting|delimiter'),
        ('dataset.json', change_manifest(format=2), 'has format 2, not 1'),
        ('dataset.json', change_manifest(sha256=7), 'sha256 must be of type str'),
        ('dataset.json', lambda path: path.write_text('[]'), 'group of fields'),
    ],
)
def test_damage_is_named(converted, file, damage, reason):
    _, out = converted
    damage(out / file)
    with pytest.raises(UserError, match=f'(?s){file} is not as .*({reason})') as caught:
        reader.load_dataset(out)
    assert 'convert the pickle again' in str(caught.value)


def test_statistics_must_be_there(converted):
    _, out = converted
    (out / 'scaling.npz').unlink()
    with pytest.raises(UserError, match=r'no feature statistics at .*scaling\.npz'):
        from_both([out])


def test_any_other_folder_is_none(tmp_path):
    with pytest.raises(UserError, match=r'has no dataset\.json: name a pickle'):
        reader.load_dataset(tmp_path)


def test_a_manifest_without_a_part_of_it(converted):
    _, out = converted
    content = json.loads((out / 'dataset.json').read_text())
    for name, field in (('mended', 'audio'), ('arrays', 'vision_last')):
        changed = json.loads(json.dumps(content))
        del changed['splits']['valid'][name][field]
        (out / 'dataset.json').write_text(json.dumps(changed))
        with pytest.raises(UserError, match=r'dataset\.json is not as'):
            reader.load_dataset(out)


# The command. -------------------------------------------------------------------


def test_the_command(mmsa, write, tmp_path, capsys):
    path, out = str(write(odd(mmsa()))), str(tmp_path / 'my out')
    assert command.main(['convert', path, out]) == 0
    printed, progress = capsys.readouterr()
    assert 'note: train: 2 audio values were' in printed
    assert 'holds 6 / 4 / 3 utterances in 0.0 MB' in printed
    train = (
        f"python -m sugrm_jax.main --config=configs/mosi.py '--config.data.path={out}'"
    )
    assert printed.splitlines()[-1] == train
    assert 'Writing vision of valid' in progress
    assert not (tmp_path / 'my out' / 'train' / 'text.npy').exists()
    assert command.main(['check', out]) == 0
    report, _ = capsys.readouterr()
    assert 'float32 [6, 7, 5]' in report and reader.fingerprint(path) in report
    assert command.main(['convert', path, out]) == 2
    assert 'exists' in capsys.readouterr().err


def test_the_command_takes_a_label_range_and_text(mmsa, write, tmp_path, capsys):
    raw = odd(mmsa())
    out = tmp_path / 'out'
    options = ['convert', str(write(raw)), str(out), '--fixed_text']
    assert command.main([*options, '--label_range=2']) == 2
    assert command.main([*options, '--label_range=4']) == 0
    assert 'data.label_range=4' in capsys.readouterr().out
    assert reader.load_dataset(out, fixed_text=True).train.text.shape == (6, 8, 6)


def test_statistics_of_many_parts(tmp_path):
    """As numpy has them at once, to float64's rounding before float32's."""
    rng = np.random.default_rng(0)
    array = rng.normal(5, 2, size=(200, 9, 3)).astype(np.float32)
    length = rng.integers(0, 10, 200)
    found = folder.save_sequences(tmp_path / 'audio.npy', array)
    for x in (array, found.array):
        mean, std = scaling._statistics(x, length)
        real = array[np.arange(9) < length[:, None]].astype(np.float64)
        np.testing.assert_allclose(mean, real.mean(axis=0), rtol=1e-7)
        np.testing.assert_allclose(std, real.std(axis=0), rtol=1e-7)
