"""The benchmark of TensorRT, with the CPU in place of TensorRT and numbers in place of the GPU."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from bench.tensorrt import __main__ as program
from bench.tensorrt.__main__ import Line, main
from ttsrt_rt.errors import NotFoundError


def test_figures_are_told_as_they_come_and_kept(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    measure = program.measure

    def measure_one(engine: Path, device: str, size: str, line: Line, **options: Any) -> None:
        if device == "cpu":
            return measure(engine, device, size, line, **options)
        line.start_s[device] = 1.0
        line.step_ms[device] = line.device_ms[device] = {"1": 1.0, "2": 2.0}
        return None

    monkeypatch.setattr(program, "measure", measure_one)
    arguments = ["--size", "tiny", "--models", "2503", "--dtypes", "float32", "--profile"]
    arguments += ["--devices", "cuda:0", "cpu", "--folder", str(tmp_path)]
    assert main([*arguments, "--json", str(tmp_path / "figures.json")]) == 0
    out = capsys.readouterr().out
    assert "- 2503 float32: cpu: a step of 1: " in out
    assert "TensorRT over CUDA: 1: " in out
    (line,) = json.loads((tmp_path / "figures.json").read_text("utf-8"))
    assert line["error"] == ""
    assert set(line["step_ms"]) == set(line["start_s"]) == {"cuda:0", "cpu"}
    assert line["layers"]
    assert all(step > 0.0 for steps in line["step_ms"].values() for step in steps.values())


def test_what_fails_is_told_and_the_rest_goes_on(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(engine: Path, options: Any, line: Line) -> None:
        raise NotFoundError(f"no plans of {line.dtype}")

    monkeypatch.setattr(program, "plan", refuse)
    arguments = ["--size", "tiny", "--models", "2503", "--dtypes", "float32", "float16"]
    assert main([*arguments, "--folder", str(tmp_path)]) == 1
    out = capsys.readouterr().out
    assert "failed: no plans of float32" in out and "failed: no plans of float16" in out


def test_ratios_name_the_bounds_to_reach() -> None:
    line = Line("2503", "float32")
    assert line.ratios() == []
    line.step_ms = {"cuda:0": {"1": 1.0, "64": 2.0}, "tensorrt:0": {"1": 2.0, "64": 5.0}}
    assert line.ratios() == ["1: 2.00x (aim 2.5)", "64: 2.50x (aim 1.5)"]
