"""Signals during a run."""

import os
import signal
import threading

import pytest

from sugrm_jax.training.interrupt import Interrupted, StopRequest

SIGNALS = pytest.mark.parametrize('signum', [signal.SIGTERM, signal.SIGINT])


@SIGNALS
def test_outside_of_training_a_signal_stops_at_once(signum):
    usual = signal.getsignal(signum)
    with pytest.raises(Interrupted, match='same command') as stopped, StopRequest():
        os.kill(os.getpid(), signum)
    assert stopped.value.signum == signum
    assert signal.getsignal(signum) is usual


@SIGNALS
def test_in_training_a_signal_is_noted_and_the_next_one_ends_the_process(signum, capfd):
    with StopRequest() as stop:
        with stop.deferred():
            os.kill(os.getpid(), signum)
            assert stop.signum == signum
            assert signal.getsignal(signum) is signal.SIG_DFL
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
