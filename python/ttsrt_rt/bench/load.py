"""Offers requests to an executor, closed loop or open loop, and notes what each one met.

Decided: who waits for a request is a thread that does nothing else, so the times are those a client
would see. Closed loop: as many threads as requests in flight, each takes the next request when its
last one ended. Open loop: one thread submits by the clock; accepted requests are followed by a pool
no larger than what the executor runs at once, since requests start in the order they came, and the
pool takes them in that order.
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
    """Seconds that only go forward; tests put another in its place."""

    def now(self) -> float:
        """Seconds since some moment."""
        return time.perf_counter()

    def sleep_until(self, moment: float) -> None:
        """Returns at `moment`, or at once where it has passed."""
        time.sleep(max(moment - self.now(), 0.0))


@dataclass
class Outcome:
    """What one request met. Moments are seconds of the load's clock.

    Attributes:
        index: Its place among the requests.
        submitted: When `submit` was called.
        submit_seconds: How long that took.
        ended: When the whole result was there.
        first_frame: When the first frame was there; None where none was made.
        arrivals: Streaming: when frames came, and how many.
        frames: Codec frames made.
        steps: Decoder steps done.
        queue_seconds: From submit to the first launch.
        is_refused: Whether the queue was full.
        finish_reason: Why it ended; "" where refused.
        error: What went wrong; None where nothing did.
        codes: int32 [frames, codebooks].
    """

    index: int
    submitted: float
    submit_seconds: float = 0.0
    ended: float = 0.0
    first_frame: float | None = None
    arrivals: list[tuple[float, int]] = field(default_factory=list)
    frames: int = 0
    steps: int = 0
    queue_seconds: float = 0.0
    is_refused: bool = False
    finish_reason: str = ""
    error: str | None = None
    codes: NDArray[np.int32] | None = None

    @property
    def is_ok(self) -> bool:
        """Whether the request was accepted and has ended well."""
        return self.error is None


@dataclass
class Load:
    """How requests are offered and who is told of their ends.

    Attributes:
        submit: `Executor.submit`.
        done: Called with each outcome, from the thread that followed it.
        is_streaming: Whether events are taken as they come.
        keeps_codes: Whether outcomes carry codes.
        clock: Where times come from.
    """

    submit: Callable[[Request], RunningRequest]
    done: Callable[[Outcome], None]
    is_streaming: bool = False
    keeps_codes: bool = False
    clock: Clock = field(default_factory=Clock)

    def __post_init__(self) -> None:
        self._live: dict[int, RunningRequest] = {}
        self._is_stopped = threading.Event()

    @property
    def is_stopped(self) -> bool:
        """Whether something failed, or the user left: nothing more is offered."""
        return self._is_stopped.is_set()

    def start(self, index: int, request: Request) -> tuple[Outcome, RunningRequest | None]:
        """Submits one request; a refused one has no handle and is told to `done`.

        Raises:
            Error: Whatever `submit` raises, a full queue aside.
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
        """Waits for the end of a request and tells `done`."""
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
        if self.keeps_codes:
            outcome.codes = result.codes
        self._live.pop(outcome.index, None)
        self.done(outcome)

    def stop(self) -> None:
        """Offers nothing more and cancels what runs, so that followers come home."""
        self._is_stopped.set()
        for handle in list(self._live.values()):
            handle.cancel()

    def _take_events(self, outcome: Outcome, handle: RunningRequest) -> None:
        try:
            while (event := handle.next()) is not None:
                if len(event.codes):
                    outcome.arrivals.append((self.clock.now(), len(event.codes)))
        except InternalError:
            return  # the result says what failed


def run_closed(load: Load, requests: Iterable[Request], concurrency: int) -> float:
    """Keeps `concurrency` requests in flight until all have ended.

    Returns:
        Seconds from the first submission to the last end.

    Raises:
        Error: The first that a submission raised, a full queue aside.
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
    """Submits each request at its moment, whatever became of the ones before.

    Args:
        load: How.
        requests: What; the shorter of requests and moments counts.
        moments: Seconds after the start, not falling.
        num_followers: At least what the executor runs at once.

    Returns:
        Seconds from the first submission to the last end.

    Raises:
        Error: The first that a submission raised, a full queue aside.
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
        count: How many.
        rate: Requests per second; infinite for all at once.
        is_poisson: Exponential pauses of the same mean, in place of equal ones.
        seed: Of the pauses.
    """
    mean = 1.0 / rate
    pauses = np.full(count, mean)
    if is_poisson:
        pauses = np.random.default_rng(seed).exponential(mean, count)
    pauses[:1] = 0.0
    return [float(moment) for moment in np.cumsum(pauses)]


def _await_all(load: Load, started: Iterable[Future[None]]) -> None:
    """Starts and awaits; on the first failure, or Ctrl-C, ends the rest."""
    try:
        for future in list(started):
            future.result()
    except BaseException:
        load.stop()
        raise
