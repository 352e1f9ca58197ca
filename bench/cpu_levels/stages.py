"""What encoding, prefill and decoding of requests consist of.

The time of each stage of each Program, as a share of the peak where the stage is a product.
"""

from __future__ import annotations

import re
import statistics
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from bench.cpu_levels.requests import Contestant, opened
from bench.walls.tables import Case, Table
from bench.walls.turns import Progress
from ttsrt_rt.bench.crowd import run_crowd
from ttsrt_rt.bench.facts import EngineFacts
from ttsrt_rt.bench.ops import read_bandwidth
from ttsrt_rt.bench.requests import RequestShape

if TYPE_CHECKING:
    from ttsrt_rt._core import StageTimes
    from ttsrt_rt.executor import Executor

__all__ = ["COUNTS", "Profile", "Spent", "kind_of", "stages_table"]

COUNTS = (1, 8)  # requests at once
_SHAPE = RequestShape(text_len=256, context_len=192, frames=8, cfg_scale=2.5)
_PRODUCT = re.compile(r"linear (\d+) x (\d+) (\S+)")
_BYTES = {"float32": 4.0, "float16": 2.0, "bfloat16": 2.0, "w8a16": 1.0, "w8a8": 1.0}
_HEAVIEST = 8  # stages of a Program that have a line each


@dataclass(frozen=True)
class Spent:
    """What a stage took: runs, seconds of the threads' mean with and without waiting."""

    runs: int = 0
    seconds: float = 0.0
    busy_seconds: float = 0.0

    def since(self, before: Spent) -> Spent:
        """What came behind `before`."""
        return Spent(
            self.runs - before.runs,
            self.seconds - before.seconds,
            self.busy_seconds - before.busy_seconds,
        )

    def plus(self, other: Spent) -> Spent:
        """Both."""
        return Spent(
            self.runs + other.runs,
            self.seconds + other.seconds,
            self.busy_seconds + other.busy_seconds,
        )


def kind_of(stage: str) -> str:
    """The kind of op that a stage belongs to."""
    if stage.startswith("pack rows of"):
        return "packing of inputs"
    if _PRODUCT.search(stage):
        return "products"
    if "attention" in stage or "store keys" in stage or "memory" in stage:
        return "attention"
    if "convolution" in stage or stage == "unfold":
        return "convolution"
    return "other"


def snapshot(stages: Iterable[StageTimes]) -> dict[tuple[str, str], Spent]:
    """What every stage of every Program took so far."""
    return {
        (times.program, times.stage): Spent(times.runs, times.seconds, times.busy_seconds)
        for times in stages
    }


@dataclass
class Profile:
    """The stages of warm requests on one engine at one level.

    Attributes:
        kind: Of the engine's weights.
        level: Of the processor.
        requests: At once.
        rows: Of every Program in one turn, all branches of all requests.
        turns: What each stage took, one entry per turn.
    """

    kind: str
    level: str
    requests: int = 1
    rows: dict[str, int] = field(default_factory=dict)
    turns: list[dict[tuple[str, str], Spent]] = field(default_factory=list)

    def add(
        self,
        before: dict[tuple[str, str], Spent],
        after: dict[tuple[str, str], Spent],
        rows: dict[str, int],
    ) -> None:
        """Adds a turn with so many rows of each Program."""
        found = {at: spent.since(before.get(at, Spent())) for at, spent in after.items()}
        self.turns.append({at: spent for at, spent in found.items() if spent.runs > 0})
        self.rows = rows

    def cases(self, peaks: tuple[float, float], read: float) -> list[Case]:
        """For each Program: its whole, its kinds of ops, and its heaviest stages.

        Args:
            peaks: bfloat16 and int8, 1e9 operations per second.
            read: GB/s of memory.
        """
        lines = []
        programs = list(dict.fromkeys(program for turn in self.turns for program, _ in turn))
        for program in programs:
            stages = self._stages(program)
            whole = self._sum(stages.values())
            lines.append(self._case(program, "all", whole, whole, peaks, read))
            kinds = list(dict.fromkeys(kind_of(stage) for stage in stages))
            sums = {
                kind: self._sum(spent for stage, spent in stages.items() if kind_of(stage) == kind)
                for kind in kinds
            }
            for kind in sorted(sums, key=lambda kind: -sums[kind].seconds):
                lines.append(self._case(program, kind, sums[kind], whole, peaks, read))
            heaviest = sorted(stages, key=lambda stage: -stages[stage].seconds)[:_HEAVIEST]
            for stage in heaviest:
                lines.append(self._case(program, stage, stages[stage], whole, peaks, read))
        return lines

    def _stages(self, program: str) -> dict[str, Spent]:
        """The median turn of each stage, by its time."""
        found: dict[str, list[Spent]] = {}
        for turn in self.turns:
            for (of, stage), spent in turn.items():
                if of == program:
                    found.setdefault(stage, []).append(spent)
        return {
            stage: sorted(turns, key=lambda spent: spent.seconds)[len(turns) // 2]
            for stage, turns in found.items()
        }

    @staticmethod
    def _sum(stages: Iterable[Spent]) -> Spent:
        total = Spent()
        for spent in stages:
            total = total.plus(spent)
        return total

    def _work(self, program: str, stage: str, runs: int) -> tuple[float, float]:
        """Operations and bytes of weights of a product's runs; a multiply-add counts 2.

        A stage of every layer has one entry, and some stage runs once in a launch: the rows of a
        run are those of a launch. Those of the local transformer are not known.
        """
        found = _PRODUCT.search(stage)
        if found is None or stage.startswith(("pack", "local")) or program not in self.rows:
            return 0.0, 0.0
        launches = min(spent.runs for spent in self._stages(program).values())
        elements = int(found[1]) * int(found[2])
        rows = self.rows[program] / launches
        return 2.0 * elements * rows * runs, elements * runs * _BYTES.get(found[3], 0.5)

    def _case(
        self,
        program: str,
        what: str,
        spent: Spent,
        whole: Spent,
        peaks: tuple[float, float],
        read: float,
    ) -> Case:
        stages = self._stages(program)
        parts = [what] if what in stages else []
        if what in ("all", "products"):
            parts = list(stages)
        operations = moved = 0.0
        for stage in parts:
            more = self._work(program, stage, stages[stage].runs)
            operations, moved = operations + more[0], moved + more[1]
        peak = peaks[1 if self.kind.endswith("a8") else 0]
        rate = operations / max(spent.seconds, 1e-12) / 1e9
        figures = {
            "level": self.level,
            "requests": self.requests,
            "program": program,
            "stage": what,
            "rows": self.rows.get(program, 0),
            "runs": spent.runs,
            "ms": [1e3 * self._seconds(turn, program, what) for turn in self.turns],
            "waiting_ms": 1e3 * (spent.seconds - spent.busy_seconds),
            "share_of_program": spent.seconds / max(whole.seconds, 1e-12),
            "gop_per_s": rate,
            "share_of_peak": rate / peak,
            "share_of_reading": moved / max(spent.seconds, 1e-12) / 1e9 / read,
        }
        told = (
            *(f"{rate:.0f}", f"{100 * rate / peak:.1f}"),
            f"{moved / max(spent.seconds, 1e-12) / 1e7 / read:.0f}",
        )
        cells = (
            *(self.level, str(self.requests), program, what, str(spent.runs)),
            f"{1e3 * spent.seconds:.2f}",
            f"{1e3 * (spent.seconds - spent.busy_seconds):.2f}",
            f"{100 * spent.seconds / max(whole.seconds, 1e-12):.0f}",
            *(told if operations > 0 else ("", "", "")),
        )
        return Case(self.kind, cells, figures)

    def _seconds(self, turn: dict[tuple[str, str], Spent], program: str, what: str) -> float:
        return sum(
            spent.seconds
            for (of, stage), spent in turn.items()
            if of == program and what in ("all", stage, kind_of(stage))
        )


def stages_table(
    of: dict[str, Path],
    levels: list[str],
    threads: int,
    peaks: dict[str, tuple[float, float]],
    turns: int,
    progress: Progress,
) -> Table:
    """One guided request at a time, and some at once; engines and levels take turns.

    Args:
        of: Engines.
        levels: Of the processor.
        threads: Of the team.
        peaks: bfloat16 and int8 peaks of each level, 1e9 operations per second.
        turns: Samples of each, behind one that warms up.
        progress: Told of every sample.
    """
    with opened(of, levels, threads, profile=True) as everyone:
        profiles = {
            (at, count): Profile(one.kind, one.level, count)
            for at, one in enumerate(everyone)
            for count in COUNTS
        }
        reads = [read_bandwidth(num_threads=threads, seconds=0.2)]
        for turn in range(turns + 1):
            for (at, _), profile in profiles.items():
                _run(everyone[at], profile, is_warm=turn > 0)
                progress(f"{profile.kind}, {profile.level}, stages, {profile.requests} requests")
        reads.append(read_bandwidth(num_threads=threads, seconds=0.2))
    read = statistics.median(reads)
    cases = [
        case for profile in profiles.values() for case in profile.cases(peaks[profile.level], read)
    ]
    return Table(
        key=f"stages-{threads}",
        title=f"2503, {threads} threads: stages of warm guided requests, text {_SHAPE.text_len}, "
        f"context {_SHAPE.context_len}, frames 1-{_SHAPE.frames}; medians of {turns} turns",
        columns=(
            *("weights", "level", "requests", "Program", "stage", "runs", "ms"),
            *("of these waiting", "of the Program, %", "GOP/s", "of the peak, %", "of reading, %"),
        ),
        cases=cases,
        notes=[
            f"Reading: {read:.1f} GB/s. Of reading: weights alone, once per run. Waiting: for the "
            "last thread, the mean over threads."
        ],
    )


def _run(one: Contestant, profile: Profile, *, is_warm: bool) -> None:
    """The requests of a turn; the first of all only warms up."""
    executor: Executor = one.executor
    facts = EngineFacts.of(executor.engine)
    shape = RequestShape(
        text_len=min(_SHAPE.text_len, facts.max_text_len),
        context_len=min(_SHAPE.context_len, facts.max_input_len),
        frames=facts.whole_frames(_SHAPE.frames),
        cfg_scale=_SHAPE.cfg_scale,
    )
    old = executor.stats()
    run_crowd(executor, profile.requests, facts, shape)
    new = executor.stats()
    if not is_warm:
        return
    carried = sum(
        found.inflight_batching_stats.num_ctx_tokens
        for found in new.iterations
        if found.iter > old.num_iterations
    )
    texts = profile.requests * shape.text_len
    steps = profile.requests * (shape.frames // facts.frame_stacking)
    rows = {"encode_text": texts, "prefill": carried - texts, "decode": 2 * steps}
    profile.add(snapshot(old.stages), snapshot(new.stages), rows)
