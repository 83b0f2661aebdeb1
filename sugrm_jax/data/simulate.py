"""The embedded data set: simulated opinion videos in MMSA format.

Real data annotate the multimodal sentiment only. Here each modality's own sentiment is
planted, so what a model generates for t, a and v can be held against the truth.

What is planted, utterance by utterance, all on `[-3, 3]`:

1. A shared sentiment `s` with two humps, few at zero and tails beyond the limit.
2. Voice and face: `y_a = s + N(0, 1.4)`, `y_v = s + N(0, 1.2)`, clipped; `signals.py`
   turns them into sequences.
3. Words: of several sentences of the grammar in `sentences.py` the one nearest to
   `s + N(0, 0.4)`; `y_t` is the value of that sentence. In 20 % of utterances the
   words contradict voice and face, mildly (intended strengths 1 to 1.8): sarcasm and,
   with the signs swapped, teasing.
4. The multimodal sentiment is

       mix = 0.5 y_t + 0.2 y_a + 0.3 y_v     or, in conflict,   0.4 y_a + 0.6 y_v
       y_m = mean over 5 annotators of round(clip(mix + N(0, 0.4), -3, 3))

   where an utterance is in conflict when `y_a` and `y_v` both have the other sign than
   `y_t` and all three are at least 0.75 strong: then the words do not count.

In 2 % of utterances the face was not found and in another 2 % there is no sound: their
features are zero and their length is 0, while `y_v` and `y_a` keep what was expressed.
"""

from __future__ import annotations

import dataclasses
import math

import numpy as np

from sugrm_jax.config import at_least, typed
from sugrm_jax.data import sentences, signals

LIMIT = 3.0
# Quantiles of the shared sentiment; beyond the limit it is clipped.
QUANTILES = (0.0, 0.03, 0.10, 0.38, 0.46, 0.54, 0.62, 0.90, 0.97, 1.0)
SHARED = (-6.0, -4.0, -2.0, -1.0, -0.3, 0.3, 1.0, 2.0, 4.0, 6.0)
OWN_SPREAD = {'t': 0.4, 'a': 1.4, 'v': 1.2}
MIXTURE = {'t': 0.5, 'a': 0.2, 'v': 0.3}
CONFLICT_MIXTURE = {'t': 0.0, 'a': 0.4, 'v': 0.6}
CONFLICT_SHARE = 0.2
CONFLICT_STRENGTH = 0.75
CONFLICT_RANGE = (1.0, 1.8)
ANNOTATORS = 5
ANNOTATOR_SPREAD = 0.4
ABSENT_SHARE = 0.02
CLIPS_PER_VIDEO = 12
SPEAKER_SPREAD = 0.5
# The number of words that fills a sequence: audio has the higher rate.
AUDIO_WORDS, VISION_WORDS = 20, 32


@dataclasses.dataclass(frozen=True)
class SimulateConfig:
    """How much to simulate (see `simulate`)."""

    train: int
    valid: int
    test: int
    audio_length: int
    vision_length: int
    seed: int

    def __post_init__(self):
        for name in ('train', 'valid', 'test', 'audio_length', 'vision_length'):
            at_least(getattr(self, name), 1, name)
        at_least(self.seed, 0, 'seed')


def in_conflict(y: dict[str, np.ndarray]) -> np.ndarray:
    """Whether voice and face both contradict the words, bool `[N]`.

    Args:
      y: unimodal sentiments by modality ('t', 'a', 'v'), `[N]` each.
    """
    strong = np.min([np.abs(value) for value in y.values()], axis=0)
    opposite = (y['t'] * y['a'] < 0) & (y['t'] * y['v'] < 0)
    return opposite & (strong >= CONFLICT_STRENGTH)


def mix(y: dict[str, np.ndarray]) -> np.ndarray:
    """The multimodal sentiment before annotation, `[N]` (see the module's formula)."""
    usual = sum(MIXTURE[s] * y[s] for s in y)
    return np.where(in_conflict(y), sum(CONFLICT_MIXTURE[s] * y[s] for s in y), usual)


def annotate(rng: np.random.Generator, mixture: np.ndarray) -> np.ndarray:
    """The mean of five annotators' whole-number votes, float32 `[N]`."""
    opinion = mixture + rng.normal(0, ANNOTATOR_SPREAD, (ANNOTATORS, len(mixture)))
    votes = np.round(np.clip(opinion, -LIMIT, LIMIT)).astype(int)
    return (votes.sum(axis=0) / ANNOTATORS).astype(np.float32)


def intend(rng: np.random.Generator, count: int) -> dict[str, np.ndarray]:
    """Intended unimodal sentiments of `count` utterances, `[N]` by modality.

    The shared sentiment is drawn one per quantile, so that a small split is spread
    as a large one.
    """
    quantile = (rng.permutation(count) + rng.random(count)) / count
    shared = np.interp(quantile, QUANTILES, SHARED)
    y = {s: shared + rng.normal(0, OWN_SPREAD[s], count) for s in OWN_SPREAD}
    rows = rng.permutation(count)[: round(CONFLICT_SHARE * count)]
    side = np.where(shared[rows] < 0, -1.0, 1.0)
    for s, sign in (('t', -side), ('a', side), ('v', side)):
        y[s][rows] = sign * np.clip(np.abs(y[s][rows]), *CONFLICT_RANGE)
    return {s: np.clip(value, -LIMIT, LIMIT) for s, value in y.items()}


def count_frames(
    rng: np.random.Generator, texts: list[str], size: int, full: int
) -> np.ndarray:
    """Frames of each utterance, int64 `[N]`, where `full` words fill all `size`."""
    words = np.array([len(text.split()) for text in texts])
    slowness = np.exp(rng.normal(0, 0.15, len(texts)))
    return np.clip(np.round(words * slowness * size / full), 1, size).astype(np.int64)


def lose(
    rng: np.random.Generator, heard: np.ndarray, seen: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """The lengths with 0 for the few utterances without sound, or without a face."""
    count = math.ceil(ABSENT_SHARE * len(heard))
    rows = rng.permutation(len(heard))[: 2 * count]
    heard, seen = heard.copy(), seen.copy()
    heard[rows[count:]], seen[rows[:count]] = 0, 0
    return heard, seen


def classes(label: np.ndarray) -> dict[str, np.ndarray]:
    """MMSA's three classes of the labels, as names and as 0, 1, 2."""
    index = np.sign(label).astype(int) + 1
    names = np.array(['Negative', 'Neutral', 'Positive'])
    return {
        'annotations': names[index],
        'classification_labels': index.astype(np.float32),
    }


def simulate_split(
    rng: np.random.Generator,
    count: int,
    first_video: int,
    audio_length: int,
    vision_length: int,
) -> dict[str, np.ndarray]:
    """One split in MMSA format; its videos are numbered from `first_video`."""
    video, clip = np.divmod(np.arange(count), CLIPS_PER_VIDEO)
    topics = list(sentences.TOPICS)
    y = intend(rng, count)
    said = [
        sentences.say(rng, topics[v % len(topics)], target)
        for v, target in zip(video, y['t'], strict=True)
    ]
    texts = [sentence.text for sentence in said]
    y['t'] = np.array([sentence.value for sentence in said])
    # Rounded first, so that the labels follow from the planted values as stored.
    y = {s: value.astype(np.float32) for s, value in y.items()}
    label = annotate(rng, mix(y))
    heard = count_frames(rng, texts, audio_length, AUDIO_WORDS)
    seen = count_frames(rng, texts, vision_length, VISION_WORDS)
    heard, seen = lose(rng, heard, seen)
    width = signals.AUDIO_WIDTH + signals.VISION_WIDTH
    speaker = rng.normal(0, SPEAKER_SPREAD, (video[-1] + 1, width))[video]
    own_voice, own_face = np.split(speaker, [signals.AUDIO_WIDTH], axis=1)
    names = [
        f'sim{first_video + v:04d}$_${c}' for v, c in zip(video, clip, strict=True)
    ]
    return {
        'raw_text': np.array(texts),
        'id': np.array(names),
        'audio': signals.voice(rng, y['a'], heard, audio_length, own_voice),
        'vision': signals.face(rng, y['v'], seen, vision_length, own_face),
        'audio_lengths': heard,
        'vision_lengths': seen,
        'regression_labels': label,
        **{f'regression_labels_{s.upper()}': y[s] for s in y},
        **classes(label),
    }


def simulate(
    *,
    train: int,
    valid: int,
    test: int,
    audio_length: int,
    vision_length: int,
    seed: int,
) -> dict[str, dict[str, np.ndarray]]:
    """A data set in MMSA format with planted unimodal sentiments.

    The same arguments give the same arrays bit for bit. A split depends on its own
    size and the seed alone, but for the numbers of its videos.

    Args:
      train, valid, test: utterances of each split.
      audio_length, vision_length: frames of the padded sequences.
      seed: of the only source of chance.

    Returns:
      By split: `raw_text`, `id` (`video$_$clip`), `audio` `[N, audio_length, 5]`,
      `vision` `[N, vision_length, 20]`, `audio_lengths`, `vision_lengths`,
      `regression_labels` (`y_m`), `regression_labels_T`, `_A`, `_V` (planted),
      `classification_labels`, `annotations`. There is no `text_bert`: tokenise
      `raw_text`.

    Raises:
      UserError: a size below 1, a seed below 0.
    """
    sizes = {'train': train, 'valid': valid, 'test': test}
    lengths = {'audio_length': audio_length, 'vision_length': vision_length}
    typed(SimulateConfig, sizes | lengths | {'seed': seed}, 'simulate')
    chances = np.random.SeedSequence(seed).spawn(len(sizes))
    data, first_video = {}, 0
    for (split, count), chance in zip(sizes.items(), chances, strict=True):
        rng = np.random.default_rng(chance)
        data[split] = simulate_split(rng, count, first_video, **lengths)
        first_video += math.ceil(count / CLIPS_PER_VIDEO)
    return data
