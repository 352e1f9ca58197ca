"""Products alone: their share of the bandwidth for few rows, of the arithmetic peak for many."""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from bench.walls.limits import (
    context_products,
    decoder_products,
    text_products,
)
from bench.walls.steps import CLASSES
from bench.walls.tables import Case, Table, Target, spread
from bench.walls.turns import Progress
from ttsrt_rt.bench.ops import OpBench, Peaks, measure_peaks, read_bandwidth
from ttsrt_rt.bench.step_turns import Case as EngineCase
from ttsrt_rt.bench.step_turns import engine_of, make_checkpoint

__all__ = ["Shares", "few_rows_table", "many_rows_tables", "peak_of"]

_BANDWIDTH_TARGETS = {"float32": 0.88, "bfloat16": 0.88, "int8": 0.88, "int4": 0.75}
_PEAK_TARGETS = {
    64: dict.fromkeys(("float32", "bfloat16", "int8"), 0.65),
    512: {"float32": 0.80, "bfloat16": 0.80, "int8": 0.65},
}
_SECONDS = 0.1  # of a sample of one shape

Shapes = Counter[tuple[int, int]]


def bench_of(kind: str, rows: int, outputs: int, inputs: int) -> OpBench:
    """A benchmark of products in this precision; each has its own weights, beyond all caches."""
    is_plain = kind in ("float32", "bfloat16")
    return OpBench(
        "linear",
        rows=rows,
        outputs=outputs,
        inputs=inputs,
        dtype=kind if is_plain else "bfloat16",
        quantization="none" if is_plain else kind,
    )


def peak_of(kind: str, peaks: Peaks) -> float:
    """1e9 operations per second of the instructions that this precision multiplies with.

    If there are none for bfloat16, it is widened, once for many rows, and float32's count.
    """
    if kind.endswith("a8"):
        return peaks.int8_gop_per_s
    if kind == "float32":
        return peaks.float32_gflop_per_s
    return max(peaks.bfloat16_gflop_per_s, peaks.float32_gflop_per_s)


@dataclass
class Shares:
    """Samples of all products of a step in one precision.

    Attributes:
        kind: float32, bfloat16 or the name of the quantization.
        rows: Of activations.
        shares: Of the wall, one per turn.
        rates: GB/s or 1e9 operations a second.
        walls: The same at best, measured around each.
        by_shape: Shares of each (outputs, inputs).
    """

    kind: str
    rows: int
    shares: list[float] = field(default_factory=list)
    rates: list[float] = field(default_factory=list)
    walls: list[float] = field(default_factory=list)
    by_shape: dict[tuple[int, int], list[float]] = field(default_factory=dict)

    def add(self, amounts: Shapes, seconds: dict[tuple[int, int], float], wall: float) -> None:
        """One turn.

        Args:
            amounts: Bytes or operations of one product of each shape, times how many there are.
            seconds: Of as many.
            wall: 1e9 bytes or operations a second.
        """
        rate = sum(amounts.values()) / sum(seconds.values()) / 1e9
        self.rates.append(rate)
        self.walls.append(wall)
        self.shares.append(rate / wall)
        for shape, amount in amounts.items():
            self.by_shape.setdefault(shape, []).append(amount / seconds[shape] / 1e9 / wall)


def sample(
    kind: str, rows: int, shapes: Shapes, is_bytes: bool
) -> tuple[Shapes, dict[tuple[int, int], float]]:
    """Amounts and seconds of all products of each shape."""
    amounts: Shapes = Counter()
    seconds = {}
    for (outputs, inputs), count in shapes.items():
        bench = bench_of(kind, rows, outputs, inputs)
        first = bench.run(1)  # warms up, and tells how many fill the time
        each = bench.seconds_per_op(max(1, round(_SECONDS / max(first, 1e-6))))
        amounts[outputs, inputs] = count * (bench.bytes if is_bytes else bench.operations)
        seconds[outputs, inputs] = count * each
    return amounts, seconds


def measure(
    shapes: Shapes,
    rows: tuple[int, ...],
    turns: int,
    wall: Callable[[str], float],
    is_bytes: bool,
    progress: Progress,
) -> list[Shares]:
    """Measures every precision at every number of rows, in turns."""
    everyone = [Shares(kind, count) for kind in CLASSES for count in rows]
    for _ in range(turns):
        for one in everyone:
            before = wall(one.kind)
            amounts, seconds = sample(one.kind, one.rows, shapes, is_bytes)
            one.add(amounts, seconds, (before + wall(one.kind)) / 2)
            progress(f"{one.kind}, {one.rows} rows")
    return everyone


def judged(everyone: list[Shares], targets: dict[int, dict[str, float]]) -> list[Case]:
    """A line for each; the target is for the better one of a class."""
    best: dict[tuple[str, int], Shares] = {}
    for one in everyone:
        key = CLASSES[one.kind], one.rows
        if key not in best or statistics.median(one.rates) > statistics.median(best[key].rates):
            best[key] = one
    cases = []
    for one in everyone:
        name, share = CLASSES[one.kind], statistics.median(one.shares)
        bound = targets[one.rows].get(name) if best[name, one.rows] is one else None
        verdict = "" if bound is None else Target(bound, is_most=False).verdict(share, 100, " %")
        slowest = min(one.by_shape, key=lambda shape: statistics.median(one.by_shape[shape]))
        worst = 100 * statistics.median(one.by_shape[slowest])
        figures = {
            "rows": one.rows,
            "share": share,
            "shares": one.shares,
            "rates": one.rates,
            "walls": one.walls,
            "by_shape": {f"{n} x {k}": values for (n, k), values in one.by_shape.items()},
            **({} if bound is None else {"target": bound}),
        }
        cells = (
            str(one.rows),
            spread(one.rates),
            spread(one.shares, 0, 100),
            f"{worst:.0f} ({slowest[0]} x {slowest[1]})",
            f"{name} {verdict}" if verdict else "",
        )
        cases.append(Case(one.kind, cells, figures))
    return cases


def plain_engine(size: str, folder: Path) -> Path:
    """An engine that has the model's products."""
    return engine_of(make_checkpoint(size, folder), size, EngineCase("bfloat16"), folder)


def few_rows_table(folder: Path, turns: int, progress: Progress) -> Table:
    """One and two rows: bytes per second as a share of the bandwidth around each sample."""
    everyone = measure(
        decoder_products(plain_engine("v2607", folder)),
        (1, 2),
        turns,
        lambda kind: read_bandwidth(seconds=0.2),
        is_bytes=True,
        progress=progress,
    )
    walls = [wall for one in everyone for wall in one.walls]
    return Table(
        key="products-1-2",
        title=f"v2607: decoder products alone, share of memory bandwidth; {turns} turns",
        columns=("", "rows", "GB/s", "share, %", "worst shape, %", "target"),
        cases=judged(everyone, dict.fromkeys((1, 2), _BANDWIDTH_TARGETS)),
        notes=[f"Memory around the samples: {spread(walls)} GB/s."],
    )


def many_rows_tables(folder: Path, turns: int, progress: Progress) -> list[Table]:
    """64 rows, as in a step of 32 guided requests, and 512, as in prefill: share of the peak."""
    engine = plain_engine("2503", folder)
    prefill = text_products(engine) + context_products(engine)
    return [
        _many_rows(64, "decoder", decoder_products(engine), turns, progress),
        _many_rows(512, "text encoder and prefill", prefill, turns, progress),
    ]


def _many_rows(rows: int, what: str, shapes: Shapes, turns: int, progress: Progress) -> Table:
    peaks: list[Peaks] = []

    def wall(kind: str) -> float:
        peaks.append(measure_peaks(seconds=0.3))
        return peak_of(kind, peaks[-1])

    everyone = measure(shapes, (rows,), turns, wall, is_bytes=False, progress=progress)
    medians = [
        statistics.median(getattr(found, name) for found in peaks)
        for name in ("float32_gflop_per_s", "bfloat16_gflop_per_s", "int8_gop_per_s")
    ]
    return Table(
        key=f"products-{rows}",
        title=f"2503: products of {what}, {rows} rows, share of the arithmetic peak; {turns} turns",
        columns=("", "rows", "GFLOP/s", "share, %", "worst shape, %", "target"),
        cases=judged(everyone, _PEAK_TARGETS),
        notes=[
            "Peaks around the samples: float32 {:.0f}, bfloat16 {:.0f} GFLOP/s, int8 {:.0f} "
            "GOP/s. What multiplies bfloat16 by widening it is held to float32's.".format(*medians)
        ],
    )
