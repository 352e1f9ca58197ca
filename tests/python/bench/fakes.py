"""Fakes of an executor and a clock: the test sets every moment, and nothing waits for real time."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import numpy as np

import ttsrt_rt as rt
from ttsrt_rt.bench.load import Clock

CODEBOOKS = 4
PATIENCE = 60.0  # seconds until a test that hangs fails


class FakeClock(Clock):
    """A clock that moves only when the test moves it, and records the moments slept until."""

    def __init__(self) -> None:
        self.time = 0.0
        self.sleeps: list[float] = []
        self._lock = threading.Lock()

    def now(self) -> float:
        return self.time

    def advance(self, seconds: float) -> None:
        with self._lock:
            self.time += seconds

    def sleep_until(self, moment: float) -> None:
        with self._lock:
            self.sleeps.append(moment)
            self.time = max(self.time, moment)


def make_result(frames: int, *, error: str | None = None, queue_seconds: float = 0.0) -> rt.Result:
    """The result of a request."""
    return rt.Result(
        codes=np.zeros((frames, CODEBOOKS), np.int32),
        finish_reason="error" if error else "length",
        error=error,
        metrics=rt.Metrics(steps=frames, queue_seconds=queue_seconds, first_frame_seconds=0.5),
    )


class FakeHandle:
    """Gives the events that the test sets; `wait` calls `before_end` and returns the result."""

    def __init__(
        self,
        result: rt.Result,
        events: Iterator[rt.Event] | None = None,
        before_end: Callable[[], None] = lambda: None,
    ) -> None:
        self._result = result
        self._events = events or iter(())
        self._before_end = before_end
        self.is_cancelled = threading.Event()

    def next(self) -> rt.Event | None:
        return next(self._events, None)

    def wait(self) -> rt.Result:
        self._before_end()
        return self._result

    def cancel(self) -> None:
        self.is_cancelled.set()


class FakeServer:
    """Takes `capacity` requests at once, refuses the others; each makes `frames` frames.

    A request takes `seconds` of the clock from when its end is waited for.
    """

    def __init__(self, capacity: int, frames: int, clock: FakeClock, seconds: float) -> None:
        self.capacity, self.frames, self.clock, self.seconds = capacity, frames, clock, seconds
        self.in_flight = self.submitted = self.made = self.highest = 0
        self._lock = threading.Lock()

    def submit(self, request: rt.Request, /) -> Any:
        with self._lock:
            if self.in_flight == self.capacity:
                raise rt.CapacityError("the queue is full")
            self.in_flight += 1
            self.submitted += 1
            self.highest = max(self.highest, self.in_flight)
        return FakeHandle(make_result(self.frames), before_end=self._finish)

    def stats(self) -> Any:
        with self._lock:
            return SimpleNamespace(
                num_submitted=self.submitted,
                num_frames=self.made,
                max_num_active_requests=2,
            )

    def _finish(self) -> None:
        self.clock.advance(self.seconds)
        with self._lock:
            self.in_flight -= 1
            self.made += self.frames
