"""What reaches the terminal is shown by it, and does nothing else to it."""

import io

from rich.table import Table

from sugrm_jax.terminal import Terminal, cell, printable

HOSTILE = '\x1b[2J\x9b2Jé\r\nb\x07'


def test_commands_to_a_terminal_are_none_any_more():
    assert printable(HOSTILE) == ' [2J 2Jé \nb '


def test_whatever_is_printed_is_printable():
    table = Table('name', box=None, pad_edge=False)
    table.add_row(cell(f'[red]{HOSTILE}'))
    file = io.StringIO()
    Terminal(file=file, width=80).print(table, f'note: {HOSTILE}', markup=False)
    lines = [line.rstrip() for line in file.getvalue().splitlines()]
    assert lines == ['name', '[red] [2J 2Jé  b', 'note:  [2J 2Jé', 'b']
