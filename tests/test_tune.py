"""The search: its space, its trials and their ends, and what it never looks at."""

import contextlib
import json
import pickle
import signal
import sqlite3
import subprocess
import sys
import types

import optuna
import pytest
from optuna.trial import TrialState
from rich.console import Console

from sugrm_jax import train
from sugrm_jax.errors import UserError
from sugrm_jax.interrupt import Interrupted
from sugrm_jax.main import load_config
from sugrm_jax.training import evaluate, loop, search
from sugrm_jax.training.search import Search, best, open_study, over
from sugrm_jax.training.space import Choices, Range
from sugrm_jax.tune import as_flags, configure, read_space
from tests.recordings import FIXTURES
from tests.training.conftest import tiny_data

SPACE = 'configs/spaces/sugrm.py'
RATE, LOSS = 'optim.groups.other.lr', 'objective.loss'


def write_space(tmp_path, space):
    file = tmp_path / 'space.py'
    file.write_text(f'def get_space():\n    return {space!r}\n')
    return str(file)


# Trials that do not train. ---------------------------------------------------------


def fake_fitted(*ends):
    """In place of training: each call ends in the next way.

    An end is the validation MAE of each epoch, or what training raises.
    """
    ends = iter(ends)

    @contextlib.contextmanager
    def fitted(config, workdir, console, *, shared, shown, on_epoch):
        (workdir / 'checkpoints' / 'latest').mkdir(parents=True)
        end = next(ends)
        if isinstance(end, BaseException):
            raise end
        for epoch, mae in enumerate(end, start=1):
            on_epoch({'epoch': epoch, 'valid': {'mae': mae}})
        yield types.SimpleNamespace(progress=types.SimpleNamespace(best_mae=min(end)))

    return fitted


SETUP = types.SimpleNamespace(dataset=types.SimpleNamespace(notes=['mended']))


@pytest.fixture
def make(tmp_path, monkeypatch):
    """Makes a search of a learning rate, whose trials end as given."""
    config = load_config('configs/demo.py')
    space = read_space(write_space(tmp_path, {RATE: dict(low=0.1, high=1.0)}), config)

    def make(*ends, console=None, store=None):
        monkeypatch.setattr(search, 'prepare', lambda config, shared: SETUP)
        monkeypatch.setattr(loop, 'fitted', fake_fitted(*ends))
        study = open_study(store or tmp_path / 'study.db', config, space)
        console = console or Console(quiet=True)
        return Search(study, space, lambda x: configure(config, x), tmp_path, console)

    return make


def states(search):
    return [trial.state for trial in search.study.trials]


def test_a_trial_is_worth_its_best_epoch_and_the_best_trial_is_kept(make, tmp_path):
    trials = make([1.4, 1.2], [1.5, 1.1, 1.3], [1.25])
    trials.run(3)
    assert [trial.value for trial in trials.study.trials] == [1.2, 1.1, 1.25]
    kept = json.loads((tmp_path / 'best.json').read_text())
    assert kept == best(trials.study)
    assert (kept['trial'], kept['valid_mae'], kept['trials']) == (1, 1.1, 3)
    assert kept['settings'] == trials.study.trials[1].params
    assert 0.1 <= kept['settings'][RATE] <= 1.0


def test_the_same_command_again_goes_on(make):
    make([1.4], [1.3]).run(2)
    again = make([1.2])
    again.run(3)
    assert [trial.value for trial in again.study.trials] == [1.4, 1.3, 1.2]
    # And does nothing where there are enough: an end would be missing.
    make().run(3)


def test_a_trial_that_fails_counts_and_stops_no_other(make, tmp_path):
    trials = make([1.4], UserError('The loss is not finite.'), [1.3])
    trials.run(3)
    assert states(trials) == [TrialState.COMPLETE, TrialState.FAIL, TrialState.COMPLETE]
    assert trials.study.trials[1].user_attrs == {'error': 'The loss is not finite.'}
    assert best(trials.study)['failed'] == 1


def test_where_all_fail_the_last_reason_is_told(make):
    trials = make(UserError('first'), UserError('The loss is not finite.'))
    trials.run(2)
    with pytest.raises(UserError, match=r'None of 2 .* failed: The loss is not finite'):
        best(trials.study)


def test_a_stopped_trial_is_marked_as_failed_and_made_up_for(make):
    trials = make([1.4], Interrupted(signal.SIGTERM, 'all is saved'))
    with pytest.raises(Interrupted, match=r'Stopped in trial 1,.* goes on') as stopped:
        trials.run(3)
    assert stopped.value.signum == signal.SIGTERM
    assert states(trials) == [TrialState.COMPLETE, TrialState.FAIL]
    assert len(over(trials.study)) == 1
    again = make([1.3], [1.2])
    again.run(3)
    assert [trial.value for trial in again.study.trials] == [1.4, None, 1.3, 1.2]


class Killed(BaseException):
    """Stands for a machine that dies: nothing after it is done."""


def test_a_trial_whose_machine_died_is_marked_as_failed_by_the_next(make, tmp_path):
    trials = make(Killed())
    with pytest.raises(Killed):
        trials.run(1)
    assert states(trials) == [TrialState.RUNNING]
    with contextlib.closing(sqlite3.connect(tmp_path / 'study.db')) as store:
        store.execute("UPDATE trial_heartbeats SET heartbeat = '2000-01-01 00:00:00'")
        store.commit()
    again = make([1.3])
    again.run(1)
    assert states(again) == [TrialState.FAIL, TrialState.COMPLETE]


def test_a_bad_trial_is_given_up_but_not_at_once(make):
    good = [[1.4, 1.3, 1.2, 1.1, 1.0, 0.9]] * search.FULL_TRIALS
    trials = make(*good, [9.0] * 6, [9.0] * (search.FIRST_EPOCH - 1) + [0.5] * 4)
    trials.run(search.FULL_TRIALS + 2)
    assert states(trials)[:-2] == [TrialState.COMPLETE] * search.FULL_TRIALS
    bad, late = trials.study.trials[-2:]
    assert bad.state == TrialState.PRUNED and late.state == TrialState.COMPLETE
    assert max(bad.intermediate_values) == search.FIRST_EPOCH
    assert best(trials.study)['trial'] == late.number


@pytest.mark.parametrize(
    'end', [[1.0], UserError('failed'), Interrupted(15, 'stopped'), [9.0] * 6]
)
def test_no_checkpoints_are_left_however_a_trial_ends(make, tmp_path, end):
    trials = make(*[[1.0] * 6] * search.FULL_TRIALS, end)
    with contextlib.suppress(Interrupted):
        trials.run(search.FULL_TRIALS + 1)
    folders = sorted((tmp_path / 'trials').iterdir())
    assert len(folders) == search.FULL_TRIALS + 1
    assert not any((folder / 'checkpoints').exists() for folder in folders)


def test_what_is_said(make, tmp_path, monkeypatch):
    monkeypatch.setattr(search, 'duration', lambda seconds: '9 s')
    with open(tmp_path / 'said.txt', 'w') as file:
        console = Console(file=file, width=200)
        make([1.4], UserError('No way.'), [1.25], console=console).run(3)
    assert (tmp_path / 'said.txt').read_text().splitlines() == [
        '3 trials, of which 0 are over',
        'note: mended',
        'trial 0, 1/3 over: valid MAE 1.400, 9 s; best 1.400 (trial 0); about 9 s left',
        'trial 1, 2/3 over: failed: No way., 9 s; best 1.400 (trial 0); about 9 s left',
        'trial 2, 3/3 over: valid MAE 1.250, 9 s; best 1.250 (trial 2)',
    ]


# The store. ------------------------------------------------------------------------


def test_a_study_of_other_settings_is_refused_with_the_difference(tmp_path):
    config = load_config('configs/demo.py')
    store, space = tmp_path / 'study.db', {RATE: Range(0.1, 1.0)}
    open_study(store, config, space)
    open_study(f'sqlite:///{store}', config, space)
    changed = load_config('configs/demo.py', ['--config.train.epochs=3'])
    with pytest.raises(UserError, match=r'train\.epochs: 15 there, 3 here'):
        open_study(store, changed, space)
    with pytest.raises(UserError, match=rf'space.{RATE}.high: 1.0 there, 2.0 here'):
        open_study(store, config, {RATE: Range(0.1, 2.0)})


@pytest.mark.parametrize(
    ('store', 'reason'),
    [
        ('nodatabase://here', 'nodatabase'),
        ('sqlite:////proc/none/study.db', 'unable to open'),
        ('/proc/none/study.db', 'No such file'),
        (__file__, 'file is not a database'),
    ],
)
def test_a_store_that_cannot_be_opened_is_refused(store, reason):
    with pytest.raises(UserError, match=f'cannot be opened: .*{reason}.*--study'):
        open_study(store, load_config('configs/demo.py'), {RATE: Range(0.1, 1.0)})


# Trials that do train. -------------------------------------------------------------

SMALL = 'configs/baselines/lf_lstm.py'


def small_flags(tmp_path, **settings):
    """A model that is quickly compiled, on data that are quickly read."""
    path = tmp_path / 'tiny.pkl'
    path.write_bytes(pickle.dumps(tiny_data()))
    given = {
        'data.path': path,
        'text.pretrained': FIXTURES / 'bert_tiny',
        'text.finetune': False,
        'model.width': 4,
        'train.batch': 8,
    }
    return as_flags(given | settings)


def test_trials_look_at_the_validation_split_only(tmp_path, monkeypatch):
    config = load_config(SMALL, small_flags(tmp_path, **{'train.epochs': 2}))
    predict, seen = evaluate.predict, []

    def spy(step, variables, split, *rest):
        seen.extend(split.ids)
        return predict(step, variables, split, *rest)

    monkeypatch.setattr(evaluate, 'predict', spy)
    space = {LOSS: Choices(('l1', 'l2'))}
    study = open_study(tmp_path / 'study.db', config, space)
    study.enqueue_trial({LOSS: 'l2'})
    console = Console(quiet=True)
    trials = Search(study, space, lambda x: configure(config, x), tmp_path, console)
    trials.run(1)
    assert seen and all(name.startswith('valid') for name in seen)
    folder = tmp_path / 'trials' / '0000'
    assert (folder / 'metrics.jsonl').exists()
    assert not (folder / 'results.json').exists()
    assert not (folder / 'checkpoints').exists()
    # The whole run with these settings is the trial.
    found = best(study)
    assert found['settings'] == {LOSS: 'l2'}
    results = train(configure(config, found['settings']), tmp_path / 'run', console)
    assert results['valid']['mae'] == found['valid_mae']


def test_what_all_trials_share_is_tried_before_any(tmp_path):
    (tmp_path / 'torn.pkl').write_bytes(b'no pickle')
    config = load_config('configs/mosi.py', [f'--config.data.path={tmp_path}/torn.pkl'])
    space = {LOSS: Choices(('l1', 'l2'))}
    study = open_study(tmp_path / 'study.db', config, space)
    console = Console(quiet=True)
    trials = Search(study, space, lambda x: configure(config, x), tmp_path, console)
    with pytest.raises(UserError, match=r'torn\.pkl'):
        trials.run(1)
    assert not study.trials


def test_sigterm_ends_with_143_and_fails_the_trial(tmp_path):
    endless = {'train.epochs': 10**6, 'train.patience': 10**6}
    space = write_space(tmp_path, {LOSS: dict(choices=('l1', 'l2'))})
    command = [sys.executable, '-m', 'sugrm_jax.tune', f'--config={SMALL}']
    command += [*small_flags(tmp_path, **endless), f'--space={space}']
    run = subprocess.Popen(
        [*command, f'--workdir={tmp_path}'], stderr=subprocess.PIPE, text=True
    )
    history = tmp_path / 'trials' / '0000' / 'metrics.jsonl'
    while not history.exists() and run.poll() is None:
        with contextlib.suppress(subprocess.TimeoutExpired):
            run.wait(0.2)
    run.terminate()
    _, said = run.communicate()
    assert run.returncode == 143, said
    assert 'Stopped in trial 0' in said and 'Traceback' not in said
    store = f'sqlite:///{tmp_path}/study.db'
    (trial,) = optuna.load_study(study_name='lf_lstm', storage=store).trials
    assert trial.state == TrialState.FAIL
    assert not (history.parent / 'checkpoints').exists()


def test_the_command_ends_with_the_flags_of_the_best(tmp_path):
    flags = small_flags(tmp_path, **{'train.epochs': 1})
    space = write_space(tmp_path, {RATE: dict(low=1e-3, high=2e-3)})
    command = [sys.executable, '-m', 'sugrm_jax.tune', f'--config={SMALL}', *flags]
    command.append(f'--config.{RATE}=0.5')  # searched, and so not said twice
    command += [f'--space={space}', f'--workdir={tmp_path}', '--trials=2']
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    found = json.loads((tmp_path / 'best.json').read_text())
    _, said = done.stdout.split('To train and test it:\n')
    assert said.replace('\\\n', '').split() == [
        *('python', '-m', 'sugrm_jax.main', f'--config={SMALL}', *flags),
        f'--config.{RATE}={found["settings"][RATE]}',
        f'--workdir={tmp_path}/best',
    ]


def test_data_that_are_not_there_leave_no_study_behind(tmp_path):
    config = load_config('configs/mosi.py')
    config.data.path = str(tmp_path / 'none.pkl')
    with pytest.raises(UserError, match=r'There is no data file .*none\.pkl'):
        open_study(tmp_path / 'study.db', config, {RATE: Range(0.1, 1.0)})
    assert not (tmp_path / 'study.db').exists()
