"""Crowds of requests: turns, medians, and the ratio to one request. No time is asserted."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

import ttsrt_rt as rt
from ttsrt_rt.bench import crowd as crowd_module
from ttsrt_rt.bench.crowd import Crowd, measure_crowds
from ttsrt_rt.bench.load import Outcome
from ttsrt_rt.bench.requests import RequestShape

SHAPE = RequestShape(text_len=8, context_len=6, frames=6)


def test_figures_are_medians_over_the_repeats() -> None:
    one, two = Crowd(1), Crowd(2)
    for seconds in (2.0, 1.0, 4.0):
        outcome = Outcome(0, 0.0, ended=seconds, first_frame=seconds / 2, frames=10, steps=11)
        one.add([outcome], seconds)
        two.add([outcome, outcome], seconds)
    figures = two.figures(one, frame_rate=5.0)
    assert figures["requests"] == 2 and figures["frames_per_second"] == 10.0
    assert (figures["lowest"], figures["highest"]) == (5.0, 20.0)
    assert figures["ratio"] == 2.0 and figures["x_real_time"] == 2.0 and figures["rtf"] == 0.5
    assert figures["first_frame_ms"] == 1000.0 and figures["step_ms"] == 100.0


@pytest.mark.parametrize("case", ["tiny2503", "tinyhf"])
def test_a_tiny_engine(
    engine_of: Callable[[str], Path], case: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes: list[int] = []
    run = crowd_module.run_crowd

    def spy(executor: rt.Executor, count: int, *rest: object) -> object:
        sizes.append(count)
        return run(executor, count, *rest)

    monkeypatch.setattr(crowd_module, "run_crowd", spy)
    shown: list[None] = []
    with rt.Executor(engine_of(case), device="cpu") as executor:
        crowds = measure_crowds(executor, [1, 3], 2, SHAPE, progress=lambda: shown.append(None))
    assert sizes == [3, 1, 3, 1, 3]  # warm-up, then turns
    assert len(shown) == 4
    for crowd in crowds:
        assert len(crowd.frames_per_second) == len(crowd.step_ms) == 2
        assert min(crowd.frames_per_second) > 0 and min(crowd.first_frame_ms) > 0


def test_more_than_the_engine_runs_at_once(engine: Path) -> None:
    with rt.Executor(engine, device="cpu", max_batch_size=2) as executor:
        with pytest.raises(rt.ConfigError, match=r"1 to 2, .* got \[1, 4\]; .*--max_batch_size 4"):
            measure_crowds(executor, [1, 4], 1, SHAPE)
        with pytest.raises(rt.ConfigError, match="repeats: expected 1 to 1000, got 0"):
            measure_crowds(executor, [1], 0, SHAPE)
