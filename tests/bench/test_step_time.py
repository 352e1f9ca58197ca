"""The comparison with PyTorch on tiny checkpoints. No time is asserted."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import ttsrt_rt as rt
from bench.step_time import main, torch_peer
from ttsrt_rt.bench import step_turns
from ttsrt_rt.bench.compare import CompareOptions, compare


@pytest.fixture(autouse=True)
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    """Requests for models whose texts and contexts are short; no bandwidth is measured."""
    monkeypatch.setattr(step_turns, "_FRAMES", 8)
    monkeypatch.setattr(step_turns, "_TEXT_LEN", 12)
    monkeypatch.setattr(step_turns, "_CONTEXT_COLUMNS", 6)
    monkeypatch.setattr(step_turns, "read_bandwidth", lambda seconds: 10.0)


@pytest.mark.torch
@pytest.mark.parametrize("case", ["tiny2503", "tinyhf"])
def test_a_tiny_checkpoint(checkpoint_of: Callable[[str], Path], case: str, tmp_path: Path) -> None:
    from ..needs_torch import torch  # noqa: F401

    shown: list[None] = []
    options = CompareOptions(turns=2)
    result = compare(
        checkpoint_of(case),
        tmp_path,
        options,
        peer=torch_peer(),
        progress=lambda: shown.append(None),
    )
    names = [turns.name for turns in result.turns]
    assert names == [f"{who} {of}" for of in options.dtypes for who in ("ttsrt_rt", "PyTorch")]
    assert len(shown) == 4 * 3 and all(len(turns.step_ms) == 2 for turns in result.turns)
    assert all(math.isfinite(ms) and ms > 0 for turns in result.turns for ms in turns.step_ms)
    assert result.equal_frames == result.of
    figures = json.loads(json.dumps(result.json()))
    assert figures["bandwidth"] == 10.0 and len(figures["rows"]) == 4


def test_without_torch(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("torch", "bench.torch_reference"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(rt.ConfigError, match=r"pip install '\.\[torch\]'"):
        torch_peer()


def test_command(
    checkpoint_of: Callable[[str], Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "compare.json"
    command = [str(checkpoint_of("tinyhf")), "--dtype", "float32", "--turns", "1", "--no_torch"]
    assert main([*command, "--output_json", str(output)]) == 0
    assert "| ttsrt_rt float32 |" in capsys.readouterr().out
    assert json.loads(output.read_text())[0]["equal_frames"] is None
    assert main([*command, "--turns", "0"]) == 2
    assert "step_time: error: turns: expected 1 to 1000, got 0" in capsys.readouterr().err
