"""Pictures are written where matplotlib is installed, and its absence is told with the cure."""

from __future__ import annotations

import dataclasses
import sys
from pathlib import Path

import pytest

import ttsrt_rt as rt
from ttsrt_rt.bench.plot import check_plot, write_plot
from ttsrt_rt.bench.report import Measurement, summarize

from .test_report import make_run


@pytest.mark.parametrize("ending", ["png", "svg", "pdf"])
def test_pictures(tmp_path: Path, ending: str) -> None:
    pytest.importorskip("matplotlib")
    runs = [summarize(make_run(True), 5.0), summarize(make_run(True), 5.0)]
    path = tmp_path / f"plot.{ending}"
    write_plot(path, runs, "an engine")
    beginnings = {"png": b"\x89PNG", "svg": b"<?xml", "pdf": b"%PDF"}
    assert path.read_bytes().startswith(beginnings[ending])


@pytest.mark.parametrize("is_streaming", [True, False])
def test_a_third_picture_of_what_is_heard(tmp_path: Path, is_streaming: bool) -> None:
    pytest.importorskip("matplotlib")
    run = dataclasses.replace(make_run(is_streaming), sample_rate=100)
    for outcome in run.ok:
        outcome.samples, outcome.first_audio = 200, outcome.first_frame
        outcome.sounds = [(moment, 50) for moment, _ in outcome.arrivals]
    path = tmp_path / "plot.svg"
    write_plot(path, [summarize(run, 5.0)] * 2, "an engine")
    text = path.read_text("utf-8")
    assert "first sound, p95" in text and ("underruns" in text) == is_streaming


def test_one_load_without_streaming_where_all_failed(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    run = make_run(False)
    lost = Measurement("all at once", None, None, False, 2.0, run.outcomes[2:])
    write_plot(tmp_path / "plot.png", [summarize(lost, 5.0)], "an engine")


def test_unknown_endings() -> None:
    with pytest.raises(rt.ConfigError, match=r"plot\.bmp: expected a file that ends in \.png"):
        check_plot("plot.bmp")


def test_without_matplotlib(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("matplotlib", "matplotlib.figure"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(rt.ConfigError, match=r"pip install matplotlib$"):
        check_plot("plot.png")
