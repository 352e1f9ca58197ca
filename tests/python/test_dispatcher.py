"""One thread wakes every asyncio stream of an executor, and lives no longer than it has to."""

from __future__ import annotations

import asyncio
import gc
import threading
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

import ttsrt_rt as rt

Ids = NDArray[np.int32]
SECONDS = 20.0  # no wait of these tests takes longer


def dispatchers() -> list[threading.Thread]:
    return [each for each in threading.enumerate() if each.name == "ttsrt-dispatcher"]


def expect_no_dispatcher() -> None:
    for thread in dispatchers():
        thread.join(SECONDS)
    assert dispatchers() == []


@pytest.fixture
def own_executor(engine: Path) -> Iterator[rt.Executor]:
    """Not shared with other tests: its thread has not started."""
    gc.collect()
    expect_no_dispatcher()
    with rt.Executor(engine, device="cpu", num_threads=1) as executor:
        yield executor


def request(text_ids: Ids, frames: int, seed: int = 0) -> rt.Request:
    return rt.Request(text_ids=text_ids, voice=0, seed=seed, max_frames=frames, min_frames=frames)


async def codes_of(events: AsyncIterator[rt.Event]) -> list[list[int]]:
    return [row async for event in events for row in event.codes.tolist()]


def test_streams_share_a_thread_that_ends_with_the_executor(
    own_executor: rt.Executor, text_ids: Ids
) -> None:
    assert dispatchers() == []  # none before the first stream

    async def run() -> list[list[list[int]]]:
        streams = [own_executor.astream(request(text_ids, 6, seed)) for seed in range(8)]
        tasks = [asyncio.ensure_future(codes_of(stream)) for stream in streams]
        await asyncio.sleep(0)
        assert len(dispatchers()) == 1
        return await asyncio.gather(*tasks)

    streamed = asyncio.run(run())
    for seed, codes in enumerate(streamed):
        assert codes == own_executor.generate(request(text_ids, 6, seed)).codes.tolist()
    assert len(dispatchers()) == 1
    own_executor.close()
    expect_no_dispatcher()


def test_dropping_the_executor_ends_the_thread(engine: Path, text_ids: Ids) -> None:
    gc.collect()
    expect_no_dispatcher()
    executor = rt.Executor(engine, device="cpu", num_threads=1)
    asyncio.run(codes_of(executor.astream(request(text_ids, 2))))
    assert len(dispatchers()) == 1
    del executor
    gc.collect()
    expect_no_dispatcher()


def test_event_loops_of_several_threads(own_executor: rt.Executor, text_ids: Ids) -> None:
    whole = own_executor.generate(request(text_ids, 6)).codes.tolist()
    seen: list[list[list[int]]] = []

    async def run() -> None:
        streams = [own_executor.astream(request(text_ids, 6)) for _ in range(3)]
        seen.extend(await asyncio.gather(*(codes_of(stream) for stream in streams)))

    threads = [threading.Thread(target=lambda: asyncio.run(run())) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(SECONDS)
    assert seen == [whole] * 12


def test_a_closed_loop_whose_streams_were_left_open(
    own_executor: rt.Executor, text_ids: Ids
) -> None:
    """The dispatcher finds the loop closed, and serves the next loop."""
    loop = asyncio.new_event_loop()
    left = own_executor.astream(request(text_ids, 200))
    loop.run_until_complete(anext(left))
    loop.close()
    assert asyncio.run(codes_of(own_executor.astream(request(text_ids, 6))))
    del left
    gc.collect()
    own_executor.close()
    expect_no_dispatcher()


def test_a_handle_may_be_followed_after_the_executor_is_closed(
    own_executor: rt.Executor, text_ids: Ids
) -> None:
    handle = own_executor.submit(request(text_ids, 6))
    own_executor.close(drain=True)

    async def follow() -> list[list[int]]:
        return await codes_of(aiter(handle))

    assert asyncio.run(follow()) == handle.result().codes.tolist()
    expect_no_dispatcher()


def test_closing_inside_the_event_loop_ends_its_streams(
    own_executor: rt.Executor, text_ids: Ids
) -> None:
    async def run() -> rt.Event:
        stream = own_executor.astream(request(text_ids, 200))
        last = await anext(stream)
        own_executor.close()
        async for event in stream:
            last = event
        return last

    last = asyncio.run(run())
    assert last.is_last and last.finish_reason == "cancelled"
    expect_no_dispatcher()


def test_an_idle_dispatcher_takes_no_processor_time(
    own_executor: rt.Executor, text_ids: Ids
) -> None:
    asyncio.run(codes_of(own_executor.astream(request(text_ids, 2))))
    assert len(dispatchers()) == 1
    begin = time.process_time()
    time.sleep(0.3)
    assert time.process_time() - begin < 0.1
