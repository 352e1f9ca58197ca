"""Offers far more requests than an executor can run: is one lost, and how long does refusing take?

Capacity is measured first, in a closed loop that keeps every slot full. Then requests arrive at a
multiple of it, although most are refused. The executor counts the frames of both parts. Memory is
the resident set of this process.
"""

from __future__ import annotations

import itertools
import os
import threading
from array import array
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from ttsrt_rt.bench.facts import EngineFacts
from ttsrt_rt.bench.figures import Figures
from ttsrt_rt.bench.load import Clock, Load, Outcome, RunningRequest, run_closed, run_open
from ttsrt_rt.bench.requests import RequestShape, random_requests
from ttsrt_rt.errors import ConfigError

if TYPE_CHECKING:
    from ttsrt_rt._core import ExecutorStats
    from ttsrt_rt.request import Request

__all__ = ["OverloadOptions", "OverloadReport", "Server", "measure_overload"]


class Server(Protocol):
    """What the measurement needs of an `Executor`."""

    def submit(self, request: Request, /) -> RunningRequest: ...
    def stats(self) -> ExecutorStats: ...


@dataclass(frozen=True, kw_only=True)
class OverloadOptions:
    """How long and how much.

    Attributes:
        seconds: Of overload.
        factor: Requests per second, as a multiple of the measured capacity.
        capacity_seconds: Of the preceding measurement of capacity.
        shape: Of all requests.
    """

    seconds: float = 60.0
    factor: float = 10.0
    capacity_seconds: float = 10.0
    shape: RequestShape = field(default_factory=lambda: RequestShape(frames=32))

    def __post_init__(self) -> None:
        for name in ("seconds", "factor", "capacity_seconds"):
            if not 0 < getattr(self, name) <= 1e5:
                raise ConfigError(f"{name}: expected above 0, got {getattr(self, name)}")


@dataclass
class _Tally:
    """Counts ended requests. It keeps only numbers, because memory is measured at the same time."""

    whole_frames: int
    whole_samples: int
    completed: int = 0
    incomplete: int = 0
    refused: int = 0
    errors: set[str] = field(default_factory=set)
    submit_seconds: array[float] = field(default_factory=lambda: array("d"))
    refuse_seconds: array[float] = field(default_factory=lambda: array("d"))
    queue_seconds: array[float] = field(default_factory=lambda: array("d"))

    def __post_init__(self) -> None:
        self._lock = threading.Lock()

    def add(self, outcome: Outcome) -> None:
        with self._lock:
            if outcome.is_refused:
                self.refused += 1
                self.refuse_seconds.append(outcome.submit_seconds)
                return
            self.submit_seconds.append(outcome.submit_seconds)
            self.queue_seconds.append(outcome.queue_seconds)
            is_whole = outcome.frames == self.whole_frames and outcome.samples == self.whole_samples
            if outcome.is_ok and is_whole:
                self.completed += 1
            else:
                self.incomplete += 1
                if len(self.errors) < 10:
                    self.errors.add(outcome.error or f"{outcome.finish_reason} too early")


@dataclass(frozen=True)
class OverloadReport:
    """What was measured. Times in milliseconds, memory in bytes.

    Attributes:
        capacity_frames_per_second: With every slot full.
        capacity_requests_per_second: The same in requests.
        asked_requests_per_second: What the open loop was to offer.
        offered: Submitted requests, `accepted` and `refused` ones.
        completed: Accepted requests that ended whole; `incomplete` ones ended otherwise, with
            `errors`.
        lost: Accepted requests that never ended.
        seconds: Of overload; `drain_seconds` later the last accepted request had ended.
        frames_per_second: Under overload, until the last submission.
        ratio: Of that to the capacity.
        refuse_ms: Of calls of `submit` that refused; `submit_ms` of those that accepted.
        queue_ms: The time that accepted requests waited.
        memory_before: Resident bytes before the overload; `memory_highest` during it,
            `memory_after` after it.
    """

    capacity_frames_per_second: float
    capacity_requests_per_second: float
    asked_requests_per_second: float
    offered: int
    accepted: int
    refused: int
    completed: int
    incomplete: int
    lost: int
    errors: list[str]
    seconds: float
    drain_seconds: float
    frames_per_second: float
    ratio: float
    refuse_ms: dict[str, float]
    submit_ms: dict[str, float]
    queue_ms: dict[str, float]
    memory_before: int
    memory_highest: int
    memory_after: int

    @property
    def is_ok(self) -> bool:
        """Whether every accepted request ended whole."""
        return self.lost == 0 and self.incomplete == 0


def measure_overload(
    server: Server,
    facts: EngineFacts,
    options: OverloadOptions,
    *,
    clock: Clock | None = None,
    memory: Callable[[], int] | None = None,
) -> OverloadReport:
    """Measures capacity, then overloads.

    Args:
        server: An executor.
        facts: Of its engine.
        options: How long and how much.
        clock: The source of all times.
        memory: Resident bytes; None reads this process's.

    Raises:
        ConfigError: The engine was not built for such requests.
        ClosedError, DeviceError: The executor cannot continue.
    """
    clock, memory = clock or Clock(), memory or resident_bytes
    frames = facts.whole_frames(options.shape.frames)
    slots = server.stats().max_num_active_requests
    capacity = _measure_capacity(server, facts, options, clock)
    rate = options.factor * capacity / frames
    tally = _Tally(frames, 0 if options.shape.codes_only else frames * facts.samples_per_frame)
    before = memory()
    highest = before
    frames_before, submitted_before = server.stats().num_frames, server.stats().num_submitted
    begin = clock.now()
    end, frames_made = begin, 0

    def moments() -> Iterator[float]:
        nonlocal highest, end, frames_made
        told = 0.0
        for index in itertools.count():
            moment = index / rate
            if clock.now() - begin >= options.seconds or moment >= options.seconds:
                break
            if moment >= told:
                highest, told = max(highest, memory()), told + options.seconds / 100
            yield moment
        end, frames_made = clock.now(), server.stats().num_frames - frames_before

    load = Load(server.submit, tally.add, samples_per_frame=facts.samples_per_frame, clock=clock)
    seconds = run_open(load, random_requests(facts, options.shape), moments(), slots + 1)
    accepted = server.stats().num_submitted - submitted_before
    made_per_second = frames_made / max(end - begin, 1e-9)
    after = memory()
    return OverloadReport(
        capacity_frames_per_second=capacity,
        capacity_requests_per_second=capacity / frames,
        asked_requests_per_second=rate,
        offered=accepted + tally.refused,
        accepted=accepted,
        refused=tally.refused,
        completed=tally.completed,
        incomplete=tally.incomplete,
        lost=accepted - tally.completed - tally.incomplete,
        errors=sorted(tally.errors),
        seconds=end - begin,
        drain_seconds=seconds - (end - begin),
        frames_per_second=made_per_second,
        ratio=made_per_second / capacity,
        refuse_ms=_milliseconds(tally.refuse_seconds),
        submit_ms=_milliseconds(tally.submit_seconds),
        queue_ms=_milliseconds(tally.queue_seconds),
        memory_before=before,
        memory_highest=max(highest, after),
        memory_after=after,
    )


def resident_bytes() -> int:
    """This process's resident set."""
    with open("/proc/self/statm", encoding="ascii") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def _measure_capacity(
    server: Server, facts: EngineFacts, options: OverloadOptions, clock: Clock
) -> float:
    """Codec frames per second with a request waiting for every slot."""
    if facts.context == "codec":  # the executor counts the frames of codes that it draws
        raise ConfigError("engine: expected one that takes texts, got a codec (bench crowd)")
    slots = server.stats().max_num_active_requests
    shape = options.shape
    few = itertools.islice(random_requests(facts, shape), 2 * slots)

    def ignore(outcome: Outcome) -> None:
        if outcome.is_refused:  # a queue shorter than the batch: its clients wait a little
            clock.sleep_until(clock.now() + 1e-3)

    load = Load(server.submit, ignore, clock=clock)
    run_closed(load, few, 2 * slots)  # warms up
    begin = clock.now()
    frames = server.stats().num_frames
    made, seconds = 0, 0.0

    def requests() -> Iterator[Request]:
        nonlocal made, seconds
        for index, request in enumerate(random_requests(facts, shape)):
            seconds = clock.now() - begin
            if index > 4 * slots and seconds >= options.capacity_seconds:
                break
            yield request
        made = server.stats().num_frames - frames

    run_closed(load, requests(), 2 * slots)
    if made == 0:
        raise ConfigError(
            f"capacity_seconds: expected enough for a request to end, got "
            f"{options.capacity_seconds}"
        )
    return made / seconds


def _milliseconds(seconds: array[float]) -> dict[str, float]:
    return vars(Figures.of(1e3 * value for value in seconds))
