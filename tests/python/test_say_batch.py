"""`ttsrt say --file --output_dir`: many rows to a folder, again after any end."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

import ttsrt_rt as rt
from tests.devices import NATIVE
from ttsrt_rt.audio import read_audio
from ttsrt_rt.cli import main
from ttsrt_rt.cli.say_manifest import Entry, Manifest
from ttsrt_rt.cli.say_rows import Row, read_rows
from ttsrt_rt.errors import ConfigError

from .codec_models import CodecModels, make_codec_models

WORDS = ("Hello world.", "Good morning.", "The quick brown fox.", "Jumps over the lazy dog.")


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> CodecModels:
    return make_codec_models(tmp_path_factory.mktemp("say"))


def command_of(models: CodecModels, file: Path, folder: Path, *more: str) -> list[str]:
    flags = ["say", "--engine", str(models.spoken), "--device", NATIVE, "--max_seconds", "0.02"]
    return [*flags, "--file", str(file), "--output_dir", str(folder), *more]


def lines_of(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "manifest.jsonl").read_text().splitlines()]


@pytest.fixture
def rows(tmp_path: Path) -> Path:
    path = tmp_path / "lines.txt"
    path.write_text("\n".join(WORDS) + "\n")
    return path


def test_lines_of_text(
    models: CodecModels, rows: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "wavs"
    assert main(command_of(models, rows, out, "--seed", "100")) == 0
    names = sorted(each.name for each in out.iterdir())
    assert names == ["000001.wav", "000002.wav", "000003.wav", "000004.wav", "manifest.jsonl"]
    entries = {each["id"]: each for each in lines_of(out)}
    for line in range(1, 5):
        entry = entries[f"{line:06d}"]
        path = out / f"{line:06d}.wav"
        assert entry["seed"] == 100 + line and entry["error"] is None
        assert entry["bytes"] == path.stat().st_size
        assert entry["seconds"] == pytest.approx(read_audio(path).seconds, abs=1e-5)
    assert "4 rows spoken, 0 there already, 0 failed" in capsys.readouterr().err
    with rt.Executor(models.spoken, device=NATIVE) as executor:
        frames = int(0.02 * executor.engine.info.frame_rate)
        voice = executor.voices()[0]
        alone = executor.generate(text=WORDS[1], voice=voice, seed=102, max_frames=frames)
    assert alone.audio is not None
    assert len(read_audio(out / "000002.wav").samples) == len(alone.audio)


def test_a_rerun_makes_what_is_missing_or_other(
    models: CodecModels, rows: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "wavs"
    assert main(command_of(models, rows, out)) == 0
    before = {each.name: each.read_bytes() for each in out.glob("*.wav")}
    capsys.readouterr()
    assert main(command_of(models, rows, out)) == 0
    assert "0 rows spoken, 4 there already" in capsys.readouterr().err
    (out / "000001.wav").unlink()
    (out / "000002.wav").write_bytes(b"short")
    rows.write_text("\n".join([*WORDS[:3], "Hello fox."]))
    assert main(command_of(models, rows, out)) == 0
    assert "3 rows spoken, 1 there already" in capsys.readouterr().err
    after = {each.name: each.read_bytes() for each in out.glob("*.wav")}
    assert {name: after[name] for name in list(before) if name != "000004.wav"} == {
        name: data for name, data in before.items() if name != "000004.wav"
    }
    assert main(command_of(models, rows, out, "--seed", "9")) == 0
    assert "4 rows spoken" in capsys.readouterr().err
    assert main(command_of(models, rows, out, "--seed", "9", "--force")) == 0
    assert "4 rows spoken" in capsys.readouterr().err


def test_a_torn_last_line_is_dropped(
    models: CodecModels, rows: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "wavs"
    assert main(command_of(models, rows, out)) == 0
    manifest = out / "manifest.jsonl"
    manifest.write_bytes(manifest.read_bytes()[:-10])
    capsys.readouterr()
    assert main(command_of(models, rows, out)) == 0
    assert "1 rows spoken, 3 there already" in capsys.readouterr().err
    assert len(lines_of(out)) == 4


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT, signal.SIGTERM])
def test_killed_and_run_again(models: CodecModels, tmp_path: Path, number: signal.Signals) -> None:
    rows = tmp_path / "many.txt"
    rows.write_text("\n".join(WORDS[each % 4] for each in range(60)))
    out, whole = tmp_path / "wavs", tmp_path / "whole"
    command = command_of(models, rows, out, "--max_in_flight", "2", "--max_seconds", "0.3")
    process = subprocess.Popen(
        [sys.executable, "-m", "ttsrt_rt", *command],
        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
    )  # fmt: skip
    manifest = out / "manifest.jsonl"
    end = time.monotonic() + 60
    while time.monotonic() < end and process.poll() is None:
        if manifest.exists() and manifest.read_bytes().count(b"\n") >= 3:
            break
        time.sleep(0.005)
    process.send_signal(number)
    _, told = process.communicate(timeout=60)
    code = {signal.SIGKILL: -9, signal.SIGINT: 130, signal.SIGTERM: 143}[number]
    if process.returncode == 0:
        pytest.skip("it was over before the signal")
    assert process.returncode == code, told
    kept = {each.name: each.stat().st_mtime_ns for each in out.glob("*.wav")}
    done = {each["id"] for each in lines_of_whole(manifest)}
    assert 3 <= len(done) < 60
    again = command_of(models, rows, out, "--max_seconds", "0.3")
    assert main(again) == 0
    for name in done:
        assert (out / f"{name}.wav").stat().st_mtime_ns == kept[f"{name}.wav"]
    assert main(command_of(models, rows, whole, "--max_seconds", "0.3")) == 0
    assert {p.name: p.read_bytes() for p in out.glob("*.wav")} == {
        p.name: p.read_bytes() for p in whole.glob("*.wav")
    }
    assert not list(out.glob("*.part")) or number == signal.SIGKILL


def lines_of_whole(manifest: Path) -> list[dict[str, Any]]:
    data = manifest.read_bytes()
    return [json.loads(line) for line in data[: data.rfind(b"\n") + 1].splitlines()]


def test_rows_that_fail_are_listed(
    models: CodecModels, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path, out = tmp_path / "rows.jsonl", tmp_path / "wavs"
    rows = [
        {"id": "good", "text": "Hello."},
        {"id": "../bad", "text": "Hello."},
        {"id": "voice", "text": "Hello.", "voice": "nobody"},
        {"id": "silent", "text": "\U0001f600"},
        {"id": "seed", "text": "Hello.", "seed": -1},
        {"id": "good", "text": "Hello again."},
        {"id": "more", "text": "Hello.", "speed": 2},
        {"id": "last", "text": "Good.", "voice": 0, "language": "en", "seed": 2**64 - 1},
    ]
    path.write_text("\n".join(map(json.dumps, rows)) + "\nno json\n\n{\n")
    assert main(command_of(models, path, out)) == 1
    told = capsys.readouterr().err
    assert "2 rows spoken, 0 there already, 8 failed" in told
    for each in (
        "line 2: 000002: id: expected 1 to 64 of",
        "line 3: voice: ",
        "line 4: silent: text",
        "line 5: seed: seed: expected 0 to 2**64 - 1",
        "line 6: good: id: expected each once",
        "line 7: more: row: expected some of",
        "line 9: 000009: ",
        "line 11: ",
    ):
        assert each in told
    assert sorted(each.name for each in out.glob("*.wav")) == ["good.wav", "last.wav"]
    errors = {each["id"]: each["error"] for each in lines_of(out)}
    assert errors["last"] is None and "speakable" in errors["silent"]


def test_fail_fast(models: CodecModels, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path, out = tmp_path / "lines.txt", tmp_path / "wavs"
    path.write_text("\U0001f600\n" + "Hello.\n" * 50)
    assert main(command_of(models, path, out, "--fail_fast", "--max_in_flight", "1")) == 1
    assert "1 failed" in capsys.readouterr().err
    assert len(list(out.glob("*.wav"))) <= 3


def test_tables(models: CodecModels, tmp_path: Path) -> None:
    table = 'id,text,voice,language,seed\na,"Hello, world",0,en,7\n\nb,Good.,,,\nc,Good.\n'
    (tmp_path / "rows.csv").write_text(table)
    found = list(read_rows(str(tmp_path / "rows.csv")))
    assert found[0] == Row(2, "a", "Hello, world", "0", "en", 7)
    assert found[1] == Row(4, "b", "Good.")
    assert found[2].error == "expected 5 columns, got 2"
    (tmp_path / "rows.tsv").write_bytes(b'text\tid\nsay "it"\tx\n\xff\ty\nlast\n')
    rows = list(read_rows(str(tmp_path / "rows.tsv")))
    assert rows[0] == Row(2, "x", 'say "it"')
    assert rows[1].error is not None and rows[2].error == "expected 2 columns, got 1"
    assert main(command_of(models, tmp_path / "rows.csv", tmp_path / "wavs", "--quiet")) == 1


@pytest.mark.parametrize(
    ("name", "data", "told"),
    [
        ("a.txt", b"", "at least one row"),
        ("a.doc", b"x", "expected a name that ends in .txt, .tsv, .csv, .jsonl"),
        ("a.csv", b"id,words\n1,x\n", "a header line with text"),
        ("a.csv", b"text,text\n1,x\n", "each once"),
    ],
)
def test_files_that_are_no_rows(
    models: CodecModels,
    tmp_path: Path,
    name: str,
    data: bytes,
    told: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (tmp_path / name).write_bytes(data)
    assert main(command_of(models, tmp_path / name, tmp_path / "wavs")) == 2
    assert told in capsys.readouterr().err
    assert main(command_of(models, tmp_path / "none.txt", tmp_path / "wavs")) == 2


def test_hostile_rows(tmp_path: Path) -> None:
    path = tmp_path / "rows.txt"
    path.write_bytes(b"a\xff\n" + b"x" * (2 << 20) + b"\nlast\n")
    found = list(read_rows(str(path)))
    assert [each.line for each in found] == [1, 2, 3]
    assert found[0].error is not None and found[1].error is not None and found[2].text == "last"
    path = tmp_path / "rows.jsonl"
    path.write_bytes(
        b"[" * 100_000 + b'\n{"text": "\\ud800"}\n{"text": 3}\n{"text": "a", "id": ".."}\n'
    )
    assert all(each.error is not None for each in read_rows(str(path)))


def test_one_process_at_a_time(models: CodecModels, rows: Path, tmp_path: Path) -> None:
    out = tmp_path / "wavs"
    out.mkdir()
    with Manifest(out), pytest.raises(ConfigError, match="no other process"):
        Manifest(out)
    with Manifest(out):
        assert main(command_of(models, rows, out)) == 2


def test_a_manifest_that_others_wrote(tmp_path: Path) -> None:
    good = Entry(id="a", request_sha256="x", seed=1, bytes=1)
    lines = [b"[]", b"{}", b"\xff", b"[" * 100_000, b'{"id": 1, "request_sha256": 2, "seed": 3}']
    (tmp_path / "manifest.jsonl").write_bytes(b"\n".join(lines) + b"\n")
    (tmp_path / "a.wav").write_bytes(b"x")
    with Manifest(tmp_path) as manifest:
        assert not manifest.has("a", "x", tmp_path / "a.wav")
        manifest.add(good)
        assert manifest.has("a", "x", tmp_path / "a.wav")
        assert not manifest.has("a", "y", tmp_path / "a.wav")
    with Manifest(tmp_path) as manifest:
        assert manifest.has("a", "x", tmp_path / "a.wav")
    assert os.path.getsize(tmp_path / "manifest.jsonl") > 100_000
