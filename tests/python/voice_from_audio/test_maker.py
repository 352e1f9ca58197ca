"""Voices of recordings with a random miniature: what they hold, lengths, caching, refusals, and the
ways to them.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import ttsrt_rt as rt
from ttsrt_rt.audio import Sound, write_wav
from ttsrt_rt.cli import main
from ttsrt_rt.errors import ConfigError, FormatError, NotFoundError
from ttsrt_rt.synth import write_random_s3gen, write_random_t3, write_random_voice_encoder
from ttsrt_rt.voice_file import read_voice
from ttsrt_rt.voice_from_audio import VoiceMaker, VoiceOptions, sound_of


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("s3gen")
    write_random_voice_encoder(folder / "ve.safetensors", "tiny")
    source = write_random_s3gen(folder / "s3gen.safetensors", "tiny", 5)
    return rt.convert(source, folder / "ckpt", progress=False)


def recording(seconds: float, rate: int = 24000) -> np.ndarray:
    """A buzz that glides."""
    t = np.arange(round(seconds * rate)) / rate
    phase = 2 * np.pi * np.cumsum(120 + 50 * np.sin(4 * t)) / rate
    noise = 0.01 * np.random.default_rng(2).normal(size=len(t))
    return (sum(np.sin(k * phase) / k for k in range(1, 9)) * 0.1 + noise).astype(np.float32)


def heard(seconds: float, rate: int = 24000) -> Sound:
    return Sound(recording(seconds, rate)[:, None], rate)


def test_a_voice(checkpoint: Path) -> None:
    voice = VoiceMaker(checkpoint).make(heard(12.0))
    assert len(voice.variants) == 5 and voice.emotion == 0.5
    assert voice.cond_prompt_speech_tokens.shape == (150,)
    assert np.linalg.norm(voice.speaker_emb) == pytest.approx(1, abs=1e-5)
    assert voice.generator["prompt_token"].shape == (250,)
    assert voice.generator["prompt_feat"].shape == (500, 80)
    assert np.abs(voice.generator["embedding"]).max() > 0


def test_turbo_takes_more_and_evens_the_loudness(checkpoint: Path) -> None:
    maker, options = VoiceMaker(checkpoint), VoiceOptions(("turbo", "nano"), emotion=0.7)
    voice = maker.make(heard(16.0), options)
    assert voice.cond_prompt_speech_tokens.shape == (375,) and voice.emotion == pytest.approx(0.7)
    loud = Sound(heard(16.0).samples * 2, 24000)
    again = maker.make(loud, options)
    np.testing.assert_allclose(again.speaker_emb, voice.speaker_emb, atol=1e-5)
    np.testing.assert_allclose(
        again.generator["prompt_feat"], voice.generator["prompt_feat"], atol=1e-3
    )


@pytest.mark.parametrize("samples", [12000, 24000, 24480, 24959, 25440, 25900])
def test_lengths(checkpoint: Path, samples: int) -> None:
    """Tokens are rounded up and cut to half of the frames; an odd frame is dropped."""
    voice = VoiceMaker(checkpoint).make(heard(samples / 24000)).generator
    speech = -(-2 * samples // 3)
    tokens = min(-(-(speech // 160) // 4), samples // 480 // 2)
    assert voice["prompt_token"].shape == (tokens,) and voice["prompt_token_len"].tolist() == [
        tokens
    ]
    assert voice["prompt_feat"].shape == (2 * tokens, 80)


def test_other_rates_and_channels(checkpoint: Path) -> None:
    maker = VoiceMaker(checkpoint)
    voice = maker.make(heard(3.0))
    both = Sound(np.repeat(heard(3.0).samples, 2, axis=1), 24000)
    np.testing.assert_allclose(maker.make(both).speaker_emb, voice.speaker_emb, atol=1e-6)
    other = maker.make(heard(3.0, 44100))
    assert other.generator["prompt_feat"].shape == voice.generator["prompt_feat"].shape


def test_voices_are_kept_by_their_contents(checkpoint: Path) -> None:
    maker = VoiceMaker(checkpoint, most=1)
    first = maker.make(heard(1.0))
    assert maker.make(heard(1.0)) is first
    assert maker.make(heard(1.0), VoiceOptions(emotion=0.1)) is not first
    again = maker.make(heard(1.0))
    assert again is not first
    np.testing.assert_array_equal(again.speaker_emb, first.speaker_emb)


@pytest.mark.parametrize(
    ("sound", "options", "words"),
    [
        (heard(0.4), None, "at least 0.5 and at most 600 seconds, got 0.40"),
        (Sound(np.zeros((0, 1), np.float32), 24000), None, "at least 0.5"),
        (heard(5.0), VoiceOptions(("turbo",)), "more than 5 and at most"),
        (Sound(np.ones((601_000, 1), np.float32), 1000), None, "got 601.00"),
        (Sound(np.zeros((24000, 1), np.float32), 24000), None, "got silence"),
        (Sound(np.full((24000, 1), np.nan, np.float32), 24000), None, "NaN or infinity"),
        (Sound(np.full((24000, 1), np.inf, np.float32), 24000), None, "NaN or infinity"),
        (
            Sound(heard(1.0).samples * np.float32(1e38), 24000),
            None,
            "a sound that a voice can be made of",
        ),
    ],
)
def test_recordings_that_are_refused(
    checkpoint: Path, sound: Sound, options: VoiceOptions | None, words: str
) -> None:
    with pytest.raises(ConfigError, match=words), np.errstate(all="ignore"):
        VoiceMaker(checkpoint).make(sound, options)


def test_samples_that_are_refused() -> None:
    assert sound_of([0.5, -0.5], 8000).samples.shape == (2, 1)
    assert sound_of(np.zeros((4, 2)), 8000).samples.shape == (4, 2)
    for audio, rate, words in (
        ([0.5], None, "sample_rate: expected that of the samples"),
        ("a.wav", 8000, "sample_rate: expected none beside a file"),
        ([1, 2], 8000, "expected floats"),
        ([[0.5], [0.5, 1.0]], 8000, "expected floats"),
        (np.zeros((2, 2, 2)), 8000, "expected floats"),
        ([0.5], 10, "samples per second"),
    ):
        with pytest.raises(ConfigError, match=words):
            sound_of(audio, rate)


def test_options_that_are_refused() -> None:
    with pytest.raises(ConfigError, match="variant: expected one of"):
        VoiceOptions(("german",))
    with pytest.raises(ConfigError, match="got none"):
        VoiceOptions(())
    with pytest.raises(ConfigError, match="resampler"):
        VoiceOptions(resampler="linear")


def test_checkpoints_that_are_refused(checkpoint: Path, tmp_path: Path) -> None:
    with pytest.raises(NotFoundError):
        VoiceMaker(tmp_path / "none")
    write_random_t3(tmp_path / "t3_cfg.safetensors", "tiny", seed=2)
    other = rt.convert(tmp_path / "t3_cfg.safetensors", tmp_path / "t3", progress=False)
    with pytest.raises(ConfigError, match=r"checkpoint of S3Gen.*'t3'"):
        VoiceMaker(other)
    source = write_random_s3gen(tmp_path / "s3gen.safetensors", "tiny", 5)
    without = rt.convert(source, tmp_path / "ckpt", progress=False)
    with pytest.raises(ConfigError, match=r"voice encoder, from a ve\.safetensors"):
        VoiceMaker(without)
    damaged = tmp_path / "damaged"
    shutil.copytree(checkpoint, damaged)
    config = json.loads((damaged / "config.json").read_text())
    config["model"]["speaker_encoder"]["growth"] += 2
    (damaged / "config.json").write_text(json.dumps(config))
    with pytest.raises(FormatError):
        VoiceMaker(damaged)


def test_the_command(checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    wav, out = tmp_path / "me.wav", tmp_path / "me.safetensors"
    write_wav(wav, recording(2.0, 22050), 22050)
    command = ["voice", str(checkpoint), "--audio", str(wav)]
    assert main([*command, "--variant", "english", "--output", str(out)]) == 0
    assert "2 s of the speaker" in capsys.readouterr().out
    voice = read_voice(out, variant="english")
    assert voice.generator["prompt_token"].shape == (50,)
    for flags, words in (
        ([], "output"),
        (["--output", str(out), "--codec", "x"], "codec: expected none"),
        (["--output", str(out), "--speaker_emb", "x.npy"], "speaker_emb: expected none"),
    ):
        assert main([*command, *flags]) == 2
        assert words in capsys.readouterr().err


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("t3")
    write_random_t3(folder / "t3_cfg.safetensors", "tiny", seed=2)
    rt.convert(folder / "t3_cfg.safetensors", folder / "checkpoint", progress=False)
    rt.build(folder / "checkpoint", folder / "engine", max_seq_len=96)
    return folder / "engine"


def test_a_voice_for_an_executor(
    checkpoint: Path, engine: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_wav(tmp_path / "me.wav", recording(2.0), 24000, width=32)
    with rt.Executor(engine) as executor:
        executor.add_voice(
            "samples", audio=recording(2.0), sample_rate=24000, voice_model=checkpoint
        )
        made: Callable[..., object] = VoiceMaker._make
        monkeypatch.setattr(VoiceMaker, "_make", lambda *_: pytest.fail("made again"))
        executor.add_voice("file", audio=tmp_path / "me.wav", voice_model=checkpoint)
        monkeypatch.setattr(VoiceMaker, "_make", made)
        rows = executor.voice_embeddings("samples")
        assert rows.tobytes() == executor.voice_embeddings("file").tobytes()
        with pytest.raises(NotFoundError, match="voice_model"):
            executor.add_voice("me", audio=recording(1.0), sample_rate=24000)
        with pytest.raises(ConfigError, match="sample_rate only with audio"):
            executor.add_voice("me", speaker_emb=np.ones(256, np.float32), sample_rate=24000)
        with pytest.raises(ConfigError, match="exactly one"):
            executor.add_voice("me", codes=[[1]], audio=recording(1.0), sample_rate=24000)
        assert executor.voices() == ["file", "samples"]
