"""The command line of the benchmarks, with a benchmark that takes no time."""

import json
import sys
import types

import pytest

from benchmarks import __main__ as command
from benchmarks.measure import Spread
from benchmarks.tables import Table


def test_results_are_written(monkeypatch, tmp_path, capsys):
    seen = []

    def run(options):
        seen.append(options)
        return [Table('spt', 'Title', 'Note.', [{'time': Spread((1.0,))}])]

    monkeypatch.setitem(sys.modules, 'benchmarks.spt', types.SimpleNamespace(run=run))
    arguments = ['spt', '--pairs', '3', '--data', 'x.pkl', '--out', str(tmp_path)]
    arguments += ['--reference', 'checkout', '--reference-python', 'python']
    command.main(arguments)
    (options,) = seen
    assert (options.pairs, options.data) == (3, 'x.pkl')
    assert (options.released.path, options.released.python) == ('checkout', 'python')
    assert options.released.threads >= 1
    results = json.loads((tmp_path / 'benchmarks.json').read_text())
    assert results['tables'][0]['rows'][0]['time']['median'] == 1
    assert results['machine']['jax']
    page = (tmp_path / 'benchmarks.md').read_text()
    assert '## Title' in page
    assert '| 1 s |' in capsys.readouterr().out


def test_unknown_benchmark(capsys):
    with pytest.raises(SystemExit):
        command.parse(['nonsense'])
    assert 'nonsense' in capsys.readouterr().err
