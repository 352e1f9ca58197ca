"""Busy others that want the same cores: processes that spin, or more executors in this process."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, replace
from typing import Any

from ttsrt_rt import _core
from ttsrt_rt.bench.facts import EngineFacts
from ttsrt_rt.bench.requests import RequestShape, random_requests
from ttsrt_rt.errors import InternalError

__all__ = ["Company", "executors", "processes", "repeated", "usable_cores"]

# It ends with its parent, also if that was killed: from then on another process is its parent.
_SPIN = """
import os, sys
print(flush=True)
while os.getppid() == int(sys.argv[1]):
    for _ in range(1000000): pass
"""


@dataclass(frozen=True)
class Company:
    """Work of one kind beside an executor.

    Attributes:
        name: For example "busy processes".
        threads_each: Threads that one unit of it keeps running.
        at_work: Returns a context manager inside which so many units work.
    """

    name: str
    threads_each: int
    at_work: Callable[[int], AbstractContextManager[None]]


def processes() -> Company:
    """Processes with one thread each, which only spin."""
    return Company("busy processes", 1, _spinning)


def executors(engine: _core.Engine, shape: RequestShape, options: dict[str, Any]) -> Company:
    """More executors in this process, each of which decodes one request after the other.

    Args:
        engine: Of all of them.
        shape: Of their requests.
        options: Of `Executor`.
    """
    from ttsrt_rt.executor import Executor

    facts = EngineFacts.of(engine)

    @contextmanager
    def at_work(count: int) -> Iterator[None]:
        with ExitStack() as stack:
            others = [stack.enter_context(Executor(engine, **options)) for _ in range(count)]
            for index, other in enumerate(others):
                requests = random_requests(facts, shape, seed=100 + index)

                def decode(other: Executor = other, requests: Any = requests) -> None:
                    other.generate(replace(next(requests), deadline=1.0))

                stack.enter_context(repeated(decode))
            yield

    return Company("more executors", options.get("num_threads") or usable_cores(), at_work)


def usable_cores() -> int:
    """Cores that this process and its children may use."""
    return _core.usable_cores()


@contextmanager
def _spinning(count: int) -> Iterator[None]:
    """Waits until all of the processes say that they run.

    They are in sessions of their own: Ctrl-C is for this process, which then ends them.
    """
    command = [sys.executable, "-S", "-E", "-c", _SPIN, str(os.getpid())]
    started: list[subprocess.Popen[bytes]] = []
    try:
        for _ in range(count):
            started.append(
                subprocess.Popen(command, stdout=subprocess.PIPE, start_new_session=True)
            )
        for process in started:
            if process.stdout is None or not process.stdout.readline():
                raise InternalError(f"busy process {process.pid} ended at its start")
        yield
    finally:
        for process in started:
            process.kill()
        for process in started:
            process.communicate()


@contextmanager
def repeated(work: Callable[[], object]) -> Iterator[None]:
    """Calls `work` again and again on a thread; an error of it is raised at the end."""
    is_over, errors = threading.Event(), list[BaseException]()

    def repeat() -> None:
        try:
            while not is_over.is_set():
                work()
        except BaseException as error:
            errors.append(error)

    thread = threading.Thread(target=repeat, name="ttsrt-company")
    thread.start()
    try:
        yield
    finally:
        is_over.set()
        thread.join()
    if errors:
        raise InternalError(f"beside: {errors[0]}") from errors[0]
