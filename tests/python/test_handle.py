"""`Handle` as a future: `await`, `done`, callbacks; and `agenerate` over the same one thread."""

from __future__ import annotations

import asyncio
import gc
import logging
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import ttsrt_rt as rt

Ids = NDArray[np.int32]
SECONDS = 20.0  # no wait of these tests takes longer


@pytest.fixture
def own_executor(engine: Path) -> Iterator[rt.Executor]:
    with rt.Executor(engine, device="reference", max_queue_size=3) as executor:
        yield executor


def request(text_ids: Ids, frames: int = 6, **fields: Any) -> rt.Request:
    lengths = {"max_frames": frames, "min_frames": frames}
    return rt.Request(**{"text_ids": text_ids, "voice": 0, **lengths, **fields})


def wait_until_idle(executor: rt.Executor) -> None:
    end = time.monotonic() + SECONDS
    while executor.stats().num_active_requests + executor.stats().num_queued_requests:
        assert time.monotonic() < end
        time.sleep(0.01)


def test_await_gives_the_result(own_executor: rt.Executor, text_ids: Ids) -> None:
    async def run() -> tuple[rt.Result, rt.Result]:
        handle = own_executor.submit(request(text_ids, seed=3))
        result = await handle
        assert handle.done() and handle.is_done
        return result, await handle

    result, again = asyncio.run(run())
    assert again is result
    whole = own_executor.generate(request(text_ids, seed=3))
    assert result.codes.tolist() == whole.codes.tolist()


def test_await_together_with_a_stream(own_executor: rt.Executor, text_ids: Ids) -> None:
    """Both watch one request; neither takes what the other waits for."""

    async def run() -> None:
        handle = own_executor.submit(request(text_ids))
        waits = [asyncio.create_task(wait_for(handle)) for _ in range(3)]
        rows = [row async for event in handle for row in event.codes.tolist()]
        for result in await asyncio.gather(*waits):
            assert result.codes.tolist() == rows

    asyncio.run(run())


async def wait_for(handle: rt.Handle) -> rt.Result:
    return await handle


def test_futures_tools_take_a_handle(own_executor: rt.Executor, text_ids: Ids) -> None:
    async def run() -> None:
        results = await asyncio.gather(
            *(own_executor.submit(request(text_ids, seed=seed)) for seed in range(3))
        )
        assert [len(result.codes) for result in results] == [6, 6, 6]
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(own_executor.submit(request(text_ids, 200)), timeout=0)

    asyncio.run(run())
    wait_until_idle(own_executor)


def test_many_awaits_share_one_thread(engine: Path, text_ids: Ids) -> None:
    async def run(executor: rt.Executor) -> list[rt.Result]:
        waits = [executor.agenerate(request(text_ids[:4], 2, seed=seed)) for seed in range(200)]
        tasks = [asyncio.create_task(wait) for wait in waits]
        await asyncio.sleep(0)
        assert threading.active_count() <= before + 1
        return await asyncio.gather(*tasks)

    with rt.Executor(engine, device="cpu", num_threads=1, max_queue_size=200) as executor:
        before = threading.active_count()
        results = asyncio.run(run(executor))
        for seed in (0, 99, 199):
            alone = executor.generate(request(text_ids[:4], 2, seed=seed))
            assert results[seed].codes.tolist() == alone.codes.tolist()


def test_agenerate_takes_all_forms(own_executor: rt.Executor, text_ids: Ids) -> None:
    """Also more requests than the queue holds."""
    codes = own_executor.generate(request(text_ids, seed=3)).codes.tolist()

    async def run() -> None:
        one = await own_executor.agenerate(request(text_ids), seed=3)
        assert one.codes.tolist() == codes
        many = await own_executor.agenerate([request(text_ids, seed=3)] * 12)
        assert [each.codes.tolist() for each in many] == [codes] * 12
        fields: dict[str, Any] = {"voice": 0, "seed": 3, "max_frames": 6, "min_frames": 6}
        texts = await own_executor.agenerate([text_ids, [10**6]], **fields)
        assert texts[0].codes.tolist() == codes
        assert texts[1].finish_reason == "error" and "text_ids" in (texts[1].error or "")
        with pytest.raises(rt.ConfigError, match=r"agenerate: .*text_ids=ids"):
            await own_executor.agenerate([1, 2, 3])
        with pytest.raises(rt.ConfigError):
            await own_executor.agenerate(request(text_ids, voice=99))

    asyncio.run(run())


@pytest.mark.parametrize("many", [False, True], ids=["one", "many"])
def test_cancelling_the_task_cancels_the_requests(
    own_executor: rt.Executor, text_ids: Ids, many: bool
) -> None:
    long = request(text_ids, 200)

    async def run() -> None:
        wait = own_executor.agenerate([long] * 9 if many else long)
        task = asyncio.ensure_future(wait)
        while own_executor.stats().num_active_requests == 0:
            await asyncio.sleep(0.001)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(run())
    wait_until_idle(own_executor)
    assert own_executor.stats().num_cancelled > 0


def test_closing_ends_an_await_as_cancelled(own_executor: rt.Executor, text_ids: Ids) -> None:
    async def run() -> rt.Result:
        task = asyncio.ensure_future(own_executor.agenerate(request(text_ids, 200)))
        while own_executor.stats().num_active_requests == 0:
            await asyncio.sleep(0.001)
        await asyncio.to_thread(own_executor.close)
        return await task

    assert asyncio.run(run()).finish_reason == "cancelled"


def test_a_callback_is_called_once_with_the_handle(
    own_executor: rt.Executor, text_ids: Ids
) -> None:
    calls: list[tuple[str, rt.Handle, bool]] = []
    ended = threading.Event()
    handle = own_executor.submit(request(text_ids, 200))
    handle.add_done_callback(lambda of: calls.append(("first", of, of.done())))
    handle.add_done_callback(lambda of: calls.append(("second", of, of.done())))
    handle.add_done_callback(lambda of: ended.set())
    assert ended.wait(SECONDS)
    handle.add_done_callback(lambda of: calls.append(("late", of, of.done())))  # at once
    assert calls == [(name, handle, True) for name in ("first", "second", "late")]
    own_executor.close()
    assert len(calls) == 3


def test_an_exception_of_a_callback_is_logged(
    own_executor: rt.Executor, text_ids: Ids, caplog: pytest.LogCaptureFixture
) -> None:
    ended = threading.Event()

    def broken(handle: rt.Handle) -> None:
        raise ValueError("the callback's own")

    with caplog.at_level(logging.ERROR, "ttsrt_rt"):
        handle = own_executor.submit(request(text_ids, 200))
        handle.add_done_callback(broken)
        handle.add_done_callback(lambda of: ended.set())
        assert ended.wait(SECONDS)
        handle.add_done_callback(broken)  # at once, and logged too
    assert [record.exc_info is not None for record in caplog.records] == [True, True]
    assert "the callback's own" in caplog.text and f"request {handle.id}" in caplog.text


def test_a_request_with_a_callback_needs_no_handle(
    own_executor: rt.Executor, text_ids: Ids
) -> None:
    reasons: list[str] = []
    ended = threading.Event()

    def tell(handle: rt.Handle) -> None:
        reasons.append(handle.result().finish_reason)
        ended.set()

    own_executor.submit(request(text_ids)).add_done_callback(tell)
    gc.collect()
    assert ended.wait(SECONDS)
    assert reasons == ["length"]


def test_callbacks_of_cancelled_and_failed_requests(
    own_executor: rt.Executor, text_ids: Ids
) -> None:
    reasons: dict[str, str] = {}
    ended = threading.Semaphore(0)

    def tell(name: str, handle: rt.Handle) -> None:
        reasons[name] = handle.wait().finish_reason
        ended.release()

    late = own_executor.submit(request(text_ids, 200, deadline=1e-6))
    late.add_done_callback(lambda of: tell("late", of))
    assert ended.acquire(timeout=SECONDS)  # before the executor is closed
    cancelled = own_executor.submit(request(text_ids, 200))
    cancelled.add_done_callback(lambda of: tell("cancelled", of))
    cancelled.cancel()
    closed = own_executor.submit(request(text_ids, 200))
    closed.add_done_callback(lambda of: tell("closed", of))
    own_executor.close()
    for _ in range(2):
        assert ended.acquire(timeout=SECONDS)
    assert reasons == {"late": "deadline", "cancelled": "cancelled", "closed": "cancelled"}


def test_a_callback_must_be_callable(executor: rt.Executor, text_ids: Any) -> None:
    handle = executor.submit(text_ids=text_ids, voice=0, max_frames=2)
    with pytest.raises(rt.ConfigError, match="callback: expected a function of a handle, got 5"):
        handle.add_done_callback(5)  # type: ignore[arg-type]


def test_requests_that_were_cancelled_leave_room_in_the_queue(engine: Path) -> None:
    with rt.Executor(engine, max_batch_size=1, max_queue_size=2, num_threads=1) as executor:
        fields: dict[str, Any] = {"text_ids": [3, 4, 5], "voice": 0, "max_frames": 200}
        for _ in range(30):
            handles = []
            with pytest.raises(rt.CapacityError):
                for _ in range(10):
                    handles.append(executor.submit(**fields, min_frames=200))
            for handle in handles:
                handle.cancel()
            executor.submit(**fields).cancel()
            for handle in handles:
                handle.wait()
