"""Events of a request for asyncio: a thread waits for them, the event loop is never blocked."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ttsrt_rt.handle import Handle
    from ttsrt_rt.result import Event

__all__ = ["pump_events"]


async def pump_events(handle: Handle) -> AsyncIterator[Event]:
    """Yields the events of `handle`; leaving early, by cancellation too, cancels the request.

    A request holds at most its own frames, so the queue in between needs no bound of its own.

    Raises:
        InternalError: The request failed.
    """
    loop = asyncio.get_running_loop()
    arrived: asyncio.Queue[Event | BaseException | None] = asyncio.Queue()

    def pump() -> None:
        item: Event | BaseException | None
        while True:
            try:
                item = handle.next()
            except BaseException as error:
                item = error
            try:
                loop.call_soon_threadsafe(arrived.put_nowait, item)
            except RuntimeError:  # the event loop was closed: nobody is left to tell
                return
            if item is None or isinstance(item, BaseException):
                return

    threading.Thread(target=pump, name=f"ttsrt-stream-{handle.id}", daemon=True).start()
    try:
        while (item := await arrived.get()) is not None:
            if isinstance(item, BaseException):
                raise item
            yield item
    finally:
        handle.cancel()
