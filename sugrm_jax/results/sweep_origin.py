"""Where a sweep's figures come from: data, versions, settings."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from sugrm_jax.config import flat
from sugrm_jax.results.sweeps import Run, Sweep
from sugrm_jax.results.tables import Table, cells


def origin_table(sweep: Sweep) -> Table:
    """Data, versions and commits of the finished runs; where they differ, how often."""
    found: dict[str, Counter] = {}
    for run in sweep.runs:
        for name, value in _origin(run.results) if run.results else ():
            found.setdefault(name, Counter())[value] += 1
    rows = []
    for name, counts in found.items():
        several = len(counts) > 1
        values = (f'{x} ({n} runs)' if several else x for x, n in counts.items())
        rows.append(cells(name, '; '.join(values)))
    rows.append(cells('seeds', ', '.join(map(str, sweep.plan.seeds))))
    return Table(['name', 'value'], rows, words=2)


def _origin(results: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    data = results['data']
    yield 'data file', data['path']
    yield 'data SHA-256', data['sha256']
    yield 'known data', data['known'] or 'none of the published files'
    yield 'utterances', ', '.join(f'{n:,} {s}' for s, n in data['samples'].items())
    yield 'git revision', results['git_revision'] or 'unknown'
    for name, version in results['versions'].items():
        yield name, version or 'not installed'


def settings_tables(sweep: Sweep) -> dict[str, Table]:
    """By label, the config fields in which it differs from the reference."""
    reference = _settings(sweep, sweep.plan.reference)
    found = {}
    for label in sweep.labels:
        ours = _settings(sweep, label)
        if label == sweep.plan.reference or not ours or not reference:
            continue
        rows = [
            cells(field, reference.get(field, '–'), ours.get(field, '–'))
            for field in sorted(ours.keys() | reference.keys())
            if reference.get(field) != ours.get(field)
        ]
        heads = ['field', sweep.plan.reference, label]
        found[label] = Table(heads, rows, words=3)
    return found


def mixed_settings(sweep: Sweep) -> dict[str, list[str]]:
    """By label, the config fields in which its own runs differ, seeds aside."""
    found = {}
    for label, runs in sweep.finished.items():
        settings = [_fields(run) for run in runs.values()]
        names = {name for fields in settings for name in fields}
        differing = [n for n in names if len({x.get(n) for x in settings}) > 1]
        if differing:
            found[label] = sorted(differing)
    return found


def _settings(sweep: Sweep, label: str) -> dict[str, str]:
    """Fields of a system's first finished run, none where none has finished."""
    runs = list(sweep.finished[label].values())
    return _fields(runs[0]) if runs else {}


def _fields(run: Run) -> dict[str, str]:
    fields = flat(run.results['config'])
    return {
        name: json.dumps(value, ensure_ascii=False)
        for name, value in fields.items()
        if name not in ('seed', 'name')
    }
