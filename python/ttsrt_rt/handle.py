"""`Handle`: one request in flight, from the caller's side."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

from ttsrt_rt import _core
from ttsrt_rt.errors import InternalError
from ttsrt_rt.result import Event, Result
from ttsrt_rt.streaming import pump_events

__all__ = ["Handle"]


class Handle:
    """One request in flight. Dropping it cancels the request; waiting gives way to Ctrl-C.

    Iterating, with `for` or with `async for`, yields the events that were not taken yet, and
    cancels the request when left early.
    """

    def __init__(self, native: _core.Handle) -> None:
        self._native = native
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
        """Asks for the end; idempotent. What was made is kept: `result()` has it."""
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
        """As `result`, but a failed request is a result that says so, not an exception."""
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
        native, timed_out = self._native.next(timeout)
        if timed_out:
            raise TimeoutError(f"request {self.id}: no event after {timeout} seconds")
        if native is None:
            return None
        event = Event._from_native(native)
        if event.finish_reason == "error":
            self.result()
        return event

    def __iter__(self) -> Iterator[Event]:
        try:
            while (event := self.next()) is not None:
                yield event
        finally:
            self.cancel()

    def __aiter__(self) -> AsyncIterator[Event]:
        return pump_events(self)
