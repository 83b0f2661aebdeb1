"""The tables of a sweep's report."""

from __future__ import annotations

import csv
import io
import math
import textwrap
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from sugrm_jax.metrics import METRICS
from sugrm_jax.results.numbers import minus, number
from sugrm_jax.results.paper import PUBLISHED, Figures
from sugrm_jax.results.statistics import (
    COMPARED,
    Difference,
    holm,
    mean_and_std,
    paired_bootstrap,
)
from sugrm_jax.results.sweeps import Sweep
from sugrm_jax.results.tables import Cell, Table, cells

HEADS = {
    'mae': 'MAE ↓', 'corr': 'Corr ↑', 'acc2_has0': 'Acc2 has0 ↑',
    'acc2_non0': 'Acc2 non0 ↑', 'f1_has0': 'F1 has0 ↑', 'f1_non0': 'F1 non0 ↑',
    'acc5': 'Acc5 ↑', 'acc7': 'Acc7 ↑',
}  # fmt: skip
PUBLISHED_HEADS = ('MAE', 'Corr', 'Acc2 has0/non0', 'F1 has0/non0')
UNPUBLISHED = Figures('-', '-', '-', '-')
POINTS = ('mae', 'corr')  # the other metrics are shares, shown in percent
SIGNIFICANT = 0.05


class Source(NamedTuple):
    """Which published figures stand beside ours.

    Attributes:
      rows: by published name.
      official: 'MOSI' or 'MOSEI', whose split they were measured on.
      comparable: whether the sweep was run on that very file.
    """

    rows: dict[str, Figures]
    official: str
    comparable: bool

    @property
    def heading(self) -> str:
        if self.comparable:
            return 'published'
        return f'published, on the official {self.official} split'


def source(sweep: Sweep) -> Source | None:
    """The paper's table that the sweep reruns; None where it reruns none."""
    if not sweep.plan.table:
        return None
    published = PUBLISHED[sweep.plan.table]
    known = {run.results['data']['known'] for run in sweep.runs if run.results}
    sets = [s for s, file in published.known.items() if known == {file}]
    chosen = sets[0] if sets else 'MOSI'
    rows = {name: figures[chosen] for name, figures in published.rows.items()}
    return Source(rows, chosen, bool(sets))


def _shown(value: float | None, metric: str) -> str:
    """A value as its column shows it: three digits, or percent with one."""
    if value is None or math.isnan(value):
        return '–'
    return minus(f'{value:z.3f}' if metric in POINTS else f'{100 * value:z.1f}')


def values_by_seed(sweep: Sweep, label: str, metric: str) -> list[float | None]:
    """The metric of every finished run of a system, on the test split."""
    runs = sweep.finished[label].values()
    return [run.results['test'][metric] for run in runs]


def main_table(sweep: Sweep) -> Table:
    """Mean ± std over seeds, the best in bold, and the paper's figures."""
    ours, found = _our_table(sweep, list(HEADS)), source(sweep)
    if not found:
        return ours
    heads, rows, *_ = ours
    for label, row in zip(sweep.labels, rows, strict=True):
        row += _published_cells(found.rows.get(label, UNPUBLISHED))
    groups = [('', len(heads)), (found.heading, 4)]
    return Table([*heads, *PUBLISHED_HEADS], rows, groups=groups)


def short_table(sweep: Sweep) -> Table:
    """Our half of the main table with half of its metrics, for a terminal."""
    heads, rows, *_ = _our_table(sweep, ['mae', 'corr', 'acc2_non0', 'f1_non0'])
    names = [textwrap.shorten(label, 36, placeholder='…') for label in sweep.labels]
    named = zip(names, rows, strict=True)
    return Table(heads, [[*cells(name), *row[1:]] for name, row in named])


def _our_table(sweep: Sweep, metrics: list[str]) -> Table:
    columns = [_metric_column(sweep, metric) for metric in metrics]
    seeds = len(sweep.plan.seeds)
    counts = [cells(f'{len(sweep.finished[x])} of {seeds}')[0] for x in sweep.labels]
    names = cells(*sweep.labels)
    rows = [list(row) for row in zip(names, counts, *columns, strict=True)]
    return Table(['system', 'seeds', *(HEADS[metric] for metric in metrics)], rows)


def _published_cells(figures: Figures) -> list[Cell]:
    shown = (figures.mae, figures.corr, figures.acc2, figures.f1)
    return cells(*(x.replace('-', '–') for x in shown))


def _metric_column(sweep: Sweep, metric: str) -> list[Cell]:
    column = []
    for label in sweep.labels:
        mean, std = mean_and_std(values_by_seed(sweep, label, metric))
        note = '' if math.isnan(std) else f'± {_shown(std, metric)}'
        column.append((_shown(mean, metric), note, mean))
    known = [mean for *_, mean in column if not math.isnan(mean)]
    best = (min if metric == 'mae' else max)(known, default=math.nan)
    # Systems that show the same best figure are all best.
    top = _shown(best, metric)
    return [Cell(text, note, text == top != '–') for text, note, _ in column]


def published_rest(sweep: Sweep) -> Table | None:
    """The rows of the paper's table that no system of the sweep reruns."""
    found = source(sweep)
    if not found:
        return None
    rows = [
        [*cells(name), *_published_cells(figures)]
        for name, figures in found.rows.items()
        if name not in sweep.labels
    ]
    return Table(['system', *PUBLISHED_HEADS], rows) if rows else None


def seed_table(sweep: Sweep) -> Table:
    """Every finished run's test metrics."""
    rows = [
        cells(run.label, run.seed)
        + cells(*(_shown(run.results['test'][m], m) for m in HEADS))
        for run in sweep.runs
        if run.results
    ]
    return Table(['system', 'seed', *HEADS.values()], rows)


def comparisons(sweep: Sweep) -> dict[str, dict[str, Difference]]:
    """Every system against the reference, by label, over the seeds that both have."""
    reference, found = sweep.finished[sweep.plan.reference], {}
    for label in sweep.labels:
        shared = sorted(sweep.finished[label].keys() & reference.keys())
        if label != sweep.plan.reference and shared:
            runs = (sweep.finished[label], reference)
            pair = [np.stack([by[seed].prediction for seed in shared]) for by in runs]
            found[label] = paired_bootstrap(*pair, sweep.truth)
    return found


def comparison_table(sweep: Sweep, found: Mapping[str, dict[str, Difference]]) -> Table:
    """Differences from the reference, their intervals and p-values.

    Args:
      sweep: it.
      found: what `comparisons` returned.
    """
    adjusted = {m: holm([d[m].p for d in found.values()]) for m in COMPARED}
    reference, rows = sweep.finished[sweep.plan.reference], []
    for i, (label, differences) in enumerate(found.items()):
        shared = sweep.finished[label].keys() & reference.keys()
        row = cells(label, len(shared))
        for metric in COMPARED:
            p = adjusted[metric][i]
            # One seed says nothing of others: then nothing is bold.
            bold = len(shared) > 1 and p < SIGNIFICANT
            row += _difference(differences[metric], p, metric, bold)
        rows.append(row)
    heads = ['system', 'seeds', *['difference', 'p', 'p (Holm)'] * len(COMPARED)]
    groups = [('', 2), *((HEADS[metric], 3) for metric in COMPARED)]
    return Table(heads, rows, groups=groups)


def _difference(
    found: Difference, adjusted: float, metric: str, bold: bool
) -> list[Cell]:
    sign = '+' if found.value > 0 else ''
    text = f'{sign}{_shown(found.value, metric)}'
    if math.isnan(found.p):
        return [Cell(text), *cells('–', '–')]
    interval = f'[{_shown(found.low, metric)}, {_shown(found.high, metric)}]'
    return [Cell(text, interval, bold), *cells(_p(found.p), _p(adjusted))]


def _p(value: float) -> str:
    return '< 0.001' if value < 0.001 else f'{value:.3f}'


def cost_table(sweep: Sweep) -> Table:
    """Size, time and length of training."""
    rows = []
    for label in sweep.labels:
        runs = [run.results for run in sweep.finished[label].values()]
        sizes = runs[0]['parameters'] if runs else {'total': None, 'trainable': None}
        rows.append(
            [
                *cells(label),
                *cells(number(sizes['total']), number(sizes['trainable'])),
                _time([run['seconds_per_epoch'] for run in runs]),
                _time([run['inference_ms'] for run in runs]),
                *cells(', '.join(f'{r["best_epoch"]}/{r["epochs"]}' for r in runs)),
            ]
        )
    heads = [
        'system', 'parameters', 'of them trained', 'seconds per epoch',
        'inference, ms per utterance', 'best epoch / epochs, by seed',
    ]  # fmt: skip
    return Table(heads, rows)


def _time(values: list[float | None]) -> Cell:
    """The median, since a busy machine adds outliers, and the extremes."""
    known = [value for value in values if value is not None]
    if not known:
        return Cell('–')
    shown = [f'{f(known):.3g}' for f in (np.median, min, max)]
    note = f'{shown[1]} to {shown[2]}' if shown[1] != shown[2] else ''
    return Cell(shown[0], note)


def unfinished_table(sweep: Sweep) -> Table:
    """What is missing, and why."""
    rows = [cells(r.label, r.seed, r.status, r.reason) for r in sweep.others]
    return Table(['system', 'seed', 'state', 'reason'], rows, words=4)


def csv_text(sweep: Sweep) -> str:
    """One line per planned run, every metric at full precision, for machines."""
    out = io.StringIO(newline='')
    splits = [(split, metric) for split in ('valid', 'test') for metric in METRICS]
    writer = csv.writer(out)
    writer.writerow(
        ['label', 'seed', 'status', 'reason']
        + [f'{split}_{metric}' for split, metric in splits]
        + [
            'best_epoch', 'epochs', 'parameters', 'parameters_trained',
            'seconds_per_epoch', 'inference_ms', 'data_sha256', 'git_revision',
            'folder',
        ]
    )  # fmt: skip
    for run in sweep.runs:
        row: list[Any] = [run.label, run.seed, run.status, run.reason]
        found = run.results
        if found:
            row += [found[split][metric] for split, metric in splits]
            row += [found['best_epoch'], found['epochs']]
            row += [found['parameters']['total'], found['parameters']['trainable']]
            row += [found['seconds_per_epoch'], found['inference_ms']]
            row += [found['data']['sha256'], found['git_revision']]
        else:
            row += [''] * (len(splits) + 8)
        writer.writerow([*row, run.folder.relative_to(sweep.folder)])
    return out.getvalue()
