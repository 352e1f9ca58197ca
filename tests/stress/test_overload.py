"""Several threads flood a bounded queue: accepted requests end, refused ones are refused at once,
and a close during the flood works as documented.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import pytest

import ttsrt_rt as rt

from .mixing import (
    ENDLESS_FRAMES,
    SINGLE_DEVICE,
    STUCK,
    Bench,
    Spec,
    end_of,
    endless_specs,
    expect_beginning,
    expect_idle,
    expect_same,
    holding,
)

MAX_QUEUE_SIZE = 8
NUM_SLOTS = 4  # of the engine
NUM_FLOODERS = 4
NUM_ATTEMPTS = 300  # least number of attempts of one flooder
ENOUGH = 20  # number of accepted requests after which the executor is closed during the flood


@dataclass
class Flood:
    """The outcomes of one flooder's requests."""

    accepted: list[tuple[Spec, rt.Handle]] = field(default_factory=list)
    num_refused: int = 0
    has_met_the_end: bool = False


class Accepted:
    """The number of accepted requests of all flooders."""

    def __init__(self) -> None:
        self._count = 0
        self._changed = threading.Condition()

    def add(self) -> None:
        with self._changed:
            self._count += 1
            self._changed.notify_all()

    def await_count(self, count: int) -> None:
        with self._changed:
            assert self._changed.wait_for(lambda: self._count >= count, STUCK), "stuck"


def short_specs() -> list[Spec]:
    """Returns requests of a few hundred steps, so that the queue is full most of the time."""
    return [
        Spec(("ids", 3 + seed), ("voice", seed % 3), seed, (*options, ("seed", seed)))
        for seed in range(6)
        for frames in [50 * (1 + seed)]
        for options in [(("max_frames", frames), ("min_frames", frames), ("cfg_scale", 1.0))]
    ]


def flood(executor: rt.Executor, specs: list[Spec], accepted: Accepted, *, forever: bool) -> Flood:
    """Submits as fast as it can and ignores refusals, until it has tried enough or the executor is
    closed.
    """
    made = Flood()
    attempt = 0
    while forever or attempt < NUM_ATTEMPTS:
        spec = specs[attempt % len(specs)]
        attempt += 1
        try:
            handle = executor.submit(spec.request(executor.engine.info, priority=attempt % 3))
        except rt.CapacityError:
            made.num_refused += 1
            continue
        except rt.ClosedError:
            made.has_met_the_end = True
            return made
        made.accepted.append((spec, handle))
        accepted.add()
    return made


@pytest.fixture
def flooders() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(NUM_FLOODERS) as threads:
        yield threads


def start(
    threads: ThreadPoolExecutor, executor: rt.Executor, *, forever: bool
) -> tuple[list[Future[Flood]], Accepted]:
    accepted = Accepted()
    specs = short_specs()
    running = [
        threads.submit(flood, executor, specs, accepted, forever=forever)
        for _ in range(NUM_FLOODERS)
    ]
    return running, accepted


def expect_counted(executor: rt.Executor, floods: list[Flood]) -> None:
    results = [end_of(handle) for each in floods for _, handle in each.accepted]
    is_cut = [result.finish_reason == "cancelled" for result in results]
    stats = executor.stats()
    assert stats.num_submitted == len(results)
    assert stats.num_refused == sum(each.num_refused for each in floods)
    assert stats.num_cancelled == sum(is_cut)
    assert stats.num_completed == len(results) - sum(is_cut)
    assert stats.num_frames == sum(len(result.codes) for result in results)
    expect_idle(executor, [spec for each in floods for spec, _ in each.accepted])


def test_a_full_queue_refuses_at_once(bench: Bench, endless: Path) -> None:
    """The refusal does not wait for another request: none can end while all slots are occupied."""
    holder, waiter = holding(endless_specs()[0]), short_specs()[0]
    options = {"device": SINGLE_DEVICE, "max_queue_size": MAX_QUEUE_SIZE, "num_threads": 1}
    with bench.executor(endless, **options) as executor:
        info = executor.engine.info
        holders = [executor.submit(holder.request(info, priority=1)) for _ in range(NUM_SLOTS)]
        for handle in holders:
            assert handle.next(STUCK) is not None  # it has a slot
        waiting = [executor.submit(waiter.request(info)) for _ in range(MAX_QUEUE_SIZE)]
        with pytest.raises(rt.CapacityError, match="max_queue_size"):
            executor.submit(waiter.request(info))
        assert executor.stats().num_submitted == NUM_SLOTS + MAX_QUEUE_SIZE
        assert executor.stats().num_refused == 1
        given_up = waiting.pop()
        given_up.cancel()  # its place in the queue is free before any slot is free
        assert end_of(given_up).finish_reason == "cancelled"
        assert not any(handle.is_done for handle in holders)
        waiting.append(executor.submit(waiter.request(info)))
        for handle in holders:
            handle.cancel()
        for handle in waiting:
            expect_same(end_of(handle), bench.alone(endless, waiter))
        for handle in holders:
            assert end_of(handle).finish_reason == "cancelled"
        expect_same(executor.submit(waiter.request(info)).result(STUCK), end_of(waiting[0]))


def test_nothing_accepted_is_lost(
    bench: Bench, endless: Path, flooders: ThreadPoolExecutor
) -> None:
    with bench.executor(endless, max_queue_size=MAX_QUEUE_SIZE, num_threads=1) as executor:
        running, _ = start(flooders, executor, forever=False)
        floods = [each.result() for each in running]
        for each in floods:
            assert len(each.accepted) + each.num_refused == NUM_ATTEMPTS
            for spec, handle in each.accepted:
                expect_same(end_of(handle), bench.alone(endless, spec))
        expect_counted(executor, floods)
        assert executor.stats().num_failed == 0


@pytest.mark.parametrize("drain", [True, False], ids=["drain", "cut"])
def test_closing_in_the_middle_of_a_flood(
    bench: Bench, endless: Path, flooders: ThreadPoolExecutor, drain: bool
) -> None:
    executor = bench.executor(endless, max_queue_size=MAX_QUEUE_SIZE, num_threads=1)
    running, accepted = start(flooders, executor, forever=True)
    accepted.await_count(ENOUGH)
    executor.close(drain=drain)
    floods = [each.result() for each in running]
    for each in floods:
        assert each.has_met_the_end
        for spec, handle in each.accepted:
            assert handle.is_done  # close() waits
            result, whole = end_of(handle), bench.alone(endless, spec)
            if result.finish_reason == "cancelled" and not drain:
                expect_beginning(result, whole)
            else:
                expect_same(result, whole)
    expect_counted(executor, floods)
    for use in (executor.submit, executor.stream, executor.astream, executor.generate):
        with pytest.raises(rt.ClosedError):
            use(short_specs()[0].request(executor.engine.info))
    executor.close(drain=not drain)  # a second close changes nothing


def test_a_close_interrupts_a_drain(bench: Bench, endless: Path) -> None:
    spec = endless_specs()[0]
    executor = bench.executor(endless, num_threads=1)
    request = spec.request(executor.engine.info)
    handles = [executor.submit(request) for _ in range(4 * NUM_SLOTS)]
    assert handles[0].next(STUCK) is not None
    with ThreadPoolExecutor(2) as threads:
        for each in [threads.submit(executor.close, drain=drain) for drain in (True, False)]:
            each.result()
    whole = bench.alone(endless, spec)
    assert len(whole.codes) == ENDLESS_FRAMES
    for handle in handles:
        assert handle.is_done
        expect_beginning(end_of(handle), whole)
    expect_idle(executor, [spec])


def test_a_list_longer_than_the_queue_is_served_in_order(bench: Bench, endless: Path) -> None:
    """Every request of the list is served, in order of arrival."""
    specs = short_specs() * 5
    with bench.executor(endless, max_queue_size=2, num_threads=1) as executor:
        results = executor.generate([spec.request(executor.engine.info) for spec in specs])
    for spec, result in zip(specs, results, strict=True):
        expect_same(result, bench.alone(endless, spec))
