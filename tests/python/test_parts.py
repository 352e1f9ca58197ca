"""A request of several parts, with a library that is a fake: order, ends, deadlines, watchers.

tests/python/f5/test_long_text.py has the same with an engine.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import ttsrt_rt as rt
from ttsrt_rt.errors import CapacityError, ClosedError, ConfigError, InternalError
from ttsrt_rt.f5.rules import WaveJoiner
from ttsrt_rt.parts import Parts, PartsPlan
from ttsrt_rt.spoken import SpokenText

RATE = 100


class Native:
    """A part in flight, which ends when it is told to, or at once."""

    def __init__(self, result: rt.Result, *, waits: bool = False) -> None:
        self.id = 7
        self._made = result
        self.ended = threading.Event()
        if not waits:
            self.ended.set()

    def result(self, timeout: float | None) -> rt.Result:
        assert self.ended.wait(20) and timeout is None
        return self._made

    def cancel(self) -> None:
        if not self.ended.is_set():
            codes = np.zeros((0, 0), np.int32)
            self._made = rt.Result(codes=codes, finish_reason="cancelled")
            self.ended.set()


class Library:
    """Answers requests in order: with what a part made, or with an error."""

    def __init__(self, *answers: Native | Exception) -> None:
        self.answers = [*answers]
        self.asked: list[rt.Request] = []

    def __call__(self, request: rt.Request) -> Any:
        self.asked.append(request)
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer


@pytest.fixture(autouse=True)
def results_as_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rt.Result, "_from_native", staticmethod(lambda result: result))


def made(value: float, reason: Any = "stop", error: str | None = None) -> rt.Result:
    audio = np.full(10, value, np.float32) if reason == "stop" else None
    codes = np.zeros((0, 0), np.int32)
    fields: dict[str, Any] = {"finish_reason": reason, "error": error, "sample_rate": RATE}
    return rt.Result(codes=codes, audio=audio, **fields)


def plan(count: int, deadline: float | None = None, gain: float = 1.0) -> PartsPlan:
    spoken = SpokenText(
        text="a", ids=np.ones(count, np.int32), spans=None, chunks=(1,) * count, language="",
        frame_rate=10.0, sample_rate=RATE,
    )  # fmt: skip
    requests = [rt.Request(text_ids=[index]) for index in range(count)]
    return PartsPlan(requests, [5] * count, WaveJoiner(0.0, RATE), gain, deadline, spoken)


def ended(parts: Parts) -> rt.Result:
    result = parts.result(20)
    assert result is not None and parts.is_done
    return result


def test_parts_run_one_behind_the_other() -> None:
    first = Native(made(1.0), waits=True)
    library = Library(first, Native(made(2.0)))
    parts = Parts(plan(2, gain=0.5), library)
    assert parts.id == 7 and parts.next(0.01) == (None, True) and len(library.asked) == 1
    assert not parts.is_done and parts.result(0) is None
    first.ended.set()
    result = ended(parts)
    assert [each.text_ids for each in library.asked] == [[0], [1]]
    assert result.audio is not None and result.audio.tolist() == [0.5] * 10 + [1.0] * 10
    assert result.chunk_frames is not None and result.chunk_frames.tolist() == [5, 5]
    assert (result.text, result.seconds, result.finish_reason) == ("a", 0.2, "stop")
    events = [parts.next()[0] for _ in range(3)]
    assert [each is not None and each.is_last for each in events] == [False, False, True]
    assert parts.next() == (None, False)


@pytest.mark.parametrize(
    ("second", "reason", "told"),
    [
        (Native(made(0.0, "error", "no memory")), "error", "no memory"),
        (InternalError("it broke"), "error", "it broke"),
        (ZeroDivisionError("x"), "error", r"text: ZeroDivisionError"),
        (ClosedError("closed"), "cancelled", None),
        (Native(made(0.0, "deadline")), "deadline", None),
    ],
)
def test_an_end_keeps_what_was_made(second: Any, reason: str, told: str | None) -> None:
    result = ended(Parts(plan(3), Library(Native(made(1.0)), second)))
    assert result.finish_reason == reason and result.audio is not None
    assert result.audio.tolist() == [1.0] * 10
    assert (result.error or "").startswith(told or "")


def test_a_full_queue_is_waited_for_and_the_first_part_is_refused() -> None:
    full = CapacityError("the queue is full")
    library = Library(Native(made(1.0)), full, full, Native(made(2.0)))
    assert ended(Parts(plan(2), library)).finish_reason == "stop"
    assert len(library.asked) == 4
    with pytest.raises(CapacityError, match="queue is full"):
        Parts(plan(2), Library(full))


def test_a_deadline_is_of_all_parts() -> None:
    library = Library(Native(made(1.0)), Native(made(2.0)))
    ended(Parts(plan(2, deadline=50.0), library))
    first, second = (each.deadline for each in library.asked)
    assert first == 50.0 and second is not None and 0 < second < 50.0
    late = Library(Native(made(1.0)), *[CapacityError("full")] * 1000)
    assert ended(Parts(plan(2, deadline=0.1), late)).finish_reason == "deadline"


def test_cancel_and_let_go() -> None:
    for end in ("cancel", "let_go"):
        library = Library(Native(made(1.0)), Native(made(2.0), waits=True))
        parts = Parts(plan(3), library)
        assert parts.next(20)[0] is not None
        getattr(parts, end)()
        result = ended(parts)
        assert result.finish_reason == "cancelled" and len(library.asked) <= 2
        getattr(parts, end)()


def test_watchers() -> None:
    first = Native(made(1.0), waits=True)
    parts = Parts(plan(1), Library(first))
    told: list[str] = []

    def tell(name: str) -> Callable[[], None]:
        return lambda: told.append(name)

    parts.watch(1, False, tell("all"))
    parts.watch(2, True, tell("end"))
    parts.watch(3, False, tell("nobody"))
    parts.unwatch(3)
    parts.unwatch(3)
    assert told == []
    first.ended.set()
    ended(parts)
    for _ in range(2000):  # watchers are told behind the result
        if "end" in told:
            break
        time.sleep(0.01)
    assert told == ["all", "all", "end"]  # the sound, and the end
    parts.watch(4, True, tell("late"))  # it has ended already
    assert told[-1] == "late"


@pytest.mark.parametrize("timeout", [-1, "1", float("nan"), True])
def test_timeouts_are_checked(timeout: Any) -> None:
    parts = Parts(plan(1), Library(Native(made(1.0))))
    with pytest.raises(ConfigError, match="timeout: expected seconds, 0 or more"):
        parts.result(timeout)
