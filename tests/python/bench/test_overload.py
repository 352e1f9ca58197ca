"""Overload: what is offered, refused, accepted and ended adds up. No time is asserted."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

import ttsrt_rt as rt
from ttsrt_rt.bench.facts import EngineFacts
from ttsrt_rt.bench.overload import OverloadOptions, measure_overload, resident_bytes
from ttsrt_rt.bench.requests import RequestShape

from .fakes import FakeClock, FakeServer

SHAPE = RequestShape(text_len=8, context_len=6, frames=4)


def test_the_books_of_a_stand_in(engine: Path) -> None:
    clock = FakeClock()
    server = FakeServer(capacity=4, frames=4, clock=clock, seconds=0.1)
    facts = EngineFacts.of(rt.Engine.open(str(engine)))
    options = OverloadOptions(seconds=20.0, factor=10.0, capacity_seconds=5.0, shape=SHAPE)
    report = measure_overload(server, facts, options, clock=clock, memory=lambda: 7)
    assert report.is_ok and report.lost == report.incomplete == 0
    assert report.offered == report.accepted + report.refused
    assert report.accepted == report.completed
    assert report.asked_requests_per_second == pytest.approx(
        10 * report.capacity_requests_per_second
    )
    assert report.memory_before == report.memory_highest == report.memory_after == 7
    assert server.highest <= 4 and server.in_flight == 0


def test_a_request_that_ends_early_is_told(engine: Path) -> None:
    clock = FakeClock()
    server = FakeServer(capacity=4, frames=3, clock=clock, seconds=0.1)
    facts = EngineFacts.of(rt.Engine.open(str(engine)))
    options = OverloadOptions(seconds=2.0, capacity_seconds=1.0, shape=SHAPE)
    report = measure_overload(server, facts, options, clock=clock, memory=lambda: 7)
    assert not report.is_ok and report.completed == 0 and report.lost == 0
    assert report.incomplete == report.accepted and report.errors == ["length too early"]


def test_a_tiny_engine(engine_of: Callable[[str], Path]) -> None:
    options = OverloadOptions(seconds=0.2, capacity_seconds=0.5, factor=10.0, shape=SHAPE)
    with rt.Executor(
        engine_of("tiny2503"), device="cpu", max_batch_size=2, max_queue_size=2
    ) as executor:
        facts = EngineFacts.of(executor.engine)
        report = measure_overload(executor, facts, options)
        stats = executor.stats()
    assert report.is_ok and report.accepted == report.completed > 0
    assert report.offered == report.accepted + report.refused
    assert stats.num_failed == stats.num_cancelled == stats.num_queued_requests == 0
    assert stats.num_completed == stats.num_submitted
    assert report.memory_highest >= max(report.memory_before, report.memory_after) > 0


@pytest.mark.parametrize("name", ["seconds", "factor", "capacity_seconds"])
def test_senseless_options(name: str) -> None:
    with pytest.raises(rt.ConfigError, match=f"{name}: expected above 0, got 0"):
        OverloadOptions(**{name: 0.0})


def test_resident_memory_is_counted_in_bytes() -> None:
    assert 1 << 20 < resident_bytes() < 1 << 40
