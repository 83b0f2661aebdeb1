"""From plain values to typed settings: what fits and what is refused."""

import dataclasses
import math
from typing import Any

import pytest
from ml_collections import ConfigDict, config_dict

from sugrm_jax.config import (
    at_least,
    between,
    choice,
    flat,
    plain,
    positive,
    typed,
)
from sugrm_jax.errors import UserError


@dataclasses.dataclass(frozen=True)
class Inner:
    rate: float
    kind: str = 'plain'

    def __post_init__(self):
        choice(self.kind, ('plain', 'fancy'), 'kind')


@dataclasses.dataclass(frozen=True)
class Outer:
    count: int
    on: bool
    limit: float | None
    words: tuple[str, ...]
    inner: Inner
    maybe: Inner | None
    groups: dict[str, Inner]
    rest: Any


SETTINGS = dict(
    count=3,
    on=True,
    limit=0.5,
    words=('a', 'b'),
    inner=dict(rate=0.1, kind='fancy'),
    maybe=dict(rate=0.2),
    groups=dict(one=dict(rate=0.3), two=dict(rate=0.4)),
    rest=dict(anything=1),
)


def outer(**changes):
    return typed(Outer, plain(ConfigDict(SETTINGS | changes)))


def test_every_kind_of_field():
    assert outer() == Outer(
        count=3,
        on=True,
        limit=0.5,
        words=('a', 'b'),
        inner=Inner(0.1, 'fancy'),
        maybe=Inner(0.2),
        groups={'one': Inner(0.3), 'two': Inner(0.4)},
        rest={'anything': 1},
    )


def test_a_field_with_a_default_may_be_left_out():
    assert typed(Inner, {'rate': 1.0}) == Inner(1.0, 'plain')


def test_integers_become_floats_where_floats_are_wanted():
    settings = outer(limit=2, inner=dict(rate=1))
    assert type(settings.limit) is float and type(settings.inner.rate) is float


def test_none_where_it_is_allowed():
    settings = outer(limit=None, maybe=config_dict.placeholder(ConfigDict))
    assert settings.limit is None and settings.maybe is None


def test_lists_become_tuples():
    assert outer(words=['a', 'b']).words == ('a', 'b')
    assert outer(words=()).words == ()


@pytest.mark.parametrize(
    ('changes', 'message'),
    [
        (
            dict(cuont=3),
            'Unknown config field config.cuont. Did you mean config.count?',
        ),
        (
            dict(inner=dict(rat=1.0)),
            'Unknown config field config.inner.rat. Did you mean config.inner.rate?',
        ),
        (
            dict(groups=dict(one=dict(rate=1.0, knid='plain'))),
            'Unknown config field config.groups.one.knid. '
            'Did you mean config.groups.one.kind?',
        ),
        (dict(inner={}), 'config.inner.rate is missing from the config.'),
        (dict(count=3.0), 'config.count must be of type int, not 3.0.'),
        (dict(count='3'), "config.count must be of type int, not '3'."),
        (dict(count=True), 'config.count must be of type int, not True.'),
        (dict(count=None), 'config.count must be of type int, not None.'),
        (dict(on=1), 'config.on must be of type bool, not 1.'),
        (dict(limit='x'), "config.limit must be of type float, not 'x'."),
        (dict(limit=True), 'config.limit must be of type float, not True.'),
        (
            dict(limit=10**400),
            'config.limit must be of type float, not '
            '100000000000000000...0000000000000000000.',
        ),
        (dict(words='ab'), "config.words must be a tuple, not 'ab'."),
        (dict(words=('a', 1)), 'config.words must be of type str, not 1.'),
        (dict(inner=1), 'config.inner must be a group of fields, not 1.'),
        (dict(groups=1), 'config.groups must be a group of fields, not 1.'),
        (
            dict(groups=dict(one=1)),
            'config.groups.one must be a group of fields, not 1.',
        ),
        (
            dict(inner=dict(rate=1.0, kind='odd')),
            "config.inner: kind must be one of ['fancy', 'plain'], not 'odd'.",
        ),
    ],
)
def test_what_does_not_fit_is_refused(changes, message):
    with pytest.raises(UserError) as refused:
        outer(**changes)
    assert str(refused.value) == message


@pytest.mark.parametrize(
    ('check', 'good', 'bad', 'message'),
    [
        (at_least, [1, 7], [0, -1], 'x must be at least 1, not '),
        (between, [1, 1.99], [0.99, 2, 3], 'x must be at least 1 and below 2, not '),
        (positive, [0.1, 7], [0, -0.1], 'x must be above 0, not '),
    ],
)
def test_ranges(check, good, bad, message):
    limits = {at_least: (1,), between: (1, 2), positive: ()}[check]
    for value in good:
        check(value, *limits, 'x')
    for value in [*bad, math.nan]:
        with pytest.raises(ValueError, match=f'^{message}{value}$'):
            check(value, *limits, 'x')


def test_a_missing_field():
    settings = {k: v for k, v in SETTINGS.items() if k != 'on'}
    with pytest.raises(UserError, match=r'^config\.on is missing'):
        typed(Outer, settings)


def test_plain_and_flat():
    config = ConfigDict(dict(a=1, b=dict(c=(1, 2), d=dict(e=None)), f={}))
    assert plain(config) == {'a': 1, 'b': {'c': (1, 2), 'd': {'e': None}}, 'f': {}}
    # Tuples become lists, as JSON has them.
    assert flat(plain(config)) == {'a': 1, 'b.c': [1, 2], 'b.d.e': None}
