"""The command `python -m sugrm_jax.predict`: tables, files, pictures, refusals."""

import csv
import io
import json
import pickle
import re
import signal
import stat
import sys

import numpy as np
import pytest
from rich.console import Console

from sugrm_jax import UserError, export, predict
from sugrm_jax.data import command as data_command
from sugrm_jax.data.mmsa import load_dataset
from sugrm_jax.data.text import no_tokens
from sugrm_jax.prediction import Predictor, output
from sugrm_jax.results import timeline
from sugrm_jax.terminal import Terminal
from tests.prediction.conftest import data, program, written


def test_table_csv_json_and_picture(runs, evaluated, data_path, tmp_path, capsys):
    out, picture = tmp_path / 'out.csv', tmp_path / 'over_time.png'
    given = [f'--run={runs("sugrm")}', str(data_path)]
    assert predict.main([*given, f'--out={out}', f'--plot={picture}']) == 0
    shown = capsys.readouterr().out.splitlines()
    assert shown[0].split() == ['id', 'text', 'm', 't', 'a', 'v']
    assert shown[6:] == [
        f'{out} holds all predictions.',
        f'{picture} shows them over time.',
    ]
    # The second utterance has no audio.
    assert shown[2].split()[-2] == '–'
    with out.open(newline='') as file:
        rows = list(csv.DictReader(file))
    assert [row['id'] for row in rows] == [f'test{i // 3}$_${i}' for i in range(5)]
    assert rows[1]['a'] == ''
    for task, values in evaluated('sugrm', 'test').items():
        ours = [float(row[task] or 'nan') for row in rows]
        # As in `assert_same`.
        np.testing.assert_allclose(ours, values, atol=1e-5)
    assert picture.read_bytes().startswith(b'\x89PNG')
    out = tmp_path / 'out.json'
    assert predict.main([*given, f'--out={out}', '--split=valid']) == 0
    assert [row['text'] for row in json.loads(out.read_text())] == [
        f'valid words {i}' for i in range(7)
    ]


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        (['nowhere.pkl'], 'nowhere.pkl'),
        (['{data}', '--split=dev'], "no split 'dev'"),
        (['{data}', '--text='], r'is no clip \(.*\): leave --text away'),
        (
            ['{data}', '--video_python=x', '--subtitles=x'],
            'leave --subtitles and --video_python away',
        ),
        (['clip.mp4', '--split=test'], 'is a clip: leave --split away'),
        (['clip.mp4', '--video_python=/nowhere'], '/nowhere cannot be started'),
    ],
)
def test_mistakes_are_one_sentence(runs, data_path, capsys, arguments, message):
    arguments = [x.format(data=data_path) for x in arguments]
    assert predict.main([f'--run={runs("sugrm")}', *arguments]) == 2
    said = capsys.readouterr().err
    assert said.count('\n') == 1
    assert re.search(message, said), said


@pytest.mark.parametrize('name', ['--out=x.txt', '--plot=x.pdf'])
def test_files_of_other_kinds_are_refused_first(name, capsys):
    with pytest.raises(SystemExit) as stopped:
        predict.main(['--run=nowhere', 'x.pkl', name])
    assert stopped.value.code == 2 and 'must end with' in capsys.readouterr().err


@pytest.mark.parametrize('name', ['--out=no/such/x.csv', '--plot=no/such/x.png'])
def test_folders_that_are_not_there_are_not_made(name, capsys):
    with pytest.raises(SystemExit) as stopped:
        predict.main(['--run=nowhere', 'x.pkl', name])
    assert stopped.value.code == 2
    assert 'there is no folder no/such' in capsys.readouterr().err


# Stands for the environment that extracts: it gets the arguments and writes the file.
EXTRACTOR = """#!{python}
import pathlib, pickle, sys
assert sys.argv[1:3] == ['-m', 'sugrm_jax.extract'], sys.argv
clip, out, *words = sys.argv[3:]
if 'broken' in clip:
    sys.exit('warming up\\nthe clip is broken')
assert words == ['--subtitles=talk.srt'], words
pathlib.Path(out).write_bytes(pathlib.Path({made!r}).read_bytes())
"""


@pytest.fixture
def extractor(tmp_path):
    """An interpreter whose `sugrm_jax.extract` gives three utterances."""
    raw = {field: x[:3] for field, x in data()['test'].items()}
    raw |= {'start': np.arange(3.0), 'end': np.arange(3.0) + 0.5}
    made = tmp_path / 'made.pkl'
    made.write_bytes(pickle.dumps({'predict': raw}))
    path = tmp_path / 'python'
    path.write_text(EXTRACTOR.format(python=sys.executable, made=str(made)))
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return path


def test_a_clip_with_subtitles(runs, evaluated, extractor, tmp_path, capsys):
    out = tmp_path / 'talk.json'
    given = [f'--run={runs("sugrm")}', f'--video_python={extractor}', f'--out={out}']
    assert predict.main([*given, 'talk.mp4', '--subtitles=talk.srt']) == 0
    rows = json.loads(out.read_text())
    assert [(row['start'], row['end']) for row in rows] == [
        (0, 0.5),
        (1, 1.5),
        (2, 2.5),
    ]
    ours = [row['m'] for row in rows]
    np.testing.assert_allclose(ours, evaluated('sugrm', 'test')['m'][:3], atol=1e-5)


def test_what_was_wrong_with_an_utterance_is_said(runs, tmp_path, capsys):
    raw = data()
    raw['test']['problems'] = ['', '', '[no] face \x1b[2Jwas found', '', '']
    path = written(tmp_path / 'told.pkl', raw)
    assert predict.main([f'--run={runs("sugrm")}', str(path)]) == 0
    first = capsys.readouterr().out.splitlines()[0]
    assert first == 'note: test0$_$2: [no] face  [2Jwas found'


def test_what_extraction_says_is_passed_on(runs, extractor, capsys, monkeypatch):
    monkeypatch.setenv('SUGRM_VIDEO_PYTHON', str(extractor))
    assert predict.main([f'--run={runs("sugrm")}', 'broken.mp4']) == 2
    said = capsys.readouterr().err
    assert said == 'The features of broken.mp4 were not extracted: the clip is broken\n'


@pytest.mark.parametrize('command', [predict, export])
@pytest.mark.parametrize('signum', [signal.SIGINT, signal.SIGTERM])
def test_a_signal_is_one_line(command, signum, monkeypatch, capsys):
    def load(_):
        signal.raise_signal(signum)

    monkeypatch.setattr(Predictor, 'load', load)
    assert command.main(['--run=x', 'y']) == 128 + signum
    assert capsys.readouterr().err == 'Stopped.\n'


def test_an_id_is_no_command_to_the_terminal():
    row = {'id': '\x1b[2J[red]a\nb', 'text': '\x1b]0;c\x07', 'm': 0.5}
    file = io.StringIO()
    Terminal(file=file, width=80).print(output.table([row]))
    _, line = file.getvalue().splitlines()
    assert line.split() == ['[2J[red]a', 'b', ']0;c', '+0.50']


@pytest.mark.parametrize('name', ['x.csv', 'x.json'])
def test_a_file_that_cannot_be_written_says_what_to_name(name, tmp_path):
    (tmp_path / 'file').touch()
    with pytest.raises(UserError, match='free space there or name another file, then'):
        output.write(tmp_path / 'file' / name, [{'id': 'a', 'm': 0.5}])


def test_long_tables_say_how_many_more_there_are():
    row = {'id': 'a[1]', 'text': 'x', 'm': 0.5}
    table = output.table([row] * (output.SHOWN + 3))
    assert table.row_count == output.SHOWN
    assert table.caption == 'and 3 more, which --out=FILE.csv holds'


@pytest.mark.parametrize('width', [120, 80, 60, 30])
def test_narrow_tables_keep_their_numbers(width):
    row = {'id': 'a_long_name_of_a_video$_$0007', 'text': '[so] good ' * 9}
    row |= {'start': 100.0, 'end': 1002.5, 'm': 3.84, 't': -3.0, 'a': None, 'v': -4.5}
    console = Console(file=io.StringIO(), width=width)
    console.print(output.table([row]), highlight=False, crop=False)
    names, cells = console.file.getvalue().splitlines()
    assert names.split()[-6:] == ['start', 'end', 'm', 't', 'a', 'v']
    assert cells.split()[-6:] == ['100.0', '1002.5', '+3.84', '-3.00', '–', '-4.50']
    assert width < 80 or '[so]' in cells


def test_a_clip_that_does_not_fit_is_told_by_its_name(runs, tmp_path, capsys):
    raw = data()['test']
    raw['audio'] = raw['audio'][..., :2]
    written(tmp_path / 'made.pkl', {'predict': raw})
    python = program(tmp_path / 'python', f'cp "{tmp_path}/made.pkl" "$4"')
    given = [f'--run={runs("sugrm")}', f'--video_python={python}', '--text=hi']
    assert predict.main([*given, 'talk.mp4']) == 2
    said = capsys.readouterr().err
    assert said.startswith('talk.mp4: audio is not what ') and 'clip.pkl' not in said
    assert 'a run that was trained on data made by sugrm_jax.extract' in said


@pytest.mark.parametrize(
    ('make', 'given', 'message'),
    [
        ('checkpoints/', '', 'The run in {} has not finished: the command that'),
        ('results.json', 'results.json', 'is a file: name the folder of a run'),
        ('sweep.json', '', r'of a sweep: name a run in it, {}/LABEL/seedK\.'),
    ],
)
def test_what_is_no_finished_run_says_what_it_is(
    tmp_path, capsys, make, given, message
):
    if make.endswith('/'):
        (tmp_path / make).mkdir()
    else:
        (tmp_path / make).write_text('{}')
    assert predict.main([f'--run={tmp_path / given}', 'x.pkl']) == 2
    assert re.search(message.format(tmp_path), capsys.readouterr().err)


@pytest.mark.parametrize('timed', [False, True])
def test_bars_stand_where_the_utterances_are(timed):
    rows = [{'text': '', 'm': 1.0, 't': -4.0}, {'text': '', 'm': -0.5, 't': None}]
    if timed:
        rows[0] |= {'start': 1.0, 'end': 2.5}
        rows[1] |= {'start': 4.0, 'end': 4.5}
    figure = timeline.timeline(rows, 3.0, 'talk.mp4')
    multimodal, text = figure.axes
    bars = [(p.get_x(), p.get_width(), p.get_height()) for p in multimodal.patches]
    wanted = [(1, 1.5, 1), (4, 0.5, -0.5)] if timed else [(0, 1, 1), (1, 1, -0.5)]
    assert bars == wanted
    assert len(text.patches) == 1  # of what is absent there is none
    assert multimodal.get_ylim() == text.get_ylim()  # bars of both compare
    assert text.get_xlabel() == ('seconds' if timed else 'utterance')


def test_a_name_with_dollar_signs_is_no_formula():
    figure = timeline.timeline([{'text': '', 'm': 1.0}], 3.0, r'a$\foo{$.mp4')
    assert timeline.png(figure).startswith(b'\x89PNG')


def test_simulated_data_are_a_file_like_any_other(tmp_path, capsys):
    path = tmp_path / 'simulated.pkl'
    sizes = ['--train=6', '--valid=4', '--test=5', '--audio_length=9']
    assert data_command.main(['simulate', str(path), *sizes]) == 0
    assert f'{path} holds 15 utterances' in capsys.readouterr().out
    dataset = load_dataset(path, tokenizer=no_tokens)
    assert len(dataset.test) == 5 and dataset.train.audio.shape[1] == 9
    assert data_command.main(['simulate', str(tmp_path / 'no' / 'x.pkl')]) == 2
    assert 'cannot be written' in capsys.readouterr().err
