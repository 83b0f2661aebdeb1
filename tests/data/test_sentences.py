"""The grammar of opinions: values by hand, and readable from the words alone."""

import numpy as np
import pytest

from sugrm_jax.data import sentences


@pytest.mark.parametrize(
    ('phrase', 'text', 'value'),
    [
        (sentences.judge('plot', 'good'), 'the plot was good', 1.8),
        (sentences.judge('plot', 'good', 'very'), 'the plot was very good', 2.34),
        (
            sentences.judge('plot', 'good', 'very', negated=True),
            'the plot was not very good',
            -1.17,  # -0.5 · 1.3 · 1.8
        ),
        (
            sentences.judge('phone', 'brilliant', 'absolutely'),
            'the phone was absolutely brilliant',
            3.0,  # 4.2, clipped
        ),
        (
            sentences.judge('phone', 'terrible', 'so', negated=True),
            'the phone was not so terrible',
            1.5,  # -3.6 is clipped to -3 before the negation halves it
        ),
        (
            sentences.judge('book', 'boring', 'slightly'),
            'the book was slightly boring',
            -0.64,  # 0.4 · -1.6
        ),
        (sentences.feel('plot', 'love'), 'i loved the plot', 2.7),
        (
            sentences.feel('plot', 'enjoy', 'really', negated=True),
            'i did not really enjoy the plot',
            -1.125,  # -0.5 · 1.25 · 1.8
        ),
        (
            sentences.feel('plot', 'regret', 'kind of'),
            'i kind of regretted the plot',
            -0.98,  # 0.7 · -1.4
        ),
        (
            sentences.turn_out('sound', 'well', 'fairly'),
            'the sound turned out fairly well',
            1.36,  # 0.8 · 1.7
        ),
        (
            sentences.turn_out('sound', 'badly', negated=True),
            'the sound did not turn out badly',
            1.05,  # -0.5 · -2.1
        ),
        (
            sentences.contrast(
                sentences.judge('plot', 'great'),
                sentences.feel('script', 'enjoy', negated=True),
            ),
            'the plot was great but i did not enjoy the script',
            0.5 / 3,  # (2.3 + 2 · -0.9) / 3
        ),
    ],
)
def test_sentiment_worked_by_hand(phrase, text, value):
    assert phrase.text == text
    assert phrase.value == pytest.approx(value, abs=1e-12)  # float64 rounding


def read_opinion(clause):
    """The value of a clause, read off its words alone; 0 when it has no opinion."""
    grades = {
        **sentences.ADJECTIVES,
        **sentences.ADVERBS,
        **sentences.VERBS,
        **{sentences.PAST[verb]: value for verb, value in sentences.VERBS.items()},
    }
    words = clause.split()
    found = [word for word in words if word in grades]
    assert len(found) <= 1, clause
    if not found:
        return 0.0
    before = ' '.join(words[: words.index(found[0])])
    degrees = [
        scale
        for degree, scale in sentences.DEGREES.items()
        if degree and before.endswith(' ' + degree)
    ]
    value = np.clip(grades[found[0]] * (degrees or [1.0])[0], -3, 3)
    return value * (-0.5 if ' not' in before else 1.0)


def test_the_words_alone_give_the_value():
    rng = np.random.default_rng(0)
    for topic in sentences.TOPICS:
        for _ in range(300):
            text, value = sentences.draw_sentence(rng, topic)
            clauses = text.split(' but ')
            if len(clauses) == 2:
                read = (read_opinion(clauses[0]) + 2 * read_opinion(clauses[1])) / 3
            else:
                read = sum(read_opinion(clause) for clause in text.split(' and '))
            assert value == pytest.approx(read, abs=1e-12), text  # float64 rounding


def test_remarks_and_hesitations_tell_nothing():
    for topic in sentences.TOPICS.values():
        for clause in (*topic.verbs, *topic.facts):
            assert read_opinion(clause) == 0
    for clause in (*sentences.WHEN, *sentences.COMPANY, *sentences.HESITATIONS):
        assert read_opinion(clause) == 0


def test_say_comes_near_its_target():
    rng = np.random.default_rng(0)
    targets = np.linspace(-3, 3, 61)
    gap = [
        abs(sentences.say(rng, 'movie', target).value - target) for target in targets
    ]
    # One draw alone is off by about 2; the best of 24 by about 0.1.
    assert np.mean(gap) < 0.25
