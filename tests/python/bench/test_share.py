"""Throughput beside other work: turns, medians, fair shares, and the end of that work."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import ttsrt_rt as rt
from ttsrt_rt.bench import company as company_module
from ttsrt_rt.bench.company import Company, executors, processes, usable_cores
from ttsrt_rt.bench.facts import EngineFacts
from ttsrt_rt.bench.requests import RequestShape
from ttsrt_rt.bench.share import Share, ShareOptions, fair_share, iterations_needed, measure_shares

from .fakes import FakeHandle, make_result

SHAPE = RequestShape(text_len=8, context_len=6, frames=6)


def iterations(*moments: float, first: int = 1, requests: int = 1) -> list[Any]:
    """Iterations that end at these moments, with 2 frames each."""
    return [
        SimpleNamespace(
            iter=first + place,
            timestamp=moment,
            num_frames=2 * requests,
            inflight_batching_stats=SimpleNamespace(num_gen_requests=requests),
        )
        for place, moment in enumerate(moments)
    ]


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
        alone.add(iterations(5.0, 5.0 + pause, 5.0 + 2 * pause), 0.25)
        beside.add(iterations(5.0, 5.0 + 4 * pause, 5.0 + 8 * pause))
    assert alone.others == [0.25] * 3 and beside.others == []
    figures = beside.figures(alone, cores=2, threads=2, threads_each=1)
    assert figures["busy"] == 2 and figures["frames_per_second"] == 0.5
    assert (figures["lowest"], figures["highest"]) == (0.25, 1.0)
    assert figures["ratio"] == 0.25 and figures["fair_share"] == 0.5
    assert figures["of_fair_share"] == 0.5
    assert figures["step_ms"] == {"p50": 4000.0, "p99": 8000.0, "max": 8000.0}
    assert beside.figures(alone, cores=2, threads=2, threads_each=2)["fair_share"] < 0.5
    assert alone.figures(alone, cores=2, threads=2, threads_each=1)["of_fair_share"] == 1.0


class FakeServer:
    """Its steps take one second, and one second more for each unit of other work."""

    def __init__(self, facts: EngineFacts, *, remembers: int = 1000) -> None:
        self.facts, self.remembers, self.busy = facts, remembers, 0
        self.turns: list[int] = []
        self.iterations: list[Any] = []
        self.time = 0.0

    def stats(self) -> Any:
        return SimpleNamespace(
            max_num_active_requests=1,
            num_iterations=len(self.iterations),
            iterations=self.iterations[-self.remembers :],
        )

    def submit(self, request: rt.Request, /) -> Any:
        self.turns.append(self.busy)
        assert request.max_frames is not None
        steps = request.max_frames // self.facts.frame_stacking
        first = len(self.iterations) + 1
        self.iterations += iterations(self.time, first=first, requests=0)  # an encoder
        moments = [self.time + (1.0 + self.busy) * (step + 1) for step in range(steps)]
        self.iterations += iterations(*moments, first=first + 1)
        self.time = moments[-1] + 100.0  # whatever a client waits
        return FakeHandle(make_result(request.max_frames))

    @contextmanager
    def at_work(self, count: int) -> Iterator[None]:
        self.busy = count
        yield
        self.busy = 0


def test_amounts_of_other_work_take_turns(engine: Path) -> None:
    shown = list[None]()
    facts = EngineFacts.of(rt.Engine.open(str(engine)))
    server = FakeServer(facts)
    company = Company("stand-ins", 1, server.at_work)
    options = ShareOptions(busy=(0, 3), repeats=2, shape=SHAPE)
    shares = measure_shares(
        server, facts, options, company=company, progress=lambda: shown.append(None)
    )
    assert server.turns == [0, 0, 3, 0, 3]  # once to warm up, then turns
    assert len(shown) == 4
    assert shares[0].frames_per_second == [2.0, 2.0]
    assert shares[1].frames_per_second == [0.5, 0.5]
    assert set(shares[1].step_ms) == {4000.0}  # the client's waiting doesn't count


def test_an_executor_that_remembers_too_little(engine: Path) -> None:
    facts = EngineFacts.of(rt.Engine.open(str(engine)))
    with pytest.raises(rt.ConfigError, match="iter_stats_max_iterations: expected 4 or more"):
        measure_shares(FakeServer(facts, remembers=2), facts, ShareOptions(shape=SHAPE))
    assert iterations_needed(SHAPE, 2) > 2 * SHAPE.frames


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
    server = FakeServer(facts)
    with pytest.raises(rt.ConfigError, match="concurrency: expected 1 to 1"):
        measure_shares(server, facts, ShareOptions(concurrency=2, shape=SHAPE))
    few = RequestShape(text_len=8, context_len=6, frames=2 * facts.frame_stacking)
    with pytest.raises(rt.ConfigError, match="expected 3 decoder steps or more, got 2"):
        measure_shares(server, facts, ShareOptions(shape=few))


def test_cores_are_those_of_this_process() -> None:
    assert 1 <= usable_cores() <= len(os.sched_getaffinity(0))  # fewer with a CPU quota


def test_busy_processes_end_with_their_parent() -> None:
    """A parent that is killed can end nobody, and Ctrl-C is for the parent alone."""
    script = """
import os, signal
from ttsrt_rt.bench.company import processes
with processes().at_work(2):
    print(" ".join(open(f"/proc/self/task/{os.getpid()}/children").read().split()), flush=True)
    signal.pause()
"""
    command = [sys.executable, "-c", script]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        children = [int(pid) for pid in parent.stdout.readline().split()]
        assert len(children) == 2
        assert all(os.getsid(pid) == pid for pid in children)
        parent.kill()
    end = time.monotonic() + 60
    while any(is_running(pid) for pid in children):
        assert time.monotonic() < end
        time.sleep(0.05)


def is_running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
