"""The benchmark of codecs, with tiny models. No time is asserted."""

from __future__ import annotations

import json
import math
import struct
import sys
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


PEER = """#!{python}
import json, sys
assert sys.argv[1] == "bench"
run = {{"encode_ms": 1.0, "decode_ms": 10.0, "decode_steps": 4, "codec_ms": 900.0}}
run |= {{"total_ms": 2000.0, "audio_seconds": 0.5}}
print(json.dumps({{"runs_detail": [run]}}))
"""
KEY = b"magpie.sampling.max_decoder_steps"


def test_beside_another_program(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    program, model = tmp_path / "cli", tmp_path / "model.gguf"
    program.write_text(PEER.format(python=sys.executable))
    program.chmod(0o755)
    model.write_bytes(b"GGUF" + bytes(100) + KEY + struct.pack("<II", 4, 40) + bytes(50))
    out = tmp_path / "out.json"
    flags = ["--streams", "1", "--folder", str(tmp_path / "models"), "--json", str(out)]
    flags += ["--quantization", "w8a8", "--text_len", "8"]
    flags += ["--peer", str(program), "--gguf", str(model)]
    assert command.main([*RUN, *flags]) == 0
    assert "| ttsrt_rt, float32 and w8a8 |" in capsys.readouterr().out
    ours, theirs = json.loads(out.read_text())["cases"]
    assert theirs["codec"] == [1.8] and theirs["whole"] == [4.0] and theirs["first"] == [2000.0]
    assert ours["whole_ratio"] == [4.0 / ours["whole"][0]]
    assert ours["codec"][0] > 0 and 0 < ours["first"][0] < 1e3 * ours["whole"][0]


def test_a_peer_needs_its_file(capsys: pytest.CaptureFixture[str]) -> None:
    for flags in (["--peer", "cli"], ["--peer", "cli", "--gguf", "m", "--streams", "2"]):
        with pytest.raises(SystemExit):
            command.main([*RUN, *flags])
        assert "--peer: expected" in capsys.readouterr().err


@pytest.mark.parametrize("flags", [["--frames", "0"], ["--size", "huge"], ["--streams", "x"]])
def test_flags_are_refused(flags: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        command.main([*RUN, *flags])
    assert flags[0] in capsys.readouterr().err


def test_an_unknown_device_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert command.main([*RUN, "--folder", str(tmp_path), "--device", "gpu"]) == 1
    assert "gpu" in capsys.readouterr().out
