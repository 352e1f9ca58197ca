"""SIGTERM and SIGHUP are raised while a command runs, and only then."""

from __future__ import annotations

import os
import signal
import threading

import pytest

from ttsrt_rt.cli.signals import Terminated, raising_on_signals


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_is_raised(number: signal.Signals) -> None:
    before = signal.signal(number, signal.SIG_DFL)  # nohup ignores SIGHUP
    try:
        with pytest.raises(Terminated) as raised, raising_on_signals():
            os.kill(os.getpid(), number)
        assert raised.value.number == number and signal.getsignal(number) is signal.SIG_DFL
    finally:
        signal.signal(number, before)


def test_handlers_of_the_program_stay() -> None:
    arrived: list[int] = []
    before = signal.signal(signal.SIGTERM, lambda number, _: arrived.append(number))
    try:
        with raising_on_signals():
            os.kill(os.getpid(), signal.SIGTERM)
        assert arrived == [signal.SIGTERM]
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        with raising_on_signals():
            os.kill(os.getpid(), signal.SIGHUP)
    finally:
        signal.signal(signal.SIGTERM, before)
        signal.signal(signal.SIGHUP, signal.SIG_DFL)


def test_other_threads_set_no_handlers() -> None:
    seen: list[object] = []

    def work() -> None:
        with raising_on_signals():
            seen.append(signal.getsignal(signal.SIGTERM))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [signal.getsignal(signal.SIGTERM)]
