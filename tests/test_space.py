"""The file of a search's ranges: what is read of it, and what is refused."""

import pytest

from sugrm_jax.errors import UserError
from sugrm_jax.main import load_config
from sugrm_jax.training.space import Choices, Range, WholeRange, short
from sugrm_jax.tune import as_flags, configure, read_space
from tests.test_tune import LOSS, RATE, write_space

SPACE = 'configs/spaces/sugrm.py'


@pytest.mark.parametrize('config', ['mosi.py', 'mosi.py:minilm,released', 'mosei.py'])
def test_the_space_of_sugrm_fits_its_configs(config):
    space = read_space(SPACE, load_config(f'configs/{config}'))
    assert space[RATE] == Range(1e-4, 1e-2, log=True)
    assert space['optim.accumulate'] == Choices((1, 2, 4))


def test_a_range_is_of_its_fields_type(tmp_path):
    given = {
        'train.batch': dict(low=8, high=64, log=True),
        'optim.warmup_epochs': dict(low=0, high=2, step=1),
        'optim.clip_norm': dict(low=1, high=5),
        'text.finetune': dict(choices=(True, False)),
    }
    space = read_space(write_space(tmp_path, given), load_config('configs/mosi.py'))
    assert list(space.values()) == [
        WholeRange(8, 64, log=True),
        Range(0.0, 2.0, step=1.0),
        Range(1.0, 5.0),
        Choices((True, False)),
    ]
    # 1 == 1.0: the numbers' own types, too.
    assert type(space['optim.clip_norm'].low) is float


@pytest.mark.parametrize(
    ('field', 'given', 'message'),
    [
        (
            'optim.groups.other.rate',
            dict(low=0.1, high=1.0),
            r'Unknown config field config\.optim\.groups\.other\.rate\. Did you mean',
        ),
        ('train.batch', dict(low=8.5, high=64), 'low must be of type int, not 8.5'),
        (RATE, dict(low='small', high=1.0), "low must be of type float, not 'small'"),
        (RATE, dict(low=1.0, high=0.1), 'low must be below high, not 1.0 and 0.1'),
        (RATE, dict(low=0.0, high=1.0, log=True), 'low of a logarithmic range must be'),
        (RATE, dict(low=0.1, high=1.0, log=True, step=0.1), 'range has no step'),
        (RATE, dict(low=0.1, high=1.0, step=0.0), 'step must be above 0, not 0'),
        (RATE, dict(low=0.1, hihg=1.0), r'hihg.* Did you mean .*high'),
        (RATE, dict(low=0.1), 'high is missing'),
        (RATE, (0.1, 1.0), 'must be a group of fields'),
        (RATE, dict(choices=()), 'choices must not be empty'),
        (
            RATE,
            dict(choices=(0.1, 'big')),
            "choices are of type int or float, not 'big'",
        ),
        (LOSS, dict(choices=('l1', 2)), 'choices are of type str, not 2'),
        (LOSS, dict(low=0, high=1), r'is no number: give it choices'),
        ('text.finetune', dict(low=0, high=1), r'is no number: give it choices'),
        ('train.batch', dict(choices=(8, True)), 'choices are of type int, not True'),
        ('model.tasks', dict(choices=(('m',),)), 'holds several values'),
        ('optim', dict(low=0, high=1), 'Unknown config field config.optim'),
    ],
)
def test_a_space_that_does_not_fit_is_refused(tmp_path, field, given, message):
    file = write_space(tmp_path, {field: given})
    with pytest.raises(UserError, match=message) as refused:
        read_space(file, load_config('configs/mosi.py'))
    assert file in str(refused.value) and field in str(refused.value)


def test_files_that_are_no_spaces_are_refused(tmp_path):
    config = load_config('configs/mosi.py')
    with pytest.raises(UserError, match=r'There is no space file none\.py'):
        read_space('none.py', config)
    with pytest.raises(UserError, match='names no field to search'):
        read_space(write_space(tmp_path, {}), config)
    with pytest.raises(UserError, match=r'it has no function get_space\(\)'):
        read_space('configs/mosi.py', config)


def test_settings_are_flags_and_leave_the_config_alone():
    config = load_config('configs/mosi.py')
    settings = {RATE: 1.2345678901234567e-05, LOSS: 'huber', 'optim.accumulate': 4}
    ours = configure(config, settings)
    theirs = load_config('configs/mosi.py', as_flags(settings))
    assert ours.to_dict() == theirs.to_dict() != config.to_dict()
    assert ours.optim.groups.other.lr == settings[RATE]


def test_steps_add_up_to_what_people_write():
    assert short(3 * 0.1) == 0.3 and short(1.2345678901234567e-05) != 1.23456789012e-05
    assert short('huber') == 'huber' and type(short(3)) is int
