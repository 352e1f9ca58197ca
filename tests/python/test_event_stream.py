"""`EventStream`: what `astream` returns."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import time
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

import ttsrt_rt as rt

Ids = NDArray[np.int32]


def request(text_ids: Ids, frames: int) -> rt.Request:
    return rt.Request(text_ids=text_ids, voice=0, max_frames=frames, min_frames=frames)


def wait_until_idle(executor: rt.Executor) -> None:
    end = time.monotonic() + 20
    while executor.stats().num_active_requests:
        assert time.monotonic() < end
        time.sleep(0.01)


@pytest.mark.parametrize("way", ["aclosing", "drop", "end of the loop"])
def test_leaving_it_cancels_the_request(engine: Path, text_ids: Ids, way: str) -> None:
    kept = []

    async def leave() -> None:
        stream = executor.astream(request(text_ids, 200))
        if way == "aclosing":
            async with contextlib.aclosing(stream) as events:
                await anext(events)
        else:
            await anext(stream)
        if way == "end of the loop":
            kept.append(stream)

    with rt.Executor(engine, device="reference") as executor:  # slow, so that it isn't over yet
        asyncio.run(leave())
        gc.collect()
        wait_until_idle(executor)
        assert executor.stats().num_cancelled == 1


def test_it_is_over_after_its_end(executor: rt.Executor, text_ids: Ids) -> None:
    async def run() -> None:
        stream = executor.astream(request(text_ids, 4))
        assert stream.__aiter__() is stream
        rows = [row async for event in stream for row in event.codes.tolist()]
        assert len(rows) == 4
        for _ in range(2):
            with pytest.raises(StopAsyncIteration):
                await anext(stream)
        await stream.aclose()

    asyncio.run(run())


def test_a_closed_one_gives_nothing(executor: rt.Executor, text_ids: Ids) -> None:
    async def run() -> None:
        stream = executor.astream(request(text_ids, 200))
        await stream.aclose()
        assert [event async for event in stream] == []

    asyncio.run(run())
