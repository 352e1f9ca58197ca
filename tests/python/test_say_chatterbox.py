"""`ttsrt say` and `ttsrt convert-voice` with a Chatterbox whose engine makes sound."""

from __future__ import annotations

import json
import shutil
import sys
import types
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import ttsrt_rt as rt
from ttsrt_rt import watermark
from ttsrt_rt.audio import read_audio, write_wav
from ttsrt_rt.cli import main
from ttsrt_rt.convert import convert
from ttsrt_rt.errors import ConfigError, NotFoundError
from ttsrt_rt.synth import (
    write_random_conds,
    write_random_s3gen,
    write_random_t3,
    write_random_voice_encoder,
)

from .text.test_t3_tokenizer import write_english


@pytest.fixture(scope="module")
def release(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("chatterbox")
    write_random_t3(folder / "t3_cfg.safetensors", "tiny", 1)
    write_random_s3gen(folder / "s3gen.safetensors", "tiny", 2)
    write_random_voice_encoder(folder / "ve.safetensors", "tiny", 3)
    write_random_conds(folder / "conds.pt", "tiny", 4)
    write_english(folder)
    return folder


@pytest.fixture(scope="module")
def checkpoint(release: Path) -> Path:
    return convert(release, release / "checkpoint", progress=False)


@pytest.fixture(scope="module")
def engine(release: Path, checkpoint: Path) -> Path:
    rt.build(checkpoint, release / "engine", max_seq_len=600, max_batch_size=2, progress=False)
    return release / "engine"


@pytest.fixture
def recording(tmp_path: Path) -> Path:
    time = np.arange(24000) / 24000
    buzz = sum(np.sin(2 * np.pi * 130 * k * time) / k for k in range(1, 9)) * 0.1
    noise = 0.01 * np.random.default_rng(2).normal(size=24000)
    write_wav(tmp_path / "heard.wav", np.asarray(buzz + noise, np.float32), 24000)
    return tmp_path / "heard.wav"


def test_a_text_is_said(engine: Path, tmp_path: Path) -> None:
    output = tmp_path / "said.wav"
    said = ["say", "hello world.", "--engine", str(engine), "-o", str(output)]
    assert main([*said, "--max_seconds", "1", "--seed", "3", "--device", "cpu"]) == 0
    sound = read_audio(output)
    with rt.Executor(engine, device="cpu") as executor:
        result = executor.generate(text="hello world.", voice="default", seed=3, max_frames=25)
    assert sound.sample_rate == 24000 and result.audio is not None
    assert len(sound.samples) == len(result.audio) > 0
    np.testing.assert_allclose(sound.samples[:, 0], result.audio, atol=1e-4)


def test_an_engine_is_made_of_the_release(
    release: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TTSRT_CACHE_DIR", str(tmp_path / "cache"))
    output = tmp_path / "said.wav"
    source = str(release / "t3_cfg.safetensors")
    said = ["say", "hello.", "--engine", source, "-o", str(output), "--max_seconds", "0.5"]
    assert main([*said, "--device", "cpu"]) == 0
    assert len(read_audio(output).samples) <= 12000


def test_codes_alone_are_not_said(
    release: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    made = convert(release / "t3_cfg.safetensors", tmp_path / "codes", sound=False, progress=False)
    rt.build(made, tmp_path / "engine", progress=False)
    assert main(["say", "hello", "--engine", str(tmp_path / "engine")]) == 2
    told = capsys.readouterr().err
    assert "got one of t3, which ends in codes; build it with --codec_dir" in told


def test_a_recording_becomes_another_voice(
    engine: Path, checkpoint: Path, recording: Path, tmp_path: Path
) -> None:
    output = tmp_path / "other.wav"
    model = checkpoint / "sound"
    told = ["--audio", str(recording), "--voice_model", str(model), "--output", str(output)]
    command = ["convert-voice", str(engine), "--device", "cpu", "--seed", "4", "--steps", "2"]
    assert main([*command, *told, "--voice", "default"]) == 0
    sound = read_audio(output)
    assert (sound.sample_rate, len(sound.samples)) == (24000, 25 * 960)
    with rt.Executor(engine, device="cpu") as executor:
        tokens = executor.speech_tokens(recording, voice_model=model)
        assert tokens.shape == (25, 1) and tokens.dtype == np.int32
        result = executor.convert_voice(
            recording, voice="default", voice_model=model, seed=4, flow=rt.Flow(steps=2)
        )
        assert result.audio is not None
        np.testing.assert_allclose(sound.samples[:, 0], result.audio, atol=1e-4)
        with pytest.raises(ConfigError, match=r"at least 0\.04 and at most 600 seconds"):
            executor.speech_tokens(np.ones(3, np.float32), sample_rate=24000, voice_model=model)
        with pytest.raises(ConfigError, match="got silence"):
            silence = np.zeros(9000, np.float32)
            executor.speech_tokens(silence, sample_rate=24000, voice_model=model)
    assert main([*command, *told, "--voice", str(recording)]) == 0  # its own voice
    assert main([*command, *told, "--voice", "nobody"]) == 2


def test_voices_are_those_of_the_variant(engine: Path, checkpoint: Path, recording: Path) -> None:
    with rt.Executor(engine, device="cpu") as executor:
        with pytest.raises(ConfigError, match="variant: expected english, the engine's"):
            executor.add_voice(
                "x", audio=recording, voice_model=checkpoint / "sound", variant="turbo"
            )
        executor.add_voice("x", audio=recording, voice_model=checkpoint / "sound")
        made = executor.generate(text="hello.", voice="x", max_frames=5)
    assert made.audio is not None and len(made.audio) > 0


def test_an_engine_hears_recordings_without_its_checkpoint(
    engine: Path, checkpoint: Path, recording: Path, tmp_path: Path
) -> None:
    """The voice parts go with the engine, as they are in the checkpoint."""
    alone = tmp_path / "alone"
    shutil.copytree(engine, alone)
    config = json.loads((alone / "voice_model" / "config.json").read_text("utf-8"))
    parts = {name for name, part in config["model"].items() if isinstance(part, dict)}
    assert parts == {"speaker_encoder", "speech_tokenizer", "voice_encoder"}
    with rt.Executor(alone, device="cpu") as executor:
        executor.add_voice("engine", audio=recording)
        for name, model in (("sound", checkpoint / "sound"), ("release", checkpoint)):
            executor.add_voice(name, audio=recording, voice_model=model)
        expected = executor.voice_embeddings("sound")
        for name in ("engine", "release"):
            np.testing.assert_array_equal(executor.voice_embeddings(name), expected)
        fields: dict[str, Any] = {"text": "hello.", "max_frames": 5, "seed": 1}
        sounds = [executor.generate(voice=name, **fields).audio for name in ("engine", "sound")]
        assert sounds[0] is not None and sounds[1] is not None
        np.testing.assert_array_equal(sounds[0], sounds[1])
        tokens = executor.speech_tokens(recording)
        np.testing.assert_array_equal(tokens, executor.speech_tokens(recording, voice_model=alone))
    output = tmp_path / "other.wav"
    told = ["--audio", str(recording), "--voice", str(recording), "--output", str(output)]
    assert main(["convert-voice", str(alone), "--device", "cpu", "--steps", "1", *told]) == 0
    rt.build(checkpoint, alone, max_seq_len=600, overwrite=True, progress=False)
    shutil.rmtree(alone / "voice_model")
    with rt.Executor(alone, device="cpu") as executor:
        with pytest.raises(NotFoundError, match="expected a folder voice_model"):
            executor.add_voice("x", audio=recording)
        assert executor.voices() == ["default"]


def test_recordings_for_mean_flow_are_turbos(tmp_path: Path, recording: Path) -> None:
    """The loudness of Turbo, which wants more than five seconds."""
    write_random_s3gen(tmp_path / "s3gen_meanflow.safetensors", "tiny_meanflow", 2)
    write_random_voice_encoder(tmp_path / "ve.safetensors", "tiny_meanflow", 3)
    model = convert(
        tmp_path / "s3gen_meanflow.safetensors", tmp_path / "checkpoint", progress=False
    )
    rt.build(model, tmp_path / "engine", max_seq_len=700, max_batch_size=1, progress=False)
    sound = read_audio(recording)
    longer = np.tile(sound.samples[:, 0], 6)
    with rt.Executor(tmp_path / "engine", device="cpu") as executor:
        with pytest.raises(ConfigError, match="expected more than 5 and at most"):
            executor.add_voice("short", audio=recording, voice_model=model)
        executor.add_voice("flash", audio=recording, variant="flash")
        for name, gain in (("loud", 0.5), ("quiet", 0.05)):
            executor.add_voice(name, audio=longer * gain, sample_rate=24000, voice_model=model)
        loud, quiet = (executor.voice_embeddings(name) for name in ("loud", "quiet"))
        np.testing.assert_allclose(loud, quiet, atol=1e-3)


class Marker:
    """A stand-in for the class of Perth."""

    def apply_watermark(self, samples: Any, sample_rate: int) -> Any:
        assert sample_rate == 24000
        return samples * 0.5


@pytest.fixture
def perth(monkeypatch: pytest.MonkeyPatch) -> types.ModuleType:
    module: Any = types.ModuleType("perth")
    module.PerthImplicitWatermarker = Marker
    for name in [each for each in sys.modules if each.startswith("perth.")]:  # of the real one
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "perth", module)
    watermark._perth.cache_clear()
    return module


def test_a_sound_is_marked(engine: Path, tmp_path: Path, perth: types.ModuleType) -> None:
    output = tmp_path / "said.wav"
    said = ["say", "hello world.", "--engine", str(engine), "-o", str(output), "--seed", "3"]
    assert main([*said, "--max_seconds", "1", "--device", "cpu", "--watermark", "perth"]) == 0
    with rt.Executor(engine, device="cpu") as executor:
        result = executor.generate(text="hello world.", voice="default", seed=3, max_frames=25)
    marked = watermark.watermarked(result, "perth")
    assert result.watermark is None and marked.watermark == "perth"
    assert result.audio is not None and marked.audio is not None
    np.testing.assert_array_equal(marked.audio, result.audio * np.float32(0.5))
    np.testing.assert_allclose(read_audio(output).samples[:, 0], marked.audio, atol=1e-4)
    with pytest.raises(ConfigError, match="expected a sound without one, got perth"):
        watermark.watermarked(marked, "perth")


def test_a_watermark_that_cannot_be_had_is_refused(
    engine: Path,
    tmp_path: Path,
    perth: types.ModuleType,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    output = tmp_path / "said.wav"
    said = ["say", "hello", "--engine", str(engine), "--watermark", "perth"]
    assert main([*said, "-o", "-"]) == 2
    assert "which is marked when all of it is there" in capsys.readouterr().err
    monkeypatch.setattr(perth, "PerthImplicitWatermarker", None)
    assert main([*said, "-o", str(output)]) == 2
    told = capsys.readouterr().err
    assert "PerthImplicitWatermarker cannot be used: No module named 'perth." in told

    def lacking(name: str) -> types.ModuleType:
        if name == watermark._MODULE:
            raise ModuleNotFoundError("No module named 'pkg_resources'", name="pkg_resources")
        return perth

    with monkeypatch.context() as patched:
        patched.setattr(watermark.importlib, "import_module", lacking)
        with pytest.raises(ConfigError, match=r"'pkg_resources', which setuptools has below v"):
            watermark.open_watermark("perth")
    monkeypatch.setitem(sys.modules, "perth", None)
    assert main([*said, "-o", str(output)]) == 2
    assert "expected the package resemble-perth" in capsys.readouterr().err
    assert not output.exists()
    with pytest.raises(ConfigError, match="watermark: expected one of perth, got 'other'"):
        watermark.open_watermark("other")
