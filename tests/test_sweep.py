"""The command line of sweeps, and the sweeps that come with the project."""

import pickle
import subprocess
import sys

import pytest
from ml_collections import ConfigDict

from sugrm_jax import models
from sugrm_jax.config import plain, typed
from sugrm_jax.data.mmsa import KNOWN_FILES
from sugrm_jax.errors import UserError
from sugrm_jax.layers.text import TextEncoder
from sugrm_jax.main import load_config
from sugrm_jax.results.paper import PUBLISHED
from sugrm_jax.results.sweeps import read_sweep
from sugrm_jax.sweep import parse, parse_shard, set_fields
from sugrm_jax.training.setup import Experiment
from tests.recordings import FIXTURES
from tests.training.conftest import tiny_data

TABLES = ('1', '2', '3', '4', '8')
# In Table 2 beside the systems that the paper has there.
NOT_PUBLISHED = {'TFN+CTC', 'MAG-BERT+CTC'}


def runs():
    def config(**model):
        return ConfigDict(
            dict(seed=1, train=dict(epochs=3), model=dict(name='x', **model))
        )

    return (('one', config(mrm=True)), ('other', config(rate=0.5, sizes=(1, 2))))


def test_a_field_is_set_in_every_run_that_has_it():
    settings = [
        'model.rate=1',
        'train.epochs=7',
        'model.sizes=(3,)',
        'model.name=a=b,c',
    ]
    (_, one), (label, other) = set_fields(runs(), settings)
    assert label == 'other'
    assert one.train.epochs == other.train.epochs == 7
    assert one.model.name == 'a=b,c'
    assert other.model.sizes == (3,)
    assert other.model.rate == 1.0 and isinstance(other.model.rate, float)
    assert 'rate' not in one.model and one.model.mrm is True


@pytest.mark.parametrize(
    ('setting', 'message'),
    [
        ('train.epoch=3', r'Unknown config field train\.epoch\. .* train\.epochs\?'),
        ('train.epochs=many', "epochs=many: .*'many'"),
        ('train.epochs', 'Write --set=FIELD=VALUE, not --set=train.epochs'),
        ('train=3', 'Unknown config field train'),
        ('seed=3', '--seeds=5 gives every run'),
    ],
)
def test_set_refuses(setting, message):
    with pytest.raises(UserError, match=message):
        set_fields(runs(), [setting])


def test_what_no_run_is_to_have_set_changes_nothing():
    assert [plain(c) for _, c in set_fields(runs(), [])] == [
        plain(c) for _, c in runs()
    ]


@pytest.mark.parametrize(('count', 'shards'), [(93, 8), (5, 1), (3, 7)])
def test_shards_hold_every_run_exactly_once(count, shards):
    grid = list(range(count))
    shares = [grid[parse_shard(f'{i + 1}/{shards}')] for i in range(shards)]
    assert sorted(run for share in shares for run in share) == grid
    assert max(map(len, shares)) - min(map(len, shares)) <= 1


@pytest.mark.parametrize('shard', ['0/8', '9/8', '1/0', '3', '1/8/2', 'a/b', '-1/2'])
def test_shards_that_are_none(shard):
    with pytest.raises(UserError, match=f'1/N, 2/N, … N/N, not {shard}'):
        parse_shard(shard)


def test_fields_of_runs_are_not_set_as_those_of_a_config():
    with pytest.raises(UserError, match=r'Write --set=train\.epochs=3'):
        parse(['sweep', '--config=configs/sweeps/seeds.py', '--config.train.epochs=3'])


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        (['--config=configs/mosi.py'], 'one run, which python -m'),
        ([], 'Name a config, such as --config=configs/sweeps/seeds.py.'),
        (
            ['--config=configs/sweeps/seeds.py', '--data.path=x'],
            'is set by --set=data.path=VALUE',
        ),
        (['--config=configs/sweeps/seeds.py', '--shard=3/2'], '--shard is one of'),
        (['--config=configs/sweeps/seeds.py', '--set=a.b=1'], 'config field a.b'),
        (['--config=configs/sweeps/seeds.py', '--processes=auto'], '--shard=I/N'),
    ],
)
def test_mistakes_end_with_status_2_and_one_line(arguments, message, tmp_path):
    command = [sys.executable, '-m', 'sugrm_jax.sweep', f'--workdir={tmp_path}/runs']
    done = subprocess.run([*command, *arguments], capture_output=True, text=True)
    assert done.returncode == 2
    assert message in done.stderr and len(done.stderr.splitlines()) == 1
    assert not (tmp_path / 'runs').exists()


def test_a_sweep_with_failed_runs_ends_with_status_1_and_lists_them(tmp_path):
    path = tmp_path / 'tiny.pkl'
    path.write_bytes(pickle.dumps(tiny_data()))
    settings = {
        'data.path': path,
        'text.pretrained': FIXTURES / 'bert_tiny',
        'objective.loss': 'l3',
    }
    command = [
        sys.executable, '-m', 'sugrm_jax.sweep', '--config=configs/sweeps/seeds.py',
        f'--workdir={tmp_path}/runs', '--seeds=3', '--shard=2/2',
        *(f'--set={name}={value}' for name, value in settings.items()),
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 1 and not done.stderr
    lines = done.stdout.splitlines()
    assert lines[0] == 'runs: 1, done: 0'
    assert lines[1].startswith('[1/1] SUGRM, seed 2 failed: config.objective: loss')
    assert lines[-1].endswith(f'({tmp_path}/runs/sugrm/seed2/error.txt)')
    # The report knows of all three.
    runs = read_sweep(tmp_path / 'runs').runs
    assert [run.status for run in runs] == ['not started', 'failed', 'not started']


# The sweeps of the project. ------------------------------------------------------


def sweep(name, variants=''):
    return load_config(f'configs/sweeps/{name}.py:{variants}')


@pytest.mark.parametrize(
    'variants', ['', 'minilm', 'mosei', 'minilm,mosei', 'frozen,minilm,released']
)
@pytest.mark.parametrize('name', [*(f'table{n}' for n in TABLES), 'seeds'])
def test_every_run_of_every_sweep_fits(name, variants):
    config = sweep(name, variants)
    assert config.name == '-'.join(filter(None, [name, *variants.split(',')]))
    labels = [label for label, _ in config.runs]
    assert config.reference in labels
    for label, run in config.runs:
        experiment = typed(Experiment, plain(run))
        text = TextEncoder(None, experiment.text)
        models.build(experiment.model, experiment.objective, text)
        assert experiment.name == f'{config.name}: {label}'
        assert ('MOSEI' in experiment.data.path) == ('mosei' in variants)
        assert ('/aligned' in experiment.data.path) == (name == 'table1')
        assert (experiment.text.pretrained == 'minilm') == ('minilm' in variants)
    # No two are the same.
    configs = [plain(run) | {'name': ''} for _, run in config.runs]
    assert all(x not in configs[:i] for i, x in enumerate(configs))


def test_released_is_for_sugrm_alone():
    runs = dict(sweep('table2', 'released').runs)
    assert runs.pop('SUGRM').model.padding == 'released'
    assert {run.model.padding for run in runs.values()} == {'masked'}


def test_on_mosei_both_skeletons_have_the_encoders_of_mosei():
    runs = dict(sweep('table4', 'mosei').runs)
    ours, theirs = runs['SUGRM'].model, runs['Self-MM, LSTM→SPT'].model
    assert ours.spt == theirs.spt and ours.transformer == theirs.transformer
    assert ours.spt.heads == 4


def test_mag_bert_warms_up_for_a_tenth_of_its_epochs():
    (run,) = [run for label, run in sweep('table1').runs if label == 'MAG-BERT']
    assert run.optim.warmup_epochs == 4
    ((_, run),) = set_fields([('MAG-BERT', run)], ['train.epochs=10'])
    assert run.optim.warmup_epochs == 1


@pytest.mark.parametrize('number', TABLES)
def test_a_table_has_the_rows_of_the_papers(number):
    config, published = sweep(f'table{number}'), PUBLISHED[number]
    labels = [label for label, _ in config.runs if label not in NOT_PUBLISHED]
    assert config.table == number
    assert labels == list(published.rows)
    # And reads the file that the paper's was measured on.
    (path,) = {run.data.path for _, run in config.runs}
    assert path.replace('/', ' ') == published.known['MOSI']
    assert published.known['MOSI'] in KNOWN_FILES.values()


def test_what_needs_aligned_data_aligns_in_table_2():
    aligned = {
        label: run.model.align for label, run in sweep('table2').runs if 'CTC' in label
    }
    assert aligned == dict.fromkeys(
        ('EF-LSTM+CTC', 'TFN+CTC', 'RAVEN+CTC', 'MCTN+CTC', 'MAG-BERT+CTC'), 'ctc'
    )
    for label, run in sweep('table2').runs:
        assert label in aligned or run.model.get('align', 'none') == 'none'


def test_table_3_has_each_set_of_tasks_once():
    tasks = {label: run.model.tasks for label, run in sweep('table3').runs}
    assert tasks['M,A,T'] == ('m', 't', 'a')
    assert {frozenset(label.lower().split(',')) for label in tasks} == {
        frozenset(x) for x in tasks.values()
    }
    assert len(set(tasks.values())) == 8
