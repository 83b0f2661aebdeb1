"""Signals during a run."""

import os
import pty
import signal
import subprocess
import sys
import threading
import time

import pytest

from sugrm_jax.interrupt import Interrupted, StopRequest, holding

SIGNALS = pytest.mark.parametrize(
    'signum', [signal.SIGTERM, signal.SIGINT, signal.SIGHUP]
)


@SIGNALS
def test_outside_of_training_a_signal_stops_at_once(signum):
    usual = signal.getsignal(signum)
    with pytest.raises(Interrupted, match=r'^so$') as stopped, StopRequest('so'):
        os.kill(os.getpid(), signum)
    assert stopped.value.signum == signum
    assert signal.getsignal(signum) is usual


@SIGNALS
def test_in_training_a_signal_is_noted_and_the_next_one_ends_the_process(signum, capfd):
    with StopRequest() as stop:
        with stop.deferred():
            os.kill(os.getpid(), signum)
            assert stop.signum == signum
            assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
        assert 'after the steps under way' in capfd.readouterr().err


def test_once_training_is_over_a_signal_stops_at_once_again():
    with pytest.raises(Interrupted), StopRequest() as stop:
        with stop.deferred():
            pass
        os.kill(os.getpid(), signal.SIGTERM)


def test_in_another_thread_signals_are_left_alone():
    usual = signal.getsignal(signal.SIGTERM)
    seen = []

    def enter():
        with StopRequest():
            seen.append(signal.getsignal(signal.SIGTERM))

    thread = threading.Thread(target=enter)
    thread.start()
    thread.join()
    assert seen == [usual]


def test_no_library_handles_it_as_one_of_its_own_errors():
    def library():
        try:
            os.kill(os.getpid(), signal.SIGTERM)
        except Exception:
            return 'handled'

    with pytest.raises(Interrupted), StopRequest():
        library()


def test_what_ignores_hangups_goes_on_ignoring_them():
    usual = signal.signal(signal.SIGHUP, signal.SIG_IGN)  # as nohup does
    try:
        with StopRequest() as stop:
            os.kill(os.getpid(), signal.SIGHUP)
            assert stop.signum is None
            with stop.deferred():
                os.kill(os.getpid(), signal.SIGTERM)
            assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, usual)


def come():
    signal.raise_signal(signal.SIGTERM)


def test_what_must_not_be_left_half_done_is_done():
    done = []
    with pytest.raises(Interrupted), StopRequest():
        with holding():
            come()
            done.append(1)
        done.append(2)
    assert done == [1]
    with holding():  # nothing is left over
        pass


def test_what_is_done_meanwhile_may_be_stopped():
    done = []
    with pytest.raises(Interrupted), StopRequest(), holding():
        try:
            with holding(False):
                come()
                done.append(1)
        finally:
            done.append(2)
    assert done == [2]


def test_a_signal_that_came_before_stops_what_may_be_stopped():
    done = []
    with pytest.raises(Interrupted), StopRequest(), holding():
        come()
        with holding(False):
            done.append(1)
    assert not done


def test_signals_wait_for_nothing_that_another_thread_does():
    entered, left = threading.Event(), threading.Event()

    def hold():
        with holding():
            entered.set()
            left.wait()

    thread = threading.Thread(target=hold)
    thread.start()
    entered.wait()
    try:
        with pytest.raises(Interrupted), StopRequest():
            come()
            pytest.fail('it waits')
    finally:
        left.set()
        thread.join()


class Finalized:
    def __del__(self):
        come()


def test_a_signal_that_python_ignores_comes_once_more():
    hook = sys.unraisablehook
    with pytest.raises(Interrupted), StopRequest():
        Finalized()
        began = time.monotonic()
        time.sleep(60)
    assert time.monotonic() - began < 30
    assert sys.unraisablehook is hook


def test_what_else_python_ignores_is_told_as_usual(monkeypatch):
    class Broken:
        def __del__(self):
            raise KeyError

    told = []
    monkeypatch.setattr(sys, 'unraisablehook', lambda what: told.append(what.exc_type))
    with StopRequest():
        Broken()
    assert told == [KeyError]


def test_a_hook_that_another_puts_before_it_stays(monkeypatch):
    """As checkpoints do for the whole process, inside of it."""
    monkeypatch.setattr(sys, 'unraisablehook', sys.unraisablehook)
    with StopRequest():
        sys.unraisablehook = print
    assert sys.unraisablehook is print


RUN = """
import pathlib, sys, time
from sugrm_jax.interrupt import StopRequest
with StopRequest() as stop, stop.deferred():
    print('under way', flush=True)
    while not stop.signum:
        time.sleep(0.01)
    time.sleep(0.5)  # the shell's own signal comes meanwhile
    print('an epoch is over', flush=True)
    print('a warning', file=sys.stderr, flush=True)
    pathlib.Path(sys.argv[1]).write_text(str(stop.signum))
"""


def test_a_terminal_that_closes_leaves_time_to_save(tmp_path):
    ours, terminal = pty.openpty()
    try:
        run = subprocess.Popen(
            [sys.executable, '-c', RUN, str(tmp_path / 'saved')],
            stdin=terminal,
            stdout=terminal,
            stderr=terminal,
            start_new_session=True,
            preexec_fn=lambda: os.close(os.open(os.ttyname(0), os.O_RDWR)),
        )
    finally:
        os.close(terminal)
    try:
        assert os.read(ours, 9) == b'under way'
        os.close(ours)
        run.send_signal(signal.SIGHUP)
        assert run.wait(30) == 0
    finally:
        run.kill()
        run.wait()
    assert (tmp_path / 'saved').read_text() == str(int(signal.SIGHUP))


def test_output_that_nobody_reads_any_more_does_not_stop_the_saving(tmp_path):
    """As `… 2>&1 | tee log` when its terminal closes."""
    with subprocess.Popen(
        [sys.executable, '-c', RUN, str(tmp_path / 'saved')],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    ) as run:
        assert run.stdout.read(9) == b'under way'
        run.stdout.close()
        run.send_signal(signal.SIGHUP)
        assert run.wait(30) == 0
    assert (tmp_path / 'saved').read_text() == str(int(signal.SIGHUP))
