"""Ours beside the PyTorch reference on tiny checkpoints. No time is asserted."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import ttsrt_rt as rt
from ttsrt_rt.bench import step_time
from ttsrt_rt.bench.compare import CompareOptions, check_torch, compare


@pytest.fixture(autouse=True)
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    """Requests for models whose texts and contexts are short; no bandwidth is measured."""
    monkeypatch.setattr(step_time, "_FRAMES", 8)
    monkeypatch.setattr(step_time, "_TEXT_LEN", 12)
    monkeypatch.setattr(step_time, "_CONTEXT_COLUMNS", 6)
    monkeypatch.setattr(step_time, "read_bandwidth", lambda seconds: 10.0)


@pytest.mark.parametrize("case", ["tiny2503", "tinyhf"])
def test_a_tiny_checkpoint(checkpoint_of: Callable[[str], Path], case: str, tmp_path: Path) -> None:
    pytest.importorskip("torch")
    shown: list[None] = []
    options = CompareOptions(turns=2)
    result = compare(checkpoint_of(case), tmp_path, options, progress=lambda: shown.append(None))
    names = [turns.name for turns in result.turns]
    assert names == [f"{who} {of}" for of in options.dtypes for who in ("ttsrt_rt", "PyTorch")]
    assert len(shown) == 4 * 3 and all(len(turns.step_ms) == 2 for turns in result.turns)
    assert result.equal_frames == result.of
    figures = json.loads(json.dumps(result.json()))
    assert figures["bandwidth"] == 10.0 and len(figures["rows"]) == 4


def test_ours_alone(checkpoint_of: Callable[[str], Path], tmp_path: Path) -> None:
    options = CompareOptions(dtypes=("bfloat16",), turns=1, with_torch=False)
    result = compare(checkpoint_of("tinyhf"), tmp_path, options)
    assert [turns.name for turns in result.turns] == ["ttsrt_rt bfloat16"]
    assert result.equal_frames is None


def test_turns_interleave() -> None:
    order: list[str] = []

    def runner(name: str) -> Callable[[], float]:
        def run() -> float:
            order.append(name)
            return float(len(order))

        return run

    turns = [step_time.Turns(name, 1) for name in "ab"]
    step_time.take_turns([(of, runner(of.name)) for of in turns], 2, lambda: None)
    assert "".join(order) == "ababab"
    assert [of.step_ms for of in turns] == [[3.0, 5.0], [4.0, 6.0]]  # the first warms up


def test_senseless_options() -> None:
    with pytest.raises(rt.ConfigError, match="dtype: expected some of float32"):
        CompareOptions(dtypes=("float31",))
    with pytest.raises(rt.ConfigError, match="turns: expected 1 to 1000, got 0"):
        CompareOptions(turns=0)


def test_without_torch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(rt.ConfigError, match=r"pip install 'ttsrt_rt\[bench\]'"):
        check_torch()
