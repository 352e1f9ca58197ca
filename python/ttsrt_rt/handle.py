"""`Handle`: one request in flight, from the caller's side."""

from __future__ import annotations

import asyncio
import logging
import weakref
from collections.abc import Callable, Generator, Iterable, Iterator
from typing import TYPE_CHECKING, Any

from ttsrt_rt import _core
from ttsrt_rt.dispatcher import Dispatcher
from ttsrt_rt.errors import ConfigError, InternalError
from ttsrt_rt.event_stream import EventStream
from ttsrt_rt.parts import Parts
from ttsrt_rt.quoting import show
from ttsrt_rt.result import Event, Result
from ttsrt_rt.spoken import SpokenText

if TYPE_CHECKING:
    from ttsrt_rt.text.reading import LaterText
    from ttsrt_rt.text.word_stream import WordStream

__all__ = ["Handle", "let_go"]

_LOG = logging.getLogger(__name__)


class Handle:
    """One request in flight. Dropping the handle cancels the request; Ctrl-C ends a wait.

    Iterating, with `for` or with `async for`, yields the events that were not taken yet. Leaving
    the iteration early, by cancelling its task too, cancels the request. `await handle` waits for
    the whole result, as `result()` does; cancelling the task cancels the request.

    In a forked child every method but `id` raises `ClosedError`, and dropping the handle does
    nothing.
    """

    def __init__(
        self,
        native: _core.Handle | Parts,
        dispatcher: Dispatcher,
        spoken: SpokenText | None = None,
        words: WordStream | None = None,
        later: LaterText | None = None,
    ) -> None:
        self._native = native
        self._first = spoken
        self._later = later
        self._words = words
        if isinstance(native, Parts):
            weakref.finalize(self, native.let_go).atexit = False
        elif later is not None:
            later.follow(native)
        self._dispatcher = dispatcher
        self._result: Result | None = None

    def __repr__(self) -> str:
        if not self._dispatcher.is_here:
            return f"Handle(id={self.id}, of another process)"
        return f"Handle(id={self.id}, {'done' if self.is_done else 'in flight'})"

    @property
    def id(self) -> int:
        """The request's number, unique within its executor."""
        return self._native.id

    @property
    def spoken(self) -> SpokenText | None:
        """What became of the request's text, as far as it was read; None for a request of ids."""
        return self._first if self._later is None else self._later.spoken

    @property
    def is_done(self) -> bool:
        """Whether the request has ended."""
        return self._native.is_done

    def done(self) -> bool:
        """Whether the request has ended, as `is_done`, for callers that know futures."""
        return self.is_done

    def add_done_callback(self, callback: Callable[[Handle], object]) -> None:
        """Calls `callback(handle)` once, when the request has ended; at once if it already has.

        Later calls are made in one thread of the executor, which all of its callbacks and asyncio
        streams share: a callback should be short. There, callbacks of one request are called in the
        order in which they were added. An exception of a callback is logged. A request with a
        callback runs to its end even if the handle is dropped.

        Raises:
            ConfigError: It can't be called.
        """
        if not callable(callback):
            raise ConfigError(f"callback: expected a function of a handle, got {show(callback)}")
        if self.is_done:
            self._call(callback)
            return
        self._dispatcher.watch(self._native, lambda: self._call(callback), until_end=True)

    def cancel(self) -> None:
        """Asks for the end of the request; idempotent. `result()` has the frames made so far."""
        self._native.cancel()

    def result(self, timeout: float | None = None) -> Result:
        """Waits for the whole result.

        Args:
            timeout: Seconds to wait at most, 0 or more; None for as long as it takes.

        Raises:
            ConfigError: The timeout is negative or not a number.
            TimeoutError: The time is up; the request goes on.
            InternalError: The request failed.
        """
        result = self.wait(timeout)
        if result.finish_reason == "error":
            raise InternalError(f"request {self.id} failed: {result.error}")
        return result

    def wait(self, timeout: float | None = None) -> Result:
        """As `result`, but returns a failed request's result where `result` raises."""
        if self._result is None:
            native = self._native.result(timeout)
            if native is None:
                raise TimeoutError(f"request {self.id}: not done after {timeout} seconds")
            if not isinstance(native, Result):
                native = Result._from_native(native, self.spoken)
            self._result = native
        return self._result

    def next(self, timeout: float | None = None) -> Event | None:
        """Waits for the next event; None after the last.

        Args:
            timeout: Seconds to wait at most, 0 or more; None for as long as it takes.

        Raises:
            ConfigError: The timeout is negative or not a number.
            TimeoutError: The time is up; the request goes on.
            InternalError: The request failed.
        """
        event, timed_out = self._next(timeout)
        if timed_out:
            raise TimeoutError(f"request {self.id}: no event after {timeout} seconds")
        return event

    def __iter__(self) -> Iterator[Event]:
        try:
            while (event := self.next()) is not None:
                yield event
        finally:
            self._let_go()

    def __aiter__(self) -> EventStream:
        return EventStream(
            self._native, self._dispatcher, take=lambda: self._next(0), let_go=self._let_go
        )

    def __await__(self) -> Generator[Any, None, Result]:
        return self._finish().__await__()

    async def _finish(self) -> Result:
        await self._end()
        return self.result()

    async def _end(self) -> None:
        """Waits until the request has ended. Cancelling the task cancels it."""
        self._dispatcher.check_here("await")
        loop = asyncio.get_running_loop()
        ended = loop.create_future()

        def tell() -> None:
            if not ended.done():
                ended.set_result(None)

        def notify() -> None:
            try:
                loop.call_soon_threadsafe(tell)
            except RuntimeError:  # the event loop was closed, so nobody waits any more
                _LOG.debug("request %d: its event loop was closed", self.id)

        try:
            key = self._dispatcher.watch(self._native, notify, until_end=True)
            try:
                await ended
            finally:
                self._dispatcher.forget(self._native, key)
        except BaseException:
            self._let_go()
            raise

    def _call(self, callback: Callable[[Handle], object]) -> None:
        try:
            callback(self)
        except Exception:
            _LOG.exception("request %d: exception in %r", self.id, callback)

    def _let_go(self) -> None:
        """Cancels the request; does nothing in a forked child."""
        if self._dispatcher.is_here:
            self._native.cancel()

    def _next(self, timeout: float | None) -> tuple[Event | None, bool]:
        """The next event, or None after the last; and whether the wait ended for lack of time."""
        native, timed_out = self._native.next(timeout)
        if native is None:
            return None, timed_out
        if self._words is not None and self._later is not None:
            self._words.extend(self._later.spoken)
        event = native
        if not isinstance(event, Event):
            event = Event._from_native(event, self._words)
        if event.finish_reason == "error":
            self.result()  # raises
        return event, False


def let_go(handles: Iterable[Handle | Result]) -> None:
    """Cancels requests that nobody waits for any more."""
    for handle in handles:
        if isinstance(handle, Handle):
            handle._let_go()
