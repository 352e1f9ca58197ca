"""How `Executor` runs a request with `flow_text`: its chunks, one behind the other."""

from __future__ import annotations

import dataclasses
import threading
import weakref
from typing import TYPE_CHECKING, Any

from ttsrt_rt import _core
from ttsrt_rt.arrays import float_matrix
from ttsrt_rt.errors import ClosedError
from ttsrt_rt.handle import Handle
from ttsrt_rt.native_request import to_native
from ttsrt_rt.parts import Parts, PartsPlan

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from ttsrt_rt.dispatcher import Dispatcher
    from ttsrt_rt.front_end import TextResolver
    from ttsrt_rt.request import Request
    from ttsrt_rt.spoken import SpokenText

__all__ = ["FlowMethods", "Running"]


class Running:
    """The requests of several parts that are in flight: what `drain` waits for. Thread safe."""

    def __init__(self) -> None:
        """Nothing is in flight."""
        self._lock = threading.Lock()
        self._is_closed = False
        self._parts: weakref.WeakSet[Parts] = weakref.WeakSet()

    def check_open(self) -> None:
        """Refuses requests while others are waited for.

        Raises:
            ClosedError: the executor was closed.
        """
        if self._is_closed:
            raise ClosedError("submit: the executor is closed")

    def add(self, parts: Parts) -> None:
        """Adds one."""
        with self._lock:
            self._parts.add(parts)

    def close(self, *, drain: bool) -> None:
        """Accepts no more. With `drain`, waits for those in flight, whose later parts the library
        would refuse; if a signal interrupts that, they are cancelled.
        """
        self._is_closed = True
        with self._lock:
            left = [*self._parts]
        try:
            for each in left if drain else ():
                each.result()
        except BaseException:
            for each in left:
                each.let_go()
            raise


class FlowMethods:
    """What an executor knows of texts in independent chunks."""

    _native: _core.Executor
    _texts: TextResolver
    _dispatcher: Dispatcher
    _running: Running
    _most_numbers: int
    _place: str

    def _submit_flow(self, request: Request) -> Handle:
        """As `submit`, of a request with `flow_text`."""
        requests, spoken = self._plan_flow(request)
        how: Any = request.flow_text
        from ttsrt_rt.f5.rules import WaveJoiner

        plan = PartsPlan(
            requests=requests,
            frames=[0 if each.flow is None else each.flow.duration or 0 for each in requests],
            joiner=WaveJoiner(how.cross_fade, spoken.sample_rate),
            gain=how.gain,
            deadline=request.deadline,
            spoken=spoken,
        )
        parts = Parts(
            plan, lambda each: self._native.submit(to_native(each, self._most_numbers, self._place))
        )
        self._running.add(parts)
        return Handle(parts, self._dispatcher, spoken)

    def _plan_flow(self, request: Request) -> tuple[list[Request], SpokenText]:
        """A request for each chunk of a text, and what the text became.

        Raises:
            ConfigError: As `F5FrontEnd.plan`.
        """
        to_native(request, self._most_numbers, self._place)  # checks the kinds of its values
        rows = self._prompt(request.context_embeddings)
        request = dataclasses.replace(request, context_embeddings=rows)
        return self._texts.resolve_flow(request, self._prompt_frames(request))

    def _prompt(self, rows: Any) -> NDArray[np.float32] | None:
        """The rows of a prompt, read once for all parts."""
        if rows is None:
            return None
        return float_matrix(rows, "context_embeddings", self._most_numbers)

    def _prompt_frames(self, request: Request) -> int:
        rows: Any = request.context_embeddings
        if rows is not None:
            return len(rows)
        if request.voice is None:
            return 0
        return len(self._native.voice_embeddings(request.voice))
