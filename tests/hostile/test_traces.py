"""Traces of concurrent clients: those that are kept, a few new ones, and that a fault is found.

TTSRT_TRACES sets the number of new traces; `python -m tests.hostile.traces` runs them for minutes.
"""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import ttsrt_rt as rt
from tests.hostile.trace_data import Trace, make_trace, spec_data, spec_from
from tests.hostile.trace_run import Run, failure_of, shrink
from tests.hostile.traces import CORPUS, fuzz
from tests.stress.mixing import Bench

NUM_TRACES = int(os.environ.get("TTSRT_TRACES", "25"))
KEPT = sorted(CORPUS.glob("*.jsonl"))


@pytest.mark.parametrize("path", KEPT, ids=lambda path: path.stem)
def test_kept_traces(trace_bench: Bench, path: Path) -> None:
    assert failure_of(trace_bench, Trace.load(path)) is None


def test_new_traces(trace_bench: Bench) -> None:
    for seed in range(NUM_TRACES):
        trace = make_trace(seed)
        assert failure_of(trace_bench, trace) is None, f"seed {seed}\n{trace.write()}"


def test_traces_are_data() -> None:
    """A trace and its requests are read back as they were, and a seed always gives the same."""
    for seed in range(200):
        trace = make_trace(seed)
        assert Trace.read(trace.write()) == trace == make_trace(seed)
        for event in trace.events:
            if event["do"] == "submit":
                assert spec_data(spec_from(event["spec"])) == event["spec"]
    kinds = {event["do"] for seed in range(200) for event in make_trace(seed).events}
    assert len(kinds) == 9
    assert {make_trace(seed).device for seed in range(200)} == {"cpu", "reference", "reference:2"}


def test_a_failing_trace_shrinks_to_what_it_needs() -> None:
    trace = next(
        trace for trace in map(make_trace, range(500)) if len(trace.events) > 30 and trace.options
    )
    needed = [trace.events[7], trace.events[21]]
    runs = 0

    def fails(candidate: Trace) -> bool:
        nonlocal runs
        runs += 1
        made = [{**event, "client": 0} for event in candidate.events]
        return all({**event, "client": 0} in made for event in needed)

    smallest = shrink(trace, fails)
    assert smallest.events == [{**event, "client": 0} for event in needed]
    assert (smallest.options, smallest.end, smallest.device) == ({}, "wait", "reference")
    assert runs < 500


@pytest.mark.parametrize("is_closed", [True, False])
def test_a_close_while_a_voice_is_added_is_no_failure(
    trace_bench: Bench, monkeypatch: pytest.MonkeyPatch, is_closed: bool
) -> None:
    """A voice may be refused by an executor that another client closes, but not by an open one."""
    voice = {"do": "add_voice", "client": 0, "voice": 0}
    trace = replace(Trace.load(KEPT[0]), kind="tinyhf", events=[voice], end="wait")
    add_voice = rt.Executor.add_voice
    runs: list[Run] = []

    def close_first(executor: rt.Executor, *args: Any, **kwargs: Any) -> None:
        if is_closed:
            runs[0]._close({"drain": False})
            add_voice(executor, *args, **kwargs)
        raise rt.ClosedError("add_voice: the executor is closed")

    runs.append(Run(trace_bench, trace))
    monkeypatch.setattr(rt.Executor, "add_voice", close_first)
    if is_closed:
        runs[0].run()
    else:
        with pytest.raises(AssertionError, match="the executor is closed"):
            runs[0].run()


def test_a_wrong_code_is_found_shrunk_and_kept(
    trace_bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With an oracle that is wrong about one seed, the fuzzer finds a request with that seed."""
    alone = Bench.alone

    def wrong(bench: Bench, engine: Path, spec: object, *rest: object) -> rt.Result:
        result = alone(bench, engine, spec, *rest)  # type: ignore[arg-type]
        codes = result.codes + (dict(spec.options).get("seed") == 3)  # type: ignore[attr-defined]
        return rt.Result(**{**vars(result), "codes": codes})

    monkeypatch.setattr(Bench, "alone", wrong)
    assert fuzz(trace_bench, seed=0, seconds=60, most=1, work=tmp_path, corpus=tmp_path)
    for path in tmp_path.glob("found-*.jsonl"):
        (submit,) = Trace.load(path).events
        assert submit["spec"]["options"]["seed"] == 3
