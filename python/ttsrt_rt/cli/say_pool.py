"""Threads that wait for rows of `ttsrt say`, so that many are in flight together."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType
from typing import Generic, TypeVar

from ttsrt_rt.errors import ClosedError, DeviceError, Error

__all__ = ["Outcome", "Pool"]

Task = TypeVar("Task")
Made = TypeVar("Made")


@dataclass(frozen=True)
class Outcome(Generic[Task, Made]):
    """What became of a task.

    Attributes:
        task: The task.
        made: What it made; None for one that failed.
        error: What went wrong.
    """

    task: Task
    made: Made | None
    error: str = ""


class Pool(Generic[Task, Made]):
    """Runs a function for tasks, some at a time. A context manager; leaving it ends its threads as
    soon as their tasks have ended, for which the caller closes what they wait for.
    """

    def __init__(self, work: Callable[[Task], Made], num_threads: int) -> None:
        """Starts no thread yet.

        Args:
            work: Called with a task, by a thread.
            num_threads: Tasks at a time.
        """
        self._work = work
        self._most = num_threads
        self._tasks: queue.SimpleQueue[Task | None] = queue.SimpleQueue()
        self._outcomes: queue.SimpleQueue[Outcome[Task, Made] | BaseException] = queue.SimpleQueue()
        self._threads: list[threading.Thread] = []
        self.num_running = 0

    def __enter__(self) -> Pool[Task, Made]:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        for _ in self._threads:
            self._tasks.put(None)

    @property
    def has_room(self) -> bool:
        """Whether one more task may run."""
        return self.num_running < self._most

    def give(self, task: Task) -> None:
        """Begins a task."""
        if len(self._threads) < self._most:
            thread = threading.Thread(target=self._run, name="ttsrt-say", daemon=True)
            self._threads.append(thread)
            thread.start()
        self.num_running += 1
        self._tasks.put(task)

    def take(self) -> Outcome[Task, Made]:
        """Waits for the next task that ends, in whatever order.

        Raises:
            DeviceError, ClosedError: No task can be run any more.
        """
        outcome = self._outcomes.get()
        self.num_running -= 1
        if isinstance(outcome, BaseException):
            raise outcome
        return outcome

    def _run(self) -> None:
        while (task := self._tasks.get()) is not None:
            try:
                self._outcomes.put(Outcome(task, self._work(task)))
            except (DeviceError, ClosedError) as error:  # of every other task, too
                self._outcomes.put(error)
            except (Error, OSError, ValueError, MemoryError) as error:
                self._outcomes.put(Outcome(task, None, str(error) or type(error).__name__))
            except BaseException as error:  # a mistake in the program, raised where it is seen
                self._outcomes.put(error)
