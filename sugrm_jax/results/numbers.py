"""Numbers as a reader sees them, in the page, the figures and the terminal."""

from __future__ import annotations

import math


def number(value: float | None, percent: bool = False, undefined: str = '–') -> str:
    """Three digits or a percentage; integers as they are; None, NaN as `undefined`."""
    if value is None or math.isnan(value):
        return undefined
    if isinstance(value, int):
        return f'{value:,}'
    return f'{100 * value:z.1f} %' if percent else f'{value:z.3f}'


def minus(text: str) -> str:
    """`text` with the minus sign that typesetters use; matplotlib's axes do, too."""
    return text.replace('-', '−')
