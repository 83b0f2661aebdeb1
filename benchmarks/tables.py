"""Results as Markdown tables and as JSON."""

from __future__ import annotations

import dataclasses
import importlib.metadata
import os
import platform
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from benchmarks.measure import Spread

Cell = str | int | float | Spread
PACKAGES = ('jax', 'jaxlib', 'flax', 'optax', 'numpy')


@dataclasses.dataclass(frozen=True)
class Table:
    """Results of one benchmark.

    Attributes:
      name: of the benchmark.
      title: one line.
      note: how it was measured.
      rows: cells by column; a row may lack columns.
    """

    name: str
    title: str
    note: str
    rows: list[dict[str, Cell]]


def markdown(table: Table) -> str:
    """The table with its title and note."""
    columns = list(dict.fromkeys(name for row in table.rows for name in row))
    cells = [[_text(row.get(name, '')) for name in columns] for row in table.rows]
    rule = ['---' if i == 0 else '---:' for i in range(len(columns))]
    lines = [' | '.join(row) for row in (columns, rule, *cells)]
    body = '\n'.join(f'| {line} |' for line in lines)
    return f'## {table.title}\n\n{table.note}\n\n{body}\n'


def _text(cell: Cell) -> str:
    return f'{cell:.4g}' if isinstance(cell, float) else str(cell)


def as_json(table: Table) -> dict[str, Any]:
    """Plain values; a spread becomes its median, extremes and values."""
    rows = [{k: _plain(v) for k, v in row.items()} for row in table.rows]
    return dataclasses.asdict(dataclasses.replace(table, rows=rows))


def _plain(cell: Cell) -> Any:
    if not isinstance(cell, Spread):
        return cell
    low, high = min(cell.values), max(cell.values)
    return {
        'median': cell.median, 'low': low, 'high': high,
        'values': list(cell.values), 'unit': cell.unit,
    }  # fmt: skip


def threads() -> int:
    """Processors that this process may use: XLA takes them all."""
    return len(os.sched_getaffinity(0))


def busy_processors(interval: float = 1.0) -> float:
    """Processors that others keep busy while this process sleeps; 0 if not known."""
    try:
        before = _processor_times()
        time.sleep(interval)
        after = _processor_times()
    except FileNotFoundError:
        return 0.0
    idle, total = (b - a for a, b in zip(before, after, strict=True))
    return (os.cpu_count() or 1) * (1 - idle / total)


def _processor_times() -> tuple[int, int]:
    """Idle and total time of all processors since the start, in clock ticks."""
    with open('/proc/stat', encoding='utf-8') as lines:
        ticks = [int(x) for x in lines.readline().split()[1:9]]
    return ticks[3] + ticks[4], sum(ticks)


def machine() -> dict[str, Any]:
    """What the figures were measured on and with."""
    import jax

    return {
        'date': datetime.now(UTC).isoformat(timespec='seconds'),
        'device': jax.devices()[0].device_kind,
        'processor': _processor(),
        'threads': threads(),
        'system': platform.platform(),
        'python': platform.python_version(),
        **{name: importlib.metadata.version(name) for name in PACKAGES},
    }


def _processor() -> str:
    try:
        with open('/proc/cpuinfo', encoding='utf-8') as lines:
            names = [x.split(':')[1] for x in lines if x.startswith('model name')]
    except FileNotFoundError:
        names = []
    return names[0].strip() if names else platform.processor()


def page(tables: Sequence[Table], facts: dict[str, Any]) -> str:
    """All tables, below what they were measured on."""
    about = ', '.join(f'{name} {value}' for name, value in facts.items())
    parts = ['# Benchmarks\n', f'{about}.\n', *(markdown(table) for table in tables)]
    return '\n'.join(parts)
