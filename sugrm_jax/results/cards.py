"""One utterance on a page: what was said, what is predicted, which steps mattered.

Fragments of HTML that load and run nothing. Their colours and fonts are those of the
page that they are put into: it sets --ink, --soft, --line and --card.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any, NamedTuple

import numpy as np

from sugrm_jax.results.figures import COLOURS, NAMES
from sugrm_jax.results.numbers import minus
from sugrm_jax.types import MODALITIES, TASKS

# The ends of `figures.SENTIMENT`.
NEGATIVE, POSITIVE = '#b2182b', '#2166ac'
WORDS = ('strongly', 'clearly', 'weakly')  # of the third, second and first third

STYLE = f"""
.cards {{ color: var(--ink); line-height: 1.5; }}
.cards section {{ background: var(--card); border: 1px solid var(--line);
  border-radius: 12px; padding: 1.1rem 1.25rem 1.25rem; margin: 0 0 1rem; }}
.cards h3 {{ margin: 0 0 .6rem; font-weight: 700;
  font-size: 1.05rem; color: var(--ink); }}
.cards p {{ margin: .3rem 0; color: var(--soft); font-size: .92rem; }}
.cards blockquote {{ margin: 0 0 .3rem; padding: 0; border: 0; font-size: 1.2rem;
  color: var(--ink); overflow-wrap: anywhere; }}
.cards .verdict {{ font-size: 1.05rem; color: var(--ink); }}
.cards .gauge {{ display: grid; align-items: center; gap: .2rem .8rem;
  grid-template: 'name track value' / 6.2rem minmax(0, 1fr) 3.2rem;
  margin-top: .6rem; }}
.cards .gauge > b:last-child {{ grid-area: value; text-align: right;
  font-variant-numeric: tabular-nums; }}
@media (max-width: 640px) {{ .cards .gauge {{
  grid-template: 'name value' 'track track' / 1fr 3.2rem; }} }}
.cards .track {{ grid-area: track; position: relative; height: 14px; border-radius: 7px;
  background: color-mix(in srgb, var(--soft) 18%, transparent); }}
.cards .track.main {{ height: 24px; border-radius: 12px; }}
.cards .track i {{ position: absolute; top: 0; bottom: 0; }}
.cards .track i.zero {{ left: 50%; width: 2px; margin-left: -1px; top: -4px;
  bottom: -4px; background: var(--soft); }}
.cards .track i.end {{ width: 4px; margin-left: -2px; top: -3px; bottom: -3px;
  border-radius: 2px; background: var(--ink); }}
.cards .scale {{ grid-area: track; display: flex;
  justify-content: space-between; font-size: .8rem; color: var(--soft); }}
.cards .scale > * {{ flex: 1 1 0; text-align: center; }}
.cards .scale > :first-child {{ text-align: left; }}
.cards .scale > :last-child {{ text-align: right; }}
.cards h4 {{ margin: 1.1rem 0 .3rem; font-weight: 700;
  font-size: .95rem; color: var(--ink); }}
.cards h4 small {{ font-weight: 400; color: var(--soft); }}
.cards h4::before {{ content: ''; display: inline-block; width: .7em; height: .7em;
  border-radius: 50%; margin-right: .45em; background: var(--dot, var(--soft)); }}
.cards .tokens {{ display: flex; flex-wrap: wrap; gap: .5rem .12rem; }}
.cards .token {{ display: flex; flex-direction: column; align-items: stretch;
  font-size: .9rem; text-align: center; min-width: 1.7rem; }}
.cards .token span:last-child {{ padding: .05rem .25rem; }}
.cards .well {{ position: relative; height: 72px; border-radius: 4px;
  background: linear-gradient(var(--soft), var(--soft)) center / 100% 1px no-repeat,
  color-mix(in srgb, var(--soft) 8%, transparent); }}
.cards .well i {{ position: absolute; left: 50%; width: 18px; margin-left: -9px; }}
.cards svg {{ display: block; width: 100%; height: 84px; border-radius: 4px;
  background: color-mix(in srgb, var(--soft) 8%, transparent); }}
.cards .plus {{ background: {POSITIVE}; fill: {POSITIVE}; }}
.cards .less {{ background: {NEGATIVE}; fill: {NEGATIVE}; }}
.dark .cards .plus {{ background: #5b9fd4; fill: #5b9fd4; }}
.dark .cards .less {{ background: #e0606c; fill: #e0606c; }}
.cards figure {{ margin: 0; }}
.cards figure img {{ width: 100%; background: #fff; border-radius: 8px; }}
.cards figcaption {{ color: var(--soft); font-size: .85rem; }}
.cards details > summary {{ cursor: pointer; margin-bottom: .6rem;
  overflow-wrap: anywhere; }}
"""


class Steps(NamedTuple):
    """How the steps of one modality mattered.

    Attributes:
      values: `[L]`, in units of the labels.
      labels: of the steps, `L` texts, or None.
      rate_hz: steps in a second, or None where that is not known.
    """

    values: np.ndarray
    labels: Sequence[str] | None = None
    rate_hz: float | None = None


def card(row: Mapping[str, Any], steps: Mapping[str, Steps], limit: float) -> str:
    """What was said, gauges, and which steps mattered.

    Args:
      row: of an utterance, as in `timeline.timeline`.
      steps: by modality, those that are known.
      limit: labels lie in ± this.
    """
    said = escape(row['text']) or '<em>(no transcript)</em>'
    body = f'<blockquote>{said}</blockquote>\n{verdict(row["m"], limit)}'
    result = f'<section>{body}{gauges(row, limit)}</section>\n'
    parts = [mattered(s, steps[s]) for s in MODALITIES if s in steps]
    if parts:
        result += (
            '<section><h3>Which steps mattered</h3>\n<p>Input × gradient on the '
            'multimodal prediction: blue steps pushed it up, red ones down. It says '
            'what this model used, not what is true. Every modality has a scale of '
            f'its own.</p>\n{"".join(parts)}</section>\n'
        )
    return result


def verdict(value: float | None, limit: float) -> str:
    """The multimodal prediction in words."""
    if value is None:
        return ''
    return f'<p class="verdict">Predicted: <b>{in_words(value, limit)}</b></p>\n'


def in_words(value: float, limit: float) -> str:
    """A sentiment between 'strongly negative' and 'strongly positive'."""
    strength = abs(value) / limit
    if strength < 1 / 6:
        return 'neutral'
    word = WORDS[0] if strength > 5 / 6 else WORDS[1] if strength > 1 / 2 else WORDS[2]
    return f'{word} {"positive" if value > 0 else "negative"}'


def gauges(row: Mapping[str, Any], limit: float) -> str:
    """A gauge for each task, from −limit to limit, and the scale below them."""
    lines = [_gauge(task, row[task], limit) for task in TASKS if task in row]
    ends = (
        f'<span>{minus(f"{-limit:g}")}<br>negative</span><span>0<br>neutral</span>'
        f'<span>{limit:g}<br>positive</span>'
    )
    scale = f'<div class="gauge"><span class="scale">{ends}</span></div>'
    return f'{"".join(lines)}{scale}\n'


def _gauge(task: str, value: float | None, limit: float) -> str:
    main = ' main' if task == 'm' else ''
    if value is None:
        shown, bar, aloud = '–', '', 'absent'
    else:
        shown = aloud = minus(f'{value:+z.2f}')
        place = 50 * float(np.clip(value / limit, -1, 1))
        left = f'left: {50 + min(place, 0):.2f}%; width: {abs(place):.2f}%'
        kind = 'plus' if value > 0 else 'less'
        bar = (
            f'<i class="{kind}" style="{left}"></i>'
            f'<i class="end" style="left: {50 + place:.2f}%"></i>'
        )
    name = f'<b>{NAMES[task]}</b>' if main else NAMES[task]
    return (
        f'<div class="gauge"><span>{name}</span><span class="track{main}" role="img" '
        f'aria-label="{NAMES[task]}: {aloud}"><i class="zero"></i>{bar}</span>'
        f'<b>{shown}</b></div>\n'
    )


def mattered(s: str, steps: Steps) -> str:
    """The bars of one modality: a bar for each token, or for each step over time."""
    total, top = steps.values.sum(), np.abs(steps.values).max(initial=0)
    head = (
        f'<h4 style="--dot: {COLOURS[s]}">{NAMES[s]} <small>sum '
        f'{minus(f"{total:+z.2f}")}, tallest bar {top:.2g}</small></h4>\n'
    )
    # A modality that adds nothing has bars of no height.
    heights = steps.values / (top or 1)
    if steps.labels is not None:
        return head + _tokens(heights, steps.labels)
    return head + _over_time(heights, steps.rate_hz)


def _tokens(heights: np.ndarray, labels: Sequence[str]) -> str:
    bars = (
        f'<span class="token"><span class="well"><i class="{kind}" '
        f'style="{edge}: 50%; height: {50 * abs(height):.1f}%"></i></span>'
        f'<span>{escape(label)}</span></span>'
        for height, label in zip(heights, labels, strict=True)
        for kind, edge in [('plus', 'bottom') if height > 0 else ('less', 'top')]
    )
    return f'<div class="tokens">{"".join(bars)}</div>\n'


def _over_time(heights: np.ndarray, rate_hz: float | None) -> str:
    count = len(heights)
    bars = ''.join(
        f'<rect class="{"plus" if y > 0 else "less"}" x="{x + 0.08:.2f}" width="0.84" '
        f'y="{min(-y, 0):z.4f}" height="{abs(y):.4f}"/>'
        for x, y in enumerate(heights)
    )
    ends = ('0 s', f'{count / rate_hz:.1f} s') if rate_hz else ('step 1', f'{count}')
    middle = 'seconds' if rate_hz else 'steps'
    return (
        f'<svg viewBox="0 -1.05 {count} 2.1" preserveAspectRatio="none" role="img" '
        f'aria-label="{count} steps">{bars}<line x1="0" x2="{count}" y1="0" y2="0" '
        'stroke="currentColor" stroke-opacity="0.5" '
        'vector-effect="non-scaling-stroke"/></svg>\n'
        f'<div class="scale"><span>{ends[0]}</span><span>{middle}</span>'
        f'<span>{ends[1]}</span></div>\n'
    )


def folded(cards: Sequence[str], rows: Sequence[Mapping[str, Any]]) -> str:
    """Cards that a click on their sentence unfolds; the first one is.

    Args:
      cards: finished, of the first rows.
      rows: as in `card`.
    """
    result = ''
    for i, (content, row) in enumerate(zip(cards, rows, strict=False)):
        state = '' if i else ' open'
        score = '–' if row['m'] is None else minus(f'{row["m"]:+z.2f}')
        title = f'<b>{score}</b> &ensp;{escape(row["text"])}'
        result += f'<details{state}><summary>{title}</summary>\n{content}</details>\n'
    return result
