"""The simulator: what is planted is there, and is what the docstrings say."""

import numpy as np
import pytest

from configs import demo
from sugrm_jax.data import sentences
from sugrm_jax.data.simulate import annotate, in_conflict, mix, simulate
from sugrm_jax.errors import UserError

SPLITS = ('train', 'valid', 'test')
DEMO = demo.get_config().data.simulate.to_dict()


def simulated(**changes):
    return simulate(**DEMO | changes)


@pytest.fixture(scope='module')
def data():
    return simulated()


def planted(split):
    return {s: split[f'regression_labels_{s.upper()}'] for s in 'tav'}


def pool(data, key):
    return np.concatenate([data[split][key] for split in SPLITS])


# Format. -------------------------------------------------------------------------


def test_format(data):
    sizes = {'train': 384, 'valid': 96, 'test': 96}
    assert tuple(data) == SPLITS
    for name, size in sizes.items():
        split = data[name]
        assert split['audio'].shape == (size, 60, 5)
        assert split['vision'].shape == (size, 80, 20)
        for key, value in split.items():
            assert len(value) == size, key
            if key.startswith(('regression', 'classification', 'audio', 'vision')):
                kind = np.int64 if key.endswith('lengths') else np.float32
                assert value.dtype == kind, key
                assert np.isfinite(value).all(), key
        for key in ('', '_T', '_A', '_V'):
            assert np.abs(split['regression_labels' + key]).max() <= 3


def test_splits_share_no_video_and_ids_are_unique(data):
    videos = [{name.split('$_$')[0] for name in data[s]['id']} for s in SPLITS]
    assert sum(map(len, videos)) == len(set.union(*videos)) == 32 + 8 + 8
    assert len(set(pool(data, 'id'))) == 576


def test_frames_fill_the_length_and_zeros_the_rest(data):
    for modality, size in (('audio', 60), ('vision', 80)):
        length = pool(data, f'{modality}_lengths')
        real = np.arange(size) < length[:, None]
        filled = pool(data, modality) != 0
        assert filled[real].all() and not filled[~real].any()
        assert length.max() <= size


def test_length_follows_the_words(data):
    words = np.array([len(text.split()) for text in pool(data, 'raw_text')])
    heard, seen = pool(data, 'audio_lengths'), pool(data, 'vision_lengths')
    whole = (heard > 0) & (heard < 60) & (seen > 0)
    # 60 frames for 20 words of sound, 80 for 32 of vision; each with 15 % of noise.
    assert np.mean(heard[whole] / words[whole]) == pytest.approx(3.0, rel=0.05)
    assert np.mean(seen[whole] / words[whole]) == pytest.approx(2.5, rel=0.05)
    assert np.std(seen[whole] / words[whole]) > 0.1


def test_sentences_are_short_and_mostly_unseen(data):
    words = np.array([len(text.split()) for text in pool(data, 'raw_text')])
    assert words.min() >= 5 and words.max() <= 24 and 10 < words.mean() < 16
    seen = set(data['train']['raw_text'])
    assert np.mean([text in seen for text in data['test']['raw_text']]) < 0.05
    assert len(seen) > 0.95 * len(data['train']['raw_text'])


def test_text_sentiment_is_the_value_of_the_sentence(monkeypatch):
    said = sentences.judge('plot', 'good')
    monkeypatch.setattr(sentences, 'say', lambda rng, topic, target: said)
    test = simulated()['test']
    assert (test['raw_text'] == 'the plot was good').all()
    assert (test['regression_labels_T'] == np.float32(1.8)).all()


def test_few_utterances_lack_one_modality_and_none_both(data):
    for name, count in (('train', 8), ('valid', 2), ('test', 2)):
        heard, seen = (data[name][f'{m}_lengths'] > 0 for m in ('audio', 'vision'))
        assert (~heard).sum() == (~seen).sum() == count  # 2 %, rounded up
        assert (heard | seen).all()


def test_same_seed_same_arrays_other_seed_other_arrays(data):
    for name in SPLITS:
        again, other = simulated()[name], simulated(seed=1)[name]
        for key, value in data[name].items():
            np.testing.assert_array_equal(value, again[key], strict=True)
            if key != 'id':
                assert not np.array_equal(value, other[key]), key


def test_a_split_depends_on_its_own_size_only(data):
    resized = simulated(train=24, valid=12)['test']
    for key in set(resized) - {'id'}:
        np.testing.assert_array_equal(resized[key], data['test'][key])


def test_smallest_sizes():
    tiny = simulated(train=1, valid=1, test=1, audio_length=1, vision_length=1)
    assert tiny['test']['audio'].shape == (1, 1, 5)


@pytest.mark.parametrize(
    ('name', 'least'), [*((name, 1) for name in DEMO if name != 'seed'), ('seed', 0)]
)
def test_sizes_below_one_and_seeds_below_zero_are_refused(name, least):
    message = f'simulate: {name} must be at least {least}, not {least - 1}'
    with pytest.raises(UserError, match=message):
        simulated(**{name: least - 1})


# Labels. -------------------------------------------------------------------------


def test_mixture_worked_by_hand():
    y = {
        't': np.array([2.0, 2.0, 2.0, -1.0, 2.0]),
        'a': np.array([1.0, -1.0, -1.0, 3.0, -0.7]),
        'v': np.array([-1.0, -2.0, 0.5, 1.0, -2.0]),
    }
    assert in_conflict(y).tolist() == [False, True, False, True, False]
    # .5·2 + .2·1 − .3; .4·−1 + .6·−2; 1 − .2 + .15; .4·3 + .6; 1 − .14 − .6
    np.testing.assert_allclose(mix(y), [0.9, -1.6, 0.95, 1.8, 0.26], atol=1e-12)


def test_annotation_is_a_mean_of_five_whole_votes():
    mixture = np.repeat([-9.0, -1.5, 0.0, 0.3, 9.0], 4000)
    label = annotate(np.random.default_rng(0), mixture)
    np.testing.assert_array_equal(label, (np.round(label * 5) / 5).astype(np.float32))
    assert (label[:4000] == -3).all() and (label[-4000:] == 3).all()
    # Unbiased up to what rounding leaves of it: e^(-2 (π·0.4)²)/π = 0.013 at most,
    # and a standard error of 0.22 / √4000 = 0.004.
    means = label.reshape(5, -1).mean(axis=1)
    np.testing.assert_allclose(means[1:4], [-1.5, 0.0, 0.3], atol=0.03)


def test_labels_are_spread_like_mosi(data):
    label = pool(data, 'regression_labels')
    # MOSI's train part has mean 0.16 and standard deviation 1.52.
    assert abs(label.mean()) < 0.2 and 1.4 < label.std() < 1.8
    histogram = np.histogram(label, np.linspace(-3.5, 3.5, 8))[0]
    assert histogram[3] < min(histogram[1], histogram[5])  # two humps


@pytest.mark.parametrize('seed', range(4))
def test_extremes_zeros_and_conflicts_are_there(seed):
    train = simulated(seed=seed)['train']
    label = train['regression_labels']
    assert min((label == extreme).sum() for extreme in (-3, 0, 3)) >= 4
    assert 0.16 < in_conflict(planted(train)).mean() < 0.24


def test_conflicts_go_both_ways(data):
    y = planted(data['train'])
    label = data['train']['regression_labels']
    conflict = in_conflict(y)
    for side in (-1, 1):
        rows = conflict & (np.sign(y['t']) == side)
        assert rows.sum() >= 10
        assert (label[rows] * side < 0).all()  # the label goes with voice and face


def test_classes_follow_the_label(data):
    label = pool(data, 'regression_labels')
    names = {-1: 'Negative', 0: 'Neutral', 1: 'Positive'}
    assert pool(data, 'annotations').tolist() == [names[s] for s in np.sign(label)]
    np.testing.assert_array_equal(
        pool(data, 'classification_labels'), np.sign(label) + 1
    )


def test_label_regressed_on_planted_values_recovers_the_mixture(data):
    y = {s: pool(data, f'regression_labels_{s.upper()}') for s in 'tav'}
    label = pool(data, 'regression_labels')
    conflict = in_conflict(y)
    inside = np.abs(mix(y)) < 2.2  # above that the votes' clipping bends the line
    columns = np.stack(list(y.values()), axis=1)
    # Three standard errors as measured: 0.015 of the largest, 0.055 in the small group.
    for rows, weights, error in (
        (~conflict, (0.5, 0.2, 0.3), 0.045),
        (conflict, (0.0, 0.4, 0.6), 0.165),
    ):
        rows = rows & inside
        found = np.linalg.lstsq(columns[rows], label[rows])[0]
        np.testing.assert_allclose(found, weights, atol=error)


# Sequences. ----------------------------------------------------------------------


def held_out_correlation(data, modality, summarise):
    """Ridge from summaries of sequences to the planted sentiment, train to test."""
    rows = {}
    for name in ('train', 'test'):
        length = data[name][f'{modality}_lengths']
        target = data[name][f'regression_labels_{modality[0].upper()}']
        frames = zip(data[name][modality], length, strict=True)
        x = np.stack([summarise(u[:n]) for u, n in frames if n > 0])
        rows[name] = x, target[length > 0]
    (x, y), (x_test, y_test) = rows['train'], rows['test']
    mean, spread = x.mean(axis=0), x.std(axis=0)
    x, x_test = (x - mean) / spread, (x_test - mean) / spread
    weights = np.linalg.solve(x.T @ x + 10 * np.eye(x.shape[1]), x.T @ (y - y.mean()))
    return np.corrcoef(x_test @ weights, y_test)[0, 1]


def course(frames):
    """Means, linear trends, spreads and extremes over time, per channel."""
    time = np.linspace(-1, 1, len(frames))[:, None]
    parts = frames.mean(0), (frames * time).mean(0), frames.std(0), frames.max(0)
    return np.concatenate(parts)


# Measured over seeds 0-4: means 0.47-0.67 (audio), 0.68-0.79 (vision); course
# 0.71-0.84 and 0.79-0.82. The bounds leave room for another numpy's draws.
@pytest.mark.parametrize('modality', ['audio', 'vision'])
def test_planted_sentiment_can_be_read_but_not_trivially(data, modality):
    means = held_out_correlation(data, modality, lambda frames: frames.mean(axis=0))
    assert 0.35 < means < 0.85
    assert 0.65 < held_out_correlation(data, modality, course) < 0.95


def test_speakers_differ_from_video_to_video(data):
    train = data['train']
    video = np.array([name.split('$_$')[0] for name in train['id']])
    background = 4  # the audio channel that tells nothing else
    mean = np.array(
        [
            u[:n, background].mean() if n else np.nan
            for u, n in zip(train['audio'], train['audio_lengths'], strict=True)
        ]
    )
    per_video = [mean[video == name] for name in np.unique(video)]
    between = np.var([np.nanmean(means) for means in per_video])
    within = np.mean([np.nanvar(means) for means in per_video])
    # Clips of one speaker alone would give between = within / 12.
    assert between > within / 2
