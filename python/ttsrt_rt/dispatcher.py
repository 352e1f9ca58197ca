"""One thread that tells when an executor's requests have events, or have ended."""

from __future__ import annotations

import itertools
import logging
import os
import threading
from collections.abc import Callable

from ttsrt_rt import _core
from ttsrt_rt.errors import ClosedError
from ttsrt_rt.parts import Parts

__all__ = ["Dispatcher"]

_LOG = logging.getLogger(__name__)


class Dispatcher:
    """Waits, in one daemon thread, for all watched requests, and calls who watches them.

    The thread starts with the first watched request. After `close()` it ends as soon as nothing is
    watched any more. In a forked child, where the thread does not exist and its lock may be held
    for ever, nothing can be watched, and `forget()` and `close()` do nothing.
    """

    def __init__(self) -> None:
        self._process = os.getpid()
        self._selector = _core.Selector()
        self._keys = itertools.count()
        # Reentrant, because the garbage collector may end a stream while this thread holds it.
        self._lock = threading.RLock()
        self._watchers: dict[int, Callable[[], None]] = {}
        self._posted: list[int] = []  # keys of requests that the selector does not know
        self._ends: set[int] = set()  # keys of watchers that are called once
        self._thread: threading.Thread | None = None
        self._is_closed = False

    @property
    def is_here(self) -> bool:
        """Whether this is the process that made the dispatcher, and not one forked from it."""
        return os.getpid() == self._process

    def check_here(self, call: str) -> None:
        """Raises ClosedError, naming the call, in a forked child."""
        if not self.is_here:
            raise ClosedError(
                f"{call}: this Executor belongs to process {self._process}, and its threads do not "
                f"exist in the forked process {os.getpid()}; create a new Executor in this process"
            )

    def watch(
        self, request: _core.Handle | Parts, notify: Callable[[], None], *, until_end: bool = False
    ) -> int:
        """Calls `notify` in the dispatcher's thread; returns a key for `forget`.

        Args:
            request: The request.
            notify: Called once for all that arrives until the request has nothing more to take: so
                take everything, and only then wait for the next call. An exception is logged.
            until_end: Whether `notify` is called only once, when the request has ended.
        """
        self.check_here("watch")
        with self._lock:
            key = next(self._keys)
            self._watchers[key] = notify
            if until_end:
                self._ends.add(key)
        try:
            with self._lock:
                self._ensure_thread()
            if isinstance(request, Parts):
                request.watch(key, until_end, lambda: self._post(key))
            else:
                self._selector.add(request, key, until_end)
        except BaseException:
            self._drop(key)
            raise
        return key

    def forget(self, request: _core.Handle | Parts, key: int) -> None:
        """Stops calling the watcher of this key. Idempotent."""
        if not self.is_here:
            return
        if isinstance(request, Parts):
            request.unwatch(key)
        else:
            self._selector.remove(request, key)
        self._drop(key)

    def close(self) -> None:
        """Lets the thread end once no request is watched. Does not wait for that."""
        if not self.is_here:
            return
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
            for key in [*self._selector.select(), *self._take_posted()]:
                self._notify(key)
            with self._lock:
                if self._is_closed and not self._watchers:
                    self._thread = None
                    return

    def _post(self, key: int) -> None:
        """Has the thread call the watcher of a request that the selector does not know."""
        with self._lock:
            self._posted.append(key)
        self._selector.wake()

    def _take_posted(self) -> list[int]:
        with self._lock:
            posted, self._posted = self._posted, []
        return posted

    def _notify(self, key: int) -> None:
        with self._lock:
            notify = self._watchers.get(key)
            if key in self._ends:
                self._watchers.pop(key, None)
                self._ends.discard(key)
        if notify is None:
            return
        try:
            notify()
        except BaseException:  # the thread goes on for the other requests
            _LOG.exception("exception in %r, which was told of a request", notify)

    def _drop(self, key: int) -> None:
        with self._lock:
            self._watchers.pop(key, None)
            self._ends.discard(key)
            if self._is_closed and not self._watchers and self._thread is not None:
                self._selector.wake()
