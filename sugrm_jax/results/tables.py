"""One table, written as HTML, Markdown, LaTeX or plain text."""

from __future__ import annotations

import re
from collections.abc import Sequence
from html import escape
from typing import NamedTuple

from sugrm_jax.results import html

# What Markdown (GitHub's, with its formulas) would read as markup.
MARKUP = re.compile(r'([\\`*_{}\[\]|$#~])')
LATEX = {
    '\\': r'\textbackslash{}', '{': r'\{', '}': r'\}', '$': r'\$', '&': r'\&',
    '#': r'\#', '%': r'\%', '_': r'\_', '^': r'\textasciicircum{}',
    '~': r'\textasciitilde{}', '<': r'\textless{}', '>': r'\textgreater{}',
    '|': r'\textbar{}', '"': "''", '[': '{[}', '*': '{*}',
    '−': '$-$', '±': r'$\pm$', '→': r'$\to$', '×': r'$\times$', '–': '--',
    '↑': r'$\uparrow$', '↓': r'$\downarrow$', '≥': r'$\geq$', '≤': r'$\leq$',
    'Δ': r'$\Delta$', '\n': ' ',
}  # fmt: skip


class Cell(NamedTuple):
    """What stands in one place of a table.

    Attributes:
      text: the value.
      note: small, after it: a standard deviation, an interval.
      bold: the best of its column, or significant.
      tint: −1 (red) to 1 (blue), on pages only; 0 is untinted.
    """

    text: str
    note: str = ''
    bold: bool = False
    tint: float = 0.0


class Table(NamedTuple):
    """A table, apart from how it is written.

    Attributes:
      heads: of the columns.
      rows: their cells.
      words: so many columns, from the left, are text; the others are numbers.
      groups: headings above neighbouring columns ('' for none), with their widths.
    """

    heads: Sequence[str]
    rows: Sequence[Sequence[Cell]]
    words: int = 1
    groups: Sequence[tuple[str, int]] = ()


def cells(*texts: object) -> list[Cell]:
    """Plain cells of these words."""
    return [Cell(str(text)) for text in texts]


def to_html(table: Table) -> str:
    """The table as part of a page."""

    kinds = html.kinds(len(table.heads), table.words, table.groups)

    def written(cell: Cell, kind: str) -> str:
        text = f'<b>{escape(cell.text)}</b>' if cell.bold else escape(cell.text)
        note = f'<small>{escape(cell.note)}</small>' if cell.note else ''
        return f'<td class="{kind}"{html.tint(cell.tint)}>{text}{note}</td>'

    rows = [list(map(written, row, kinds)) for row in table.rows]
    return html.table(table.heads, rows, table.words, table.groups)


def markdown_text(text: str) -> str:
    """`text` as Markdown that shows just these characters, on one line."""
    return MARKUP.sub(r'\\\1', escape(' '.join(text.split()), quote=False))


def to_markdown(table: Table) -> str:
    """The table in GitHub's Markdown, which has no groups: heads name theirs."""

    def written(cell: Cell) -> str:
        text = markdown_text(cell.text)
        text = f'**{text}**' if cell.bold else text
        return f'{text} {markdown_text(cell.note)}'.strip()

    heads = [markdown_text(head) for head in _full_heads(table)]
    sides = [':--'] * table.words + ['--:'] * (len(heads) - table.words)
    lines = [heads, sides, *([written(cell) for cell in row] for row in table.rows)]
    return ''.join(f'| {" | ".join(line)} |\n' for line in lines)


def _full_heads(table: Table) -> list[str]:
    names = [name for name, span in table.groups for _ in range(span)]
    names = names or [''] * len(table.heads)
    return [
        f'{name}: {head}' if name else head
        for name, head in zip(names, table.heads, strict=True)
    ]


def latex_text(text: str) -> str:
    """`text` as LaTeX that shows just these characters."""
    return ''.join(LATEX.get(character, character) for character in text)


def to_latex(table: Table, caption: str, label: str) -> str:
    """The table as a LaTeX float over both columns, with booktabs and graphicx."""

    def written(cell: Cell) -> str:
        text = latex_text(cell.text)
        text = rf'\textbf{{{text}}}' if cell.bold else text
        return text + (rf' {{\scriptsize {latex_text(cell.note)}}}' * bool(cell.note))

    sides = 'l' * table.words + 'r' * (len(table.heads) - table.words)
    rows = (' & '.join(written(cell) for cell in row) for row in table.rows)
    lines = [
        r'% \usepackage{booktabs,graphicx}',
        r'\begin{table*}',
        r'  \centering',
        rf'  \caption{{{latex_text(caption)}}}',
        rf'  \label{{{label}}}',
        r'  \resizebox{\textwidth}{!}{%',
        rf'  \begin{{tabular}}{{{sides}}}',
        r'    \toprule',
        *_latex_groups(table),
        f'    {" & ".join(map(latex_text, table.heads))} \\\\',
        r'    \midrule',
        *(f'    {row} \\\\' for row in rows),
        r'    \bottomrule',
        r'  \end{tabular}}',
        r'\end{table*}',
    ]
    return '\n'.join(lines) + '\n'


def _latex_groups(table: Table) -> list[str]:
    """The row of group headings and the rules below them."""
    if not table.groups:
        return []
    heads, rules, first = [], [], 1
    for name, span in table.groups:
        heads.append(rf'\multicolumn{{{span}}}{{c}}{{{latex_text(name)}}}')
        if name:
            rules.append(rf'\cmidrule(lr){{{first}-{first + span - 1}}}')
        first += span
    return [f'    {" & ".join(heads)} \\\\', f'    {" ".join(rules)}']


def to_text(table: Table) -> str:
    """The table in aligned columns, for the terminal; best values have a star."""

    def written(cell: Cell) -> str:
        text = f'{cell.text} {cell.note}'.strip()
        return f'{text}{"*" if cell.bold else " "}'

    lines = [[f'{head} ' for head in _full_heads(table)]]
    lines += [[written(cell) for cell in row] for row in table.rows]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return '\n'.join(
        ' '.join(
            cell.ljust(width) if i < table.words else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in lines
    )
