"""`Handle`: one request in flight, from the caller's side."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

from ttsrt_rt import _core
from ttsrt_rt.dispatcher import Dispatcher
from ttsrt_rt.errors import InternalError
from ttsrt_rt.result import Event, Result

__all__ = ["Handle"]


class Handle:
    """One request in flight. Dropping the handle cancels the request; Ctrl-C ends a wait.

    Iterating, with `for` or with `async for`, yields the events that were not taken yet. Leaving
    the iteration early, by cancelling its task too, cancels the request.
    """

    def __init__(self, native: _core.Handle, dispatcher: Dispatcher) -> None:
        self._native = native
        self._dispatcher = dispatcher
        self._result: Result | None = None

    @property
    def id(self) -> int:
        """The request's number, unique within its executor."""
        return self._native.id

    @property
    def is_done(self) -> bool:
        """Whether the request has ended."""
        return self._native.is_done

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
            self._result = Result._from_native(native)
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
            self.cancel()

    async def __aiter__(self) -> AsyncIterator[Event]:
        try:
            with self._dispatcher.watch(self._native) as ready:
                while True:
                    ready.clear()
                    event, has_none_yet = self._next(0)
                    if has_none_yet:
                        await ready.wait()
                    elif event is None:
                        return
                    else:
                        yield event
        finally:
            self.cancel()

    def _next(self, timeout: float | None) -> tuple[Event | None, bool]:
        """The next event, or None after the last; and whether the wait ended for lack of time."""
        native, timed_out = self._native.next(timeout)
        if native is None:
            return None, timed_out
        event = Event._from_native(native)
        if event.finish_reason == "error":
            self.result()  # raises
        return event, False
