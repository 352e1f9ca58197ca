"""Runs the requests of a batch together: submits them while the queue has room, and takes what they
make as it comes, so that a text ends as soon as its stop string is there.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

from ttsrt_rt.errors import CapacityError, InternalError
from ttsrt_rt.llm.results import Generation
from ttsrt_rt.llm.run import Run

__all__ = ["run_batch"]

WAIT_SECONDS = 0.05

T = TypeVar("T")


def run_batch(
    prompts: Sequence[T], submit: Callable[[T], Run], ids_of: Callable[[T], Sequence[int]]
) -> list[Generation]:
    """Returns the generations of prompts, in their order.

    Args:
        prompts: what `submit` takes of each.
        submit: begins a request; raises `CapacityError` while the queue is full, and a final one
            for a request that never fits, which becomes its result.
        ids_of: gives the ids of a prompt.

    Raises:
        CapacityError: the queue is full of requests of others.
    """
    batch = _Batch(prompts, submit, ids_of)
    try:
        while not batch.is_over:
            batch.begin()
            batch.advance()
    except BaseException:
        batch.cancel()
        raise
    return batch.done()


class _Batch(Generic[T]):
    """Requests that wait, run, and are done."""

    def __init__(
        self,
        prompts: Sequence[T],
        submit: Callable[[T], Run],
        ids_of: Callable[[T], Sequence[int]],
    ) -> None:
        self._prompts = prompts
        self._submit = submit
        self._ids_of = ids_of
        self._num_begun = 0
        self._running: dict[int, Run] = {}
        self._done: dict[int, Generation] = {}

    @property
    def is_over(self) -> bool:
        return len(self._done) == len(self._prompts)

    def done(self) -> list[Generation]:
        return [self._done[number] for number in range(len(self._prompts))]

    def cancel(self) -> None:
        for run in self._running.values():
            run.handle.cancel()

    def begin(self) -> None:
        """Submits requests until the queue is full."""
        while self._num_begun < len(self._prompts):
            try:
                run = self._submit(self._prompts[self._num_begun])
            except CapacityError as error:
                if error.is_final:
                    ids = self._ids_of(self._prompts[self._num_begun])
                    self._done[self._num_begun] = _refused(ids, error)
                    self._num_begun += 1
                    continue
                if not self._running:
                    raise
                return
            self._running[self._num_begun] = run
            self._num_begun += 1

    def advance(self) -> None:
        """Takes what the requests have made; waits a moment for the oldest if there is nothing."""
        has_moved = False
        for number in list(self._running):
            has_moved |= self._drain(number, 0.0)
        if self._running and not has_moved:
            self._drain(next(iter(self._running)), WAIT_SECONDS)

    def _drain(self, number: int, timeout: float) -> bool:
        """Takes the events of one request, and returns whether there were some."""
        run, has_moved = self._running[number], False
        try:
            while not run.is_over:
                run.take(timeout)
                has_moved, timeout = True, 0.0
            self._done[number] = run.generation()
        except TimeoutError:
            return has_moved
        except InternalError as error:
            self._done[number] = run.failed(error)
        del self._running[number]
        return True


def _refused(prompt: Sequence[int], error: CapacityError) -> Generation:
    return Generation(
        text="", ids=(), prompt_ids=tuple(prompt), finish_reason="error", error=str(error)
    )
