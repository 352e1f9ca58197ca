"""Closed and open loop with fakes: what is in flight, when it is submitted, what is recorded."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import numpy as np
import pytest

import ttsrt_rt as rt
from ttsrt_rt.bench.load import Load, Outcome, arrival_times, run_closed, run_open

from .fakes import PATIENCE, FakeClock, FakeHandle, make_result


def requests(count: int) -> list[rt.Request]:
    return [rt.Request(seed=index) for index in range(count)]


def test_a_closed_loop_keeps_so_many_in_flight() -> None:
    concurrency, rounds = 3, 4
    together = threading.Barrier(concurrency)  # only passes with all of them in flight
    lock = threading.Lock()
    in_flight = highest = 0

    def submit(request: rt.Request) -> FakeHandle:
        nonlocal in_flight, highest
        with lock:
            in_flight += 1
            highest = max(highest, in_flight)
        return FakeHandle(make_result(2), before_end=end)

    def end() -> None:
        nonlocal in_flight
        together.wait(PATIENCE)
        with lock:
            in_flight -= 1

    outcomes: list[Outcome] = []
    run_closed(Load(submit, outcomes.append), requests(concurrency * rounds), concurrency)
    assert highest == concurrency and in_flight == 0
    assert sorted(outcome.index for outcome in outcomes) == list(range(concurrency * rounds))


def test_an_open_loop_does_not_wait_for_ends() -> None:
    clock = FakeClock()
    is_over = threading.Event()
    submitted: list[tuple[int, float]] = []
    moments = [0.0, 0.5, 0.75, 3.0]

    def submit(request: rt.Request) -> FakeHandle:
        submitted.append((request.seed, clock.now()))
        if len(submitted) == len(moments):
            is_over.set()
        return FakeHandle(make_result(1), before_end=lambda: assert_set(is_over))

    outcomes: list[Outcome] = []
    load = Load(submit, outcomes.append, clock=clock)
    assert run_open(load, requests(9), moments, num_followers=1) == 3.0
    assert submitted == list(enumerate(moments))
    assert clock.sleeps == moments
    assert [outcome.index for outcome in outcomes] == [0, 1, 2, 3]
    assert [outcome.submitted for outcome in outcomes] == moments


def assert_set(event: threading.Event) -> None:
    assert event.wait(PATIENCE)


def test_what_streaming_notes() -> None:
    clock = FakeClock()

    def events() -> Iterator[rt.Event]:
        for pause, frames in ((2.0, 3), (0.5, 1), (0.25, 0)):
            clock.advance(pause)
            codes = np.zeros((frames, 4), np.int32)
            yield rt.Event(codes=codes, first_frame=0, is_last=frames == 0, finish_reason=None)

    outcomes: list[Outcome] = []
    load = Load(
        lambda request: FakeHandle(make_result(4, queue_seconds=0.125), events()),
        outcomes.append,
        is_streaming=True,
        keeps_codes=True,
        clock=clock,
    )
    run_closed(load, requests(1), 1)
    (outcome,) = outcomes
    assert outcome.arrivals == [(2.0, 3), (2.5, 1)]
    assert outcome.first_frame == 2.0 and outcome.ended == 2.75
    assert (outcome.frames, outcome.steps, outcome.queue_seconds) == (4, 4, 0.125)
    assert outcome.codes is not None and outcome.codes.shape == (4, 4)


def test_without_streaming_the_library_says_when_the_first_frame_came() -> None:
    outcomes: list[Outcome] = []
    load = Load(lambda request: FakeHandle(make_result(4)), outcomes.append, clock=FakeClock())
    run_closed(load, requests(1), 1)
    assert outcomes[0].first_frame == 0.5 and outcomes[0].codes is None


def test_refused_and_failed_requests_are_counted_apart() -> None:
    def submit(request: rt.Request) -> FakeHandle:
        if request.seed == 1:
            raise rt.CapacityError("the queue is full")
        return FakeHandle(make_result(0, error="broke" if request.seed == 2 else None))

    outcomes: list[Outcome] = []
    run_open(Load(submit, outcomes.append), requests(3), [0.0] * 3, 2)
    refused, failed = (next(o for o in outcomes if o.index == index) for index in (1, 2))
    assert refused.is_refused and not refused.is_ok and "full" in (refused.error or "")
    assert not failed.is_refused and failed.error == "broke" and failed.first_frame is None
    assert next(o for o in outcomes if o.index == 0).is_ok


@pytest.mark.parametrize("is_open", [False, True])
def test_a_request_that_makes_no_sense_ends_the_run(is_open: bool) -> None:
    live: list[FakeHandle] = []

    def submit(request: rt.Request) -> FakeHandle:
        if request.seed == 2:
            raise rt.ConfigError("text_ids: too many")
        handle = FakeHandle(make_result(1), before_end=lambda: assert_set(handle.is_cancelled))
        live.append(handle)
        return handle

    load = Load(submit, lambda outcome: None)
    with pytest.raises(rt.ConfigError, match="request 2: text_ids: too many"):
        if is_open:
            run_open(load, requests(9), [0.0] * 9, 2)
        else:
            run_closed(load, requests(9), 3)
    assert all(handle.is_cancelled.is_set() for handle in live)  # nothing is left running


def test_arrival_times() -> None:
    assert arrival_times(4, 2.0) == [0.0, 0.5, 1.0, 1.5]
    assert arrival_times(3, float("inf")) == [0.0, 0.0, 0.0]
    times = arrival_times(2000, 4.0, is_poisson=True, seed=420)
    assert times == arrival_times(2000, 4.0, is_poisson=True, seed=420)
    assert times != arrival_times(2000, 4.0, is_poisson=True, seed=421)
    pauses = np.diff(times)
    assert times[0] == 0.0 and (pauses >= 0).all()
    assert abs(pauses.mean() - 0.25) < 0.025 and abs(pauses.std() - 0.25) < 0.025
