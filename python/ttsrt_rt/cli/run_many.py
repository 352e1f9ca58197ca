"""Many requests from lines of JSON, batched in flight; results are lines in the same order.

A line that can't be served gives its error in its own line, and the others go on.
"""

from __future__ import annotations

import json
import queue
import re
import threading
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, BinaryIO, Protocol

from ttsrt_rt.cli.request_flags import load_arrays, make_request, read_object
from ttsrt_rt.cli.results import result_fields
from ttsrt_rt.errors import (
    CapacityError,
    ClosedError,
    ConfigError,
    DeviceError,
    Error,
    FormatError,
)
from ttsrt_rt.foreign_file import HEAD_BYTES, describe_foreign
from ttsrt_rt.native_request import to_native

if TYPE_CHECKING:
    from ttsrt_rt.executor import Executor
    from ttsrt_rt.handle import Handle

__all__ = ["Counts", "Output", "run_lines"]

_MAX_LINE = 32 << 20
_MAX_AHEAD = 1024  # lines whose results wait to be written
_HEAD = re.compile(r"([a-z_]+)[.:]")  # the field that an error is about


class Output(Protocol):
    """Where lines are written."""

    def write(self, data: bytes, /) -> int: ...
    def flush(self) -> None: ...


@dataclass
class Counts:
    """What became of the lines that were written."""

    requests: int = 0
    failed: int = 0
    frames: int = 0


@dataclass
class _Item:
    """A line that was read: its handle, or what was wrong with it."""

    line: int
    name: Any = None
    handle: Handle | None = None
    error: str = ""


@dataclass
class _Writer:
    """Writes results in the order of the lines, on a thread of its own, as soon as they are there.

    The reader of lines may wait for input that depends on earlier results.
    """

    output: Output
    counts: Counts
    progress: Callable[[], object] | None = None
    items: queue.Queue[_Item | None] = field(default_factory=lambda: queue.Queue(_MAX_AHEAD))
    failure: BaseException | None = None

    def work(self) -> None:
        while (item := self.items.get()) is not None:
            try:
                if self.failure is None:
                    self._write(item)
            except BaseException as error:  # raised again where lines are read
                self.failure = error
            if self.failure is not None and item.handle is not None:
                item.handle.cancel()

    def _write(self, item: _Item) -> None:
        fields: dict[str, Any] = {"line": item.line}
        if item.name is not None:
            fields["id"] = item.name
        if item.handle is None:
            fields.update(finish_reason="error", error=item.error)
        else:
            fields.update(result_fields(item.handle.wait()))
        self.output.write(f"{json.dumps(fields)}\n".encode())
        self.output.flush()
        self.counts.requests += 1
        self.counts.failed += fields["finish_reason"] == "error"
        self.counts.frames += fields.get("frames", 0)
        if self.progress is not None:
            self.progress()


def run_lines(
    executor: Executor,
    lines: BinaryIO,
    output: Output,
    defaults: Mapping[str, Any],
    *,
    counts: Counts | None = None,
    progress: Callable[[], object] | None = None,
) -> Counts:
    """Runs the request of each line.

    Args:
        executor: Runs them together.
        lines: A JSON object a line, with fields of `Request` as `make_request` takes them; the
            field `id` comes back in the result.
        output: A JSON object a line: `line`, `id`, and the result's fields.
        defaults: Fields that lines override.
        counts: Counts the lines as they are written; None for new ones.
        progress: Called after each line that was written, by another thread.

    Returns:
        The counts.

    Raises:
        ConfigError, FormatError: One of the defaults can't be served, or the lines are the bytes of
            another kind of file.
        DeviceError, ClosedError: The executor can serve no more.
        OSError: The output can't be written.
    """
    defaults = load_arrays(defaults)
    to_native(make_request(defaults))
    writer = _Writer(output, counts or Counts(), progress)
    thread = threading.Thread(target=writer.work, name="ttsrt-lines", daemon=True)
    thread.start()
    running: deque[Handle] = deque()
    is_begun = False
    try:
        for number, line in _read_lines(lines):
            if writer.failure is not None:
                break
            item = _submit(executor, number, line, defaults, running, is_begun)
            is_begun = is_begun or item.handle is not None
            writer.items.put(item)
        writer.items.put(None)
        thread.join()
    except BaseException as error:
        for handle in running:
            handle.cancel()
        writer.failure = writer.failure or error  # it takes what is left without writing it
        writer.items.put(None)
        thread.join()
        raise
    if writer.failure is not None:
        raise writer.failure
    return writer.counts


def _submit(
    executor: Executor,
    number: int,
    line: bytes,
    defaults: Mapping[str, Any],
    running: deque[Handle],
    is_begun: bool,
) -> _Item:
    """Submits the request of a line. Before the first one is accepted, an error of a common field
    is raised: it would be that of every line.
    """
    item = _Item(number)
    fields: dict[str, Any] = {}
    try:
        if len(line) > _MAX_LINE:
            raise ConfigError(f"line {number}: expected at most {_MAX_LINE} bytes")
        fields = read_object(line, f"line {number}")
        item.name = fields.pop("id", None)
        request = make_request({**defaults, **fields})
        while item.handle is None:
            while running and running[0].is_done:
                running.popleft()
            try:
                item.handle = executor.submit(request)
            except CapacityError:
                if not running:
                    raise  # waiting would not help
                running.popleft().wait()
        running.append(item.handle)
    except (ClosedError, DeviceError):
        raise
    except (Error, ValueError, OSError) as error:
        head = _HEAD.match(str(error))
        is_common = head is not None and head[1] in defaults and head[1] not in fields
        if is_common and not is_begun:
            raise
        item.error = str(error)
    return item


def _read_lines(lines: BinaryIO) -> Iterator[tuple[int, bytes]]:
    """Yields lines that are not blank, with their numbers; too long ones lose their ends."""
    number, is_first = 0, True
    while line := lines.readline(_MAX_LINE + 1):
        number += 1
        if len(line) > _MAX_LINE:
            rest = line
            while rest and not rest.endswith(b"\n"):
                rest = lines.readline(_MAX_LINE)
        if line.strip():
            if is_first:
                _refuse_foreign(line, getattr(lines, "name", ""))
            is_first = False
            yield number, line


def _refuse_foreign(line: bytes, name: object) -> None:
    """Refuses the first line of a file of another kind, every line of which would be an error."""
    head = line[:HEAD_BYTES]
    found = describe_foreign(head)
    if found is not None and found.startswith(("a JSON text", "a text")):
        return
    if found is None and b"\0" not in head:
        return
    raise FormatError(
        f"requests: {name}: expected a JSON object on each line, got "
        f"{found or 'bytes of another kind of file'}"
    )
