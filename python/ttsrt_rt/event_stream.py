"""`EventStream`: the events of one request for `async for`."""

from __future__ import annotations

import asyncio
import sys
import weakref
from collections.abc import AsyncIterator, Callable
from typing import Any, cast

from ttsrt_rt import _core
from ttsrt_rt.dispatcher import Dispatcher
from ttsrt_rt.parts import Parts
from ttsrt_rt.result import Event

__all__ = ["EventStream"]


class EventStream(AsyncIterator[Event]):
    """Yields a request's events. Cancelling the task, closing or dropping it cancels the request.

    An event loop that ends closes its streams, as it closes asynchronous generators. This is not
    one of those, because the event loop would finalize it, and a forked child has none that runs.
    """

    def __init__(
        self,
        request: _core.Handle | Parts,
        dispatcher: Dispatcher,
        *,
        take: Callable[[], tuple[Event | None, bool]],
        let_go: Callable[[], None],
    ) -> None:
        """Watches a request.

        Args:
            request: The request.
            dispatcher: Tells when there is something to take.
            take: The next event, or None after the last; and whether there is none yet.
            let_go: Cancels the request.
        """
        self._request = request
        self._dispatcher = dispatcher
        self._take = take
        self._let_go = let_go
        self._ready: asyncio.Event | None = None
        self._key: int | None = None
        self._is_over = False

    async def __anext__(self) -> Event:
        if self._is_over:
            raise StopAsyncIteration
        try:
            ready = self._begin()
            while True:
                ready.clear()
                event, has_none_yet = self._take()
                if not has_none_yet:
                    break
                await ready.wait()
        except BaseException:
            self._end()
            raise
        if event is None:
            self._end()
            raise StopAsyncIteration
        return event

    async def aclose(self) -> None:
        """Ends the stream and cancels the request. Idempotent."""
        self._end()

    def __del__(self) -> None:
        self._end()

    def _begin(self) -> asyncio.Event:
        if self._ready is not None:
            return self._ready
        loop = asyncio.get_running_loop()
        self._ready = ready = asyncio.Event()
        itself = weakref.ref(self)

        def notify() -> None:
            try:
                loop.call_soon_threadsafe(ready.set)
            except RuntimeError:  # the event loop was closed without closing the stream
                stream = itself()
                if stream is not None:
                    stream._end()

        self._key = self._dispatcher.watch(self._request, notify)
        first_iteration = sys.get_asyncgen_hooks().firstiter
        if first_iteration is not None:  # the event loop keeps it, to close it when it ends
            first_iteration(cast(Any, self))
        return ready

    def _end(self) -> None:
        if self._is_over:
            return
        self._is_over = True
        if self._key is not None:
            self._dispatcher.forget(self._request, self._key)
        self._let_go()
