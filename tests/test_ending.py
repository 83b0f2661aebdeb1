"""How commands end: a status, and one sentence that a terminal only shows."""

import signal

import pytest

from sugrm_jax.ending import ending
from sugrm_jax.errors import UserError
from sugrm_jax.interrupt import Interrupted, StopRequest


@pytest.mark.parametrize(
    ('error', 'status', 'said'),
    [
        (UserError('what to mend\nand how'), 2, 'what to mend\nand how\n'),
        (UserError('\x1b]0;a\x07 \x9b2J'), 2, ' ]0;a   2J\n'),
        (Interrupted(15, 'it goes on'), 143, 'it goes on\n'),
        (KeyboardInterrupt(), 130, 'Stopped.\n'),
    ],
)
def test_an_early_end_is_a_status_and_a_sentence(error, status, said, capsys):
    def command():
        raise error

    assert ending(command) == status
    assert capsys.readouterr().err == said


def test_a_command_may_give_a_status():
    assert [ending(lambda x: x, x) for x in (None, 0, 1)] == [0, 0, 1]


@pytest.mark.parametrize('signum', [signal.SIGINT, signal.SIGTERM])
def test_a_signal_lets_the_command_clear_away(signum, capsys):
    cleared = []

    def command():
        try:
            signal.raise_signal(signum)
        finally:
            cleared.append(True)

    assert ending(command, stop=StopRequest()) == 128 + signum
    assert cleared and capsys.readouterr().err == 'Stopped.\n'
