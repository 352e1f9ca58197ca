"""Runs a small script that prints what the other program prints."""

from __future__ import annotations

import json
import struct
import sys
from pathlib import Path

import pytest

import ttsrt_rt as rt
from bench.walls.peer import Peer, PeerRun, parse_output, peer_turns, set_frames

KEY = b"magpie.sampling.max_decoder_steps"

# 500 ms of prefill and 20 ms a step of two frames, read from the file as the program does.
SCRIPT = """#!{python}
import json, struct, sys
flags = sys.argv[1:]
model = flags[flags.index("--model") + 1]
data = open(model, "rb").read()
at = data.index({key!r}) + len({key!r}) + 4
steps = struct.unpack_from("<I", data, at)[0] // 2
assert flags[0] == "bench" and len(flags[flags.index("--text") + 1]) == 56
assert flags[flags.index("--lang") + 1] == "fr" and "--json" in flags
if "{fails}":
    sys.exit("no such tensor")
run = {{"encode_ms": 30.5, "decode_ms": 500.0 + 20.0 * steps, "decode_steps": steps}}
run |= {{"codec_ms": 100.0, "total_ms": 2000.0, "audio_seconds": 2.5}}
print(json.dumps({{"threads": 2, "runs_detail": [run], "median": run}}))
"""


def write_model(path: Path, kind: int = 4) -> Path:
    """The start of such a file: other keys, our key with type and value, and more keys."""
    value = struct.pack("<II", kind, 40)
    path.write_bytes(b"GGUF" + bytes(100) + KEY + value + b"next key" + bytes(50))
    return path


def write_program(path: Path, fails: str = "") -> Path:
    path.write_text(SCRIPT.format(python=sys.executable, key=KEY, fails=fails))
    path.chmod(0o755)
    return path


def test_a_run_is_read() -> None:
    run = {"encode_ms": 30.5, "decode_ms": 1780.25, "decode_steps": 64, "codec_ms": 6800.0}
    run |= {"total_ms": 8610.75, "audio_seconds": 5.944, "lt_ms": 3.0}
    found = parse_output(json.dumps({"runs_detail": [run]}))
    assert found == PeerRun(64, 1.78025, 0.0305, 6.8, 8.61075, 5.944)


@pytest.mark.parametrize(
    "text", ["", "usage: magpie-cli", "{}", '{"runs_detail": []}', '{"runs_detail": [{}]}', "[1]"]
)
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(rt.InternalError, match="expected the JSON of one run"):
        parse_output(text)


def test_frames_are_set_in_place(tmp_path: Path) -> None:
    model = write_model(tmp_path / "model.gguf")
    before = model.read_bytes()
    set_frames(model, 128)
    at = before.index(KEY) + len(KEY) + 4
    assert model.read_bytes() == before[:at] + struct.pack("<I", 128) + before[at + 4 :]


def test_other_files_are_left_alone(tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.write_bytes(b"anything")
    for path in (other, write_model(tmp_path / "typed", kind=8)):
        before = path.read_bytes()
        with pytest.raises(rt.ConfigError, match="peer_gguf"):
            set_frames(path, 128)
        assert path.read_bytes() == before


def test_prefill_cancels_out(tmp_path: Path) -> None:
    model, program = write_model(tmp_path / "v2607.f16.gguf"), write_program(tmp_path / "cli")
    peer = Peer(program, model, text_len=58, num_threads=2)
    assert peer.run(8) == PeerRun(4, 0.58, 0.0305, 0.1, 2.0, 2.5)
    assert peer.step_ms(128, 2) == pytest.approx(20.0)
    with pytest.raises(rt.InternalError, match=r"2 and 2 steps in 0\.54 and 0\.54 s"):
        peer.step_ms(4, 2)


def test_a_failure_is_reported(tmp_path: Path) -> None:
    model = write_model(tmp_path / "v2607.f16.gguf")
    program = write_program(tmp_path / "cli", fails="yes")
    with pytest.raises(rt.InternalError, match="exit status 1: no such tensor"):
        Peer(program, model, text_len=58, num_threads=2).run(8)
    with pytest.raises(rt.ConfigError, match="absent: expected a file"):
        Peer(tmp_path / "absent", model, text_len=58, num_threads=2)
    with pytest.raises(rt.ConfigError, match=r"v2607\.f32\.gguf: expected a file"):
        peer_turns(program, tmp_path, "v2607", text_len=58, frames=8, frames_per_step=2)


def test_every_type_has_its_file(tmp_path: Path) -> None:
    program = write_program(tmp_path / "cli")
    for kind in ("f32", "f16", "q8_0"):
        write_model(tmp_path / f"v2607.{kind}.gguf")
    turns = peer_turns(program, tmp_path, "v2607", text_len=58, frames=16, frames_per_step=2)
    assert [turn() for turn in turns.values()] == pytest.approx([20.0, 20.0, 20.0])
