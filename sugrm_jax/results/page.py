"""The report of a run: one page that opens by double click, and a terminal table."""

from __future__ import annotations

import datetime
import json
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

from sugrm_jax.config import flat
from sugrm_jax.results import figures, files, html, robustness
from sugrm_jax.results.numbers import minus, number
from sugrm_jax.results.unimodal import known
from sugrm_jax.types import MODALITIES, TASKS

REPORT = 'report.html'
SHOWN = 15  # utterances in each table of examples

# Key in the metrics, what a reader calls it, and whether it is a share in percent.
METRICS = (
    ('mae', 'mean absolute error', False),
    ('corr', 'correlation', False),
    ('acc2_has0', 'accuracy, negative / non-negative', True),
    ('f1_has0', 'F1, negative / non-negative', True),
    ('acc2_non0', 'accuracy, negative / positive', True),
    ('f1_non0', 'F1, negative / positive', True),
    ('acc5', 'accuracy, 5 classes', True),
    ('acc7', 'accuracy, 7 classes', True),
)
UNIMODAL = (
    ('r', 'correlation of the generated labels'),
    ('baseline_r', 'correlation of the plain guess y_m'),
    ('mae', 'error of the generated labels'),
    ('baseline_mae', 'error of the plain guess y_m'),
    ('n', 'samples'),
)

CAPTIONS = {
    'curves': (
        'Loss and validation by epoch. The vertical line marks the epoch with the '
        'smallest validation error, whose parameters were tested.'
    ),
    'predicted_true': (
        'Predicted against annotated sentiment. On the grey line the prediction is '
        'right; in the shaded quarters it has the wrong sign.'
    ),
    'label_paths': (
        'How the generated labels move and settle. Top: their distribution after '
        'every epoch (darker: more samples) with its median and, dotted, its '
        'quartiles; in epoch 1 all are y_m. Middle: the same few samples for each '
        'modality, coloured by y_m from red (negative) to blue (positive). Bottom: '
        'how far labels move from one epoch to the next; near zero they have settled.'
    ),
    'planted': (
        'Known unimodal labels (annotated, or planted by the simulator) against the '
        'generated ones, top, and against y_m, bottom. The generated labels say '
        'something about a modality where the top panel lies closer to the grey line.'
    ),
}


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return f'{minutes} min {rest} s' if minutes else f'{seconds:.1f} s'


def _header(results: Mapping[str, Any], when: datetime.datetime) -> str:
    data = results['data']
    known = f' ({data["known"]})' if data['known'] else ''
    sizes = (f'{size:,} {split}' for split, size in data['samples'].items())
    pace = f'{results["seconds_per_epoch"]:.1f} s per epoch'
    lines = (
        f'{when:%d %B %Y, %H:%M} UTC · seed {results["seed"]} · best epoch '
        f'{results["best_epoch"]} of {results["epochs"]} · trained in '
        f'{_duration(results["seconds"])}, {pace}',
        f'Data: {data["path"]}{known} · {", ".join(sizes)}',
    )
    tiles = ''.join(
        f'<div class="tile"><b>{minus(number(results["test"][key], percent))}</b>'
        f'<span>test {escape(name)}</span></div>'
        for key, name, percent in (METRICS[0], METRICS[1], METRICS[4], METRICS[5])
    )
    return (
        f'<header><h1>{escape(str(results["name"]))}</h1>\n'
        f'{"".join(map(html.say, lines))}<div class="tiles">{tiles}</div></header>\n'
    )


def _metrics(results: Mapping[str, Any]) -> str:
    rows = (
        [html.words(split)]
        + [
            html.number_cell(results[split][key], percent)
            for key, _, percent in METRICS
        ]
        for split in ('valid', 'test')
    )
    heads = ['split', *(name for _, name, _ in METRICS)]
    note = (
        'Errors are in label points. A correlation is undefined (–) when all '
        'predictions are equal. Negative / positive leaves utterances labelled 0 out. '
        'F1 is weighted by class. For 5 and 7 classes labels and predictions are '
        'rounded to whole numbers, −2 to 2 and −3 to 3; labels of another range than '
        '±3 have no such classes.'
    )
    return html.section('Metrics', html.table(heads, rows), html.say(note))


def _unimodal(results: Mapping[str, Any]) -> str:
    found = {s: row for s, row in (results['unimodal'] or {}).items() if row}
    if not found:
        return ''
    rows = (
        [
            html.words(figures.NAMES[s]),
            *(html.number_cell(row[key]) for key, _ in UNIMODAL),
        ]
        for s, row in found.items()
    )
    note = (
        'Train split, after the best epoch; y_m is the annotated multimodal label. '
        'The generated labels of a modality are worth something where they correlate '
        'more with its known labels, and err less, than the plain guess y_m does.'
    )
    heads = ['modality', *(name for _, name in UNIMODAL)]
    return html.section(
        'Generated against known labels', html.table(heads, rows), html.say(note)
    )


def _examples(
    rows: Sequence[Mapping[str, Any]], columns: Mapping[str, str], reach: float
) -> str:
    """Utterances with their sentiments, columns that are empty throughout left out."""
    shown = [key for key in columns if not all(math.isnan(row[key]) for row in rows)]
    cells = (
        [html.words(row['id']), html.words(row['text'])]
        + [html.sentiment(row[key], reach) for key in shown]
        for row in rows
    )
    heads = ['utterance', 'text', *(columns[key] for key in shown)]
    return html.table(heads, cells, words=2)


def _largest(
    rows: Iterable[Mapping[str, Any]], size: Callable[[Mapping[str, Any]], float]
) -> list[Mapping[str, Any]]:
    """The `SHOWN` rows of largest size, those without any size left out."""
    sized = [row for row in rows if not math.isnan(size(row))]
    return sorted(sized, key=size, reverse=True)[:SHOWN]


def _disagreement(row: Mapping[str, Any]) -> float:
    """How far the most distant generated label lies from `y_m`; NaN without any."""
    gaps = [abs(row[name] - row['label']) for name in files.GENERATED]
    return max((gap for gap in gaps if not math.isnan(gap)), default=math.nan)


def _utterances(predictions: Sequence[Mapping[str, Any]]) -> str:
    """The test utterances predicted worst, the train labels furthest from `y_m`."""
    reach = max(abs(row['label']) for row in predictions)
    test = [row for row in predictions if row['split'] == 'test']
    worst = _largest(test, lambda row: abs(row['m'] - row['label']))
    heads = {'label': 'label'} | {k: f'predicted {figures.NAMES[k]}' for k in TASKS}
    parts = [
        html.section('Largest errors in the test split', _examples(worst, heads, reach))
    ]
    return ''.join([*parts, _moved(predictions, reach)])


def _moved(predictions: Sequence[Mapping[str, Any]], reach: float) -> str:
    """The train labels furthest from `y_m`; nothing where none are generated."""
    moved = _largest(predictions, _disagreement)
    if not moved:
        return ''
    if not _disagreement(moved[0]):
        note = 'By the best epoch no labels were generated yet: all are still y_m.'
        parts = [html.say(note)]
    else:
        heads = {'label': 'label y_m'}
        for s in MODALITIES:
            heads[f'generated_{s}'] = f'generated {figures.NAMES[s]}'
        note = 'Where a modality is thought to say something else than the whole.'
        parts = [html.say(note), _examples(moved, heads, reach)]
    return html.section('Generated labels furthest from y_m, train', *parts)


def _provenance(results: Mapping[str, Any]) -> str:
    data, sizes = results['data'], results['parameters']
    notes = ''.join(f'<li>{escape(note)}</li>\n' for note in data['notes'])
    known = data['known'] or 'no: not one of the published files'
    settings = {
        name: json.dumps(value, ensure_ascii=False)
        for name, value in flat(results['config']).items()
    }
    rows = [
        ('data file', data['path']),
        ('data SHA-256', data['sha256']),
        # Where no file was read the path is the word itself.
        ('known data', 'simulated' if data['path'] == 'simulated' else known),
        ('parameters', f'{sizes["total"]:,}, {sizes["trainable"]:,} of them trained'),
        ('git revision', results['git_revision'] or 'unknown'),
        *(
            (name, found or 'not installed')
            for name, found in results['versions'].items()
        ),
    ]
    return ''.join(
        (
            html.section('Notes about the data', f'<ul>{notes}</ul>') if notes else '',
            html.section('Where it comes from', html.pairs(rows)),
            html.section('Settings', html.pairs(settings.items())),
        )
    )


def _draw(
    workdir: Path, predictions: Sequence[Mapping[str, Any]], best: int
) -> dict[str, bytes]:
    """Every figure that the run's files allow, as PNG by name."""
    history = files.read_history(workdir / files.HISTORY)
    drawn = {'curves': figures.curves(history)} if history else {}
    drawn['predicted_true'] = figures.predicted_true(predictions)
    # Only objectives that generate labels leave this file.
    if (workdir / files.LABELS).exists():
        labels = files.read_labels(workdir / files.LABELS)
        drawn['label_paths'] = figures.label_paths(labels)
        if any(known(labels, s, best) for s in MODALITIES):
            drawn['planted'] = figures.planted(labels, best)
    return {name: figures.png(figure) for name, figure in drawn.items()}


def write_report(workdir: str | Path) -> Path:
    """Draws the figures of a finished run and writes its `report.html`.

    Everything comes from the files in the workdir, so it can be done again at any time.

    Returns:
      The path of the page. The figures are in it, and in `figures/` as PNG.

    Raises:
      UserError: a file of the run is missing or damaged, or the disk refused.
    """
    workdir = Path(workdir)
    source = workdir / files.RESULTS
    results = files.read_json(source)
    predictions = files.read_predictions(workdir / files.PREDICTIONS)
    when = datetime.datetime.fromtimestamp(source.stat().st_mtime, datetime.UTC)
    drawn = _draw(workdir, predictions, results['best_epoch'])
    for name, content in drawn.items():
        files.write_bytes(workdir / 'figures' / f'{name}.png', content)
    pictures = (html.picture(x, CAPTIONS[name]) for name, x in drawn.items())
    parts = (
        _header(results, when),
        _metrics(results),
        _unimodal(results),
        robustness.section(results),
        html.section('Figures', *pictures),
        _utterances(predictions),
        _provenance(results),
    )
    content = html.document(str(results['name']), ''.join(parts))
    files.write_bytes(workdir / REPORT, content)
    return workdir / REPORT


def summary_table(results: Mapping[str, Any], report: str | Path) -> str:
    """What the terminal ends with: the metrics, and where the report is.

    Args:
      results: the content of `results.json`.
      report: the path that `write_report` returned.
    """
    name = f'{results["name"]}, best epoch {results["best_epoch"]} of'
    lines = [f'{name} {results["epochs"]}, seed {results["seed"]}', '']
    lines.append(f'{"":<36}{"valid":>9}{"test":>9}')
    for key, name, percent in METRICS:
        cells = (number(results[split][key], percent) for split in ('valid', 'test'))
        lines.append(f'{name:<36}' + ''.join(f'{cell:>9}' for cell in cells))
    found = {s: row for s, row in (results['unimodal'] or {}).items() if row}
    if found:
        heads = ''.join(f'{figures.NAMES[s]:>9}' for s in found)
        lines += ['', f'{"against the known unimodal labels":<36}{heads}']
        for key, name in UNIMODAL:
            cells = ''.join(f'{number(row[key]):>9}' for row in found.values())
            lines.append(f'{name:<36}{cells}')
    return '\n'.join([*lines, '', f'Report: {report}'])
