"""The benchmark of codecs, with tiny models. No time is asserted."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest

from bench.codec import __main__ as command

RUN = ["--size", "tiny", "--turns", "1", "--frames", "8", "--streams", "2", "--dtype", "float32"]


def test_a_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "out.json"
    assert command.main([*RUN, "--folder", str(tmp_path / "models"), "--json", str(out)]) == 0
    printed = capsys.readouterr().out
    for name in ("codec alone", "codes alone", "codes and sound"):
        assert f"| {name} |" in printed
    cases = json.loads(out.read_text())["cases"]
    assert [len(case["real_time"]) for case in cases] == [1, 1, 1]
    assert all(math.isfinite(rate) and rate > 0 for case in cases for rate in case["real_time"])
    assert len(cases[0]["first_audio_ms"]) == 2
    assert len(cases[2]["first_ms"]) == 2


@pytest.mark.parametrize("flags", [["--frames", "0"], ["--size", "huge"], ["--streams", "x"]])
def test_flags_are_refused(flags: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        command.main([*RUN, *flags])
    assert flags[0] in capsys.readouterr().err


def test_an_unknown_device_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert command.main([*RUN, "--folder", str(tmp_path), "--device", "gpu"]) == 1
    assert "gpu" in capsys.readouterr().out
