"""Products of one shape by rows, at every level."""

from __future__ import annotations

import statistics
from dataclasses import dataclass, field

from bench.cpu_levels.levels import at_level
from bench.walls.tables import Case, Table
from bench.walls.turns import Progress
from ttsrt_rt.bench.ops import OpBench, Peaks, measure_peaks, read_bandwidth

__all__ = ["KINDS", "ROWS", "Sweep", "levels_of", "peaks_table", "products_table"]

KINDS = ("bfloat16", "w8a8", "w4a8", "w8a16", "w4a16")
ROWS = (1, 2, 4, 8, 16, 32, 64, 128, 512)
_SHAPE = (3072, 768)  # outputs, inputs: the widest of a decoder layer of Magpie
_SECONDS = 0.02  # of a sample
_MANY_ROWS = 256  # from here on, one weight is multiplied again and again: arithmetic is the limit


@dataclass
class Sweep:
    """The samples of one product: microseconds at each level.

    Attributes:
        kind: Of its weight.
        threads: Of the team.
        rows: Of the input.
        bytes: It reads and writes.
        operations: It does; a multiply-add counts 2.
        micros: One per turn, by level.
    """

    kind: str
    threads: int
    rows: int
    bytes: int = 0
    operations: int = 0
    micros: dict[str, list[float]] = field(default_factory=dict)

    def case(self, read: float) -> Case:
        """A line of the table; `read` is GB/s that so many threads read memory at."""
        medians = {level: statistics.median(of) for level, of in self.micros.items()}
        cells: list[str] = [str(self.threads), str(self.rows)]
        figures: dict[str, object] = {"threads": self.threads, "rows": self.rows}
        for level, micros in medians.items():
            share = self.bytes / micros / 1e3 / read
            rate = self.operations / micros / 1e3
            cells += [f"{micros:.1f}", f"{rate:.0f}", f"{100 * share:.0f}"]
            figures[level] = {"us": self.micros[level], "gop_per_s": rate, "read_share": share}
        first, last = next(iter(medians.values())), list(medians.values())[-1]
        cells.append(f"{first / last:.2f}")
        return Case(self.kind, tuple(cells), figures)


def levels_of(kind: str, levels: list[str]) -> list[str]:
    """The levels that differ for these weights.

    Instructions for bfloat16 multiply nothing but bfloat16, which without them is widened.
    """
    skipped = "avx512_vnni" if kind == "bfloat16" else "avx512_bf16"
    both = {"avx512_vnni", "avx512_bf16"} <= set(levels)
    return [level for level in levels if not (both and level == skipped)]


def _bench(kind: str, rows: int, threads: int) -> OpBench:
    is_plain = kind in ("float32", "bfloat16", "float16")
    return OpBench(
        "linear",
        rows=rows,
        outputs=_SHAPE[0],
        inputs=_SHAPE[1],
        resident=rows >= _MANY_ROWS,
        dtype=kind if is_plain else "bfloat16",
        quantization="none" if is_plain else kind,
        num_threads=threads,
    )


def _measure(sweep: Sweep, levels: list[str], turns: int) -> None:
    benches = {}
    for level in levels:
        with at_level(level):
            benches[level] = _bench(sweep.kind, sweep.rows, sweep.threads)
    first = {level: bench.run(1) for level, bench in benches.items()}
    for _ in range(turns):
        for level, bench in benches.items():
            often = max(1, round(_SECONDS / max(first[level], 1e-6)))
            sweep.micros.setdefault(level, []).append(1e6 * bench.seconds_per_op(often))
            sweep.bytes, sweep.operations = bench.bytes, bench.operations


def products_table(
    levels: list[str],
    threads: list[int],
    kinds: list[str],
    rows: list[int],
    turns: int,
    progress: Progress,
) -> Table:
    """Every kind by rows; levels take turns.

    The weights of a product lie beyond all caches, but for 256 rows and more.
    """
    cases = []
    reads = {}
    for count in threads:
        reads[count] = read_bandwidth(num_threads=count, seconds=0.3)
        for kind in kinds:
            for of in rows:
                sweep = Sweep(kind, count, of)
                _measure(sweep, levels_of(kind, levels), turns)
                cases.append(sweep.case(reads[count]))
                progress(f"{kind}, {of} rows, {count} threads")
    told_levels = {kind: levels_of(kind, levels) for kind in kinds}
    columns = [
        part
        for at in range(max(len(of) for of in told_levels.values()))
        for part in (f"{' or '.join(_names(told_levels, at))}, us", "GOP/s", "of reading, %")
    ]
    told = ", ".join(f"{count} threads {read:.1f} GB/s" for count, read in reads.items())
    return Table(
        key="products",
        title=f"products of {_SHAPE[0]} x {_SHAPE[1]} from memory; {turns} turns",
        columns=("weights", "threads", "rows", *columns, "the last, times the first"),
        cases=cases,
        notes=[f"Reading: {told}."],
    )


def _names(levels: dict[str, list[str]], at: int) -> list[str]:
    return list(dict.fromkeys(of[at] for of in levels.values() if at < len(of)))


def peaks_table(levels: list[str], threads: list[int], progress: Progress) -> Table:
    """The peaks of every level."""
    cases = []
    for count in threads:
        for level in levels:
            with at_level(level):
                peaks = measure_peaks(num_threads=count, seconds=0.6)
            cases.append(_peaks_case(level, count, peaks))
            progress(f"peaks of {level}, {count} threads")
    return Table(
        key="peaks",
        title="what all threads reach in loops that do nothing else",
        columns=(
            *("level", "threads", "memory, GB/s", "shared cache, GB/s"),
            *("float32, GFLOP/s", "bfloat16, GFLOP/s", "int8, GOP/s"),
        ),
        cases=cases,
    )


def _peaks_case(level: str, threads: int, peaks: Peaks) -> Case:
    figures = {
        "read_gb_per_s": peaks.read_gb_per_s,
        "cached_gb_per_s": peaks.cached_gb_per_s,
        "float32_gflop_per_s": peaks.float32_gflop_per_s,
        "bfloat16_gflop_per_s": peaks.bfloat16_gflop_per_s,
        "int8_gop_per_s": peaks.int8_gop_per_s,
    }
    cells = (str(threads), *(f"{value:.0f}" for value in figures.values()))
    return Case(level, cells, {"threads": threads, **figures})
