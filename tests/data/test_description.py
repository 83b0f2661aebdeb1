"""What a file says of its features, and how that differs from a run's."""

import re

import numpy as np
import pytest

from sugrm_jax import UserError
from sugrm_jax.data import description, mmsa
from tests.training.conftest import tiny_data


@pytest.fixture(scope='module')
def split():
    return mmsa.make_dataset(tiny_data(), path='tiny').train


def read(split, **said):
    return description.read({'features': {'audio': said}}, split, 'x.pkl')['audio']


@pytest.mark.parametrize('rate', [50, 50.0, np.float32(50), np.int64(50), np.uint8(50)])
def test_a_rate_is_a_number_of_any_kind(split, rate):
    found = read(split, rate_hz=rate)
    assert found == {'rate_hz': 50.0} and type(found['rate_hz']) is float
    trained, given = {'width': 3, 'rate_hz': 20.0}, {'width': 3} | found
    assert description.differences(trained, given) == [
        'rate_hz 50.0 where the run had 20.0'
    ]


def test_a_rate_that_was_kept_as_float32_is_the_same(split):
    trained = {'width': 3} | read(split, rate_hz=29.97)
    given = {'width': 3} | read(split, rate_hz=np.float32(29.97))
    assert description.differences(trained, given) == []


@pytest.mark.parametrize(
    'rate',
    [
        True,
        np.True_,
        float('nan'),
        np.inf,
        0,
        -20.0,
        pytest.param(10**400, id='huge'),
        pytest.param(10**5000, id='larger than Python prints'),
        '20',
        None,
        [20.0],
    ],
)
def test_other_rates_are_refused_by_name(split, rate):
    where = re.escape('x.pkl: features.audio.rate_hz must be a number above 0')
    with pytest.raises(UserError, match=where):
        read(split, rate_hz=rate)


@pytest.mark.parametrize(
    ('raw', 'message'),
    [
        ({'features': 3}, 'x.pkl: features must be a dict, not int'),
        ({'features': {'audio': 3}}, 'x.pkl: features.audio must be a dict, not int'),
        (
            {'features': {'audio': {'names': ['a']}}},
            'x.pkl: features.audio.names must be a list of 3 texts',
        ),
        (
            {'features': {'audio': {'names': ['a', 'b', 3]}}},
            'x.pkl: features.audio.names must be a list of 3 texts',
        ),
        (
            {'features': {'audio': {'source': 3}}},
            'x.pkl: features.audio.source must be a text, not int',
        ),
    ],
)
def test_what_is_no_description_is_refused_by_name(split, raw, message):
    with pytest.raises(UserError, match=re.escape(message)):
        description.read(raw, split, 'x.pkl')


def test_a_run_keeps_the_steps_of_its_longest_split():
    """Those of test may be more than those of train: it is predicted on, too."""
    data = tiny_data()
    test = data['test']
    test['audio'] = np.pad(test['audio'], [(0, 0), (0, 5), (0, 0)])
    dataset = mmsa.make_dataset(data, path='tiny')
    assert dataset.train.audio.shape[1] == 12
    kept = description.of_run(dataset, fixed_text=False)
    assert kept['audio'] == {'steps': 17, 'width': 3}
    assert kept['vision']['steps'] == 9 and kept['text'] == {'steps': 8}
