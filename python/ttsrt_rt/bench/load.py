"""Offers requests to an executor, in a closed or an open loop, and records what happens to each.

A thread that waits for a request does nothing else, so times are those that a client sees. Closed
loop: there are as many threads as requests in flight, and each submits its next request when the
last one has ended. Open loop: one thread submits by the clock, and a pool of threads waits for the
accepted requests. The pool has as many threads as the executor runs requests at once: requests
start in the order of their submission, and the pool takes them in that order.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

import numpy as np

from ttsrt_rt.errors import CapacityError, ConfigError, InternalError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ttsrt_rt.request import Request
    from ttsrt_rt.result import Event, Result

__all__ = ["Clock", "Load", "Outcome", "RunningRequest", "arrival_times", "run_closed", "run_open"]


class RunningRequest(Protocol):
    """What the load needs of a `Handle`."""

    def next(self) -> Event | None: ...
    def wait(self) -> Result: ...
    def cancel(self) -> None: ...


class Clock:
    """A monotonic clock, which tests replace by their own."""

    def now(self) -> float:
        """Seconds since an arbitrary moment."""
        return time.perf_counter()

    def sleep_until(self, moment: float) -> None:
        """Returns at `moment`, or at once if it has passed."""
        time.sleep(max(moment - self.now(), 0.0))


@dataclass
class Outcome:
    """What happened to one request. Moments are seconds of the load's clock.

    Attributes:
        index: Its place among the requests.
        submitted: When `submit` was called.
        submit_seconds: How long that call took.
        ended: When the result had arrived.
        first_frame: When the first frame had arrived; None if none was made.
        arrivals: Streaming: when frames arrived, and how many.
        first_audio: When the first sound had arrived; None if there was none.
        sounds: Streaming: when sound arrived, and how many samples.
        samples: Samples made.
        frames: Codec frames made.
        steps: Decoder steps done.
        queue_seconds: From submit to the first launch.
        is_refused: Whether the queue was full.
        finish_reason: Why it ended; "" if it was refused.
        error: What went wrong; None if nothing did.
        codes: int32 [frames, codebooks].
    """

    index: int
    submitted: float
    submit_seconds: float = 0.0
    ended: float = 0.0
    first_frame: float | None = None
    arrivals: list[tuple[float, int]] = field(default_factory=list)
    first_audio: float | None = None
    sounds: list[tuple[float, int]] = field(default_factory=list)
    samples: int = 0
    frames: int = 0
    steps: int = 0
    queue_seconds: float = 0.0
    is_refused: bool = False
    finish_reason: str = ""
    error: str | None = None
    codes: NDArray[np.int32] | None = None

    @property
    def is_ok(self) -> bool:
        """Whether the request was accepted and did not fail."""
        return self.error is None


@dataclass
class Load:
    """How requests are offered, and what is called at their ends.

    Attributes:
        submit: `Executor.submit`.
        done: Called with each outcome, from the thread that waited for it.
        is_streaming: Whether events are taken one by one.
        keeps_codes: Whether outcomes have codes.
        samples_per_frame: Of codecs, by which the frames of results without codes are counted.
        clock: The source of all times.
    """

    submit: Callable[[Request], RunningRequest]
    done: Callable[[Outcome], None]
    is_streaming: bool = False
    keeps_codes: bool = False
    samples_per_frame: int = 0
    clock: Clock = field(default_factory=Clock)

    def __post_init__(self) -> None:
        self._live: dict[int, RunningRequest] = {}
        self._is_stopped = threading.Event()

    @property
    def is_stopped(self) -> bool:
        """Whether something failed or the user interrupted: nothing more is offered."""
        return self._is_stopped.is_set()

    def start(self, index: int, request: Request) -> tuple[Outcome, RunningRequest | None]:
        """Submits one request; a refused one has no handle, and `done` is called at once.

        Raises:
            Error: Whatever `submit` raises, except for a full queue.
        """
        begin = self.clock.now()
        outcome = Outcome(index, begin)
        try:
            handle = self.submit(request)
        except CapacityError as error:
            outcome.ended = self.clock.now()
            outcome.submit_seconds = outcome.ended - begin
            outcome.is_refused, outcome.error = True, str(error)
            self.done(outcome)
            return outcome, None
        except ConfigError as error:
            raise ConfigError(f"request {index}: {error}") from error
        outcome.submit_seconds = self.clock.now() - begin
        self._live[index] = handle
        if self.is_stopped:
            handle.cancel()
        return outcome, handle

    def follow(self, outcome: Outcome, handle: RunningRequest) -> None:
        """Waits for the end of a request and calls `done`."""
        if self.is_streaming:
            self._take_events(outcome, handle)
        result = handle.wait()
        outcome.ended = self.clock.now()
        metrics = result.metrics
        outcome.frames, outcome.steps = len(result.codes), metrics.steps
        outcome.queue_seconds = metrics.queue_seconds
        outcome.finish_reason, outcome.error = result.finish_reason, result.error
        if outcome.arrivals:
            outcome.first_frame = outcome.arrivals[0][0]
        elif outcome.frames:
            outcome.first_frame = outcome.submitted + metrics.first_frame_seconds
        outcome.samples = 0 if result.audio is None else len(result.audio)
        if not outcome.frames and self.samples_per_frame:
            outcome.frames = outcome.samples // self.samples_per_frame
        if outcome.sounds:
            outcome.first_audio = outcome.sounds[0][0]
        elif outcome.samples:
            outcome.first_audio = outcome.submitted + metrics.first_audio_seconds
        if self.keeps_codes:
            outcome.codes = result.codes
        self._live.pop(outcome.index, None)
        self.done(outcome)

    def stop(self) -> None:
        """Offers nothing more and cancels what runs, so that the threads that wait for it end."""
        self._is_stopped.set()
        for handle in list(self._live.values()):
            handle.cancel()

    def _take_events(self, outcome: Outcome, handle: RunningRequest) -> None:
        try:
            while (event := handle.next()) is not None:
                now = self.clock.now()
                if len(event.codes):
                    outcome.arrivals.append((now, len(event.codes)))
                if event.audio is not None:
                    outcome.sounds.append((now, len(event.audio)))
        except InternalError:
            return  # the result has the error


def run_closed(load: Load, requests: Iterable[Request], concurrency: int) -> float:
    """Keeps `concurrency` requests in flight until all have ended.

    Returns:
        Seconds from the first submission to the last end.

    Raises:
        Error: The first that a submission raised, except for a full queue.
    """
    todo = enumerate(requests)
    lock = threading.Lock()

    def work() -> None:
        while not load.is_stopped:
            with lock:
                job = next(todo, None)
            if job is None:
                return
            try:
                outcome, handle = load.start(*job)
                if handle is not None:
                    load.follow(outcome, handle)
            except BaseException:
                load.stop()
                raise

    begin = load.clock.now()
    with ThreadPoolExecutor(concurrency, "ttsrt-client") as pool:
        _await_all(load, (pool.submit(work) for _ in range(concurrency)))
    return load.clock.now() - begin


def run_open(
    load: Load, requests: Iterable[Request], moments: Iterable[float], num_followers: int
) -> float:
    """Submits each request at its moment, whether or not earlier ones have ended.

    Args:
        load: How requests are offered.
        requests: The requests; the shorter of requests and moments counts.
        moments: Seconds after the start, in ascending order.
        num_followers: Threads that wait; at least as many as requests that the executor runs at
            once.

    Returns:
        Seconds from the first submission to the last end.

    Raises:
        Error: The first that a submission raised, except for a full queue.
    """
    begin = load.clock.now()

    def offer(pool: ThreadPoolExecutor) -> Iterator[Future[None]]:
        for index, (moment, request) in enumerate(zip(moments, requests, strict=False)):
            load.clock.sleep_until(begin + moment)
            outcome, handle = load.start(index, request)
            if handle is not None:
                yield pool.submit(load.follow, outcome, handle)

    with ThreadPoolExecutor(num_followers, "ttsrt-client") as pool:
        _await_all(load, offer(pool))
    return load.clock.now() - begin


def arrival_times(
    count: int, rate: float, *, is_poisson: bool = False, seed: int = 420
) -> Sequence[float]:
    """Moments of arrival in seconds, the first at 0.

    Args:
        count: The number of requests.
        rate: Requests per second; infinite for all at once.
        is_poisson: Whether pauses are exponentially distributed with the same mean, not equal.
        seed: Of the pauses.
    """
    mean = 1.0 / rate
    pauses = np.full(count, mean)
    if is_poisson:
        pauses = np.random.default_rng(seed).exponential(mean, count)
    pauses[:1] = 0.0
    return [float(moment) for moment in np.cumsum(pauses)]


def _await_all(load: Load, started: Iterable[Future[None]]) -> None:
    """Starts all and waits for them; the first failure, or Ctrl-C, cancels the rest."""
    try:
        for future in list(started):
            future.result()
    except BaseException:
        load.stop()
        raise
