"""A small grammar of spoken opinions in which every sentence has a sentiment.

A sentence is one or two opinions on a part of a movie, a book or a product, with
neutral remarks and hesitations around them. Its value, in `[-3, 3]`, follows from
its words alone:

    degree phrase   clip(word · degree, -3, 3)        'very good'      1.3 · 1.8
    negation        -0.5 · degree phrase              'not very good'  -0.5 · 2.34
    contrast        (first + 2 · second) / 3          'A but B'
    neutral remark, hesitation                        adds nothing
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

# Grades of opinion words. A degree word scales them, a negation flips and halves.
ADJECTIVES = {
    'terrible': -3.0,
    'horrible': -2.9,
    'awful': -2.7,
    'dreadful': -2.6,
    'bad': -2.0,
    'disappointing': -1.8,
    'boring': -1.6,
    'annoying': -1.5,
    'dull': -1.3,
    'weak': -1.2,
    'predictable': -0.9,
    'mediocre': -0.7,
    'okay': 0.4,
    'fine': 0.7,
    'decent': 1.0,
    'nice': 1.3,
    'enjoyable': 1.6,
    'good': 1.8,
    'clever': 1.9,
    'great': 2.3,
    'beautiful': 2.5,
    'wonderful': 2.7,
    'amazing': 2.8,
    'brilliant': 3.0,
}
# Verbs by base form, which 'did not' needs; PAST has the other form.
VERBS = {
    'hate': -2.8,
    'despise': -2.7,
    'dislike': -1.6,
    'regret': -1.4,
    'like': 1.4,
    'enjoy': 1.8,
    'admire': 2.1,
    'love': 2.7,
    'adore': 2.9,
}
PAST = {verb: verb + ('d' if verb.endswith('e') else 'ed') for verb in VERBS} | {
    'regret': 'regretted'
}
ADVERBS = {
    'terribly': -2.9,
    'horribly': -2.8,
    'badly': -2.1,
    'poorly': -1.8,
    'awkwardly': -1.2,
    'decently': 0.9,
    'nicely': 1.4,
    'well': 1.7,
    'beautifully': 2.5,
    'superbly': 2.8,
    'perfectly': 3.0,
}
DEGREES = {
    '': 1.0,
    'slightly': 0.4,
    'somewhat': 0.6,
    'kind of': 0.7,
    'fairly': 0.8,
    'really': 1.25,
    'very': 1.3,
    'so': 1.2,
    'extremely': 1.5,
    'absolutely': 1.4,
}
NEGATION = -0.5
LIMIT = 3.0


class Phrase(NamedTuple):
    """Words and the sentiment they carry."""

    text: str
    value: float


class Topic(NamedTuple):
    """How one comes to a thing, its parts, and facts without sentiment."""

    verbs: tuple[str, ...]
    parts: tuple[str, ...]
    facts: tuple[str, ...]


TOPICS = {
    'movie': Topic(
        ('watched', 'saw', 'rented'),
        ('movie', 'plot', 'acting', 'ending', 'soundtrack', 'script', 'lead actor'),
        ('it runs for two hours', 'it is set in the nineties', 'it came out in march'),
    ),
    'book': Topic(
        ('read', 'finished', 'borrowed'),
        ('book', 'story', 'writing', 'narrator', 'first chapter', 'main character'),
        ('it has three hundred pages', 'it came out in june', 'it is set in chicago'),
    ),
    'product': Topic(
        ('bought', 'got', 'ordered'),
        ('phone', 'camera', 'battery', 'screen', 'sound', 'keyboard', 'packaging'),
        ('it weighs half a pound', 'it came out in april', 'it replaces my old one'),
    ),
}
WHEN = ('last night', 'on friday', 'last week', 'over the weekend', 'in october')
COMPANY = ('', 'with my sister', 'with a friend', 'for my brother', 'on my own')
HESITATIONS = ('um', 'uh', 'hmm', 'you know', 'i mean', 'let me see')


def _join(*words: str) -> str:
    return ' '.join(word for word in words if word)


def grade(word: float, degree: str = '', negated: bool = False) -> float:
    """Value of an opinion word of this grade under a degree word and a negation."""
    value = min(max(word * DEGREES[degree], -LIMIT), LIMIT)
    return NEGATION * value if negated else value


def judge(part: str, adjective: str, degree: str = '', negated: bool = False) -> Phrase:
    """'the plot was not very good'."""
    was = 'was not' if negated else 'was'
    value = grade(ADJECTIVES[adjective], degree, negated)
    return Phrase(_join('the', part, was, degree, adjective), value)


def feel(part: str, verb: str, degree: str = '', negated: bool = False) -> Phrase:
    """'i really loved the plot', 'i did not really love the plot'."""
    did, form = ('did not', verb) if negated else ('', PAST[verb])
    value = grade(VERBS[verb], degree, negated)
    return Phrase(_join('i', did, degree, form, 'the', part), value)


def turn_out(part: str, adverb: str, degree: str = '', negated: bool = False) -> Phrase:
    """'the plot turned out beautifully', 'the plot did not turn out well'."""
    turned = 'did not turn out' if negated else 'turned out'
    value = grade(ADVERBS[adverb], degree, negated)
    return Phrase(_join('the', part, turned, degree, adverb), value)


def contrast(first: Phrase, second: Phrase) -> Phrase:
    """'A but B': what comes last weighs twice as much."""
    text = f'{first.text} but {second.text}'
    return Phrase(text, (first.value + 2 * second.value) / 3)


# Forms, their opinion words, the degree words that go with them plain and negated.
FORMS = (
    (judge, tuple(ADJECTIVES), tuple(DEGREES), ('very', 'so', 'really')),
    (feel, tuple(VERBS), ('somewhat', 'kind of', 'really', 'absolutely'), ('really',)),
    (turn_out, tuple(ADVERBS), tuple(DEGREES), ('very', 'so', 'really')),
)


def _pick(rng: np.random.Generator, choices: Sequence):
    return choices[rng.integers(len(choices))]


def draw_opinion(rng: np.random.Generator, topic: str) -> Phrase:
    """One opinion on a part of the topic; every fifth is negated."""
    form, words, plain_degrees, negated_degrees = _pick(rng, FORMS)
    negated = rng.random() < 0.2
    degrees = negated_degrees if negated else plain_degrees
    # About half of all opinions go without a degree word.
    degree = _pick(rng, degrees) if rng.random() < 0.5 else ''
    return form(_pick(rng, TOPICS[topic].parts), _pick(rng, words), degree, negated)


def draw_remark(rng: np.random.Generator, topic: str) -> str:
    """A clause without sentiment."""
    if rng.random() < 0.3:
        return _pick(rng, TOPICS[topic].facts)
    verb = _pick(rng, TOPICS[topic].verbs)
    return _join('i', verb, 'it', _pick(rng, WHEN), _pick(rng, COMPANY))


def draw_sentence(rng: np.random.Generator, topic: str) -> Phrase:
    """A sentence on the topic (a key of `TOPICS`): 10 % neutral, 20 % contrasts."""
    kind = rng.random()
    remark = draw_remark(rng, topic)
    if kind < 0.10:
        text, value = f'{remark} and {draw_remark(rng, topic)}', 0.0
    elif kind < 0.3:
        text, value = contrast(draw_opinion(rng, topic), draw_opinion(rng, topic))
    else:
        opinion, value = draw_opinion(rng, topic)
        order = (remark, opinion) if rng.random() < 0.5 else (opinion, remark)
        text = ' and '.join(order)
    hesitation = _pick(rng, HESITATIONS) if rng.random() < 0.3 else ''
    return Phrase(_join(hesitation, text), value)


def say(rng: np.random.Generator, topic: str, target: float, tries: int = 24) -> Phrase:
    """The sentence nearest to a wanted sentiment among `tries` draws."""
    drawn = [draw_sentence(rng, topic) for _ in range(tries)]
    return min(drawn, key=lambda sentence: abs(sentence.value - target))
