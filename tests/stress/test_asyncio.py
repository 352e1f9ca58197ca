"""Many streams in one event loop: slow or cancelled streams do not change what the others give."""

from __future__ import annotations

import asyncio
import gc
import random
import threading
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import numpy as np
import pytest

import ttsrt_rt as rt

from .mixing import (
    STUCK,
    Bench,
    Spec,
    endless_specs,
    expect_idle,
    expect_same,
    holding,
)

NUM_STREAMS = 60
NUM_SPECS = 12


@pytest.fixture(scope="module")
def engine(bench: Bench) -> Path:
    return bench.engine("tiny2512")


@pytest.fixture
def executor(bench: Bench, engine: Path) -> Iterator[rt.Executor]:
    with bench.executor(engine, num_threads=1) as opened:
        yield opened


def spec_of(index: int) -> Spec:
    options = (("cfg_scale", (1.0, 2.0)[index % 2]), ("seed", index), ("max_frames", 4 + index))
    return Spec(("ids", 2 + index), ("voice", index % 3), index, options)


SPECS = tuple(spec_of(index) for index in range(NUM_SPECS))


def expect_codes(bench: Bench, engine: Path, spec: Spec, events: list[rt.Event]) -> None:
    whole = bench.alone(engine, spec)
    codes = np.concatenate([event.codes for event in events])
    assert events[-1].is_last and events[-1].finish_reason == whole.finish_reason
    assert codes.tolist() == whole.codes.tolist()


def settle(bench: Bench, executor: rt.Executor, engine: Path) -> None:
    """Runs two requests one after the other; earlier cancels have taken effect when they end."""
    for spec in SPECS[:2]:
        request = spec.request(executor.engine.info)
        expect_same(executor.submit(request).result(STUCK), bench.alone(engine, spec))
    expect_idle(executor, SPECS)


def stream(executor: rt.Executor, spec: Spec, chunk_frames: int = 1) -> AsyncIterator[rt.Event]:
    return executor.astream(spec.request(executor.engine.info, chunk_frames=chunk_frames))


async def collect(events: AsyncIterator[rt.Event]) -> list[rt.Event]:
    return [event async for event in events]


def test_many_streams_at_once(bench: Bench, executor: rt.Executor, engine: Path) -> None:
    specs = [SPECS[index % NUM_SPECS] for index in range(NUM_STREAMS)]

    async def collect_all() -> list[list[rt.Event]]:
        streams = [stream(executor, spec, 1 + index % 4) for index, spec in enumerate(specs)]
        return await asyncio.gather(*(collect(each) for each in streams))

    for spec, events in zip(specs, asyncio.run(collect_all()), strict=True):
        expect_codes(bench, engine, spec, events)
    settle(bench, executor, engine)


def test_a_thousand_streams_need_one_thread(bench: Bench, endless: Path) -> None:
    """All are open before any of them may end."""
    four_frames = (("cfg_scale", 1.0), ("max_frames", 4), ("min_frames", 4))
    specs = [Spec(("ids", 3), ("voice", 0), 0, (("seed", seed), *four_frames)) for seed in range(5)]
    before = threading.active_count()

    async def follow(spec: Spec, may_end: asyncio.Event) -> list[rt.Event]:
        events = stream(executor, spec)
        first = await anext(events)
        await may_end.wait()
        return [first, *await collect(events)]

    async def run() -> list[list[rt.Event]]:
        may_end = asyncio.Event()
        tasks = [asyncio.create_task(follow(specs[i % 5], may_end)) for i in range(1000)]
        while executor.stats().num_completed < len(tasks):
            await asyncio.sleep(0.01)
        assert threading.active_count() <= before + 1
        assert not any(task.done() for task in tasks)
        may_end.set()
        return await asyncio.gather(*tasks)

    with bench.executor(endless, num_threads=1, max_queue_size=1000) as executor:
        streamed = asyncio.run(run())
    for index, events in enumerate(streamed):
        expect_codes(bench, endless, specs[index % 5], events)


def test_cancelled_tasks_do_not_affect_others(
    bench: Bench, executor: rt.Executor, engine: Path
) -> None:
    """Every other task is cancelled after some events, or before the first one."""
    draw = random.Random(4)
    specs = [SPECS[index % NUM_SPECS] for index in range(NUM_STREAMS)]

    async def follow(spec: Spec, moment: int | None) -> list[rt.Event]:
        task = asyncio.current_task()
        assert task is not None
        events: list[rt.Event] = []
        if moment == 0:
            task.cancel()
        async for event in stream(executor, spec):
            events.append(event)
            if len(events) == moment:
                task.cancel()
        return events

    async def follow_all() -> list[list[rt.Event] | BaseException]:
        moments = [draw.choice((None, 0, 1, 2, 3)) for _ in specs]
        tasks = [follow(spec, moment) for spec, moment in zip(specs, moments, strict=True)]
        return await asyncio.gather(*tasks, return_exceptions=True)

    ended = asyncio.run(follow_all())
    kept = [(spec, each) for spec, each in zip(specs, ended, strict=True) if isinstance(each, list)]
    assert kept and len(kept) < len(ended)
    for spec, events in kept:
        expect_codes(bench, engine, spec, events)
    assert all(isinstance(each, (list, asyncio.CancelledError)) for each in ended), ended
    settle(bench, executor, engine)


def test_a_slow_consumer_does_not_block_others(
    bench: Bench, executor: rt.Executor, engine: Path
) -> None:
    """It takes one event, waits until all others are done, and still gets every event."""
    slow, others = SPECS[-1], SPECS[:-1]

    async def dawdle(others_are_done: asyncio.Event) -> list[rt.Event]:
        events = []
        async for event in stream(executor, slow):
            events.append(event)
            await others_are_done.wait()
        return events

    async def run() -> list[list[rt.Event]]:
        others_are_done = asyncio.Event()
        slow_ones = [asyncio.create_task(dawdle(others_are_done)) for _ in range(8)]
        done = await asyncio.gather(*(collect(stream(executor, spec)) for spec in others * 3))
        assert not any(task.done() for task in slow_ones)
        others_are_done.set()
        return done + [await task for task in slow_ones]

    for spec, events in zip(others * 3 + (slow,) * 8, asyncio.run(run()), strict=True):
        expect_codes(bench, engine, spec, events)
    settle(bench, executor, engine)


def test_unread_handles_do_not_block_others(
    bench: Bench, executor: rt.Executor, engine: Path
) -> None:
    """There are more requests than slots, and no event of them is read: other requests still run,
    and the events can be read afterwards.
    """
    info = executor.engine.info
    unread = [executor.submit(spec.request(info)) for spec in SPECS]
    for spec in SPECS:
        expect_same(executor.submit(spec.request(info)).result(STUCK), bench.alone(engine, spec))
    for spec, handle in zip(SPECS, unread, strict=True):
        expect_codes(bench, engine, spec, list(handle))


def test_streams_that_are_abandoned_or_never_started(
    bench: Bench, executor: rt.Executor, engine: Path
) -> None:
    async def leave() -> None:
        never_begun = [stream(executor, spec) for spec in SPECS]
        for spec in SPECS:
            async for _ in stream(executor, spec):
                break
        del never_begun
        gc.collect()

    asyncio.run(leave())
    settle(bench, executor, engine)


def test_an_event_loop_may_end_before_its_streams(bench: Bench, endless: Path) -> None:
    """Its streams are closed with it and their requests are cancelled."""
    spec = holding(endless_specs()[0])

    async def begin() -> list[AsyncIterator[rt.Event]]:
        streams = [stream(executor, spec, chunk_frames=50) for _ in range(3)]
        for each in streams:
            await anext(each)
        return streams

    with bench.executor(endless, num_threads=1) as executor:
        streams = asyncio.run(begin())
        executor.close(drain=True)
        for thread in threading.enumerate():
            if thread.name == "ttsrt-dispatcher":
                thread.join(STUCK)
                assert not thread.is_alive()
        stats = executor.stats()
        assert (stats.num_cancelled, stats.num_active_requests) == (len(streams), 0)


def test_closing_ends_streams_as_cancelled(bench: Bench, endless: Path) -> None:
    spec = holding(endless_specs()[1])

    async def follow(begun: asyncio.Semaphore) -> list[rt.Event]:
        events = []
        async for event in stream(executor, spec, chunk_frames=50):
            if not events:
                begun.release()
            events.append(event)
        return events

    async def run() -> list[list[rt.Event]]:
        begun = asyncio.Semaphore(0)
        tasks = [asyncio.create_task(follow(begun)) for _ in range(4)]
        for _ in tasks:
            await begun.acquire()
        await asyncio.to_thread(executor.close)
        return await asyncio.gather(*tasks)

    with bench.executor(endless, num_threads=1) as executor:
        for events in asyncio.run(run()):
            assert events[-1].finish_reason == "cancelled"
            assert [event.is_last for event in events].count(True) == 1
        with pytest.raises(rt.ClosedError):
            stream(executor, spec)
