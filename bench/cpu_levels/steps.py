"""What bounds a step with many threads: reading, unpacking narrow weights, and barriers."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.walls.tables import Case, Table, Target, spread
from bench.walls.turns import Progress
from ttsrt_rt.bench.ops import barrier_seconds
from ttsrt_rt.bench.step_turns import Case as EngineCase
from ttsrt_rt.bench.step_turns import engine_of, make_checkpoint, request_fields

if TYPE_CHECKING:
    from ttsrt_rt.executor import Executor

__all__ = ["NARROW", "READING", "barriers_table", "narrow_engines", "narrow_table", "reading_table"]

# Weights with wide inputs, and those with inputs of a byte that they are held to.
NARROW = {"w8a16": "w8a8", "w4a16": "w4a8"}
READING = Target(0.85, is_most=False)
_UNPACKING = Target(1.3, is_most=True)


def reading_table(crowds: Sequence[Case], threads: int) -> Table:
    """The share of the read rate that the steps of one request reach, of the crowds' cases."""
    alone = [case for case in crowds if case.figures["requests"] == 1]
    cases = []
    for case in alone:
        share, level = case.figures["read_share"], case.figures["level"]
        cells = (level, f"{100 * share:.0f}", READING.verdict(share, 100, " %"))
        figures = {"level": level, "threads": threads, "share": share, "target": READING.bound}
        cases.append(Case(case.name, cells, figures))
    return Table(
        key=f"reading-{threads}",
        title=f"2503, {threads} threads, one guided request: weights, keys and values of a step "
        "over the read rate of this run",
        columns=("weights", "level", "share, %", "target"),
        cases=cases,
    )


def narrow_engines(folder: Path) -> tuple[Path, dict[str, Path]]:
    """The checkpoint of v2607 with random weights, and its engines of narrow weights."""
    checkpoint = make_checkpoint("v2607", folder)
    kinds = [kind for pair in NARROW.items() for kind in pair]
    return checkpoint, {
        kind: engine_of(checkpoint, "v2607", EngineCase("bfloat16", kind), folder)  # type: ignore[arg-type]
        for kind in kinds
    }


@dataclass
class _Contestant:
    kind: str
    executor: Executor
    step_ms: list[float] = field(default_factory=list)

    def run(self, fields: dict[str, Any], *, is_kept: bool) -> None:
        metrics = self.executor.generate(**fields).metrics
        spent = metrics.total_seconds - metrics.first_frame_seconds
        if is_kept:
            self.step_ms.append(1e3 * spent / (metrics.steps - 1))


def narrow_table(folder: Path, threads: int, turns: int, progress: Progress) -> Table:
    """Steps of one guided request of v2607: w8a16 over w8a8, and w4a16 over w4a8, in turns."""
    from ttsrt_rt.executor import Executor

    checkpoint, engines = narrow_engines(folder)
    fields = request_fields(checkpoint)
    with ExitStack() as stack:
        everyone = [
            _Contestant(
                kind,
                stack.enter_context(Executor(engine, device="cpu", num_threads=threads)),
            )
            for kind, engine in engines.items()
        ]
        for turn in range(turns + 1):
            for one in everyone:
                one.run(fields, is_kept=turn > 0)
                progress(f"v2607 {one.kind}, {threads} threads")
    steps = {one.kind: one.step_ms for one in everyone}
    return Table(
        key=f"narrow-{threads}",
        title=f"v2607, {threads} threads, one guided request: a step; {turns} turns",
        columns=("weights", "ms per step", "over inputs of a byte", "target"),
        cases=[_narrow_case(kind, steps, threads) for kind in steps],
    )


def _narrow_case(kind: str, steps: dict[str, list[float]], threads: int) -> Case:
    figures: dict[str, Any] = {"threads": threads, "step_ms": steps[kind]}
    if kind not in NARROW:
        return Case(kind, (spread(steps[kind], 2), "", ""), figures)
    ratio = statistics.median(
        mine / other for mine, other in zip(steps[kind], steps[NARROW[kind]], strict=True)
    )
    figures |= {"ratio": ratio, "target": _UNPACKING.bound}
    return Case(kind, (spread(steps[kind], 2), f"{ratio:.2f}", _UNPACKING.verdict(ratio)), figures)


def barriers_table(threads: list[int], turns: int, progress: Progress) -> Table:
    """How long a team waits for itself, for every size that is half of the next one."""
    sizes = sorted({max(count >> shift, 1) for count in threads for shift in range(8)})
    found: dict[int, list[float]] = {size: [] for size in sizes}
    for _ in range(turns):
        for size in sizes:
            found[size].append(1e6 * barrier_seconds(num_threads=size))
            progress(f"barriers of {size} threads")
    return Table(
        key="barriers",
        title=f"an empty barrier, microseconds; {turns} turns",
        columns=("threads", "us", "100 and 300 of them, ms"),
        cases=[
            Case(
                str(size),
                (spread(micros, 2), _many(statistics.median(micros))),
                {"threads": size, "us": micros},
            )
            for size, micros in found.items()
        ],
        notes=["A step has about 100 barriers in 2503 and 300 in v2607."],
    )


def _many(micros: float) -> str:
    return f"{micros * 0.1:.2f}, {micros * 0.3:.2f}"
