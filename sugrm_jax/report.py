"""Writes the report of a sweep, or writes that of a run again.

python -m sugrm_jax.report runs/table2
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from sugrm_jax.ending import ending
from sugrm_jax.errors import UserError
from sugrm_jax.results import files
from sugrm_jax.terminal import printable


def report(folder: str | Path) -> str:
    """Writes the report of a folder, a sweep's or a run's.

    A sweep need not have finished: the report says what is missing.

    Returns:
      The main table and where the reports are, for the terminal.

    Raises:
      UserError: the folder is neither, or a file in it is damaged or unfit.
    """
    # These draw: matplotlib is slow to import.
    from sugrm_jax.results import page, sweep_page, sweep_tables, sweeps, tables

    folder = Path(folder)
    if (folder / sweeps.SWEEP).exists():
        sweep, paths = sweep_page.write_reports(folder)
        table = tables.to_text(sweep_tables.short_table(sweep))
        lines = [*sweep_page.header(sweep), '', table, '* best of its column', '']
        return '\n'.join([*lines, *map(str, paths)])
    if (folder / files.RESULTS).exists():
        path = page.write_report(folder)
        return page.summary_table(files.read_json(folder / files.RESULTS), path)
    raise UserError(
        f'{folder} has neither a {sweeps.SWEEP} nor a {files.RESULTS}: name the folder '
        'of a sweep (python -m sugrm_jax.sweep) or of a run that has finished.'
    )


def main(argv: Sequence[str] | None = None) -> int:
    """The command; 0 when the report was written, else as `ending` says."""
    parser = argparse.ArgumentParser('python -m sugrm_jax.report', description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument('folder', help='of a sweep, or of a run')
    options = parser.parse_args(argv)
    return ending(lambda: print(printable(report(options.folder))))


if __name__ == '__main__':
    sys.exit(main())
