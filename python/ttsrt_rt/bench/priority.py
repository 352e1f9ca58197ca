"""How long a request of high priority waits for its first frame while low ones take every place.

Rounds take turns, so that a machine whose speed changes does not favour one: each measures a few
high requests alone, then as many while low requests decode in all places. A high request comes a
random moment after the last one has ended. Times are the executor's own: submission to first frame.
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from ttsrt_rt.bench.facts import EngineFacts
from ttsrt_rt.bench.figures import percentile
from ttsrt_rt.bench.load import Clock
from ttsrt_rt.bench.requests import RequestShape, random_requests
from ttsrt_rt.errors import ConfigError

if TYPE_CHECKING:
    from ttsrt_rt.executor import Executor
    from ttsrt_rt.handle import Handle
    from ttsrt_rt.request import Request

__all__ = ["PriorityOptions", "PriorityReport", "measure_priority"]


@dataclass(frozen=True, kw_only=True)
class PriorityOptions:
    """How much is measured.

    Attributes:
        rounds: Of idle and loaded measurements, which take turns.
        requests: High requests of one measurement.
        pause_ms: The longest time between two of them; each is random.
        shape: Of the high requests; the low ones have the same texts and `low_frames`.
        high_frames: Frames of a high request.
    """

    rounds: int = 10
    requests: int = 20
    pause_ms: float = 5.0
    shape: RequestShape = field(default_factory=lambda: RequestShape(frames=256))
    high_frames: int = 8

    def __post_init__(self) -> None:
        for name, most in (("rounds", 10**5), ("requests", 10**5), ("high_frames", 10**6)):
            if not 1 <= getattr(self, name) <= most:
                raise ConfigError(f"{name}: expected 1 to {most}, got {getattr(self, name)}")
        if not 0 <= self.pause_ms <= 1e5:
            raise ConfigError(f"pause_ms: expected 0 to 100000, got {self.pause_ms}")


@dataclass(frozen=True)
class PriorityReport:
    """First frames of high requests, in milliseconds.

    Attributes:
        idle_ms: Alone.
        loaded_ms: While low requests take every place.
        num_low: Low requests that ran at once.
        num_preemptions: How often one of them paused.
    """

    idle_ms: list[float]
    loaded_ms: list[float]
    num_low: int
    num_preemptions: int

    def percentile(self, percent: float) -> tuple[float, float]:
        """Of idle and loaded first frames."""
        return percentile(self.idle_ms, percent), percentile(self.loaded_ms, percent)

    @property
    def ratio(self) -> float:
        """The 95th percentile under load, relative to the idle one."""
        idle, loaded = self.percentile(95)
        return loaded / max(idle, 1e-9)


def measure_priority(
    executor: Executor, options: PriorityOptions, *, clock: Clock | None = None
) -> PriorityReport:
    """Measures rounds of both.

    Raises:
        ConfigError: The engine was not built for such requests.
    """
    facts, clock = EngineFacts.of(executor.engine), clock or Clock()
    low = _requests(facts, options.shape, options.shape.frames, 0)
    high = _requests(facts, options.shape, options.high_frames, 1)
    count = executor.info.max_batch_size
    draw = random.Random(5)
    idle: list[float] = []
    loaded: list[float] = []
    for _ in range(3):  # warms up
        executor.generate(next(high))
    for _ in range(options.rounds):
        idle += _measure(executor, high, [], low, options, draw, clock)
        running = [executor.submit(next(low)) for _ in range(count)]
        try:
            loaded += _measure(executor, high, running, low, options, draw, clock)
        finally:
            for handle in running:
                handle.cancel()
            for handle in running:
                handle.wait()
    return PriorityReport(idle, loaded, count, executor.stats().num_preemptions)


def _requests(
    facts: EngineFacts, shape: RequestShape, frames: int, priority: int
) -> Iterator[Request]:
    whole = facts.whole_frames(frames)
    for request in random_requests(facts, replace(shape, frames=whole), seed=7 + priority):
        yield replace(request, priority=priority)


def _measure(
    executor: Executor,
    high: Iterator[Request],
    running: list[Handle],
    low: Iterator[Request],
    options: PriorityOptions,
    draw: random.Random,
    clock: Clock,
) -> list[float]:
    """First frames of high requests; low ones that have ended are replaced before each."""
    times: list[float] = []
    for request in itertools.islice(high, options.requests):
        for index, handle in enumerate(running):
            if handle.is_done:
                running[index] = executor.submit(next(low))
        clock.sleep_until(clock.now() + draw.uniform(0.0, options.pause_ms) / 1e3)
        result = executor.generate(request)
        times.append(1e3 * result.metrics.first_frame_seconds)
    return times
