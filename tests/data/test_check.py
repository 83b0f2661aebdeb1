"""The report on a file, line by line, and the command that prints it."""

import runpy
import sys

import numpy as np
import pytest

from sugrm_jax.data import check, command
from sugrm_jax.data import mmsa as reader
from sugrm_jax.errors import UserError


def cells(report, first):
    """The cells of the table row that starts with `first`."""
    lines = [line.split('  ') for line in report.splitlines()]
    rows = [[cell.strip() for cell in line if cell.strip()] for line in lines]
    (row,) = [row for row in rows if row and row[0] == first]
    return row[1:]


def counts(report, first):
    return [int(cell.split()[0]) for cell in cells(report, first)]


def test_a_sound_file(mmsa, write):
    path = write(
        mmsa(
            audio_lengths=lambda x: [1, 2, 4, 7, 7, 7][: len(x)],
            audio=np.ones_like,
        )
    )
    report = check.report(path)
    assert str(path) in report and reader.fingerprint(path) in report
    assert 'This is not one of the known files.' in report
    assert cells(report, 'audio') == [f'float32 [{n}, 7, 5]' for n in (6, 4, 3)]
    assert cells(report, 'id') == ['text [6]', 'text [4]', 'text [3]']
    assert cells(report, 'vision_lengths') == ['list [6]', 'list [4]', 'list [3]']
    assert cells(report, 'text tokens') == ['4 / 4 / 4'] * 3
    assert cells(report, 'audio (stored)') == ['1 / 5.5 / 7', '1 / 3 / 7', '1 / 2 / 4']
    assert counts(report, 'vision absent') == [0, 0, 0]
    # Labels: six from −3 to 3 in steps of 1.2; four in steps of 2; −3, 0, 3.
    assert counts(report, '-3') == [1, 1, 1]
    assert counts(report, '-2') == [1, 0, 0]
    assert counts(report, '-1') == [1, 1, 0]
    assert counts(report, '0') == [0, 0, 1]
    assert counts(report, '3') == [1, 1, 1]
    assert counts(report, 'exactly 3') == counts(report, 'exactly -3') == [1, 1, 1]
    assert 'Unimodal labels: none' in report


def test_nothing_odd(mmsa, write):
    assert check.report(write(mmsa())).endswith('in more than one split)\n  nothing')


def test_what_is_odd_is_listed(mmsa, write):
    raw = mmsa('test', id=lambda x: ['train$_$0', *x[1:]])
    raw['valid']['audio'][1, 0, 0] = -np.inf
    raw['train']['vision'][4] = 0
    raw['test']['audio'][0, 0, :2] = 2e18, -3e38
    report = check.report(write(raw))
    assert counts(report, 'vision absent') == [1, 0, 0]
    assert report.splitlines()[-4:] == [
        '  - valid: 1 audio value was not finite or too large and became 0',
        '  - test: 2 audio values were not finite or too large and became 0',
        '  - utterances without vision: 1 of 6 in train; '
        'the file gives 1 of them a length, but all is 0',
        '  - ids in more than one split: train$_$0 (train and test)',
    ]


def test_a_file_without_tokens_lengths_or_vision(mmsa, write):
    raw = mmsa(text_bert=None, audio_lengths=None, vision=np.zeros_like)
    report = check.report(write(raw))
    assert cells(report, 'text tokens') == ['not tokenised'] * 3
    assert len(cells(report, 'audio (by last step)')) == 3
    assert cells(report, 'vision (stored)') == ['none'] * 3
    assert counts(report, 'vision absent') == [6, 4, 3]


def test_a_known_file(mmsa, write, monkeypatch):
    path = write(mmsa())
    monkeypatch.setitem(reader.KNOWN_FILES, reader.fingerprint(path), 'MOSI nowhere')
    assert 'This is MOSI nowhere.' in check.report(path)


def test_ch_sims(mmsa, write):
    raw = mmsa(regression_labels=lambda x: x / 3)
    for split in raw.values():
        split['regression_labels_T'] = split['regression_labels_V'] = np.zeros(
            len(split['id'])
        )
    report = check.report(write(raw), label_range=1.0)
    assert counts(report, '-0.667') == [1, 0, 0]
    assert counts(report, 'exactly -1') == [1, 1, 1]
    assert 'Unimodal labels: text, vision' in report


def test_halves_count_for_the_even_sentiment():
    label = np.array([-2.5, -1.5, -0.5, 0.5, 1.5, 2.5, 2.6], np.float32)
    expected = {-3: 0, -2: 2, -1: 0, 0: 2, 1: 0, 2: 2, 3: 1}
    assert dict(check.histogram(label, 3.0)) == expected
    tenth = dict(check.histogram(label / 10, 0.3))
    assert list(tenth.values()) == list(expected.values())


def test_bars_are_to_scale(mmsa, write):
    raw = mmsa('train', regression_labels=lambda x: np.array([0, 0, 0, 0, 3, 3.0]))
    report = check.report(write(raw))
    assert cells(report, '0')[0] == '4 ' + '█' * 16
    assert cells(report, '3')[0] == '2 ' + '█' * 8
    assert cells(report, '1')[0] == '0'


# The command. --------------------------------------------------------------------


def test_the_command_prints_the_report(mmsa, write, capsys):
    path = write(mmsa())
    assert command.main(['check', str(path)]) == 0
    assert capsys.readouterr().out == check.report(path) + '\n'


def test_the_command_takes_a_label_range(mmsa, write, capsys):
    assert command.main(['check', str(write(mmsa())), '--label_range=1']) == 2
    out, err = capsys.readouterr()
    assert out == ''
    assert 'outside ±1' in err and err.count('\n') == 1


def test_a_bad_file_is_one_line_and_status_2(tmp_path, monkeypatch, capsys):
    arguments = ['sugrm_jax.data', 'check', str(tmp_path / 'missing.pkl')]
    monkeypatch.setattr(sys, 'argv', arguments)
    with pytest.raises(SystemExit) as stop:
        runpy.run_module('sugrm_jax.data', run_name='__main__')
    assert stop.value.code == 2
    out, err = capsys.readouterr()
    assert out == ''
    assert 'missing.pkl' in err and err.count('\n') == 1


def test_a_report_is_refused_as_a_data_set_is(mmsa, write):
    with pytest.raises(UserError, match="no field 'audio'"):
        check.report(write(mmsa('train', audio=None)))
