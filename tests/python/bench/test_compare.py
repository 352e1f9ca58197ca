"""Engines and a peer taking turns on tiny checkpoints. No time is asserted."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

import ttsrt_rt as rt
from ttsrt_rt.bench import step_turns
from ttsrt_rt.bench.compare import CompareOptions, compare
from ttsrt_rt.bench.step_turns import Peer


@pytest.fixture(autouse=True)
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    """Requests for models whose texts and contexts are short; no bandwidth is measured."""
    monkeypatch.setattr(step_turns, "_FRAMES", 8)
    monkeypatch.setattr(step_turns, "_TEXT_LEN", 12)
    monkeypatch.setattr(step_turns, "_CONTEXT_COLUMNS", 6)
    monkeypatch.setattr(step_turns, "read_bandwidth", lambda seconds: 10.0)


def fake_peer(codes: NDArray[np.int32]) -> Peer:
    """Takes a millisecond per step, and makes these codes."""
    return Peer("fake", lambda *given: lambda: 1.0, lambda *given: codes)


def test_a_peer_takes_turns(checkpoint_of: Callable[[str], Path], tmp_path: Path) -> None:
    shown: list[None] = []
    options = CompareOptions(quantizations=("none", "w8a8"), turns=2)
    checkpoint = checkpoint_of("tinyhf")
    codes = greedy_codes(checkpoint, tmp_path)
    codes[2] += 1
    result = compare(
        checkpoint,
        tmp_path,
        options,
        peer=fake_peer(codes),
        progress=lambda: shown.append(None),
    )
    names = [turns.name for turns in result.turns]
    pairs = [f"{who} {of}" for of in options.dtypes for who in ("ttsrt_rt", "fake")]
    assert names == [*pairs, "ttsrt_rt w8a8"]  # a quantized engine has no peer
    assert len(shown) == 5 * 3 and all(len(turns.step_ms) == 2 for turns in result.turns)
    assert result.equal_frames == 2
    figures = json.loads(json.dumps(result.json()))
    assert figures["bandwidth"] == 10.0 and len(figures["rows"]) == 5


def greedy_codes(checkpoint: Path, folder: Path) -> NDArray[np.int32]:
    engine = step_turns.engine_of(checkpoint, checkpoint.name, step_turns.Case("float32"), folder)
    fields = {**step_turns.request_fields(checkpoint), "max_frames": 8, "temperature": 0.0}
    with rt.Executor(engine) as executor:
        return executor.generate(**fields).codes.copy()


def test_without_a_peer(checkpoint_of: Callable[[str], Path], tmp_path: Path) -> None:
    options = CompareOptions(dtypes=("bfloat16",), turns=1)
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

    turns = [step_turns.Turns(name, 1) for name in "ab"]
    step_turns.take_turns([(of, runner(of.name)) for of in turns], 2, lambda: None)
    assert "".join(order) == "ababab"
    assert [of.step_ms for of in turns] == [[3.0, 5.0], [4.0, 6.0]]  # the first warms up


def test_senseless_options() -> None:
    with pytest.raises(rt.ConfigError, match="dtype: expected some of float32"):
        CompareOptions(dtypes=("float31",))
    with pytest.raises(rt.ConfigError, match="turns: expected 1 to 1000, got 0"):
        CompareOptions(turns=0)
    with pytest.raises(rt.ConfigError, match="quantization: expected some of none, w8a16"):
        CompareOptions(quantizations=("w2a2",))
