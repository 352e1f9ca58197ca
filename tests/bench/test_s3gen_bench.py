"""The benchmark of sound of speech tokens, with tiny models. No time is asserted."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path

import pytest

from bench.s3gen import __main__ as command

RUN = ["--size", "tiny", "--turns", "1", "--tokens", "5", "--streams", "2", "--builds", "float32"]


def test_a_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "out.json"
    folder = ["--folder", str(tmp_path / "models"), "--no_torch"]
    assert command.main([*RUN, "int8", *folder, "--json", str(out)]) == 0
    printed = capsys.readouterr().out
    assert "| float32, 2 streams |" in printed and "meanflow: 5 tokens, 0.3 s of sound" in printed
    tables = json.loads(out.read_text())["tables"]
    assert [table["table"] for table in tables] == ["meanflow", "cfm"]
    names = [case["case"] for case in tables[0]["cases"]]
    assert names == ["float32", "float32, 2 streams", "int8", "int8, 2 streams"]
    assert all(len(case["seconds"]) == 1 and case["rtf"] > 0 for case in tables[1]["cases"])


def test_the_original_is_asked_for_by_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("torch")
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    assert command.main([*RUN, "--folder", str(tmp_path), "--kind", "cfm"]) == 2
    assert "chatterbox-tts: expected the package" in capsys.readouterr().out
    with pytest.raises(SystemExit):
        command.main([*RUN, "--tokens", "0"])
