"""First frames under load: what is measured adds up. No time is asserted."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import ttsrt_rt as rt
from ttsrt_rt.bench.priority import PriorityOptions, PriorityReport, measure_priority
from ttsrt_rt.bench.requests import RequestShape

SHAPE = RequestShape(text_len=8, context_len=6, frames=30)


def test_every_request_is_measured(engine_of: Callable[[str], Path]) -> None:
    options = PriorityOptions(rounds=2, requests=4, pause_ms=0.5, shape=SHAPE, high_frames=2)
    with rt.Executor(
        engine_of("tiny2503"), device="cpu", num_threads=1, max_batch_size=2, preempt="priority"
    ) as executor:
        report = measure_priority(executor, options)
        stats = executor.stats()
    assert len(report.idle_ms) == len(report.loaded_ms) == 8
    assert all(value > 0 for value in report.idle_ms + report.loaded_ms)
    assert report.num_low == 2 and report.num_preemptions == stats.num_preemptions > 0
    assert stats.num_active_requests == stats.num_failed == 0


def test_ratio_is_of_the_95th_percentiles() -> None:
    report = PriorityReport([1.0] * 90 + [2.0] * 10, [1.0] * 94 + [3.0] * 6, 4, 0)
    assert report.percentile(95) == (2.0, 3.0)
    assert report.ratio == 1.5


@pytest.mark.parametrize(
    "values", [{"rounds": 0}, {"requests": 0}, {"pause_ms": -1.0}, {"high_frames": 0}]
)
def test_wrong_options(values: dict[str, Any]) -> None:
    with pytest.raises(rt.ConfigError, match=next(iter(values))):
        PriorityOptions(**values)
