"""The command that writes reports."""

import pytest

from sugrm_jax.report import main
from sugrm_jax.results import figures, files
from tests.results.synthetic import write_run, write_sweep


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    """Nothing here looks at the pictures."""
    monkeypatch.setattr(figures, 'png', lambda figure: b'picture')


def test_a_sweep(tmp_path, capsys):
    long = 'Self-MM with a label that is far too long for a terminal'
    write_sweep(tmp_path, {long: 1.0, 'SUGRM': 0.3}, seeds=(1, 2))
    assert main([str(tmp_path)]) == 0
    lines = capsys.readouterr().out.splitlines()
    reports = [f'report.{ending}' for ending in ('html', 'md', 'csv', 'tex')]
    assert lines[-4:] == [str(tmp_path / name) for name in reports]
    assert all((tmp_path / name).exists() for name in reports)
    (ours,) = [line for line in lines if line.startswith('SUGRM')]
    assert '2 of 2' in ours and '*' in ours and '±' in ours
    assert max(map(len, lines[:-4])) <= 100


def test_a_single_run(tmp_path, capsys):
    folder = tmp_path / 'seed1'
    write_run(folder, 1, 0.5, generates=True)
    assert main([str(folder)]) == 0
    assert capsys.readouterr().out.endswith(f'Report: {folder / "report.html"}\n')
    assert (folder / 'report.html').exists()


def test_neither(tmp_path, capsys):
    assert main([str(tmp_path / 'none')]) == 2
    said = capsys.readouterr().err
    assert said.startswith(f'{tmp_path / "none"} has neither a sweep.json nor a')
    assert said.count('\n') == 1


def test_a_damaged_sweep(tmp_path, capsys):
    write_sweep(tmp_path, {'SUGRM': 0.3}, seeds=(1,))
    files.write_bytes(tmp_path / 'sweep.json', b'{')
    assert main([str(tmp_path)]) == 2
    assert 'sweep.json is damaged' in capsys.readouterr().err
