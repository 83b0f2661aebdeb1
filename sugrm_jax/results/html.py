"""The parts of a page that opens by double click: it loads and runs nothing."""

from __future__ import annotations

import base64
import math
from collections.abc import Iterable, Sequence
from html import escape
from typing import Any

from sugrm_jax.results.numbers import minus, number

STYLE = """
:root { color-scheme: light dark; --ink: #1d2129; --soft: #5b6472; --line: #dde1e7;
  --page: #f6f7f9; --card: #fff; --accent: #0072b2; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6e8ec; --soft: #a3acba;
  --line: #363c46; --page: #15181d; --card: #1e2229; --accent: #6cb8e6; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--page); color: var(--ink);
  font: 16px/1.5 system-ui, sans-serif; }
main { max-width: 1080px; margin: 0 auto; padding: 2rem 1.25rem 4rem; }
h1 { margin: 0; font-size: 1.9rem; overflow-wrap: anywhere; }
h2 { margin: 2.5rem 0 .75rem; font-size: 1.25rem; }
p, figcaption { color: var(--soft); max-width: 75ch; }
header p { margin: .2rem 0; max-width: none; overflow-wrap: anywhere; }
.tiles { display: flex; flex-wrap: wrap; gap: .75rem; margin-top: 1.5rem; }
.tile { flex: 1 1 9rem; background: var(--card); border: 1px solid var(--line);
  border-radius: 10px; padding: .8rem 1rem; }
.tile b { display: block; font-size: 1.7rem; color: var(--accent); }
.tile span { color: var(--soft); font-size: .85rem; }
.scroll { overflow-x: auto; background: var(--card); border: 1px solid var(--line);
  border-radius: 10px; }
table { border-collapse: collapse; width: 100%; font-size: .88rem; }
th, td { padding: .45rem .7rem; text-align: left; vertical-align: top;
  border-top: 1px solid var(--line); }
thead th { border-top: 0; color: var(--soft); font-weight: 600;
  vertical-align: bottom; }
td.number, th.number { text-align: right; font-variant-numeric: tabular-nums;
  min-width: 4.2rem; }
td.number { white-space: nowrap; }
.wide th, .wide td { padding: .4rem .45rem; }
.wide td.number, .wide th.number { min-width: 3.1rem; }
.wide td.words { min-width: 6.5rem; overflow-wrap: anywhere; }
td small { display: block; color: var(--soft); }
th.group { text-align: center; border-left: 1px solid var(--line); }
th.group:empty { border-left: 0; }
td.start, th.start { border-left: 1px solid var(--line); }
td.words + td.words { min-width: 16rem; overflow-wrap: anywhere; }
figure { margin: 0 0 1.75rem; break-inside: avoid; }
figure img { width: 100%; background: #fff; border: 1px solid var(--line);
  border-radius: 10px; padding: .5rem; }
details { margin: .75rem 0; }
summary { cursor: pointer; color: var(--accent); margin-bottom: .4rem; }
pre { white-space: pre-wrap; overflow-wrap: anywhere; font-size: .8rem; }
code { font-size: .85em; overflow-wrap: anywhere; }
@media print { :root { color-scheme: light; --ink: #000; --soft: #333; --line: #bbb;
  --page: #fff; --card: #fff; --accent: #000; } body { font-size: 11px; }
  main { max-width: none; padding: 0; } .scroll { overflow: visible; }
  tr, .tile { break-inside: avoid; } h2 { break-after: avoid; }
  details::details-content { content-visibility: visible; block-size: auto; } }
"""

WIDE = 10  # tables of more columns are set tighter
# Pictures are part of the page and nothing else may load or run.
POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"


def words(value: Any) -> str:
    return f'<td class="words">{escape(str(value))}</td>'


def number_cell(value: float | None, percent: bool = False) -> str:
    return f'<td class="number">{minus(number(value, percent))}</td>'


def tint(strength: float) -> str:
    """Attribute of a cell: −1 is red (negative), 1 blue (positive), 0 has none."""
    if not strength:
        return ''
    colour = '33, 102, 172' if strength > 0 else '178, 24, 43'
    return f' style="background: rgba({colour}, {0.5 * min(abs(strength), 1):.2f})"'


def sentiment(value: float, reach: float) -> str:
    """A number tinted by its strength."""
    if math.isnan(value):
        return number_cell(value)
    shown = minus(f'{value:+z.2f}')
    return f'<td class="number"{tint(value / reach)}>{shown}</td>'


def kinds(
    columns: int, words: int, groups: Sequence[tuple[str, int]] = ()
) -> list[str]:
    """The class of each column: words or number, and whether a named group starts."""
    found = ['words'] * words + ['number'] * (columns - words)
    start = 0
    for name, span in groups:
        if name:
            found[start] += ' start'
        start += span
    return found


def table(
    heads: Sequence[str],
    rows: Iterable[Sequence[str]],
    words: int = 1,
    groups: Sequence[tuple[str, int]] = (),
) -> str:
    """A table of finished cells.

    Args:
      heads: of the columns.
      rows: the cells, each with its `<td>`.
      words: so many columns, from the left, are text; the others are numbers.
      groups: headings above neighbouring columns, and how many columns each has.
    """
    top = ''.join(
        f'<th scope="col" class="{kind}">{escape(head)}</th>'
        for kind, head in zip(kinds(len(heads), words, groups), heads, strict=True)
    )
    above = ''.join(
        f'<th scope="colgroup" class="group" colspan="{span}">{escape(name)}</th>'
        for name, span in groups
    )
    above = f'<tr>{above}</tr>\n' if above else ''
    body = ''.join(f'<tr>{"".join(row)}</tr>\n' for row in rows)
    kind = 'scroll wide' if len(heads) > WIDE else 'scroll'
    return (
        f'<div class="{kind}"><table><thead>{above}<tr>{top}</tr></thead>\n'
        f'<tbody>{body}</tbody></table></div>\n'
    )


def pairs(rows: Iterable[tuple[str, Any]]) -> str:
    cells = (
        (words(name), f'<td><code>{escape(str(x))}</code></td>') for name, x in rows
    )
    return table(('name', 'value'), cells, words=2)


def section(title: str, *parts: str) -> str:
    return f'<section><h2>{escape(title)}</h2>\n{"".join(parts)}</section>\n'


def say(text: str) -> str:
    return f'<p>{escape(text)}</p>\n'


def picture(content: bytes, caption: str) -> str:
    """A PNG that is part of the page, its caption said aloud where it is not seen."""
    source = base64.b64encode(content).decode()
    return (
        f'<figure><img alt="{escape(caption)}" src="data:image/png;base64,{source}">'
        f'<figcaption>{escape(caption)}</figcaption></figure>\n'
    )


def document(title: str, body: str) -> bytes:
    """The whole page, ready to be written."""
    page = (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f'<title>{escape(title)}: report</title>\n'
        f'<style>{STYLE}</style></head>\n<body><main>\n{body}</main></body></html>\n'
    )
    # Half a surrogate pair in a transcript becomes a reference, not a crash.
    return page.encode('utf-8', 'xmlcharrefreplace')
