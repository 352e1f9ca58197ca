"""What `ttsrt say` refuses, and in which words."""

from __future__ import annotations

import sys
import types
from pathlib import Path
from typing import Any

import pytest

from ttsrt_rt.cli import main
from ttsrt_rt.errors import ConfigError

from .codec_models import CodecModels, make_codec_models
from .say_commands import TEXT, command_of


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> CodecModels:
    return make_codec_models(tmp_path_factory.mktemp("say"))


@pytest.fixture
def command(models: CodecModels) -> list[str]:
    """`ttsrt say` of 24 frames at most, without a text and an output."""
    return command_of(models.spoken)


@pytest.mark.parametrize(
    ("flags", "told"),
    [
        ([], "expected a TEXT (- for standard input) or --file, got none"),
        (["a", "--file", "x.txt"], "got both"),
        (["a", "--output_dir", "x"], "--output_dir: expected --file with it"),
        (["a", "--force"], "--force: expected --output_dir with it, got none"),
        (["a", "--stream_input"], "--stream_input: expected - for standard input"),
        (["-", "--stream_input", "--ssml"], "--stream_input: expected no --ssml with it"),
        (["a", "--max_seconds", "-1"], "--max_seconds: expected more than 0 and at most 86400"),
        (["a", "--max_seconds", "9"], "--max_seconds: expected at most 0.36"),
        (["a", "--max_seconds", "1e-6"], "--max_seconds: expected at least 0.00"),
        (["a", "-o", "a.xyz"], "expected one of wav, pcm"),
        (["a", "-o", "a.mp3", "--stream"], "--stream: expected a .wav or .pcm"),
        (["a", "--timestamps", "a.txt"], "--timestamps: expected a name that ends in .json"),
        (["a", "--codes", "a.npy"], "--codes: expected a name that ends in .npz"),
        (["a", "--voice", "nobody"], "--voice: expected one of"),
        (["a", "--voice", "me.wav"], "ttsrt voice ENGINE me --audio me.wav"),
        (["a", "--language", "xx"], "xx"),
        (["\U0001f600"], "speakable symbol"),
        (["hello \U0001f600", "--strict_text"], "\U0001f600"),
        (["--ssml", "<speak>a"], "text: line 1, column 1: expected </speak>"),
        (["--ssml", "<!DOCTYPE x [<!ENTITY a 'b'>]><speak>&a;</speak>"], "no declaration"),
        (["--ssml", "<speak>" * 100_00], "expected at most 65536 bytes"),
        (["a", "--lexicon", "none.txt"], "--lexicon: none.txt: expected a readable file"),
        (["--file", "none.txt"], "--file: none.txt: expected a readable file"),
        (["--file", "none.txt", "--output_dir", "x"], "--file: none.txt: expected a readable file"),
        (["a", "-"], "say: expected - alone, for standard input"),
        (["a", "--list_voices"], "--list_voices: expected it alone, as nothing is spoken; got a T"),
        (
            ["--list_languages", "-o", "a.wav"],
            "expected it alone, as nothing is spoken; got --outp",
        ),
        (["a", "--voice_description", "calm"], "--voice_description: expected none, as the model"),
        ([" \n"], "TEXT: expected a text, got white space"),
        (["ab\udcffc"], "TEXT: expected text in UTF-8, got other bytes at 2"),
        (["--ssml", "hello"], "text: line 1, column 1: expected <speak> around the whole"),
        (["--ssml", "<speak>a</speak>b"], "column 17: expected nothing behind </speak>, got 'b'"),
        (
            ["--ssml", "<speak>a\n<voice name='nobody'>b</voice></speak>"],
            "text: line 2, column 1: name: expected one of",
        ),
        (
            ["--ssml", "<speak>a <phoneme ph='\u03a9'>b</phoneme></speak>"],
            "text: line 1, column 10: ph: ",
        ),
        (
            ["--ssml", "<speak>a <lang xml:lang='xx'>b</lang></speak>"],
            "text: line 1, column 10: xml:lang: ",
        ),
        (["a", "--codec", "codec.nemo"], "--codec: expected a checkpoint for --engine"),
    ],
    ids=range(36),
)
def test_mistakes(
    command: list[str],
    flags: list[str],
    told: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main([*command, *flags]) == 2
    assert told in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_a_text_that_looks_like_a_flag(
    command: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    for text in ("-hello", "-q"):
        with pytest.raises(SystemExit):
            main([*command, text])
        assert "a text that begins with - stands behind --" in capsys.readouterr().err


def test_engines_that_say_nothing(
    models: CodecModels, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for engine, told in ((models.silent, "build it with --codec_dir"), (models.codec, "text")):
        assert main(["say", "--engine", str(engine), "a", "-o", str(tmp_path / "a.wav")]) == 2
        assert told in capsys.readouterr().err


def test_checkpoints_are_known_before_they_are_converted(
    models: CodecModels, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def never(*_: Any) -> None:
        raise AssertionError("it converts")

    monkeypatch.setattr("ttsrt_rt.cli.say_engine.cached_engine", never)
    magpie, codec = str(models.nemo), str(models.codec_nemo)
    llama = str(Path(__file__).resolve().parents[1] / "data" / "llm" / "tiny_llama")
    for flags, told in (
        (["--engine", magpie], f"--codec: expected the checkpoint of the codec with {magpie}"),
        (
            ["--engine", magpie, "--codec", magpie],
            f"--codec: {magpie}: expected the checkpoint of a nanocodec, got one of magpie",
        ),
        (["--engine", codec], f"--engine: {codec}: expected an engine or a checkpoint of M"),
        (["--engine", llama], "a language model; use ttsrt run --prompt"),
        (["--engine", "nothere"], "--engine: nothere: expected an engine or a checkpoint, got no"),
        ([], "TTSRT_ENGINE: nowhere: expected an engine or a checkpoint"),
    ):
        monkeypatch.setenv("TTSRT_ENGINE", "nowhere")
        assert main(["say", *flags, "a", "-o", "-"]) == 2
        assert told in capsys.readouterr().err


def test_a_codec_of_another_model_is_named(
    models: CodecModels, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refusing(*_: Any) -> None:
        raise ConfigError("codec_dir: /cache/7e1c.work/codec/config.json: expected 8 codebooks")

    monkeypatch.setattr("ttsrt_rt.cli.say_engine.cached_engine", refusing)
    flags = ["--engine", str(models.nemo), "--codec", str(models.codec_nemo)]
    assert main(["say", *flags, "a", "-o", "-"]) == 2
    told = capsys.readouterr().err
    assert f"--codec: {models.codec_nemo}/config.json: expected 8 codebooks" in told


def test_without_a_player(
    command: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "sounddevice", None)
    assert main([*command, TEXT, "--play"]) == 2
    assert "| aplay, or | ffplay -i -" in capsys.readouterr().err

    class Broken:
        def __init__(self, **options: Any) -> None:
            raise RuntimeError("Error querying device -1")

    fake = types.ModuleType("sounddevice")
    fake.OutputStream = Broken  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "sounddevice", fake)
    assert main([*command, TEXT, "--play"]) == 1
    told = capsys.readouterr().err
    assert "Error querying device -1" in told and "| aplay" in told


@pytest.mark.parametrize("broken", ["write", "stop", "close", "abort"])
def test_a_player_that_goes_away(
    command: list[str],
    broken: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    called: list[str] = []

    class Leaving:
        def __init__(self, **options: Any) -> None: ...

        def __getattr__(self, name: str) -> Any:
            def call(*values: Any) -> None:
                called.append(name)
                if name == broken or (name == "write" and broken == "abort"):
                    raise RuntimeError(f"no device to {name}")

            return call

    fake = types.ModuleType("sounddevice")
    fake.OutputStream = Leaving  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "sounddevice", fake)
    assert main([*command, TEXT, "--play"]) == 1
    told = capsys.readouterr().err
    first = "write" if broken == "abort" else broken
    assert (
        f"--play: expected a device that plays to the end, got an error: no device to {first}"
        in told
    )
    assert "Traceback" not in told and ("abort" in called) == (first == "write")
