"""The report's table of a model that lacks a modality, or is given a false one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sugrm_jax.results import figures, html
from sugrm_jax.results.numbers import minus, number
from sugrm_jax.types import MODALITIES

# Key in the metrics, what a reader calls it, and whether it is a share in percent.
COLUMNS = (
    ('mae', 'mean absolute error', False),
    ('corr', 'correlation', False),
    ('acc2_non0', 'accuracy, negative / positive', True),
    ('f1_non0', 'F1, negative / positive', True),
)
# Key in the results, and what a reader calls it.
KINDS = (('removed', 'without {}'), ('noise', '{} of another utterance'))

NOTE = (
    'A modality is absent from every utterance; or every utterance has that of another '
    'one, drawn at random and the same in every run. Below each figure stands its '
    'difference to the unchanged split. What cannot be done is left out: no text for a '
    'system that needs it, and no absence where padding takes part.'
)


def section(results: Mapping[str, Any]) -> str:
    """The table and what it says; nothing for runs of before it was measured.

    Args:
      results: the content of `results.json`.
    """
    found = [
        (name.format(figures.NAMES[s]), metrics)
        for kind, name in KINDS
        for s in MODALITIES
        if (metrics := (results.get('robustness') or {}).get(kind, {}).get(s))
    ]
    if not found:
        return ''
    test = results['test']
    plain = [html.number_cell(test[key], percent) for key, _, percent in COLUMNS]
    rows = [[html.words('unchanged'), *plain]]
    for name, metrics in found:
        cells = (_cell(metrics[key], test[key], percent) for key, _, percent in COLUMNS)
        rows.append([html.words(name), *cells])
    heads = ['test split', *(name for _, name, _ in COLUMNS)]
    return html.section(
        'What happens without a modality', html.table(heads, rows), html.say(NOTE)
    )


def _cell(value: float | None, plain: float | None, percent: bool) -> str:
    """A figure, and below it its difference to the unchanged one."""
    shown = minus(number(value, percent))
    if value is None or plain is None:
        return f'<td class="number">{shown}</td>'
    difference = minus(
        f'{100 * (value - plain):+z.1f}' if percent else f'{value - plain:+z.3f}'
    )
    return f'<td class="number">{shown}<small>{difference}</small></td>'
