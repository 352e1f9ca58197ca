"""Frames per second of many guided requests, and their ratio to those of one."""

from __future__ import annotations

import statistics
from collections.abc import Iterable
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from bench.walls.steps import CLASSES
from bench.walls.tables import Case, Table, Target, spread
from bench.walls.turns import Progress
from ttsrt_rt.bench.crowd import run_crowd
from ttsrt_rt.bench.facts import EngineFacts
from ttsrt_rt.bench.ops import read_bandwidth
from ttsrt_rt.bench.requests import RequestShape
from ttsrt_rt.bench.step_turns import Case as EngineCase
from ttsrt_rt.bench.step_turns import engine_of, make_checkpoint

if TYPE_CHECKING:
    from ttsrt_rt._core import IterationStats
    from ttsrt_rt.executor import Executor

__all__ = ["CrowdTimes", "crowd_table", "split_iterations"]

_CASES = [EngineCase("bfloat16"), EngineCase("bfloat16", "w8a16"), EngineCase("bfloat16", "w8a8")]
_COUNTS = (1, 8, 32)
_SHAPE = RequestShape(text_len=58, context_len=110, frames=128, cfg_scale=2.5)
_TARGETS = {"bfloat16": 4.0, "int8": 3.2}  # of 8 requests over 1, at least
_MOST_ITERATIONS = 1 << 14


@dataclass
class CrowdTimes:
    """The measurements of one number of requests on one engine, one per turn.

    Attributes:
        kind: Of the engine.
        count: Requests at once.
        all_in: Frames per second from the first submission to the last end, text and context
            included; one per turn.
        decoding: Frames per second of steps that carried all requests and nothing else.
        others_share: Share of the time that went to steps with encoders and prefill.
    """

    kind: str
    count: int
    all_in: list[float] = field(default_factory=list)
    decoding: list[float] = field(default_factory=list)
    others_share: list[float] = field(default_factory=list)


def split_iterations(iterations: Iterable[IterationStats], count: int) -> tuple[float, float]:
    """Two figures of a crowd's iterations.

    The first is frames per second of the iterations in which all `count` requests decoded and
    nothing else ran. The second is the share of the time in iterations with encoders or prefill.
    """
    full_seconds = others = all_ = 0.0
    frames = 0
    for found in iterations:
        carried = found.inflight_batching_stats
        seconds = found.iter_latency_ms / 1e3
        all_ += seconds
        if carried.num_ctx_tokens > 0:
            others += seconds
        elif carried.num_gen_requests == count:
            full_seconds += seconds
            frames += found.num_frames
    return frames / full_seconds if full_seconds else 0.0, others / all_ if all_ else 0.0


def add_turn(times: CrowdTimes, executor: Executor, facts: EngineFacts) -> None:
    """Runs one crowd."""
    before = executor.stats().num_iterations
    outcomes, seconds = run_crowd(executor, times.count, facts, _SHAPE)
    own = [found for found in executor.stats().iterations if found.iter > before]
    decoding, others = split_iterations(own, times.count)
    times.all_in.append(sum(outcome.frames for outcome in outcomes) / seconds)
    times.decoding.append(decoding)
    times.others_share.append(others)


def crowd_cases(everyone: list[CrowdTimes]) -> list[Case]:
    """A line for each; targets are for 8 requests, and for the faster int8 precision there."""
    by_key = {(one.kind, one.count): one for one in everyone}
    best: dict[str, CrowdTimes] = {}
    for one in everyone:
        name = CLASSES[one.kind]
        if one.count == 8 and (
            name not in best
            or statistics.median(one.decoding) > statistics.median(best[name].decoding)
        ):
            best[name] = one
    cases = []
    for one in everyone:
        alone = by_key[one.kind, 1]
        decoding = ratio_of(one.decoding, alone.decoding)
        all_in = ratio_of(one.all_in, alone.all_in)
        name = CLASSES[one.kind]
        is_judged = best.get(name) is one and name in _TARGETS
        target = Target(_TARGETS[name], is_most=False) if is_judged else None
        figures = {
            "requests": one.count,
            "decoding": one.decoding,
            "all_in": one.all_in,
            "others_share": one.others_share,
            "ratio": decoding,
            "ratio_all_in": all_in,
            **({} if target is None else {"target": target.bound}),
        }
        cells = (
            str(one.count),
            spread(one.decoding, 0),
            f"{decoding:.2f}",
            spread(one.all_in, 0),
            f"{all_in:.2f}",
            f"{100 * statistics.median(one.others_share):.0f}",
            "" if target is None else f"{name} {target.verdict(decoding)}",
        )
        cases.append(Case(one.kind, cells, figures))
    return cases


def ratio_of(values: list[float], alone: list[float]) -> float:
    """The median over the turns."""
    return statistics.median(a / b for a, b in zip(values, alone, strict=True))


def crowd_table(folder: Path, turns: int, progress: Progress) -> Table:
    """1, 8 and 32 requests on every engine, taking turns."""
    from ttsrt_rt.executor import Executor

    checkpoint = make_checkpoint("2503", folder)
    everyone: list[CrowdTimes] = []
    memory: list[float] = []
    with ExitStack() as stack:
        opened = {}
        for case in _CASES:
            engine = engine_of(checkpoint, "2503", case, folder, max(_COUNTS))
            executor = Executor(
                engine,
                prefill_slice_seconds=0.0,  # so that all decode together sooner
                iter_stats_max_iterations=_MOST_ITERATIONS,
            )
            opened[case.name] = stack.enter_context(executor)
            everyone += [CrowdTimes(case.name, count) for count in _COUNTS]
        facts = {kind: EngineFacts.of(executor.engine) for kind, executor in opened.items()}
        for kind, executor in opened.items():  # uses the memory of every slot once
            run_crowd(executor, max(_COUNTS), facts[kind], RequestShape(text_len=8, frames=4))
        for _ in range(turns):
            for one in everyone:
                memory.append(read_bandwidth(seconds=0.2))
                add_turn(one, opened[one.kind], facts[one.kind])
                progress(f"{one.kind}, {one.count} requests")
    return Table(
        key="crowd",
        title=f"2503: guided requests at once, text {_SHAPE.text_len}, context "
        f"{_SHAPE.context_len}, frames 1-{_SHAPE.frames}; {turns} turns",
        columns=(
            *("", "requests", "frames/s, decoding", "over 1", "frames/s, all in", "over 1"),
            *("encoder and prefill, % of time", "target, decoding"),
        ),
        cases=crowd_cases(everyone),
        notes=[f"Memory before the samples: {spread(memory)} GB/s."],
    )
