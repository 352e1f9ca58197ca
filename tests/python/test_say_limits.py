"""What `ttsrt say` does at its limits of sound, and what it tells of speech that one cut."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

import ttsrt_rt as rt
from tests.devices import NATIVE
from ttsrt_rt.audio import read_audio, wav_bytes
from ttsrt_rt.cli import main

from .codec_models import RATE, SAMPLES_PER_FRAME, CodecModels, make_codec_models
from .say_commands import SECONDS, command_of, generated, run

LONG = " ".join(["hello world"] * 9)


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> CodecModels:
    return make_codec_models(tmp_path_factory.mktemp("say"))


@pytest.fixture
def command(models: CodecModels) -> list[str]:
    """`ttsrt say` of 24 frames at most, without a text and an output."""
    return command_of(models.spoken)


def test_words_that_a_limit_cut_are_told(
    command: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out, words = tmp_path / "a.wav", tmp_path / "words.json"
    assert main([*command, LONG, "-o", str(out), "--timestamps", str(words)]) == 0
    told = capsys.readouterr().err
    heard = len(json.loads(words.read_text())["words"])
    assert 0 < heard < 18
    seconds = read_audio(out).seconds
    line = f"cut at {seconds:.2f} s by --max_seconds: {18 - heard} words not spoken, nor in {words}"
    assert line in told
    assert main([*command, LONG, "-o", str(out)]) == 0  # the same is known without the file
    assert f"{18 - heard} words not spoken\n" in capsys.readouterr().err
    assert main([*command, "hello", "--max_seconds", "0.3", "-o", str(out)]) == 0
    assert "cut" not in capsys.readouterr().err


def test_the_limit_is_of_all_sentences(command: list[str], tmp_path: Path) -> None:
    out = tmp_path / "a.wav"
    more = ["--stream_input", "-o", str(out)]
    done = run([*command, "-", *more], input=f"{LONG}. Good morning. The fox.\n".encode())
    assert done.returncode == 0, done.stderr
    frames = len(read_audio(out).samples) / SAMPLES_PER_FRAME
    assert 0 < frames <= SECONDS * RATE / SAMPLES_PER_FRAME
    told = done.stderr.decode()
    assert "by --max_seconds: " in told and "nor the rest of standard input" in told


def test_the_demo_tells_its_own_limit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("TTSRT_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.delenv("TTSRT_ENGINE", raising=False)
    monkeypatch.setattr("ttsrt_rt.demo_speech.demo_seconds", lambda text: 0.3)
    assert main(["say", LONG, "-o", str(tmp_path / "a.wav"), "--num_threads", "1"]) == 0
    told = capsys.readouterr().err
    assert re.search(r"cut at 0\.\d+ s by the demo's own limit \(.*\): \d+ words not spoken", told)


def test_rows_that_a_limit_cut_are_counted(
    command: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "lines.txt").write_text(f"{LONG}\n{LONG}\n")
    out = tmp_path / "wavs"
    rows = ["--file", str(tmp_path / "lines.txt"), "--max_seconds", "0.003"]
    assert main([*command, *rows, "--output_dir", str(out)]) == 0
    assert "2 rows were cut by --max_seconds" in capsys.readouterr().err


def test_white_space_of_texts_is_one_space(
    command: list[str], models: CodecModels, tmp_path: Path
) -> None:
    given = "Hello\nworld.\tGood\u00a0morning\n"
    (tmp_path / "text.txt").write_text(given, encoding="utf-8")
    (tmp_path / "rows.jsonl").write_text(json.dumps({"text": given, "seed": 5}))
    whole = generated(models.spoken, "Hello world. Good morning")
    assert whole.audio is not None
    sound = wav_bytes(whole.audio, RATE)
    done = run([*command, "-", "-o", str(tmp_path / "a.wav")], input=given.encode())
    assert done.returncode == 0 and b"not spoken: '" not in done.stderr
    assert (tmp_path / "a.wav").read_bytes() == sound
    file = ["--file", str(tmp_path / "text.txt"), "-o", str(tmp_path / "b.wav")]
    assert main([*command, *file]) == 0
    assert (tmp_path / "b.wav").read_bytes() == sound
    rows = ["--file", str(tmp_path / "rows.jsonl"), "--output_dir", str(tmp_path)]
    assert main([*command, *rows]) == 0
    made = read_audio(tmp_path / "000001.wav")
    assert len(made.samples) == len(whole.audio)
    with rt.Executor(models.spoken, device=NATIVE) as executor:  # as given in Python
        glued = executor.read_text(rt.Request(text="Hello\nworld.")).ids
        alone = executor.read_text(rt.Request(text="Hello world.")).ids
    assert glued.tolist() != alone.tolist()
