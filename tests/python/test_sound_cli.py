"""Sound on the command line: files, and a WAV on standard output while it is made."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import ttsrt_rt as rt
from tests.devices import NATIVE
from ttsrt_rt.audio import read_audio, sample_bytes, wav_bytes, wav_head, write_wav
from ttsrt_rt.cli import main

from .codec_models import RATE, SAMPLES_PER_FRAME, CodecModels, make_codec_models

FRAMES = 24
FIELDS: dict[str, Any] = {"text_ids": [3, 4, 5, 6], "voice": 0, "seed": 5}
FIELDS |= {"min_frames": FRAMES, "max_frames": FRAMES}


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> CodecModels:
    return make_codec_models(tmp_path_factory.mktemp("codec"))


@pytest.fixture(scope="module")
def whole(models: CodecModels) -> rt.Result:
    with rt.Executor(models.spoken, device=NATIVE) as executor:
        return executor.generate(**FIELDS)


@pytest.fixture
def command(models: CodecModels, tmp_path: Path) -> list[str]:
    """`ttsrt run` of the request of `whole`, without an output."""
    return command_of(models.spoken, tmp_path)


def command_of(engine: Path, folder: Path) -> list[str]:
    (folder / "ids.json").write_text(json.dumps(FIELDS["text_ids"]))
    flags = [f"--{name}={value}" for name, value in FIELDS.items() if name != "text_ids"]
    command = ["run", str(engine), "--device", NATIVE, "--text_ids", str(folder / "ids.json")]
    return [*command, *flags]


def test_positions_and_words(
    models: CodecModels, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = ["run", str(models.spoken), "--device", NATIVE, "--text", "Hello world", "--voice", "0"]
    run += ["--max_frames", "24", "--return_positions"]
    with rt.Executor(models.spoken, device=NATIVE) as executor:
        whole = executor.generate(text="Hello world", voice=0, max_frames=24, return_positions=True)
    assert whole.text_positions is not None and whole.words
    assert main([*run, "--output", str(tmp_path / "a.json")]) == 0
    fields = json.loads((tmp_path / "a.json").read_text())
    assert fields["text_positions"] == whole.text_positions.tolist()
    assert fields["text"] == "Hello world"
    assert [word["text"] for word in fields["words"]] == [word.text for word in whole.words]
    assert fields["words"][0]["end_seconds"] == whole.words[0].end_seconds
    assert main([*run, "--output", str(tmp_path / "a.npz")]) == 0
    with np.load(tmp_path / "a.npz") as arrays:
        np.testing.assert_array_equal(arrays["text_positions"], whole.text_positions)
    capsys.readouterr()
    for name in ("a.npy", "a.wav"):
        assert main([*run, "--output", str(tmp_path / name)]) == 2
        assert "--return_positions: expected an --output that has room" in capsys.readouterr().err


@pytest.mark.parametrize("width", [16, 32])
def test_a_file_of_sound(
    command: list[str],
    whole: rt.Result,
    tmp_path: Path,
    width: int,
    capsys: pytest.CaptureFixture[str],
) -> None:
    out = tmp_path / "speech.wav"
    assert main([*command, "--output", str(out), "--width", str(width)]) == 0
    assert whole.audio is not None
    assert out.read_bytes() == wav_bytes(whole.audio, RATE, width=width)
    told = capsys.readouterr().out
    assert f"{out}: 24 frames, 384 samples, 0.02 s, length" in told and "sound after" in told


def test_other_files(command: list[str], whole: rt.Result, tmp_path: Path) -> None:
    assert whole.audio is not None
    for name in ("a.pcm", "a.npy", "a.npz", "a.json"):
        assert main([*command, "--output", str(tmp_path / name)]) == 0
    assert (tmp_path / "a.pcm").read_bytes() == sample_bytes(whole.audio)
    np.testing.assert_array_equal(np.load(tmp_path / "a.npy"), whole.codes)
    with np.load(tmp_path / "a.npz") as arrays:
        np.testing.assert_array_equal(arrays["codes"], whole.codes)
        np.testing.assert_array_equal(arrays["audio"], whole.audio)
    fields = json.loads((tmp_path / "a.json").read_text())
    assert fields["codes"] == whole.codes.tolist() and fields["sample_rate"] == RATE
    assert len(fields["audio"]) == FRAMES * SAMPLES_PER_FRAME
    out = tmp_path / "only.json"
    assert main([*command, "--codes_only", "--output", str(out)]) == 0
    assert "audio" not in json.loads(out.read_text())


def run_process(command: list[str], **options: Any) -> subprocess.CompletedProcess[bytes]:
    program = [sys.executable, "-m", "ttsrt_rt", *command]
    return subprocess.run(program, capture_output=True, check=False, **options)


@pytest.mark.parametrize("width", [None, 32])
def test_a_wav_on_standard_output(command: list[str], whole: rt.Result, width: int | None) -> None:
    flags = [] if width is None else ["--width", str(width)]
    chunks = ["--initial_chunk_frames", "2", "--chunk_frames", "5", "--streaming"]
    done = run_process([*command, "--output", "-", *chunks, *flags])
    assert done.returncode == 0, done.stderr
    assert whole.audio is not None
    head = wav_head(RATE, width=width or 16)
    assert done.stdout == head + sample_bytes(whole.audio, width=width or 16)
    assert head.count(b"\xff\xff\xff\xff") == 2
    assert read_audio(done.stdout).samples.shape == (FRAMES * SAMPLES_PER_FRAME, 1)
    assert b"24 frames" in done.stderr and b"length" in done.stderr


def test_sound_comes_while_it_is_made(command: list[str], models: CodecModels) -> None:
    """Each write is flushed: a reader has the first sound before the request has ended."""
    program = [sys.executable, "-m", "ttsrt_rt", *command, "--output", "-", "--streaming"]
    with subprocess.Popen(program, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None and process.stderr is not None
        descriptor = process.stdout.fileno()
        parts = []
        while part := os.read(descriptor, 1 << 16):
            parts.append(part)
        assert process.wait() == 0
    assert len(parts) > 1 and parts[0].startswith(b"RIFF")
    assert b"".join(parts).count(b"RIFF") == 1


def test_a_reader_that_has_heard_enough(command: list[str]) -> None:
    line = " ".join([sys.executable, "-m", "ttsrt_rt", *command, "--output", "-"])
    done = subprocess.run(
        ["bash", "-o", "pipefail", "-c", f"{line} | head -c 60 | wc -c"],
        capture_output=True,
        check=False,
    )
    assert (done.returncode, done.stdout.strip()) == (0, b"60"), done.stderr


def test_codes_and_sound_of_a_codec(
    models: CodecModels, whole: rt.Result, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    np.save(tmp_path / "codes.npy", whole.codes)
    run = ["run", str(models.codec), "--device", NATIVE]
    decode = [*run, "--codes", str(tmp_path / "codes.npy")]
    assert main([*decode, "--output", str(tmp_path / "x.wav")]) == 0
    assert whole.audio is not None
    assert (tmp_path / "x.wav").read_bytes() == wav_bytes(whole.audio, RATE)
    done = run_process([*decode, "--output", "-"])
    assert done.stdout == wav_head(RATE) + sample_bytes(whole.audio), done.stderr
    tone = 0.5 * np.sin(np.arange(2000) / 7)
    write_wav(tmp_path / "tone.wav", np.stack([tone, tone], 1), RATE, width=32)
    np.save(tmp_path / "tone.npy", tone.astype(np.float32))
    for name in ("tone.wav", "tone.npy"):
        out = tmp_path / f"{name}.codes.npy"
        encode = [*run, "--samples", str(tmp_path / name), "--output", str(out)]
        assert main(encode) == 0
        assert np.load(out).shape == (125, 4)
    heard = [np.load(tmp_path / f"tone.{end}.codes.npy") for end in ("wav", "npy")]
    np.testing.assert_array_equal(heard[0], heard[1])
    capsys.readouterr()


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--output", "x.wav", "--codes_only"], "--output: x.wav: expected a request that makes"),
        (["--output", "x.npy", "--width", "32"], "--width: expected it with a .wav, or sound on -"),
        (
            ["--output", "x.wav", "--return_alignment"],
            "--return_alignment: expected --align",
        ),
        (["--output", "-", "--return_alignment"], "--return_alignment: expected --align"),
        (["--output", "x.wav", "--initial_chunk_frames", "0"], "--initial_chunk_frames: expected"),
        (["--output", "x.aac"], "--output: expected a name that ends in"),
        (["--output", "x.wav", "--samples", "x.npy"], "expected a file for the codes of --samples"),
    ],
)
def test_mistakes(
    command: list[str],
    flags: list[str],
    message: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main([*command, *flags]) == 2
    told = capsys.readouterr().err.splitlines()
    assert any(message in line for line in told), told
    assert not (tmp_path / "x.wav").exists() and not (tmp_path / "x.npy").exists()


def test_engines_without_sound(
    models: CodecModels, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    silent = command_of(models.silent, tmp_path)
    out = tmp_path / "x.wav"
    assert main([*silent, "--output", str(out)]) == 2
    assert "which ends in codes; build it with --codec_dir" in capsys.readouterr().err
    assert main([*silent, "--output", "-"]) == 0
    assert json.loads(capsys.readouterr().out)["frames"] == FRAMES
    write_wav(out, np.zeros(100), RATE)
    for engine in (models.silent, models.spoken):
        flags = ["--samples", str(out), "--output", str(tmp_path / "x.npy")]
        assert main(["run", str(engine), *flags]) == 2
        assert "--samples: expected the engine of a codec" in capsys.readouterr().err


def test_lines_have_sound_too(models: CodecModels, whole: rt.Result, tmp_path: Path) -> None:
    lines = [{**FIELDS, "id": "a"}, {**FIELDS, "id": "b", "codes_only": True}]
    (tmp_path / "in.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    out = tmp_path / "out.jsonl"
    run = ["run", str(models.spoken), "--device", NATIVE, "--requests", str(tmp_path / "in.jsonl")]
    assert main([*run, "--output", str(out)]) == 0
    first, second = (json.loads(line) for line in out.read_text().splitlines())
    assert whole.audio is not None
    assert first["codes"] == second["codes"] == whole.codes.tolist()
    np.testing.assert_array_equal(np.float32(first["audio"]), whole.audio)
    assert "audio" not in second
