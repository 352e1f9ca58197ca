"""Throughput of N guided requests at once, over that of one: the gain of in-flight batching.

Because a shared machine changes from minute to minute, the numbers of requests take turns within
each repeat, on one executor, and the medians over the repeats are compared. All requests have the
same shape and none ends early.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import TYPE_CHECKING, Any

from ttsrt_rt.bench.facts import EngineFacts
from ttsrt_rt.bench.load import Load, Outcome, run_closed
from ttsrt_rt.bench.report import real_time
from ttsrt_rt.bench.requests import RequestShape, random_requests
from ttsrt_rt.errors import ConfigError, InternalError

if TYPE_CHECKING:
    from ttsrt_rt.executor import Executor

__all__ = ["Crowd", "measure_crowds", "run_crowd"]


@dataclass
class Crowd:
    """The measurements of one number of requests, one per repeat.

    Attributes:
        count: Requests at once.
        frames_per_second: Codec frames of all, from the first submission to the last end; one per
            repeat.
        step_ms: Median over requests of the time of a step after the first; one per repeat.
        first_frame_ms: Median over requests; one per repeat.
        first_audio_ms: The same of the first sound; empty for engines that end in codes.
    """

    count: int
    frames_per_second: list[float] = field(default_factory=list)
    step_ms: list[float] = field(default_factory=list)
    first_frame_ms: list[float] = field(default_factory=list)
    first_audio_ms: list[float] = field(default_factory=list)

    def add(self, outcomes: list[Outcome], seconds: float) -> None:
        """Adds a repeat."""
        first = [(o.first_frame or o.ended) - o.submitted for o in outcomes]
        rest = [
            (o.ended - o.submitted - before) / max(o.steps - 1, 1)
            for o, before in zip(outcomes, first, strict=True)
        ]
        self.frames_per_second.append(sum(o.frames for o in outcomes) / seconds)
        self.step_ms.append(1e3 * statistics.median(rest))
        self.first_frame_ms.append(1e3 * statistics.median(first))
        heard = [o.first_audio - o.submitted for o in outcomes if o.first_audio is not None]
        if heard:
            self.first_audio_ms.append(1e3 * statistics.median(heard))

    def figures(self, one: Crowd, frame_rate: float) -> dict[str, Any]:
        """Medians over the repeats, and their ratio to those of the first crowd `one`."""
        median = statistics.median(self.frames_per_second)
        return {
            "requests": self.count,
            "frames_per_second": median,
            "lowest": min(self.frames_per_second),
            "highest": max(self.frames_per_second),
            "ratio": median / statistics.median(one.frames_per_second),
            **real_time(median, frame_rate, 1.0),
            "step_ms": statistics.median(self.step_ms),
            "first_frame_ms": statistics.median(self.first_frame_ms),
            "first_audio_ms": statistics.median(self.first_audio_ms)
            if self.first_audio_ms
            else None,
        }


def measure_crowds(
    executor: Executor,
    counts: list[int],
    repeats: int,
    shape: RequestShape,
    *,
    progress: Callable[[], object] | None = None,
) -> list[Crowd]:
    """Runs crowds of each size, taking turns.

    Args:
        executor: An executor that can run the largest crowd at once.
        counts: Requests at once.
        repeats: Of each.
        shape: Of all requests.
        progress: Called after each crowd.

    Raises:
        ConfigError: The engine was not built for such requests.
        InternalError: A request failed.
    """
    facts = EngineFacts.of(executor.engine)
    slots = executor.stats().max_num_active_requests
    if not counts or min(counts) < 1 or max(counts) > slots:
        raise ConfigError(
            f"concurrency: expected 1 to {slots}, what this executor runs at once, got {counts}; "
            f"build the engine with --max_batch_size {max(counts, default=1)}"
        )
    if not 1 <= repeats <= 1000:
        raise ConfigError(f"repeats: expected 1 to 1000, got {repeats}")
    few = replace(shape, frames=min(shape.frames, 4 * facts.frame_stacking))
    run_crowd(executor, max(counts), facts, few)  # touches the memory of every slot
    crowds = [Crowd(count) for count in counts]
    for _ in range(repeats):
        for crowd in crowds:
            crowd.add(*run_crowd(executor, crowd.count, facts, shape))
            if progress is not None:
                progress()
    return crowds


def run_crowd(
    executor: Executor, count: int, facts: EngineFacts, shape: RequestShape
) -> tuple[list[Outcome], float]:
    """Runs `count` requests of one shape at once.

    Returns:
        The outcome of each, and seconds from the first submission to the last end.

    Raises:
        InternalError: A request failed.
    """
    outcomes: list[Outcome] = []
    requests = list(islice(random_requests(facts, shape), count))
    load = Load(executor.submit, outcomes.append, samples_per_frame=facts.samples_per_frame)
    seconds = run_closed(load, requests, count)
    for outcome in outcomes:
        if not outcome.is_ok:
            raise InternalError(f"request {outcome.index} of {count}: {outcome.error}")
    return outcomes, seconds
