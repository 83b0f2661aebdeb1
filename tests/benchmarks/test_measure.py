"""Rounds, ratios and tables of the benchmarks, on made-up times."""

import itertools
import json

import numpy as np
import pytest

from benchmarks import data
from benchmarks.growth import MEMORY, factors
from benchmarks.measure import Spread, against, ratio, rounds
from benchmarks.reference import check_same
from benchmarks.tables import Table, as_json, markdown


def test_rounds_take_turns_and_leave_out_the_warm_up():
    calls = []

    def timer(name, times):
        times = iter(times)

        def time():
            calls.append(name)
            return next(times)

        return time

    timers = {'a': timer('a', [9.0, 1.0, 2.0]), 'b': timer('b', [9.0, 3.0, 8.0])}
    times = rounds(timers, 2)
    assert ''.join(calls) == 'ababab'
    assert times == {'a': Spread((1.0, 2.0)), 'b': Spread((3.0, 8.0))}


def test_ratios_are_of_pairs_not_of_medians():
    base, ours = Spread((4.0, 8.0, 1.0)), Spread((1.0, 2.0, 3.0))
    assert ratio(ours, base).values == (0.25, 0.25, 3.0)
    # The ratio of the medians would be 2 / 4.
    assert ratio(ours, base).median == 0.25


def test_times_stand_before_ratios():
    times = {n: Spread((x,)) for n, x in (('base', 2.0), ('z', 1.0), ('a', 4.0))}
    cells = against('base', times)
    assert list(cells) == ['base', 'z', 'a', 'z / base', 'a / base']
    assert cells['a / base'].values == (2.0,)
    assert list(against('absent', times)) == ['base', 'z', 'a']


@pytest.mark.parametrize(
    ('spread', 'text'),
    [
        (Spread((3.0, 1.0, 2.0)), '2 s (1–3)'),
        (Spread((0.12345,)), '0.123 s'),
        (Spread((0.5, 0.25, 0.4), unit=''), '0.4 (0.25–0.5)'),
    ],
)
def test_spread_reads(spread, text):
    assert str(spread) == text


TABLE = Table(
    'spt',
    'MRM + SPT',
    'How.',
    [{'case': 'x', 'time': Spread((1.0, 3.0))}, {'case': 'y', 'GFLOP': 1.23456}],
)


def test_markdown():
    assert markdown(TABLE) == (
        '## MRM + SPT\n\nHow.\n\n'
        '| case | time | GFLOP |\n| --- | ---: | ---: |\n'
        '| x | 2 s (1–3) |  |\n| y |  | 1.235 |\n'
    )


def test_json_keeps_every_value():
    plain = json.loads(json.dumps(as_json(TABLE)))
    assert plain['rows'][0]['time'] == {
        'median': 2.0, 'low': 1.0, 'high': 3.0, 'values': [1.0, 3.0], 'unit': 's',
    }  # fmt: skip
    assert plain['name'] == 'spt'


def test_growth_factors():
    short = {'time': Spread((1.0, 2.0, 9.0)), MEMORY: 100}
    long = {'time': Spread((3.0,)), MEMORY: 210}
    assert factors(long, short) == {
        'time / half as long': 1.5,
        'memory / half as long': 2.1,
    }
    assert factors(long | {'time': 'not run'}, short) == {'memory / half as long': 2.1}
    assert factors(short, {}) == {}


def test_what_differs_is_not_timed():
    recorded = {'x': np.array([1.0, -100.0])}
    check_same({'x': np.array([1.0005, -100.0])}, recorded, 'case')
    with pytest.raises(ValueError, match='case: x differs'):
        check_same({'x': np.array([1.005, -100.0])}, recorded, 'case')
    with pytest.raises(ValueError, match='differs'):
        check_same({'x': np.array([np.nan, -100.0])}, recorded, 'case')


def test_mosi_shaped_data_have_tokens_as_mosi(tmp_path):
    path = data.write_mosi_shaped(tmp_path, None)
    train = data.load_dataset(path).train
    assert train.audio.shape[1:] == data.AUDIO
    assert train.vision.shape[1:] == data.VISION
    length = train.tokens[:, 1].sum(-1)
    # MOSI's utterances have 15 tokens on average; 128 of them vary by some 0.8.
    assert 12 < length.mean() < 18
    assert {3.0, -3.0} <= set(train.label.tolist())
    shares = train.vision_length / data.VISION[0]
    assert np.abs(shares - length / data.TOKENS).max() < 0.01
    for x, n in itertools.islice(zip(train.audio, train.audio_length, strict=True), 5):
        assert x[:n].all()
        assert not x[n:].any()
