"""Throughput beside other work: turns, medians, fair shares, and the end of that work."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import ttsrt_rt as rt
from ttsrt_rt.bench import company as company_module
from ttsrt_rt.bench.company import Company, executors, processes, usable_cores
from ttsrt_rt.bench.facts import EngineFacts
from ttsrt_rt.bench.load import Outcome
from ttsrt_rt.bench.requests import RequestShape
from ttsrt_rt.bench.share import Share, ShareOptions, fair_share, measure_shares

from .fakes import CODEBOOKS, FakeClock, FakeHandle, make_result

SHAPE = RequestShape(text_len=8, context_len=6, frames=6)


def streamed(*moments: float) -> Outcome:
    return Outcome(0, 0.0, ended=moments[-1], arrivals=[(moment, 2) for moment in moments])


@pytest.mark.parametrize(
    ("cores", "threads", "busy", "expected"),
    [
        (2, 2, 0, 1.0),
        (2, 2, 2, 0.5),
        (2, 2, 1, 2 / 3),
        (8, 8, 2, 0.8),
        (2, 1, 1, 1.0),
        (2, 1, 2, 2 / 3),
        (4, 2, 6, 0.5),
        (2, 4, 0, 1.0),
        (2, 4, 4, 0.5),
    ],
)
def test_the_fair_share(cores: int, threads: int, busy: int, expected: float) -> None:
    assert fair_share(cores, threads, busy) == pytest.approx(expected)


def test_figures_are_medians_over_the_repeats() -> None:
    alone, beside = Share(0), Share(2)
    for pause in (1.0, 2.0, 0.5):
        alone.add([streamed(5.0, 5.0 + pause, 5.0 + 2 * pause)])
        beside.add([streamed(5.0, 5.0 + 4 * pause, 5.0 + 8 * pause)])
    figures = beside.figures(alone, cores=2, threads=2, threads_each=1)
    assert figures["busy"] == 2 and figures["frames_per_second"] == 0.5
    assert (figures["lowest"], figures["highest"]) == (0.25, 1.0)
    assert figures["ratio"] == 0.25 and figures["fair_share"] == 0.5
    assert figures["of_fair_share"] == 0.5
    assert figures["step_ms"] == {"p50": 4000.0, "p99": 8000.0, "max": 8000.0}
    assert beside.figures(alone, cores=2, threads=2, threads_each=2)["fair_share"] < 0.5
    assert alone.figures(alone, cores=2, threads=2, threads_each=1)["of_fair_share"] == 1.0


class FakeServer:
    """Streams steps of one second, and one second more for each unit of other work."""

    def __init__(self, facts: EngineFacts, clock: FakeClock) -> None:
        self.facts, self.clock, self.busy = facts, clock, 0
        self.turns: list[int] = []
        self.slots = 1

    def stats(self) -> Any:
        class Stats:
            max_num_active_requests = self.slots

        return Stats()

    def submit(self, request: rt.Request, /) -> Any:
        self.turns.append(self.busy)
        stack = self.facts.frame_stacking
        assert request.chunk_frames == stack and request.max_frames is not None
        events = self._events(request.max_frames // stack, stack)
        return FakeHandle(make_result(request.max_frames), events)

    def _events(self, steps: int, stack: int) -> Iterator[rt.Event]:
        for step in range(steps):
            self.clock.advance(1.0 + self.busy)
            is_last = step == steps - 1
            yield rt.Event(
                codes=np.zeros((stack, CODEBOOKS), np.int32),
                first_frame=step * stack,
                is_last=is_last,
                finish_reason="length" if is_last else None,
            )

    @contextmanager
    def at_work(self, count: int) -> Iterator[None]:
        self.busy = count
        yield
        self.busy = 0


def test_amounts_of_other_work_take_turns(engine: Path) -> None:
    clock, shown = FakeClock(), list[None]()
    facts = EngineFacts.of(rt.Engine.open(str(engine)))
    server = FakeServer(facts, clock)
    company = Company("stand-ins", 1, server.at_work)
    options = ShareOptions(busy=(0, 3), repeats=2, shape=SHAPE)
    shares = measure_shares(
        server, facts, options, company=company, clock=clock, progress=lambda: shown.append(None)
    )
    assert server.turns == [0, 0, 3, 0, 3]  # once to warm up, then turns
    assert len(shown) == 4
    stack = facts.frame_stacking
    assert shares[0].frames_per_second == [stack, stack]
    assert shares[1].frames_per_second == [stack / 4, stack / 4]
    assert set(shares[1].step_ms) == {4000.0}


@pytest.mark.parametrize("case", ["tiny2503", "tinyhf"])
def test_a_tiny_engine(engine_of: Callable[[str], Path], case: str) -> None:
    options = ShareOptions(busy=(0, 1), concurrency=2, repeats=2, shape=SHAPE)
    with rt.Executor(engine_of(case), device="cpu", num_threads=1) as executor:
        shares = measure_shares(executor, EngineFacts.of(executor.engine), options)
    for share in shares:
        assert len(share.frames_per_second) == 2 and min(share.frames_per_second) > 0
        assert min(share.step_ms) >= 0


def test_processes_spin_and_end(monkeypatch: pytest.MonkeyPatch) -> None:
    ids: list[int] = []
    start = company_module.subprocess.Popen

    def spy(*arguments: Any, **options: Any) -> Any:
        process = start(*arguments, **options)
        ids.append(process.pid)
        return process

    monkeypatch.setattr(company_module.subprocess, "Popen", spy)
    with pytest.raises(KeyError), processes().at_work(2):
        assert len(ids) == 2
        for process in ids:
            os.kill(process, 0)
        raise KeyError
    for process in ids:
        with pytest.raises(ProcessLookupError):
            os.kill(process, 0)


def test_a_process_that_cannot_start(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(company_module, "_SPIN", "raise SystemExit")
    with pytest.raises(rt.InternalError, match="ended at its start"), processes().at_work(1):
        pass


def test_more_executors_decode_meanwhile(engine: Path) -> None:
    opened = rt.Engine.open(str(engine))
    company = executors(opened, SHAPE, {"device": "cpu", "num_threads": 1})
    assert company.threads_each == 1
    options = ShareOptions(busy=(0, 2), repeats=1, shape=SHAPE)
    with rt.Executor(opened, device="cpu", num_threads=1) as executor:
        shares = measure_shares(executor, EngineFacts.of(opened), options, company=company)
    assert [len(share.frames_per_second) for share in shares] == [1, 1]


def test_an_error_of_more_executors_is_raised(engine: Path) -> None:
    opened = rt.Engine.open(str(engine))
    senseless = RequestShape(text_len=10**6, context_len=6, frames=6)
    company = executors(opened, senseless, {"device": "cpu", "num_threads": 1})
    with pytest.raises(rt.InternalError, match="beside: text_len"), company.at_work(1):
        pass


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"busy": ()}, "busy: expected 0, .* got none"),
        ({"busy": (1, 2)}, "busy: expected 0, .* got 1 2"),
        ({"busy": (0, -1)}, "busy"),
        ({"busy": (0, 65)}, "busy"),
        ({"repeats": 0}, "repeats: expected 1 to 1000, got 0"),
    ],
)
def test_senseless_options(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(rt.ConfigError, match=message):
        ShareOptions(**fields)


def test_requests_that_the_engine_cannot_run(engine: Path) -> None:
    facts = EngineFacts.of(rt.Engine.open(str(engine)))
    server = FakeServer(facts, FakeClock())
    with pytest.raises(rt.ConfigError, match="concurrency: expected 1 to 1"):
        measure_shares(server, facts, ShareOptions(concurrency=2, shape=SHAPE))
    few = RequestShape(text_len=8, context_len=6, frames=2 * facts.frame_stacking)
    with pytest.raises(rt.ConfigError, match="expected 3 decoder steps or more, got 2"):
        measure_shares(server, facts, ShareOptions(shape=few))


def test_cores_are_those_of_this_process() -> None:
    assert usable_cores() == len(os.sched_getaffinity(0)) >= 1
