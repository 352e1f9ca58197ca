"""SIGTERM and SIGHUP end a command as Ctrl-C does: what it was writing is removed."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

__all__ = ["Terminated", "raising_on_signals"]


class Terminated(BaseException):
    """Raised in the main thread when the signal `number` arrives."""

    def __init__(self, number: int) -> None:
        """Keeps the signal's number."""
        super().__init__(number)
        self.number = number


@contextmanager
def raising_on_signals() -> Iterator[None]:
    """Raises `Terminated` for signals that would end the process at once.

    Handlers that a program has set, and signals that it ignores (`nohup`), stay as they are.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def end(number: int, _frame: FrameType | None) -> None:
        raise Terminated(number)

    changed = [
        number
        for number in (signal.SIGTERM, signal.SIGHUP)
        if signal.getsignal(number) is signal.SIG_DFL
    ]
    for number in changed:
        signal.signal(number, end)
    try:
        yield
    finally:
        for number in changed:
            signal.signal(number, signal.SIG_DFL)
