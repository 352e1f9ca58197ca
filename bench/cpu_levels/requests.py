"""Guided requests of Magpie 2503 at every level: one, many, and the phase before their frames."""

from __future__ import annotations

import statistics
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from bench.cpu_levels.levels import at_level
from bench.walls.limits import step_bytes
from bench.walls.phases import phase_seconds, phase_work
from bench.walls.tables import Case, Table
from bench.walls.turns import Progress
from ttsrt_rt.bench.crowd import Crowd, run_crowd
from ttsrt_rt.bench.facts import EngineFacts
from ttsrt_rt.bench.ops import read_bandwidth
from ttsrt_rt.bench.requests import RequestShape, random_requests
from ttsrt_rt.bench.step_turns import Case as EngineCase
from ttsrt_rt.bench.step_turns import engine_of, make_checkpoint

if TYPE_CHECKING:
    from ttsrt_rt.executor import Executor

__all__ = ["COUNTS", "Contestant", "crowds_table", "engines", "opened", "phase_table"]

COUNTS = (1, 8, 32)
_FRAMES = 40
_SHAPE = RequestShape(text_len=58, context_len=110, frames=_FRAMES, cfg_scale=2.5)
_PHASE_ROWS = 512
_ITERATIONS = 1 << 12


def engines(folder: Path, kinds: list[str]) -> dict[str, Path]:
    """The engines of 2503 with random weights of true size, made where they are not there yet."""
    checkpoint = make_checkpoint("2503", folder)
    found = {}
    for kind in kinds:
        case = EngineCase("bfloat16") if kind == "bfloat16" else EngineCase("bfloat16", kind)  # type: ignore[arg-type]
        found[kind] = engine_of(checkpoint, "2503", case, folder, max(COUNTS))
    return found


@dataclass
class Contestant:
    """An engine at a level, and its crowds by their number of requests.

    Attributes:
        kind: Of the engine's weights.
        level: Of the processor.
        executor: Runs it.
        crowds: What requests at once took.
        slowest_ms: When the last of them had its first frame, one per turn.
    """

    kind: str
    level: str
    executor: Executor
    crowds: dict[int, Crowd] = field(default_factory=dict)
    slowest_ms: dict[int, list[float]] = field(default_factory=dict)


@contextmanager
def opened(
    of: dict[str, Path], levels: list[str], threads: int, *, profile: bool = False
) -> Iterator[list[Contestant]]:
    """An executor of every engine at every level."""
    from ttsrt_rt.executor import Executor

    with ExitStack() as stack:
        found = []
        for kind, engine in of.items():
            for level in levels:
                with at_level(level):
                    executor = Executor(
                        engine,
                        device="cpu",
                        num_threads=threads,
                        iter_stats_max_iterations=_ITERATIONS,
                        profile=profile,
                    )
                found.append(Contestant(kind, level, stack.enter_context(executor)))
        yield found


def _add_crowd(one: Contestant, count: int, shape: RequestShape) -> None:
    outcomes, seconds = run_crowd(one.executor, count, EngineFacts.of(one.executor.engine), shape)
    one.crowds.setdefault(count, Crowd(count)).add(outcomes, seconds)
    waits = [(outcome.first_frame or outcome.ended) - outcome.submitted for outcome in outcomes]
    one.slowest_ms.setdefault(count, []).append(1e3 * max(waits))


def crowds_table(
    of: dict[str, Path],
    levels: list[str],
    threads: int,
    counts: list[int],
    turns: int,
    progress: Progress,
) -> Table:
    """Requests at once; engines, levels and numbers take turns."""
    cases = []
    with opened(of, levels, threads) as everyone:
        few = RequestShape(text_len=8, context_len=8, frames=4, cfg_scale=2.5)
        for one in everyone:
            run_crowd(one.executor, max(counts), EngineFacts.of(one.executor.engine), few)
        reads = [read_bandwidth(num_threads=threads, seconds=0.2)]
        for _ in range(turns):
            for one in everyone:
                for count in counts:
                    _add_crowd(one, count, _SHAPE)
                    progress(f"{one.kind}, {one.level}, {count} requests, {threads} threads")
            reads.append(read_bandwidth(num_threads=threads, seconds=0.2))
        read = statistics.median(reads)
        for one in everyone:
            cases += _crowd_cases(one, of[one.kind], threads, read)
    return Table(
        key=f"crowds-{threads}",
        title=f"2503, {threads} threads: guided requests at once, text {_SHAPE.text_len}, context "
        f"{_SHAPE.context_len}, frames 1-{_FRAMES}; {turns} turns",
        columns=(
            *("weights", "level", "requests", "frames/s", "over one", "ms per step"),
            *("one over, ms per step", "of reading, %", "first frame, ms", "the last, ms"),
        ),
        cases=cases,
        notes=[f"Reading: {read:.1f} GB/s."],
    )


def _crowd_cases(one: Contestant, engine: Path, threads: int, read: float) -> list[Case]:
    """A line for each number of requests.

    "one over" compares the frames that steps make: what N requests make in a step's time, over what
    one does.
    """
    facts = EngineFacts.of(one.executor.engine)
    steps = _FRAMES // facts.frame_stacking
    least = step_bytes(
        engine,
        context_rows=facts.context_rows(_SHAPE.context_len),
        steps=steps,
        text_len=_SHAPE.text_len,
    )
    alone = one.crowds[min(one.crowds)]
    cases = []
    for count, crowd in one.crowds.items():
        step = statistics.median(crowd.step_ms)
        rate = statistics.median(crowd.frames_per_second)
        ratio = rate / statistics.median(alone.frames_per_second)
        stepping = count * statistics.median(alone.step_ms) / step
        share = least.once / read / 1e6 / step
        first = statistics.median(crowd.first_frame_ms)
        last = statistics.median(one.slowest_ms[count])
        figures = {
            "level": one.level,
            "threads": threads,
            "requests": count,
            "frames_per_second": crowd.frames_per_second,
            "step_ms": crowd.step_ms,
            "over_one": ratio,
            "steps_over_one": stepping,
            "read_share": share,
            "first_frame_ms": crowd.first_frame_ms,
            "last_first_frame_ms": one.slowest_ms[count],
        }
        cells = (
            *(one.level, str(count), f"{rate:.0f}", f"{ratio:.2f}", f"{step:.2f}"),
            *(f"{stepping:.2f}", f"{100 * share:.0f}", f"{first:.0f}", f"{last:.0f}"),
        )
        cases.append(Case(one.kind, cells, figures))
    return cases


def phase_table(
    of: dict[str, Path],
    levels: list[str],
    threads: int,
    peaks: dict[str, tuple[float, float]],
    turns: int,
    progress: Progress,
) -> Table:
    """Encoding and prefill of one request with about 512 rows.

    Args:
        of: Engines.
        levels: Of the processor.
        threads: Of the team.
        peaks: bfloat16 and int8 peaks of each level, 1e9 operations per second.
        turns: Samples of each.
        progress: Told of every sample.
    """
    cases = []
    with opened(of, levels, threads, profile=True) as everyone:
        samples: dict[int, list[tuple[float, int, float]]] = {}
        for turn in range(turns + 1):
            for at, one in enumerate(everyone):
                found = _phase(one.executor, of[one.kind], seed=turn)
                if turn > 0:
                    samples.setdefault(at, []).append(found)
                progress(f"{one.kind}, {one.level}, prefill, {threads} threads")
        for at, one in enumerate(everyone):
            seconds = statistics.median(sample[0] for sample in samples[at])
            _, rows, products = samples[at][-1]
            peak = peaks[one.level][1 if one.kind.endswith("a8") else 0]
            rate = products / seconds / 1e9
            figures = {
                "level": one.level,
                "threads": threads,
                "rows": rows,
                "seconds": [sample[0] for sample in samples[at]],
                "gop_per_s": rate,
                "peak": peak,
                "share": rate / peak,
            }
            cells = (
                *(one.level, str(rows), f"{1e3 * seconds:.1f}", f"{rate:.0f}"),
                *(f"{100 * rate / peak:.0f}", _heaviest(one.executor)),
            )
            cases.append(Case(one.kind, cells, figures))
    return Table(
        key=f"phase-{threads}",
        title=f"2503, {threads} threads: encoding and prefill of one guided request; {turns} turns",
        columns=(
            *("weights", "level", "rows", "ms", "GOP/s of products"),
            *("of the peak, %", "heaviest stages of all runs, ms"),
        ),
        cases=cases,
        notes=["The time is that of the whole phase, attention and norms included."],
    )


def _phase(executor: Executor, engine: Path, seed: int) -> tuple[float, int, float]:
    """Seconds, rows and operations of products of one request before its first frame."""
    facts = EngineFacts.of(executor.engine)
    text = min(facts.max_text_len, _PHASE_ROWS // 4)
    columns = min((_PHASE_ROWS - text) // 2 * facts.frame_stacking, facts.max_input_len)
    shape = RequestShape(text_len=text, context_len=columns, frames=facts.frame_stacking)
    (request,) = islice(random_requests(facts, shape, seed), 1)
    seconds, rows = phase_seconds(executor, request)
    context = facts.context_rows(columns)
    work = phase_work(engine, text, context, rows - text)
    return seconds, rows, float(work.products)


def _heaviest(executor: Executor, count: int = 4) -> str:
    """The stages of encoding and prefill that took the most time so far."""
    stages = [times for times in executor.stats().stages if times.program != "decode"]
    stages.sort(key=lambda times: -times.seconds)
    return "; ".join(
        f"{times.program} {times.stage} {1e3 * times.seconds:.1f}" for times in stages[:count]
    )
