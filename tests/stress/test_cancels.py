"""Thousands of cancels at random moments, in every possible way, leave no request or memory behind.

TTSRT_CANCELS sets their number. A request here would run for thousands of frames; it is cancelled
after a random number of events.
"""

from __future__ import annotations

import asyncio
import ctypes
import gc
import os
import queue
import random
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import ttsrt_rt as rt

from .mixing import (
    STUCK,
    Bench,
    Spec,
    end_of,
    endless_specs,
    expect_beginning,
    expect_idle,
    expect_same,
)

NUM_CANCELS = int(os.environ.get("TTSRT_CANCELS", "4000"))
NUM_WORKERS = 3  # threads that cancel; one more thread runs an event loop
NUM_TASKS = 8  # streams at once in the event loop
CHUNK_FRAMES = 50  # frames per event: Python could not read single frames fast enough
WARM_UP = 5  # this fraction of the cancels runs before memory is first measured
MAX_GROWTH = 4 << 20  # bytes: a kilobyte for each cancel of the default number


class Canceller:
    """A thread that cancels every handle that it is given, as soon as it can."""

    def __init__(self) -> None:
        self._handles: queue.SimpleQueue[rt.Handle | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> Canceller:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._handles.put(None)
        self._thread.join()

    def take(self, handle: rt.Handle) -> None:
        self._handles.put(handle)

    def _run(self) -> None:
        while (handle := self._handles.get()) is not None:
            handle.cancel()


def take_events(handle: rt.Handle, count: int) -> None:
    """Waits for some events or for the end."""
    for _ in range(count):
        if handle.next(STUCK) is None:
            return


def by_itself(handle: rt.Handle, moment: int, canceller: Canceller) -> rt.Result:
    take_events(handle, moment)
    handle.cancel()
    handle.cancel()
    return end_of(handle)


def by_another_thread(handle: rt.Handle, moment: int, canceller: Canceller) -> rt.Result:
    take_events(handle, moment)
    canceller.take(handle)
    while handle.next(STUCK) is not None:
        pass
    return end_of(handle)


def at_once(handle: rt.Handle, moment: int, canceller: Canceller) -> rt.Result:
    handle.cancel()
    return end_of(handle)


def by_dropping_it(handle: rt.Handle, moment: int, canceller: Canceller) -> None:
    take_events(handle, moment)


def by_leaving_it(handle: rt.Handle, moment: int, canceller: Canceller) -> None:
    events = iter(handle)
    del handle
    for taken, _ in enumerate(events):
        if taken >= moment:
            break


WAYS: tuple[Callable[[rt.Handle, int, Canceller], rt.Result | None], ...] = (
    *(by_itself, by_another_thread, at_once, by_dropping_it, by_leaving_it),
)


def cancel_many(
    executor: rt.Executor, wholes: dict[Spec, rt.Result], count: int, seed: int
) -> None:
    """Cancels requests in random ways, except those of asyncio."""
    draw = random.Random(seed)
    info = executor.engine.info
    with Canceller() as canceller:
        for _ in range(count):
            spec = draw.choice(list(wholes))
            request = spec.request(info, priority=draw.randint(-1, 1))
            way = draw.choice(WAYS)
            result = way(executor.submit(request), int(draw.expovariate(0.2)), canceller)
            if result is not None and result.finish_reason == "cancelled":
                expect_beginning(result, wholes[spec])
            elif result is not None:  # the request ended before it was cancelled
                assert way is by_another_thread
                expect_same(result, wholes[spec])


async def follow(executor: rt.Executor, request: rt.Request, moment: int) -> None:
    """Cancels itself after `moment` events; 0 means before the first event."""
    task = asyncio.current_task()
    assert task is not None
    if moment == 0:
        task.cancel()
    taken = 0
    async for _ in executor.astream(request):
        taken += 1
        if taken == moment:
            task.cancel()


async def cancel_tasks(
    executor: rt.Executor, wholes: dict[Spec, rt.Result], count: int, seed: int
) -> None:
    """Cancels asyncio streams, several at a time."""
    draw = random.Random(seed)
    info = executor.engine.info

    async def some(share: int) -> None:
        for _ in range(share):
            request = draw.choice(list(wholes)).request(info, chunk_frames=CHUNK_FRAMES)
            stream = follow(executor, request, int(draw.expovariate(0.2)))
            ended = await asyncio.gather(stream, return_exceptions=True)
            assert isinstance(ended[0], asyncio.CancelledError), ended

    shares = (count // NUM_TASKS + (task < count % NUM_TASKS) for task in range(NUM_TASKS))
    await asyncio.gather(*(some(share) for share in shares))


def cancel_from_everywhere(
    executor: rt.Executor, wholes: dict[Spec, rt.Result], count: int, seed: int
) -> None:
    share = count // (NUM_WORKERS + 1)
    with ThreadPoolExecutor(NUM_WORKERS) as threads:
        running = [
            threads.submit(cancel_many, executor, wholes, share, seed * NUM_WORKERS + worker)
            for worker in range(NUM_WORKERS)
        ]
        asyncio.run(cancel_tasks(executor, wholes, count - NUM_WORKERS * share, seed))
        for each in running:
            each.result()


def resident_bytes() -> int:
    """Returns resident memory; free memory first goes back to the system, if that is supported."""
    gc.collect()
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def num_threads() -> int:
    return len(list(Path("/proc/self/task").iterdir()))


def expect_as_new(executor: rt.Executor, wholes: dict[Spec, rt.Result]) -> None:
    """Runs all requests twice; earlier cancels have taken effect when the second round ends."""
    for _ in range(2):
        handles = [executor.submit(spec.request(executor.engine.info)) for spec in wholes]
        for handle, whole in zip(handles, wholes.values(), strict=True):
            expect_same(end_of(handle), whole)
    expect_idle(executor, wholes)


def test_cancels_leave_nothing_behind(bench: Bench, endless: Path) -> None:
    wholes = {spec: bench.alone(endless, spec) for spec in endless_specs()}
    with bench.executor(endless, num_threads=1) as executor:
        attack = partial(cancel_from_everywhere, executor, wholes)
        attack(NUM_CANCELS // WARM_UP, seed=1)
        expect_as_new(executor, wholes)
        threads, before = num_threads(), resident_bytes()
        attack(NUM_CANCELS - NUM_CANCELS // WARM_UP, seed=2)
        expect_as_new(executor, wholes)
        assert resident_bytes() - before < MAX_GROWTH
        assert num_threads() <= threads
        stats = executor.stats()
    assert stats.num_submitted == NUM_CANCELS + 4 * len(wholes)
    assert NUM_CANCELS // 2 < stats.num_cancelled <= NUM_CANCELS and stats.num_failed == 0
