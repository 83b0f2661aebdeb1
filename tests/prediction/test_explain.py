"""What the page shows, without a server: numbers, words, bars, limits."""

import pickle
import re
import time

import numpy as np
import pytest

from sugrm_jax import UserError
from sugrm_jax.prediction.explain import (
    EXAMPLES,
    Explainer,
    check_length,
    read_examples,
    take,
)
from sugrm_jax.results import cards
from sugrm_jax.results.cards import Steps
from tests.prediction.conftest import fake_extraction

ROW = {'id': 'x', 'text': 'so <b>good</b>', 'm': 1.5, 't': -4.0, 'a': None, 'v': 0.0}
STEPS = {
    't': Steps(np.array([0.5, -0.25]), ['<s>', '##ly']),
    'a': Steps(np.array([0.0, 0.1, 0.0, -0.2]), rate_hz=20.0),
    'v': Steps(np.array([0.0, 0.0])),
}


@pytest.fixture(scope='session')
def explainer(predictors):
    predictor = predictors('sugrm')
    return Explainer(predictor, read_examples(predictor))


# One utterance as HTML. ------------------------------------------------------------


def test_what_strangers_wrote_is_text():
    shown = cards.card(ROW, STEPS, 3)
    assert 'so &lt;b&gt;good&lt;/b&gt;' in shown and '&lt;s&gt;' in shown
    assert '<b>good' not in shown and '<s>' not in shown
    folded = cards.folded(['', ''], [ROW, ROW])
    assert '<b>good' not in folded and folded.count('<details open>') == 1


def test_gauges_reach_from_limit_to_limit():
    shown = cards.gauges(ROW, 3)
    assert 'left: 50.00%; width: 25.00%' in shown and '<b>+1.50</b>' in shown
    # Beyond the scale the bar ends at its end and the number says how far.
    assert 'left: 0.00%; width: 50.00%' in shown and '<b>−4.00</b>' in shown
    assert 'audio: absent' in shown and '<b>–</b>' in shown
    assert cards.gauges(ROW, 1).count('width: 50.00%') == 2
    assert 'text:' not in cards.gauges({'m': 0.1}, 3)


@pytest.mark.parametrize(
    ('value', 'words'),
    [
        (0.49, 'neutral'),
        (-0.51, 'weakly negative'),
        (1.6, 'clearly positive'),
        (-2.6, 'strongly negative'),
        (9.0, 'strongly positive'),
    ],
)
def test_sentiment_in_words(value, words):
    assert cards.in_words(value, 3) == words
    assert cards.in_words(value / 3, 1) == words


def test_the_tallest_bar_fills_its_half():
    text, audio, vision = (cards.mattered(s, STEPS[s]) for s in 'tav')
    assert re.findall(r'(bottom|top): 50%; height: ([\d.]+)%', text) == [
        ('bottom', '50.0'),
        ('top', '25.0'),
    ]
    assert 'sum +0.25, tallest bar 0.5' in text
    assert re.findall(r'y="([-\d.]+)" height="([\d.]+)"', audio) == [
        ('0.0000', '0.0000'),
        ('-0.5000', '0.5000'),
        ('0.0000', '0.0000'),
        ('0.0000', '1.0000'),
    ]
    assert '0.2 s' in audio and 'steps' in vision and 'nan' not in vision


# Examples. -------------------------------------------------------------------------


def test_an_example_shows_the_predictors_numbers(explainer, evaluated):
    shown, (row,) = explainer.example(4)
    wanted = evaluated('sugrm', 'test')
    for task in 'mtav':
        assert row[task] == pytest.approx(wanted[task][4], abs=1e-5)
    assert f'{row["m"]:+.2f}'.replace('-', '−') in shown
    assert row['text'] in shown and shown.count('<svg') == 2
    # Its features are described: steps have seconds.
    assert 'seconds' in shown and shown.count('class="token"') > 2


def test_an_absent_modality_has_no_bars(explainer):
    shown, (row,) = explainer.example(2)
    assert row['a'] is None and row['v'] is None
    assert '<svg' not in shown and 'class="token"' in shown


@pytest.mark.parametrize('row', [-1, 5])
def test_examples_are_those_there_are(explainer, row):
    with pytest.raises(UserError, match='Choose an example'):
        explainer.example(row)


def test_examples_are_the_runs_own_or_a_given_file(predictors, data_path, tmp_path):
    predictor = predictors('frozen')
    own = read_examples(predictor)
    assert own.split.ids == predictor.read(data_path).split.ids
    raw = {'predict': pickle.loads(data_path.read_bytes())['train']}
    (tmp_path / 'other.pkl').write_bytes(pickle.dumps(raw))
    other = read_examples(predictor, tmp_path / 'other.pkl')
    assert len(other.split) == 21 <= EXAMPLES
    with pytest.raises(UserError, match='nowhere'):
        read_examples(predictor, tmp_path / 'nowhere.pkl')


def test_some_utterances_are_taken_whole(predictors, data_path):
    found = predictors('fixed_text').read(data_path)
    rows = np.array([3, 0])
    some = take(found._replace(start=np.arange(5.0)), rows)
    ours = predictors('fixed_text')(some.split)['m']
    np.testing.assert_allclose(
        ours, predictors('fixed_text')(found.split)['m'][rows], atol=1e-5
    )
    assert some.start.tolist() == [3, 0] and some.end is None
    assert some.split.ids == [found.split.ids[i] for i in rows]


# Clips. ----------------------------------------------------------------------------


def test_a_clip_of_several_utterances_is_shown_over_time(
    predictors, evaluated, tmp_path
):
    python = fake_extraction(tmp_path)
    (tmp_path / 'talk.srt').write_text('1\n00:00:00,000 --> 00:00:03,000\nhi\n')
    (tmp_path / 'talk.mp4').write_bytes(b'')
    explainer = Explainer(predictors('sugrm'), python=python)
    paths = str(tmp_path / 'talk.mp4'), '', str(tmp_path / 'talk.srt')
    shown, rows = explainer.clip(*paths)
    wanted = evaluated('sugrm', 'test')['m']
    np.testing.assert_allclose([row['m'] for row in rows], wanted, atol=1e-5)
    assert [row['start'] for row in rows] == [0, 1, 2, 3, 4]
    assert 'data:image/png;base64,' in shown
    assert shown.count('<details') == 5


@pytest.mark.parametrize(
    ('clip', 'text', 'subtitles', 'message'),
    [
        (None, 'words', None, 'Drop a clip first'),
        ('a.mp4', ' ', None, 'one of them'),
        ('a.mp4', 'words', 'a.srt', 'one of them'),
        ('a.exe', 'words', None, 'A clip ends with one of .mp4'),
        ('a.mp4', 'x' * 10_001, None, 'may have 10,000 characters, not 10,001'),
        ('a.mp4', 'so \ud800', None, 'is no text at character 4'),
    ],
)
def test_what_is_missing_is_said(explainer, clip, text, subtitles, message):
    with pytest.raises(UserError, match=message):
        explainer.clip(clip, text, subtitles)


def test_a_failed_extraction_names_the_file_and_not_its_folder(predictors, tmp_path):
    python = tmp_path / 'python'
    python.write_text('#!/bin/sh\necho "$3 is no video." >&2\nexit 2\n')
    python.chmod(0o755)
    explainer = Explainer(predictors('sugrm'), python=str(python))
    with pytest.raises(UserError) as caught:
        explainer.clip(str(tmp_path / 'a.mp4'), 'words', None)
    assert str(caught.value).endswith('a.mp4 were not extracted: a.mp4 is no video.')
    assert str(tmp_path) not in str(caught.value)


@pytest.mark.parametrize(
    ('cues', 'refused'),
    [
        ('00:00:01,000 --> 00:10:00,000', False),
        ('00:00:01,000 --> 00:10:01,000', True),
        ('9:58.000 --> 10:02.500 align:left', True),
        # Over and over the same five minutes.
        ('00:00:00,000 --> 00:05:00,000\nx\n\n' * 3, True),
        # Extraction knows more ends of lines than \\n.
        ('x\u202800:00:01,000 --> 00:10:01,000', True),
    ],
)
def test_the_length_of_a_clip_is_limited(cues, refused, explainer, tmp_path):
    path = tmp_path / 'a.srt'
    path.write_text(f'1\n{cues}\nwords\n')
    if refused:
        with pytest.raises(UserError, match='may be 10 minutes long'):
            explainer.clip('a.mp4', '', str(path))
    else:
        check_length(path)


def test_the_number_of_subtitles_is_limited(tmp_path):
    path = tmp_path / 'a.srt'
    times = [f'{i // 60:02}:{i % 60:02}' for i in range(600)]
    cues = [f'{time}.0 --> {time}.5' for time in times]
    path.write_text('\nx\n\n'.join([*cues, '']))
    check_length(path)
    path.write_text('\nx\n\n'.join([*cues, cues[0], '']))
    with pytest.raises(UserError, match='may have 600 subtitles, not 601'):
        check_length(path)


def test_subtitles_that_say_nothing_are_refused_at_once(explainer, tmp_path):
    path = tmp_path / 'a.srt'
    path.write_text('\n' * 2**16)
    before = time.process_time()
    with pytest.raises(UserError, match='has no subtitles') as caught:
        explainer.clip('a.mp4', '', str(path))
    assert time.process_time() - before < 2
    assert str(tmp_path) not in str(caught.value)


def test_what_is_found_out_about_a_clip_is_said(explainer):
    found = explainer.examples._replace(notes=['no face in <12> frames'])
    shown, _ = explainer.shown(take(found, np.array([0])), 'a clip')
    assert 'Note: no face in &lt;12&gt; frames' in shown
