"""The time of a step outside kernels, and the time of encoding and prefill.

Both come from the profile and the iterations of an executor.
"""

from __future__ import annotations

import json
import statistics
from collections.abc import Iterable
from contextlib import ExitStack
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.walls.limits import context_products, text_products
from bench.walls.products import peak_of
from bench.walls.steps import ALL_CASES
from bench.walls.tables import Case, Table, Target, spread
from bench.walls.turns import Progress
from ttsrt_rt.bench.facts import EngineFacts
from ttsrt_rt.bench.ops import Peaks, measure_peaks
from ttsrt_rt.bench.requests import RequestShape, random_requests
from ttsrt_rt.bench.step_turns import Case as EngineCase
from ttsrt_rt.bench.step_turns import engine_of, make_checkpoint, request_fields

if TYPE_CHECKING:
    from ttsrt_rt._core import StageTimes
    from ttsrt_rt.executor import Executor
    from ttsrt_rt.request import Request

__all__ = ["Outside", "PhaseWork", "outside_table", "phase_table", "phase_work"]

_OUTSIDE_TARGET = Target(0.03, is_most=True)
_PHASE_TARGET = Target(0.60, is_most=False)
_PHASE_CASES = [
    EngineCase("float32"),
    EngineCase("bfloat16"),
    EngineCase("bfloat16", "w8a16"),
    EngineCase("bfloat16", "w8a8"),
]
_HEAVIEST = 6  # stages that a profile names
_MOST_ITERATIONS = 1 << 12


@dataclass
class Outside:
    """A step's time and its parts, milliseconds, one per turn.

    Attributes:
        name: Of the engine.
        step: From one frame to the next.
        kernels: In kernels, the mean over threads.
        waits: In stages, but waiting for another thread.
        stages: Milliseconds of a step in each stage, in the last turn, waits included.
    """

    name: str
    step: list[float] = field(default_factory=list)
    kernels: list[float] = field(default_factory=list)
    waits: list[float] = field(default_factory=list)
    stages: dict[str, float] = field(default_factory=dict)

    @property
    def outside(self) -> list[float]:
        """The share of a step outside kernels, waits included."""
        return [1 - inside / all_ for inside, all_ in zip(self.kernels, self.step, strict=True)]

    def add(
        self, step_ms: float, before: Iterable[StageTimes], after: Iterable[StageTimes], steps: int
    ) -> None:
        """Adds a request of so many steps, with the stages before and after it."""
        old = {(times.program, times.stage): times for times in before}
        busy = seconds = 0.0
        self.stages = {}
        for times in after:
            if times.program != "decode":
                continue
            known = old.get((times.program, times.stage))
            spent = times.seconds - (known.seconds if known else 0.0)
            busy += times.busy_seconds - (known.busy_seconds if known else 0.0)
            seconds += spent
            self.stages[times.stage] = 1e3 * spent / steps
        self.step.append(step_ms)
        self.kernels.append(1e3 * busy / steps)
        self.waits.append(1e3 * (seconds - busy) / steps)

    def case(self) -> Case:
        """The line of the table."""
        outside = statistics.median(self.outside)
        heaviest = sorted(self.stages, key=lambda name: -self.stages[name])[:_HEAVIEST]
        figures: dict[str, Any] = {
            "profile_step_ms": self.step,
            "kernels_ms": self.kernels,
            "waits_ms": self.waits,
            "outside": outside,
            "target": _OUTSIDE_TARGET.bound,
            "stages_ms": self.stages,
        }
        cells = (
            spread(self.step),
            spread(self.kernels),
            spread(self.waits, 2),
            spread(self.outside, 1, 100),
            _OUTSIDE_TARGET.verdict(outside, 100, " %"),
            ", ".join(f"{name} {self.stages[name]:.2f}" for name in heaviest[:3]),
        )
        return Case(self.name, cells, figures)


def profile_turn(executor: Executor, fields: dict[str, Any], outside: Outside) -> None:
    """Runs one request and adds its times to `outside`."""
    before = executor.stats().stages
    metrics = executor.generate(**fields).metrics
    spent = metrics.total_seconds - metrics.first_frame_seconds
    step_ms = 1e3 * spent / (metrics.steps - 1)
    outside.add(step_ms, before, executor.stats().stages, metrics.steps)


def outside_table(folder: Path, turns: int, progress: Progress) -> Table:
    """Runs one guided request on every engine of both sizes, which take turns."""
    from ttsrt_rt.executor import Executor

    everyone: list[tuple[Outside, Executor, dict[str, Any]]] = []
    with ExitStack() as stack:
        for size in ("v2607", "2503"):
            checkpoint = make_checkpoint(size, folder)
            for case in ALL_CASES:
                engine = engine_of(checkpoint, size, case, folder)
                executor = stack.enter_context(Executor(engine, profile=True))
                fields = request_fields(checkpoint)
                executor.generate(**{**fields, "max_frames": 8})  # warms up
                everyone.append((Outside(f"{size} {case.name}"), executor, fields))
        for _ in range(turns):
            for outside, executor, fields in everyone:
                profile_turn(executor, fields, outside)
                progress(outside.name)
    return Table(
        key="outside",
        title=f"a warm step of one guided request outside kernels, ms; {turns} turns",
        columns=(
            *("", "ms per step", "in kernels", "waiting for a thread", "outside kernels, %"),
            *("target", "heaviest stages, ms"),
        ),
        cases=[outside.case() for outside, _, _ in everyone],
    )


@dataclass(frozen=True)
class PhaseWork:
    """Operations of a text's encoding and a context's prefill; a multiply-add counts 2.

    Attributes:
        products: Operations of products with weights.
        attention: Operations of scores and of sums of values.
    """

    products: int
    attention: int

    def seconds(self, kind: str, peaks: Peaks) -> float:
        """The time at the peaks of the instructions for each; attention is float32's."""
        products = self.products / peak_of(kind, peaks)
        return 1e-9 * (products + self.attention / peaks.float32_gflop_per_s)


def phase_work(engine: Path, text_len: int, context_rows: int, prefill_rows: int) -> PhaseWork:
    """The operations of one request.

    Args:
        engine: An engine folder.
        text_len: Text tokens.
        context_rows: Of one branch.
        prefill_rows: Of all branches that were computed.
    """
    model = json.loads((engine / "engine.json").read_text("utf-8"))["model"]
    encoder, decoder = model["text_encoder"], model["decoder"]

    def multiplied(shapes: dict[tuple[int, int], int], rows: int) -> int:
        return 2 * rows * sum(n * k * count for (n, k), count in shapes.items())

    def attended(stack: dict[str, Any], rows: int) -> int:
        return int(stack["layers"] * 4 * stack["dim"] * rows * (rows + 1) // 2)

    branches = prefill_rows / context_rows
    inner = decoder["cross_heads"] * decoder["cross_head_dim"]
    crossed = 4 * inner * text_len * context_rows * len(decoder["text_layers"])
    return PhaseWork(
        products=multiplied(text_products(engine), text_len)
        + multiplied(context_products(engine), prefill_rows),
        attention=attended(encoder, text_len)
        + round(branches * attended(decoder, context_rows))
        + crossed,
    )


@dataclass
class Phase:
    """Measurements of encoding and prefill on one engine, one entry per turn.

    Attributes:
        name: Of the engine.
        seconds: Of all iterations that carried any.
        ideal: At the peaks measured around.
        rows: Of text and context, all branches.
    """

    name: str
    seconds: list[float] = field(default_factory=list)
    ideal: list[float] = field(default_factory=list)
    rows: list[int] = field(default_factory=list)

    def case(self) -> Case:
        """The line of the table."""
        shares = [ideal / spent for ideal, spent in zip(self.ideal, self.seconds, strict=True)]
        share = statistics.median(shares)
        figures = {
            "phase_seconds": self.seconds,
            "ideal_seconds": self.ideal,
            "rows_computed": self.rows,
            "share": share,
            "target": _PHASE_TARGET.bound,
        }
        cells = (
            str(self.rows[-1]),
            spread(self.seconds, 0, 1e3),
            f"{1e3 * statistics.median(self.ideal):.0f}",
            spread(shares, 0, 100),
            _PHASE_TARGET.verdict(share, 100, " %"),
        )
        return Case(self.name, cells, figures)


def phase_seconds(executor: Executor, request: Request) -> tuple[float, int]:
    """Seconds and rows of a request's encoding and prefill.

    The request's only step shares an iteration with them, and its time is subtracted.
    """
    old = executor.stats()
    executor.generate(request)
    new = executor.stats()
    seconds, rows = 0.0, 0
    for found in new.iterations:
        carried = found.inflight_batching_stats.num_ctx_tokens
        if found.iter > old.num_iterations and carried > 0:
            seconds += found.iter_latency_ms / 1e3
            rows += carried
    return seconds - (decode_seconds(new.stages) - decode_seconds(old.stages)), rows


def phase_turn(executor: Executor, seed: int) -> tuple[float, int, Peaks]:
    """Seconds and rows of one request's encoding and prefill, and the peaks around them."""
    facts = EngineFacts.of(executor.engine)
    (request,) = islice(random_requests(facts, phase_shape(facts), seed), 1)
    before = measure_peaks(seconds=0.3)
    seconds, rows = phase_seconds(executor, request)
    after = measure_peaks(seconds=0.3)
    return seconds, rows, max(before, after, key=lambda peaks: peaks.float32_gflop_per_s)


def decode_seconds(stages: Iterable[StageTimes]) -> float:
    """Seconds of all decoder steps."""
    return sum(times.seconds for times in stages if times.program == "decode")


def phase_shape(facts: EngineFacts) -> RequestShape:
    """The longest text and context that an engine takes, and one step."""
    frames = facts.frame_stacking
    return RequestShape(
        text_len=facts.max_text_len, context_len=facts.max_input_len * frames, frames=frames
    )


def phase_table(folder: Path, turns: int, progress: Progress) -> Table:
    """Runs the longest text and context of 2503 on every engine, which take turns."""
    from ttsrt_rt.executor import Executor

    checkpoint = make_checkpoint("2503", folder)
    everyone: list[tuple[Phase, str, Path, Executor]] = []
    with ExitStack() as stack:
        for case in _PHASE_CASES:
            engine = engine_of(checkpoint, "2503", case, folder)
            executor = Executor(engine, profile=True, iter_stats_max_iterations=_MOST_ITERATIONS)
            stack.enter_context(executor)
            everyone.append((Phase(case.name), case.name, engine, executor))
            phase_turn(executor, seed=0)  # warms up
        for turn in range(turns):
            for phase, kind, engine, executor in everyone:
                seconds, rows, peaks = phase_turn(executor, seed=turn + 1)
                facts = EngineFacts.of(executor.engine)
                shape = phase_shape(facts)
                context = facts.context_rows(shape.context_len)
                work = phase_work(engine, shape.text_len, context, rows - shape.text_len)
                phase.seconds.append(seconds)
                phase.rows.append(rows)
                phase.ideal.append(work.seconds(kind, peaks))
                progress(kind)
    return Table(
        key="phase",
        title=f"2503: encoding a text of {shape.text_len} and prefill of {context} context rows, "
        f"one guided request; {turns} turns",
        columns=("", "rows", "ms", "at the peak", "share, %", "target"),
        cases=[phase.case() for phase, _, _, _ in everyone],
        notes=["Products count at the peak of their instructions, attention at float32's."],
    )
