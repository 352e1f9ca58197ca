"""Runs a trace and says what is wrong with what came out, if anything is.

The oracle is each request alone, bit for bit: a whole result must be equal, and that of a cancelled
or late request must be its beginning. Every accepted request must end for a reason that the trace
gives, and when all have ended, no request, place or cache block may be in use.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import ttsrt_rt as rt
from tests.hostile.trace_data import Event, Trace, spec_from
from tests.stress.mixing import (
    CONTEXTS,
    DTYPES,
    GUEST,
    NAMED,
    RECORDING,
    STUCK,
    Bench,
    Spec,
    expect_beginning,
    expect_events,
    expect_idle,
    expect_same,
    named_voice,
)


@dataclass
class Sent:
    """An accepted request."""

    spec: Spec
    fields: dict[str, Any]
    handle: rt.Handle | None  # None: dropped
    events: list[rt.Event] = field(default_factory=list)
    may_be_cancelled: bool = False
    lock: threading.Lock = field(default_factory=threading.Lock)  # one reader at a time


class Run:
    """One execution of a trace."""

    def __init__(self, bench: Bench, trace: Trace) -> None:
        self._bench, self._trace = bench, trace
        self._engine = bench.engine(trace.kind, DTYPES[trace.dtype])
        self._executor = bench.executor(self._engine, device=trace.device, **trace.options)
        self._sent: dict[int, Sent] = {}
        self._problems: list[str] = []
        self._is_cut = False
        self._may_be_closed = False

    def run(self) -> None:
        """Raises AssertionError for a wrong result; the executor is closed in any case."""
        try:
            self._clients()
            self._finish()
            for number, sent in sorted(self._sent.items()):
                self._check(number, sent)
            assert not self._problems, "; ".join(self._problems)
            expect_idle(self._executor, [sent.spec for sent in self._sent.values()])
            stats = self._executor.stats()
            assert stats.num_preempted_requests == 0
            assert stats.num_submitted == len(self._sent)
            assert stats.num_failed == 0
        finally:
            self._executor.close()

    def _clients(self) -> None:
        by_client: dict[int, list[Event]] = {}
        for event in self._trace.events:
            by_client.setdefault(event["client"], []).append(event)
        threads = [
            threading.Thread(target=self._client, args=(events,), daemon=True)
            for events in by_client.values()
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(STUCK)
            assert not thread.is_alive(), "a client is stuck"

    def _client(self, events: list[Event]) -> None:
        for event in events:
            try:
                getattr(self, f"_{event['do']}")(event)
            except Exception as problem:
                self._problems.append(f"{event}: {type(problem).__name__}: {problem}")

    def _submit(self, event: Event) -> None:
        spec = spec_from(event["spec"])
        request = spec.request(self._executor.engine.info, **event["fields"])
        is_named = spec.context[0] == NAMED
        try:
            handle = self._executor.submit(request)
        except rt.ConfigError:
            if not is_named:  # else the voice is not there at this moment
                raise
            return
        except rt.CapacityError:
            if not self._trace.options.keys() & {"max_queue_size", "max_tokens_in_paged_kv_cache"}:
                raise
            return
        except rt.ClosedError:
            if not self._may_be_closed:
                raise
            return
        self._sent[event["id"]] = Sent(spec, event["fields"], handle)

    def _take(self, event: Event) -> None:
        sent = self._sent.get(event["id"])
        if sent is None:
            return
        with sent.lock:
            frames = 0
            while sent.handle is not None and frames < event["frames"]:
                taken = sent.handle.next(STUCK)
                if taken is None:
                    return
                sent.events.append(taken)
                frames += len(taken.codes)

    def _cancel(self, event: Event) -> None:
        sent = self._sent.get(event["id"])
        if sent is not None and sent.handle is not None:
            sent.may_be_cancelled = True
            sent.handle.cancel()

    def _drop(self, event: Event) -> None:
        sent = self._sent.get(event["id"])
        if sent is not None:
            with sent.lock:
                sent.handle = None

    def _add_voice(self, event: Event) -> None:
        kind, info = self._trace.kind, self._executor.engine.info
        if not {GUEST, RECORDING} & set(CONTEXTS[kind]):
            return
        name, content = named_voice(kind, event["voice"], info)
        try:
            with suppress(rt.ConfigError):  # it is there already
                self._executor.add_voice(name, **content)
        except rt.ClosedError:
            if not self._may_be_closed:  # asked afterwards: another client closes at any moment
                raise

    def _remove_voice(self, event: Event) -> None:
        with suppress(rt.ConfigError):  # it is not there
            self._executor.remove_voice(f"{NAMED}{event['voice']}")

    def _stats(self, event: Event) -> None:
        stats = self._executor.stats()
        assert stats.num_active_requests <= stats.max_num_active_requests
        assert stats.num_preempted_requests <= self._executor.info.max_paused_requests

    def _sleep(self, event: Event) -> None:
        time.sleep(event["ms"] / 1000)

    def _close(self, event: Event) -> None:
        self._may_be_closed = True
        self._is_cut |= not event["drain"]
        self._executor.close(drain=event["drain"])

    def _finish(self) -> None:
        if self._trace.end != "wait":
            self._close({"drain": self._trace.end == "drain"})
        for sent in self._sent.values():
            if sent.handle is not None:
                while (taken := sent.handle.next(STUCK)) is not None:
                    sent.events.append(taken)
        deadline = time.monotonic() + STUCK
        while self._executor.stats().requests and time.monotonic() < deadline:
            time.sleep(0.001)  # dropped requests end on their own

    def _check(self, number: int, sent: Sent) -> None:
        if sent.handle is None:
            return
        result = sent.handle.wait(STUCK)
        whole = self._bench.alone(self._engine, sent.spec, self._trace.device)
        reasons = {"stop", "length"}
        reasons |= {"cancelled"} if sent.may_be_cancelled or self._is_cut else set()
        reasons |= {"deadline"} if "deadline" in sent.fields else set()
        try:
            assert result.finish_reason in reasons, f"ended as {result.finish_reason!r}"
            if result.finish_reason in ("cancelled", "deadline"):
                expect_beginning(result, whole)
            else:
                expect_same(result, whole)
            expect_events(sent.events, result, sent.fields.get("chunk_frames", 1))
        except AssertionError as problem:
            self._problems.append(f"request {number}: {problem}")


def failure_of(bench: Bench, trace: Trace) -> str | None:
    """Runs a trace; returns what is wrong, or None."""
    try:
        Run(bench, trace).run()
    except Exception as problem:
        return f"{type(problem).__name__}: {problem}"
    return None


def shrink(
    trace: Trace, fails: Callable[[Trace], bool], *, seconds: float = 60.0, tries: int = 3
) -> Trace:
    """Returns a smaller trace that still fails: without events, options, clients it doesn't need.

    Args:
        trace: One that fails.
        fails: Runs a trace.
        seconds: After about so long, the smallest one so far is returned.
        tries: A trace counts as passing after so many runs without a failure, because threads
            don't run twice alike.
    """
    end = time.monotonic() + seconds

    def still_fails(candidate: Trace) -> bool:
        return any(time.monotonic() < end and fails(candidate) for _ in range(tries))

    def changed(of: Trace, **values: Any) -> Trace:
        return Trace(**{**vars(of), **values})

    size = len(trace.events)
    while size > 0:
        at = 0
        while at < len(trace.events):
            candidate = changed(trace, events=trace.events[:at] + trace.events[at + size :])
            if still_fails(candidate):
                trace = candidate
            else:
                at += size
        size //= 2
    for name in list(trace.options):
        fewer = {key: value for key, value in trace.options.items() if key != name}
        if name == "preempt":
            fewer.pop("max_paused_requests", None)
        if still_fails(changed(trace, options=fewer)):
            trace = changed(trace, options=fewer)
    for values in (
        {"events": [{**event, "client": 0} for event in trace.events]},
        {"end": "wait"},
        {"device": "reference"},
        {"dtype": 0},
    ):
        candidate = changed(trace, **values)
        if candidate != trace and still_fails(candidate):
            trace = candidate
    return trace
