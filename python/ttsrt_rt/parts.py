"""A request that runs as several, one behind the other: a text of F5-TTS in chunks.

Such a model makes an utterance in one piece and carries nothing from one to the next, so each chunk
is a request of its own to the library, and none can change another. The next one is submitted when
the one before has ended: so the first sound of a long text takes as long as that of its first
chunk, and a text takes one place of the executor however many chunks it has. A thread does that,
and joins the sounds. To its caller it is one request, with one handle.
"""

from __future__ import annotations

import os
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Protocol

import numpy as np

from ttsrt_rt import _core
from ttsrt_rt.errors import CapacityError, ClosedError, ConfigError, Error
from ttsrt_rt.quoting import show
from ttsrt_rt.result import Event, FinishReason, Metrics, Result, of_text

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ttsrt_rt.request import Request
    from ttsrt_rt.spoken import SpokenText

__all__ = ["Joins", "Parts", "PartsPlan"]

RETRY_SECONDS = 0.01  # until a full queue is asked again
LEAST_SECONDS = 1e-6  # of a deadline: the library refuses one that is over

Submit = Callable[["Request"], _core.Handle]


class Joins(Protocol):
    """Joins the sounds of parts, as `WaveJoiner`."""

    def add(self, wave: NDArray[np.float32]) -> NDArray[np.float32]:
        """Adds a sound, and returns the samples that no later one can change."""

    def finish(self) -> NDArray[np.float32]:
        """Returns what was held back."""


@dataclass(frozen=True)
class PartsPlan:
    """What runs.

    Attributes:
        requests: at least one; deadlines of theirs don't count.
        frames: of each, as `Result.chunk_frames` tells them.
        joiner: of their sounds.
        gain: what the sound of each is multiplied by.
        deadline: seconds that all of them have.
        spoken: what the text became.
    """

    requests: Sequence[Request]
    frames: Sequence[int]
    joiner: Joins
    gain: float
    deadline: float | None
    spoken: SpokenText


@dataclass(frozen=True)
class _Watcher:
    tell: Callable[[], None]
    until_end: bool


class Parts:
    """One request of several parts, with the methods of the library's handle. Thread safe."""

    def __init__(self, plan: PartsPlan, submit: Submit) -> None:
        """Submits the first part, and starts the thread that goes on.

        Args:
            plan: What runs.
            submit: Gives a request to the library.

        Raises:
            ConfigError, CapacityError, ClosedError, DeviceError: As `Executor.submit`.
        """
        self._plan, self._submit = plan, submit
        self._process = os.getpid()
        self._begin = time.monotonic()
        self._changed = threading.Condition()
        self._events: deque[Event] = deque()
        self._watchers: dict[int, _Watcher] = {}
        self._result: Result | None = None
        self._is_cancelled = False
        self._ended: list[Result] = []
        self._audio: list[NDArray[np.float32]] = []
        self._first_audio = 0.0
        self._current = submit(self._timed(0))
        self.id = self._current.id
        threading.Thread(target=self._run, name="ttsrt-parts", daemon=True).start()

    @property
    def is_done(self) -> bool:
        """Whether the request has ended."""
        self._check_here("is_done")
        return self._result is not None

    def cancel(self) -> None:
        """Asks for the end of the request; idempotent."""
        self._check_here("cancel")
        self._cancel()

    def let_go(self) -> None:
        """As `cancel`; does nothing in a forked child."""
        if os.getpid() == self._process:
            self._cancel()

    def next(self, timeout: float | None = None) -> tuple[Event | None, bool]:
        """The next event, or None after the last; and whether the wait ended for lack of time."""
        is_over = self._wait(lambda: bool(self._events) or self._result is not None, timeout)
        with self._changed:
            if self._events:
                return self._events.popleft(), False
            return None, not is_over

    def result(self, timeout: float | None = None) -> Result | None:
        """The whole result, or None if the time is up."""
        self._wait(lambda: self._result is not None, timeout)
        return self._result

    def watch(self, key: int, until_end: bool, tell: Callable[[], None]) -> None:
        """Calls `tell` when there is something to take, or only when the request has ended."""
        with self._changed:
            self._watchers[key] = _Watcher(tell, until_end)
            is_due = self._result is not None or (bool(self._events) and not until_end)
        if is_due:
            tell()

    def unwatch(self, key: int) -> None:
        """Ends that. Idempotent."""
        with self._changed:
            self._watchers.pop(key, None)

    def _cancel(self) -> None:
        # Without the lock: a garbage collection in a thread that holds it may come here.
        self._is_cancelled = True
        self._current.cancel()

    def _check_here(self, call: str) -> None:
        if os.getpid() != self._process:
            raise ClosedError(
                f"{call}: this request belongs to process {self._process}, and its threads do not "
                f"exist in the forked process {os.getpid()}; create a new Executor in this process"
            )

    def _wait(self, is_over: Callable[[], bool], timeout: float | None) -> bool:
        self._check_here("wait")
        is_number = isinstance(timeout, (int, float)) and not isinstance(timeout, bool)
        if timeout is not None and (not is_number or not timeout >= 0):
            raise ConfigError(f"timeout: expected seconds, 0 or more, got {show(timeout)}")
        limit = None if timeout is None else min(timeout, threading.TIMEOUT_MAX)
        with self._changed:
            return self._changed.wait_for(is_over, limit)

    def _timed(self, index: int) -> Request:
        """A part, with the time that is left."""
        part, deadline = self._plan.requests[index], self._plan.deadline
        if deadline is None or index == 0:
            return replace(part, deadline=deadline)
        return replace(part, deadline=max(deadline - self._elapsed(), LEAST_SECONDS))

    def _elapsed(self) -> float:
        return time.monotonic() - self._begin

    def _run(self) -> None:
        reason: FinishReason = "error"
        error: str | None = None
        try:
            reason, error = self._run_all()
        except Exception as problem:  # the request ends with it
            error = str(problem) if isinstance(problem, Error) else f"text: {problem!r}"
        self._finish(reason, error)

    def _run_all(self) -> tuple[FinishReason, str | None]:
        for index in range(len(self._plan.requests)):
            if index > 0 and (early := self._start(index)) is not None:
                return early, None
            native = self._current.result(None)
            if native is None:  # there is no timeout
                return "cancelled", None
            made = Result._from_native(native)
            if made.finish_reason != "stop":
                return made.finish_reason, made.error
            self._take(made)
        return "stop", None

    def _start(self, index: int) -> FinishReason | None:
        """Submits a part, once the queue has room; or why it is not."""
        while not self._is_cancelled:
            if self._plan.deadline is not None and self._elapsed() >= self._plan.deadline:
                return "deadline"
            try:
                self._current = self._submit(self._timed(index))
            except CapacityError:  # of the queue: parts are alike, and the first one was taken
                time.sleep(RETRY_SECONDS)
                continue
            except ClosedError:
                break
            if self._is_cancelled:  # while it was submitted
                self._current.cancel()
            return None
        return "cancelled"

    def _take(self, made: Result) -> None:
        """Takes a part that has ended."""
        settled = None
        if made.audio is not None:
            wave = made.audio if self._plan.gain == 1 else made.audio * np.float32(self._plan.gain)
            settled = self._plan.joiner.add(wave)
            self._audio.append(settled)
        self._ended.append(replace(made, audio=None))
        has_sound = settled is not None and len(settled) > 0
        if has_sound and not self._first_audio:
            self._first_audio = self._elapsed()
        if has_sound or made.spectrogram is not None:
            self._tell(self._event(settled if has_sound else None, made.spectrogram))

    def _event(
        self,
        audio: NDArray[np.float32] | None,
        spectrogram: NDArray[np.float32] | None = None,
        reason: FinishReason | None = None,
    ) -> Event:
        codes = np.zeros((0, 0), np.int32)
        return Event(
            codes=codes,
            first_frame=0,
            is_last=reason is not None,
            finish_reason=reason,
            audio=audio,
            spectrogram=spectrogram,
        )

    def _tell(self, event: Event, result: Result | None = None) -> None:
        with self._changed:
            self._events.append(event)
            self._result = result
            self._changed.notify_all()
            watchers = [*self._watchers.values()]
        for each in watchers:
            if result is not None or not each.until_end:
                each.tell()

    def _finish(self, reason: FinishReason, error: str | None) -> None:
        rest = self._plan.joiner.finish()
        if len(rest):
            self._audio.append(rest)
            self._first_audio = self._first_audio or self._elapsed()
        last = self._event(rest if len(rest) else None, reason=reason)
        self._tell(last, self._result_of(reason, error))

    def _result_of(self, reason: FinishReason, error: str | None) -> Result:
        audio = np.concatenate(self._audio) if self._audio else None
        bands = [each.spectrogram for each in self._ended if each.spectrogram is not None]
        spoken = self._plan.spoken
        rate = next((each.sample_rate for each in self._ended), None) or spoken.sample_rate or None
        seconds = len(audio) / rate if audio is not None and rate else 0.0
        frames = sum(map(len, bands)) if audio is None else seconds * spoken.frame_rate
        return Result(
            codes=np.zeros((0, 0), np.int32),
            finish_reason=reason,
            error=error,
            chunk_frames=np.array(self._plan.frames[: len(self._ended)], np.int32),
            metrics=self._metrics(frames),
            audio=audio,
            sample_rate=rate,
            spectrogram=np.concatenate(bands) if bands else None,
            trace=tuple(entry for each in self._ended for entry in each.trace),
            **of_text(spoken),
        )

    def _metrics(self, frames: float) -> Metrics:
        spoken = self._plan.spoken
        total = self._elapsed() + spoken.seconds
        first = self._ended[0].metrics if self._ended else Metrics()
        real_time = frames / spoken.frame_rate / total if spoken.frame_rate else 0.0
        return Metrics(
            queue_seconds=first.queue_seconds + spoken.seconds,
            first_frame_seconds=first.first_frame_seconds + spoken.seconds if self._ended else 0.0,
            first_audio_seconds=self._first_audio + spoken.seconds if self._first_audio else 0.0,
            total_seconds=total,
            frames_per_second=frames / total,
            x_real_time=real_time,
            rtf=1 / real_time if real_time else 0.0,
            dropped_text=spoken.dropped,
        )
