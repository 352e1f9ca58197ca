"""One thread that wakes the event loops of all of an executor's asyncio streams."""

from __future__ import annotations

import asyncio
import itertools
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from ttsrt_rt import _core

__all__ = ["Dispatcher"]


class Dispatcher:
    """Waits, in one daemon thread, until watched requests have events, and tells their event loops.

    The thread starts with the first watched request. After `close()` it ends as soon as nothing is
    watched any more. The event loops may run in different threads.
    """

    def __init__(self) -> None:
        self._selector = _core.Selector()
        self._keys = itertools.count()
        # Reentrant, because the garbage collector may end a stream while this thread holds it.
        self._lock = threading.RLock()
        self._streams: dict[int, tuple[asyncio.AbstractEventLoop, asyncio.Event]] = {}
        self._thread: threading.Thread | None = None
        self._is_closed = False

    @contextmanager
    def watch(self, request: _core.Handle) -> Iterator[asyncio.Event]:
        """An event that is set in the running event loop whenever `request` has something to take.

        It is set once for all that arrives until the request has nothing more, so clear it, take
        everything, and only then wait for it.
        """
        key = next(self._keys)
        ready = asyncio.Event()
        with self._lock:
            self._streams[key] = (asyncio.get_running_loop(), ready)
            self._ensure_thread()
        try:
            self._selector.add(request, key)
            yield ready
        finally:
            self._selector.remove(request)
            self._forget(key)

    def close(self) -> None:
        """Lets the thread end once no request is watched. Does not wait for that."""
        with self._lock:
            self._is_closed = True
            if self._thread is not None:
                self._selector.wake()

    def _ensure_thread(self) -> None:
        if self._thread is None:
            thread = threading.Thread(target=self._run, name="ttsrt-dispatcher", daemon=True)
            thread.start()
            self._thread = thread

    def _run(self) -> None:
        while True:
            for key in self._selector.select():
                self._announce(key)
            with self._lock:
                if self._is_closed and not self._streams:
                    self._thread = None
                    return

    def _announce(self, key: int) -> None:
        with self._lock:
            stream = self._streams.get(key)
        if stream is None:
            return
        loop, ready = stream
        try:
            loop.call_soon_threadsafe(ready.set)
        except RuntimeError:  # the event loop was closed without closing the stream
            self._forget(key)

    def _forget(self, key: int) -> None:
        with self._lock:
            self._streams.pop(key, None)
            if self._is_closed and not self._streams and self._thread is not None:
                self._selector.wake()
