"""How much throughput remains when other work uses the same cores.

The executor itself times its steps: a client on the same cores would wait for its own share of them
before it takes an event, and would report that as the time of a step. The other work (`company.py`)
never pauses. Its amounts take turns within each repeat, on one executor, and the medians over the
repeats are compared. The system's scheduler gives every runnable thread the same time, so that
`cores / (cores + busy)` remains if there are as many threads as cores. If much less remains,
threads wait for others that are not running, or spin.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice, pairwise
from typing import TYPE_CHECKING, Any, Protocol

from ttsrt_rt.bench.company import Company, processes
from ttsrt_rt.bench.facts import EngineFacts
from ttsrt_rt.bench.figures import Figures
from ttsrt_rt.bench.load import Load, Outcome, RunningRequest, run_closed
from ttsrt_rt.bench.machine import OtherWork
from ttsrt_rt.bench.requests import RequestShape, random_requests
from ttsrt_rt.errors import ConfigError, InternalError

if TYPE_CHECKING:
    from ttsrt_rt._core import ExecutorStats, IterationStats
    from ttsrt_rt.request import Request

__all__ = [
    "Server",
    "Share",
    "ShareOptions",
    "fair_share",
    "iterations_needed",
    "measure_shares",
]

_MAX_BUSY = 64


class Server(Protocol):
    """What the measurement needs of an `Executor`."""

    def submit(self, request: Request, /) -> RunningRequest: ...
    def stats(self) -> ExecutorStats: ...


@dataclass(frozen=True, kw_only=True)
class ShareOptions:
    """What is measured, and how often.

    Attributes:
        busy: The amounts of other work, 0 first.
        concurrency: Requests in flight.
        repeats: Of each amount.
        shape: Of all requests.
    """

    busy: tuple[int, ...] = (0, 1, 2)
    concurrency: int = 1
    repeats: int = 5
    shape: RequestShape = field(default_factory=RequestShape)

    def __post_init__(self) -> None:
        counts = self.busy
        if not counts or min(counts) < 0 or max(counts) > _MAX_BUSY or counts[0] != 0:
            raise ConfigError(
                f"busy: expected 0, which the others are compared with, and then numbers up to "
                f"{_MAX_BUSY}, got {' '.join(map(str, counts)) or 'none'}"
            )
        if not 1 <= self.repeats <= 1000:
            raise ConfigError(f"repeats: expected 1 to 1000, got {self.repeats}")


@dataclass
class Share:
    """The measurements beside one amount of other work, one per repeat.

    Attributes:
        busy: Others.
        frames_per_second: Codec frames of all requests, from the end of the first iteration that
            decodes to the end of the last; one per repeat.
        step_ms: Times between the ends of such iterations, of all repeats.
        others: The part of the cores' time that other processes used, one per repeat if the system
            tells it.
    """

    busy: int
    frames_per_second: list[float] = field(default_factory=list)
    step_ms: list[float] = field(default_factory=list)
    others: list[float] = field(default_factory=list)

    def add(self, iterations: Sequence[IterationStats], others: float | None = None) -> None:
        """Adds the iterations of a repeat that decoded, two or more in their order."""
        seconds = iterations[-1].timestamp - iterations[0].timestamp
        frames = sum(iteration.num_frames for iteration in iterations[1:])
        self.frames_per_second.append(frames / max(seconds, 1e-9))
        self.step_ms += [
            1e3 * (after.timestamp - before.timestamp) for before, after in pairwise(iterations)
        ]
        self.others += [] if others is None else [others]

    def figures(self, alone: Share, cores: int, threads: int, threads_each: int) -> dict[str, Any]:
        """Medians over the repeats, and ratios to those alone; arguments as of `fair_share`."""
        median = statistics.median(self.frames_per_second)
        ratio = median / statistics.median(alone.frames_per_second)
        fair = fair_share(cores, threads, self.busy * threads_each)
        steps = Figures.of(self.step_ms)
        return {
            "busy": self.busy,
            "frames_per_second": median,
            "lowest": min(self.frames_per_second),
            "highest": max(self.frames_per_second),
            "ratio": ratio,
            "fair_share": fair,
            "of_fair_share": ratio / fair,
            "step_ms": {"p50": steps.p50, "p99": steps.p99, "max": steps.max},
        }


def fair_share(cores: int, threads: int, busy_threads: int) -> float:
    """The part of the throughput that remains if every runnable thread gets the same time.

    Args:
        cores: That all of them share.
        threads: Of the executor, of which at most `cores` run at once.
        busy_threads: Of the others, together.
    """
    wanted = threads + busy_threads
    return 1.0 if wanted <= cores else cores / wanted * threads / min(threads, cores)


def measure_shares(
    server: Server,
    facts: EngineFacts,
    options: ShareOptions,
    *,
    company: Company | None = None,
    progress: Callable[[], object] | None = None,
) -> list[Share]:
    """Decodes beside each amount of other work, which take turns.

    Args:
        server: An executor.
        facts: Of its engine.
        options: How long and beside whom.
        company: Who is busy; None for processes that spin.
        progress: Called after each turn.

    Raises:
        ConfigError: The engine wasn't built for such requests, or the executor remembers too few
            iterations: `iterations_needed` says how many.
        InternalError: A request failed, or one of the others did.
    """
    company = company or processes()
    slots = server.stats().max_num_active_requests
    if not 1 <= options.concurrency <= slots:
        raise ConfigError(
            f"concurrency: expected 1 to {slots}, what this executor runs at once, got "
            f"{options.concurrency}"
        )
    steps = facts.whole_frames(options.shape.frames) // facts.frame_stacking
    if steps < 3:
        raise ConfigError(f"frames: expected 3 decoder steps or more, got {steps}")
    few = replace(options.shape, frames=3 * facts.frame_stacking)
    _run_turn(server, facts, replace(options, shape=few))  # touches all memory once
    shares = [Share(busy) for busy in options.busy]
    for _ in range(options.repeats):
        for share in shares:
            with company.at_work(share.busy):
                work = OtherWork()
                iterations = _run_turn(server, facts, options)
                share.add(iterations, work.share())
            if progress is not None:
                progress()
    return shares


def iterations_needed(shape: RequestShape, concurrency: int) -> int:
    """Iterations that an executor must remember (`iter_stats_max_iterations`) for one turn."""
    return shape.frames + 64 * concurrency  # encoders and contexts take a few each


def _run_turn(server: Server, facts: EngineFacts, options: ShareOptions) -> list[IterationStats]:
    """Runs requests at once and returns the iterations that decoded."""
    outcomes: list[Outcome] = []
    requests = list(islice(random_requests(facts, options.shape), options.concurrency))
    before = server.stats().num_iterations
    run_closed(Load(server.submit, outcomes.append), requests, options.concurrency)
    for outcome in outcomes:
        if not outcome.is_ok:
            raise InternalError(f"request {outcome.index}: {outcome.error}")
    stats = server.stats()
    iterations = [each for each in stats.iterations if each.iter > before]
    if len(iterations) < stats.num_iterations - before:
        raise ConfigError(
            f"iter_stats_max_iterations: expected {stats.num_iterations - before} or more for a "
            f"turn, got {len(iterations)}"
        )
    decoding = [each for each in iterations if each.inflight_batching_stats.num_gen_requests > 0]
    if len(decoding) < 2:
        raise InternalError(f"expected 2 iterations or more that decode, got {len(decoding)}")
    return decoding
