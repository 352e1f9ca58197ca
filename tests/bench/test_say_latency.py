"""The benchmark of first sound from a text, with a tiny model. No time is asserted."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from bench import say_latency
from tests.python.codec_models import make_codec_models


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return Path(make_codec_models(tmp_path_factory.mktemp("latency")).spoken)


def test_a_run(engine: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "out.json"
    flags = ["--engine", str(engine), "--device", "cpu", "--turns", "2", "--json", str(out)]
    assert say_latency.main([*flags, "--most", "1000"]) == 0
    sentence, long = json.loads(out.read_text("utf-8"))
    assert (sentence["chunks"], long["chunks"]) == (1, 12)
    for each in (sentence, long):
        assert each["ratio"] == pytest.approx(each["text_ms"] / each["ids_ms"])
        assert each["ids_ms"] > 0 and each["ids"] > each["chunks"]
    assert "| sentence | 1 |" in capsys.readouterr().out
    assert say_latency.main([*flags, "--most", "0", "--text", "hello there"]) == 1


def test_what_is_refused(engine: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert say_latency.main(["--engine", str(engine), "--turns", "0"]) == 2
    assert "--turns: expected at least 1, got 0" in capsys.readouterr().err
