"""The report of a sweep, as Markdown, CSV, LaTeX and one HTML page."""

from __future__ import annotations

import datetime
import math
from collections.abc import Mapping
from html import escape
from pathlib import Path

from sugrm_jax.results import blocks, figures, files, html, sweep_figures, tables
from sugrm_jax.results import sweep_origin as origin
from sugrm_jax.results import sweep_tables as made
from sugrm_jax.results.blocks import Folded, Picture, Section, Text, Verbatim
from sugrm_jax.results.statistics import RESAMPLES
from sugrm_jax.results.sweep_examples import examples
from sugrm_jax.results.sweeps import Run, Sweep, read_sweep

REPORTS = ('report.html', 'report.md', 'report.csv', 'report.tex')

METRICS = (
    'Test split: mean over seeds ± sample standard deviation, the best of each '
    'column in bold. Of every run the epoch with the smallest validation error '
    'counts; the test split chooses nothing: it is predicted after training only, as '
    'it is and with each modality removed or exchanged. MAE is in label points; '
    'accuracies and F1 (weighted by class) are in percent. has0: negative against '
    'non-negative, all utterances; non0: negative against positive, without those '
    'labelled 0. A correlation is undefined (–) where a run predicts the same for '
    'every utterance.'
)
PUBLISHED = (
    'The published figures are single numbers of Hwang & Kim (EACL Findings 2023), '
    'table {table}, measured on {file}. '
)
COMPARABLE = 'That is the file used here, so they can be compared with ours.'
ANOTHER = (
    'This sweep was run on another data set, so they are no yardstick for the '
    'figures here: only the order of the systems may be compared, with care.'
)
METHOD = (
    'Differences from {reference} (positive: larger than its value). Method: '
    'hierarchical paired bootstrap. Each of {resamples:,} resamples draws, with '
    'replacement, as many seeds as both systems share and as many test utterances '
    'as there are; both systems are measured on that same draw, their runs paired '
    'by seed, and the difference of their means over seeds is kept. Deviations '
    'between S seeds are widened by √(S/(S − 1)) · t/z, since so few seeds make them '
    'too small (t and z: 97.5 % quantiles of Student with S − 1 degrees of freedom and '
    'of the normal distribution). The interval holds the middle 95 % of these '
    'differences. p is two-sided: twice the share of resamples in which the '
    'difference has the other sign or none. p (Holm) is corrected for the number of '
    'systems compared, for each metric; a difference is bold where it is below 0.05.'
)
CAUTION = (
    'What it means: an interval without 0 says that the difference would likely '
    'show again with other seeds and other utterances of the same kind. Where systems '
    'differ by seed only, 5 % of comparisons of equal ones come out below p = 0.05, '
    'else fewer; the price is that {seeds} seeds show large differences only. More '
    'seeds show smaller ones. Utterances of one video are taken as independent, which '
    'makes intervals rather too narrow.'
)
ONE_SEED = (
    'What it means: with one seed an interval speaks of other utterances only, and '
    'says nothing about what another seed would have given.'
)
COST = (
    'Parameters count the text encoder. Times are the median over seeds, with the '
    'smallest and largest below; they compare only between runs of one machine. '
    'Inference is that of warm batches; a frozen text encoder encodes every text once, '
    'before training, and is not in it (but in MAG-BERT, where audio and vision enter '
    'BERT). Best epoch: of smallest validation error, and how many were trained.'
)
BOXES = (
    'Test metrics of every run, a point each; the upright stroke is the mean over '
    'seeds, the box, from three seeds on, their quartiles. The dotted line is the '
    'mean of {reference}.'
)
CURVES = (
    'Validation error by epoch. The thick line is the mean over seeds and the band '
    'goes from the smallest to the largest, up to the last epoch that all seeds '
    'reached; thin lines are single seeds, the dot their best epoch. Dashed: the '
    'mean of {reference}.'
)
PATHS = (
    'How the labels that {run} generates move and settle (figure 4 of the paper). '
    'Top: their distribution after every epoch with its median and, dotted, its '
    'quartiles. Middle: a few samples, coloured by y_m. Bottom: mean change per '
    'epoch.'
)


def write_reports(folder: str | Path) -> tuple[Sweep, list[Path]]:
    """Reads a sweep, finished or not, and writes its reports and figures.

    Returns:
      The sweep, and the paths of `REPORTS`.

    Raises:
      UserError: see `read_sweep`; or the disk refused.
    """
    sweep = read_sweep(folder)
    pictures = draw(sweep)
    for name, content in pictures.items():
        files.write_bytes(sweep.folder / 'figures' / f'{name}.png', content)
    report = sections(sweep, pictures)
    lines = header(sweep)
    title = sweep.plan.name
    page = ''.join(blocks.to_html(section, pictures) for section in report)
    top = f'<header><h1>{escape(title)}</h1>\n{"".join(map(html.say, lines))}</header>'
    text = ''.join(map(blocks.to_markdown, [*map(Text, lines), *report]))
    caption = f'{title}: test split, mean ± standard deviation over seeds.'
    label = f'tab:{"".join(c if c.isalnum() else "-" for c in title)}'
    contents = (
        html.document(title, f'{top}\n{page}'),
        f'# {tables.markdown_text(title)}\n\n{text}'.encode('utf-8', 'replace'),
        made.csv_text(sweep).encode('utf-8', 'replace'),
        tables.to_latex(made.main_table(sweep), caption, label).encode(
            'utf-8', 'replace'
        ),
    )
    paths = [sweep.folder / name for name in REPORTS]
    for path, content in zip(paths, contents, strict=True):
        files.write_bytes(path, content)
    return sweep, paths


def header(sweep: Sweep) -> list[str]:
    """When, how much has finished, on which data."""
    done = [run for run in sweep.runs if run.results]
    lines = [
        f'Systems: {len(sweep.labels)} · seeds: {len(sweep.plan.seeds)} · '
        f'finished runs: {len(done)} of {len(sweep.runs)}'
    ]
    if done:
        last = max((run.folder / files.RESULTS).stat().st_mtime for run in done)
        when = datetime.datetime.fromtimestamp(last, datetime.UTC)
        lines[0] += f', the last on {when:%d %B %Y, %H:%M} UTC'
    if sweep.others:
        failed = sum(run.status == 'failed' for run in sweep.others)
        missing = len(sweep.others) - failed
        lines.append(
            f'Incomplete (runs failed: {failed}, missing: {missing}; see the last '
            'section). What follows is of the finished ones.'
        )
    paths = {run.results['data']['path'] for run in done}
    return [*lines, f'Data: {", ".join(sorted(paths))}'] if paths else lines


def sections(sweep: Sweep, pictures: Mapping[str, bytes]) -> list[Section]:
    """The whole report; what has no run yet is left out."""
    if not sweep.truth.size:
        return [_unfinished(sweep)]
    caption = BOXES.format(reference=sweep.plan.reference)
    spread = Section('Spread over seeds', [Picture('boxes', caption)])
    parts = [_results(sweep), *_comparison(sweep), spread]
    parts.append(Section('Cost', [made.cost_table(sweep), Text(COST)]))
    if 'validation' in pictures:
        caption = CURVES.format(reference=sweep.plan.reference)
        parts.append(Section('Validation', [Picture('validation', caption)]))
    parts += _generated(sweep, pictures)
    parts += _origin(sweep)
    return [*parts, _unfinished(sweep)] if sweep.others else parts


def _results(sweep: Sweep) -> Section:
    parts: list = [made.main_table(sweep), Text(METRICS)]
    source = made.source(sweep)
    if source:
        published = made.PUBLISHED[sweep.plan.table]
        words = PUBLISHED.format(
            table=sweep.plan.table, file=published.known[source.official]
        )
        parts.append(Text(words + (COMPARABLE if source.comparable else ANOTHER)))
    rest = made.published_rest(sweep)
    if rest:
        title = f'Systems that this sweep does not run, {source.heading}'
        parts.append(Folded(title, [rest]))
    parts.append(Folded('Every seed', [made.seed_table(sweep)]))
    return Section('Results', parts)


def _comparison(sweep: Sweep) -> list[Section]:
    reference = sweep.plan.reference
    if sweep.labels == [reference]:
        return []
    title = f'Is the difference from {reference} real?'
    found = made.comparisons(sweep)
    if not found:
        words = f'No other system shares a finished seed with {reference} yet.'
        return [Section(title, [Text(words)])]
    method = METHOD.format(reference=reference, resamples=RESAMPLES)
    seeds = len(sweep.finished[reference])
    caution = ONE_SEED
    if seeds > 1:
        caution = CAUTION.format(seeds=seeds)
    table = made.comparison_table(sweep, found)
    return [Section(title, [table, Text(method), Text(caution)])]


def _generated(sweep: Sweep, pictures: Mapping[str, bytes]) -> list[Section]:
    run = teacher(sweep)
    parts = []
    if 'label_paths' in pictures:
        picture = Picture('label_paths', PATHS.format(run=run.name))
        parts.append(Section('Generated labels', [picture]))
    return parts + examples(run)


def teacher(sweep: Sweep) -> Run:
    """The run whose utterances are shown: the first that generates labels.

    The reference's first seed where it does, else the first system's that does, else
    the first finished run.
    """
    finished = [run for run in sweep.runs if run.results]
    finished.sort(key=lambda run: run.label != sweep.plan.reference)
    generating = [run for run in finished if (run.folder / files.LABELS).exists()]
    return (generating or finished)[0]


def _origin(sweep: Sweep) -> list[Section]:
    parts: list = [origin.origin_table(sweep)]
    mixed = origin.mixed_settings(sweep)
    for label, names in mixed.items():
        words = f'Caution: the runs of {label} differ in more than the seed: '
        parts.append(Text(f'{words}{", ".join(names)}.'))
    for label, table in origin.settings_tables(sweep).items():
        title = (
            f'{label}: {len(table.rows)} settings differ from {sweep.plan.reference}'
        )
        parts.append(Folded(title, [table]) if table.rows else Text(f'{title}.'))
    return [Section('Where it comes from', parts)]


def _unfinished(sweep: Sweep) -> Section:
    errors = [
        Folded(f'{run.name}: the whole error', [Verbatim(run.error)])
        for run in sweep.others
        if run.error
    ]
    return Section('Failed and missing runs', [made.unfinished_table(sweep), *errors])


def draw(sweep: Sweep) -> dict[str, bytes]:
    """Every figure that the finished runs allow, as PNG by name."""
    if not sweep.truth.size:
        return {}
    accuracy = 'Acc2, negative / positive, % (larger is better)'
    metrics = {'MAE (smaller is better)': ('mae', 1), accuracy: ('acc2_non0', 100)}
    values = {
        title: {
            label: [
                math.nan if x is None else scale * x
                for x in made.values_by_seed(sweep, label, metric)
            ]
            for label in sweep.labels
        }
        for title, (metric, scale) in metrics.items()
    }
    reference = sweep.plan.reference
    drawn = {'boxes': sweep_figures.boxes(values, reference, {accuracy: 100})}
    histories = {
        label: [run.history for run in runs.values() if run.history]
        for label, runs in sweep.finished.items()
    }
    histories = {label: found for label, found in histories.items() if found}
    if histories:
        drawn['validation'] = sweep_figures.validation_curves(histories, reference)
    labels = teacher(sweep).folder / files.LABELS
    if labels.exists():
        drawn['label_paths'] = figures.label_paths(files.read_labels(labels))
    return {name: figures.png(figure) for name, figure in drawn.items()}
