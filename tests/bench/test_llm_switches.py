"""The table of what each switch costs, with a tiny model. No time is asserted."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest

from bench import llm_switches as command
from bench.llm_switches import SWITCHES
from bench.walls import turns
from bench.walls.limits import Bandwidth


def test_every_switch_has_its_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(turns, "measure_bandwidth", lambda again: Bandwidth(10.0, 10.0))
    out = tmp_path / "out.json"
    flags = ["--size", "tiny", "--turns", "1", "--steps", "200", "--threads", "1"]
    assert command.main([*flags, "--folder", str(tmp_path), "--json", str(out)]) == 0
    found = json.loads(out.read_text("utf-8"))
    cases = {case["case"]: case for case in found["cases"]}
    assert list(cases) == [switch.name for switch in SWITCHES]
    for case in cases.values():
        for key in ("one", "long", "eight", "prompt"):
            assert len(case[key]["ms"]) == len(case[key]["times"]) == 1
            assert math.isfinite(case[key]["ms"][0])
    first = cases["16 bits (bfloat16)"]
    assert first["one"]["times"] == [1.0]
    # Positions of 2 layers, 2 heads of keys and values with 16 numbers: 2 bytes, or 1 and a scale.
    assert first["cache_bytes_of_a_token"] == 2 * 2 * 2 * 16 * 2
    assert cases["16 bits, int8 cache"]["cache_bytes_of_a_token"] < 2 * 2 * 2 * 16 * 2
    sizes = [cases[name]["weight_bytes"] for name in ("int8", "int8, head int8", "int4")]
    assert first["weight_bytes"] > sizes[0] > sizes[1] and sizes[0] > sizes[2]
    printed = capsys.readouterr().out
    assert "| int4, head int8, int8 cache |" in printed and "(1.00x)" in printed
    # The second run finds its files.
    (tmp_path / "llm-tiny.hf").rename(tmp_path / "elsewhere")
    assert command.main([*flags, "--folder", str(tmp_path)]) == 0


@pytest.mark.parametrize("flags", [["--turns", "0"], ["--steps", "3"], ["--json", "no/such/a"]])
def test_wrong_flags(flags: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    try:
        assert command.main(flags) == 2
        assert "--json" in capsys.readouterr().out
    except SystemExit as stopped:
        assert stopped.code == 2
        assert "expected" in capsys.readouterr().err
