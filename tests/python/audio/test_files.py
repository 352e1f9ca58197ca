"""Reads and writes sound: WAV of all widths, other formats, damage."""

from __future__ import annotations

import importlib.util
import io
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.needs_extras import needed
from ttsrt_rt import _core
from ttsrt_rt.audio import (
    MEDIA_TYPES,
    Sound,
    audio_bytes,
    check_output,
    is_sound_file,
    read_audio,
    sample_bytes,
    wav_bytes,
    wav_head,
    write_audio,
    write_wav,
)
from ttsrt_rt.errors import ConfigError, FormatError, NotFoundError

TONE = np.sin(np.arange(500) / 9).astype(np.float32)


def test_a_wav_comes_back_as_it_was(tmp_path: Path) -> None:
    integers = np.rint(TONE * 32000) / 32768
    path = write_wav(tmp_path / "a.wav", integers, 24000)
    sound = read_audio(path)
    np.testing.assert_array_equal(sound.samples[:, 0], integers.astype(np.float32))
    assert (sound.sample_rate, sound.samples.shape) == (24000, (500, 1))
    assert sound.seconds == 500 / 24000
    floats = write_wav(path, np.stack([TONE, -TONE], 1), 48000, width=32)
    np.testing.assert_array_equal(read_audio(floats).samples, np.stack([TONE, -TONE], 1))


def test_bytes_are_a_file_too() -> None:
    data = wav_bytes(TONE, 16000)
    assert read_audio(data).sample_rate == 16000
    samples, rate = _core.parse_wav(data, "name")
    assert (samples.dtype, samples.shape, rate) == (np.float32, (500, 1), 16000)


@pytest.mark.parametrize("width", [16, 32])
def test_a_wav_without_a_known_end(width: int) -> None:
    """A stream of one head and parts of samples is the whole sound, with open sizes."""
    parts = [sample_bytes(part, width=width) for part in (TONE[:7], TONE[7:7], TONE[7:])]
    streamed = wav_head(22050, width=width) + b"".join(parts)
    whole = wav_bytes(TONE, 22050, width=width)
    assert streamed[4:8] == streamed[40:44] == b"\xff" * 4
    assert (streamed[8:40], streamed[44:]) == (whole[8:40], whole[44:])
    sound = read_audio(streamed)
    np.testing.assert_array_equal(sound.samples, read_audio(whole).samples)
    assert wav_head(22050, width=width, num_bytes=500 * width // 8) == whole[:44]
    with pytest.raises(ConfigError, match="width: expected 16 or 32, got 24"):
        wav_head(22050, width=24)


def test_loud_samples_are_clipped() -> None:
    sound = read_audio(wav_bytes([2.0, -2.0, 0.5], 16000))
    np.testing.assert_array_equal(sound.samples[:, 0], np.float32([32767 / 32768, -1.0, 0.5]))


@pytest.mark.parametrize(
    ("samples", "width", "message"),
    [
        (np.zeros((2, 2, 2)), 16, "got \\[2, 2, 2\\]"),
        (np.zeros(2), 24, "width: expected 16 or 32, got 24"),
        ([np.nan], 16, "expected finite numbers"),
        ([1j], 16, "expected real numbers, got complex128"),
        ("sound", 16, "expected real numbers"),
    ],
)
def test_wrong_samples_are_not_written(samples: object, width: int, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        wav_bytes(samples, 16000, width=width)  # type: ignore[arg-type]


@pytest.mark.parametrize("rate", [-1, 0, 2**33, 24000.5, True, "24000", None])
@pytest.mark.parametrize("name", ["wav", "pcm"])
def test_wrong_rates_are_not_written(name: str, rate: Any) -> None:
    with pytest.raises(ConfigError, match="sample_rate: expected 1000 to 768000"):
        audio_bytes(np.zeros(4, np.float32), rate, name)


def test_damage_and_absence_are_named(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="expected a sound, got no file"):
        read_audio(tmp_path / "none.wav")
    path = tmp_path / "cut.wav"
    path.write_bytes(wav_bytes(TONE, 16000)[:100])
    with pytest.raises(FormatError, match=r"cut.wav: chunk at byte 36"):
        read_audio(path)
    with pytest.raises(FormatError, match=r"cut.wav"):
        _core.read_wav(path)
    with pytest.raises(ConfigError, match=r"a folder"):
        read_audio(tmp_path)


def test_other_formats_need_soundfile() -> None:
    data = b"fLaC" + struct.pack(">I", 34) + bytes(60)
    if importlib.util.find_spec("soundfile") is None:
        with pytest.raises(ConfigError, match="pip install soundfile soxr"):
            read_audio(data)
    else:
        with pytest.raises(FormatError, match="soundfile refuses"):
            read_audio(data)


def test_flac_through_soundfile() -> None:
    soundfile = needed("soundfile", "audio")
    file = io.BytesIO()
    soundfile.write(file, TONE, 22050, format="FLAC", subtype="PCM_16")
    sound = read_audio(file.getvalue())
    assert sound.sample_rate == 22050
    np.testing.assert_allclose(sound.samples[:, 0], TONE, atol=1e-4)


def test_samples_alone() -> None:
    head = 44
    assert audio_bytes(TONE, 16000, "pcm") == wav_bytes(TONE, 16000)[head:]
    assert audio_bytes(TONE, 16000, width=32) == wav_bytes(TONE, 16000, width=32)


@pytest.mark.parametrize(
    ("name", "head", "most"),
    [("flac", b"fLaC", 2e-5), ("mp3", b"\xff", 0.2), ("opus", b"OggS", 0.2)],
)
def test_formats_of_players(name: str, head: bytes, most: float, tmp_path: Path) -> None:
    """What is lossy stays near, and nothing moves but for the delay that readers take out."""
    needed("soundfile", "audio")
    tone = 0.5 * np.sin(np.arange(24000) / 20)
    data = audio_bytes(tone, 24000, name)
    assert data.startswith(head)
    sound = read_audio(data)
    assert sound.sample_rate == 24000
    assert abs(len(sound.samples) - len(tone)) < 2000
    middle = slice(2000, 22000)
    assert np.abs(sound.samples[middle, 0] - tone[middle]).max() < most
    path = write_audio(tmp_path / f"a.{name.upper()}", tone, 24000)
    assert read_audio(path).samples.tobytes() == sound.samples.tobytes()


@pytest.mark.parametrize("name", ["a.aac", "a", "a.wav.txt"])
def test_other_formats_are_not_written(name: str, tmp_path: Path) -> None:
    told = f"output: .*{name}: expected one of wav, pcm, flac, mp3, opus, ogg, got"
    with pytest.raises(ConfigError, match=told):
        check_output(tmp_path / name)
    with pytest.raises(ConfigError, match="expected one of wav, pcm, flac"):
        write_audio(tmp_path / name, TONE, 24000)
    assert not list(tmp_path.iterdir())


def test_formats_are_words_that_can_be_written() -> None:
    with pytest.raises(ConfigError, match=r"format: expected one of wav.* got \['wav'\]"):
        audio_bytes(TONE, 24000, ["wav"])  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="expected finite numbers"):
        audio_bytes([np.nan], 24000, "pcm")
    if importlib.util.find_spec("soundfile") is None:
        with pytest.raises(ConfigError, match=r"format: expected wav or pcm, got flac; .*soundf"):
            audio_bytes(TONE, 24000, "flac")
    else:
        with pytest.raises(ConfigError, match="soundfile writes at 7000 samples") as error:
            audio_bytes(TONE, 7000, "mp3")
        assert "0x" not in str(error.value)
    assert set(MEDIA_TYPES) == {"wav", "pcm", "flac", "mp3", "opus"}


@pytest.mark.parametrize(("rate", "made"), [(22050, 24000), (44100, 48000), (96000, 48000)])
def test_opus_has_few_rates(rate: int, made: int, tmp_path: Path) -> None:
    needed("soundfile", "audio")
    tone = 0.5 * np.sin(np.arange(2 * rate) * (2 * np.pi * 220 / rate))
    stereo = np.stack([tone, -tone], axis=1)
    sound = read_audio(write_audio(tmp_path / "a.ogg", stereo, rate))
    assert sound.sample_rate == made and sound.samples.shape[1] == 2
    assert abs(sound.seconds - 2) < 0.05
    wanted = 0.5 * np.sin(np.arange(2 * made) * (2 * np.pi * 220 / made))
    middle = slice(made // 2, made)
    assert np.abs(sound.samples[middle, 0] - wanted[middle]).max() < 0.1
    assert np.abs(sound.samples[middle, 0] + sound.samples[middle, 1]).max() < 0.1
    assert is_sound_file("a.OGG") and not is_sound_file("a.ogx")


def test_a_sound_knows_its_length() -> None:
    assert Sound(np.zeros((48000, 2), np.float32), 24000).seconds == 2.0


@pytest.mark.parametrize(
    ("samples", "rate", "message"),
    [
        (
            np.zeros(9, np.float32),
            24000,
            r"expected floats \[frames, channels\], got float32 \[9\]",
        ),
        (np.zeros((9, 0), np.float32), 24000, "expected floats"),
        (np.zeros((9, 1), np.int16), 24000, r"expected floats .* got int16 \[9, 1\]"),
        (np.zeros((9, 1), np.float32), 0, "expected 1000 to 768000 samples per second, got 0"),
    ],
)
def test_sounds_of_another_shape_are_refused(samples: Any, rate: int, message: str) -> None:
    with pytest.raises(ConfigError, match=f"^sound: {message}"):
        Sound(samples, rate)
