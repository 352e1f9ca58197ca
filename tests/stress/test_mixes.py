"""In any mix of requests, each gives bit for bit the result that it gives alone, and frees all it
used.

TTSRT_MIXES sets the number of mixes:
    TTSRT_MIXES=500 python -m pytest tests/stress/test_mixes.py
The progress of other requests, not the clock, decides when a request is submitted or cancelled, so
a failing mix usually fails again; hypothesis prints it.
"""

from __future__ import annotations

import os
import threading
from concurrent.futures import ThreadPoolExecutor

from hypothesis import given, settings

import ttsrt_rt as rt

from .mixing import (
    STUCK,
    Bench,
    expect_beginning,
    expect_events,
    expect_idle,
    expect_same,
)
from .strategies import Entry, Mix, mixes

NUM_MIXES = int(os.environ.get("TTSRT_MIXES", "50"))


class Board:
    """The progress of every request, on which submissions and cancels wait."""

    def __init__(self, count: int) -> None:
        self._frames = [0] * count
        self._has_ended = [False] * count
        self._handles: list[rt.Handle | None] = [None] * count
        self._changed = threading.Condition()

    def submitted(self, index: int, handle: rt.Handle) -> None:
        with self._changed:
            self._handles[index] = handle
            self._changed.notify_all()

    def delivered(self, index: int, frames: int) -> None:
        with self._changed:
            self._frames[index] += frames
            self._changed.notify_all()

    def ended(self, index: int) -> None:
        with self._changed:
            self._has_ended[index] = True
            self._changed.notify_all()

    def await_progress(self, index: int, frames: int) -> None:
        with self._changed:
            self._wait(lambda: self._has_ended[index] or self._frames[index] >= frames)

    def await_handle(self, index: int) -> rt.Handle | None:
        """Waits for the handle and returns it; None if the request ended without one."""
        with self._changed:
            self._wait(lambda: self._has_ended[index] or self._handles[index] is not None)
            return self._handles[index]

    def _wait(self, is_true: object) -> None:
        assert self._changed.wait_for(is_true, STUCK), "stuck"  # type: ignore[arg-type]


def cancel(board: Board, index: int, at: tuple[int, int]) -> None:
    board.await_progress(*at)
    handle = board.await_handle(index)
    if handle is not None:
        handle.cancel()


def follow(
    executor: rt.Executor, board: Board, index: int, entry: Entry
) -> tuple[list[rt.Event], rt.Result]:
    """Submits a request at its point of progress and reads its events."""
    try:
        if entry.after is not None:
            board.await_progress(*entry.after)
        request = entry.spec.request(executor.engine.info, **dict(entry.fields))
        handle = executor.submit(request)
        board.submitted(index, handle)
        events = []
        while (event := handle.next(STUCK)) is not None:
            events.append(event)
            board.delivered(index, len(event.codes))
        return events, handle.result(STUCK)
    finally:
        board.ended(index)


def run(executor: rt.Executor, mix: Mix) -> list[tuple[list[rt.Event], rt.Result]]:
    """Runs the mix and returns events and result of each request."""
    board = Board(len(mix.entries))
    cancels = [(index, each.cancel) for index, each in enumerate(mix.entries) if each.cancel]
    with ThreadPoolExecutor(len(mix.entries) + len(cancels)) as threads:
        followed = [
            threads.submit(follow, executor, board, index, entry)
            for index, entry in enumerate(mix.entries)
        ]
        cancelled = [threads.submit(cancel, board, index, at) for index, at in cancels]
        for each in cancelled:
            each.result()
        return [each.result() for each in followed]


def expect_as_alone(entry: Entry, result: rt.Result, whole: rt.Result) -> None:
    """Checks that the result is that of the request alone, or its beginning if it ended early."""
    fields = dict(entry.fields)
    reasons = {"cancelled"} if entry.cancel else set()
    reasons |= {"deadline"} if "deadline" in fields else set()
    if result.finish_reason in reasons:
        expect_beginning(result, whole)
    else:
        expect_same(result, whole)


@settings(max_examples=NUM_MIXES, deadline=None, database=None, print_blob=True)
@given(mix=mixes())
def test_any_mix_gives_what_each_gives_alone(bench: Bench, mix: Mix) -> None:
    engine = bench.engine(mix.kind, mix.dtype)
    with bench.executor(engine, **dict(mix.options)) as executor:
        ran = run(executor, mix)
        expect_idle(executor, [entry.spec for entry in mix.entries])
        stats = executor.stats()
    for entry, (events, result) in zip(mix.entries, ran, strict=True):
        expect_as_alone(entry, result, bench.alone(engine, entry.spec))
        expect_events(events, result, dict(entry.fields).get("chunk_frames", 1))
    assert stats.num_submitted == len(mix.entries)
    assert stats.num_failed == 0
    assert stats.num_frames == sum(len(result.codes) for _, result in ran)
