"""The vocoder beside a model: one of other spectrograms or rates is refused."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import ttsrt_rt as rt
from tests.devices import NATIVE
from ttsrt_rt.errors import ConfigError, NotFoundError
from ttsrt_rt.f5.vocoder import Vocoder, open_vocoder, windows_of
from ttsrt_rt.synth import write_random_f5, write_random_vocos

MODEL: dict[str, Any] = {"mel_bins": 100, "sample_rate": 24000, "hop": 256}


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("vocoder")
    checkpoint = rt.convert(write_random_vocos(folder / "vocos"), folder / "ckpt", progress=False)
    rt.build(checkpoint, folder / "engine", max_seq_len=64)
    return folder / "engine"


def test_a_vocoder_of_the_models_spectrograms(engine: Path) -> None:
    assert open_vocoder(engine, MODEL).info.family == "vocos"


@pytest.mark.parametrize("changed", [{"mel_bins": 80}, {"sample_rate": 22050}, {"hop": 300}])
def test_vocoders_of_others_are_refused(changed: dict[str, int], engine: Path) -> None:
    with pytest.raises(ConfigError, match=r"got 100, 24000 and 93\.75"):
        open_vocoder(engine, MODEL | changed)


def test_what_makes_no_sound_is_refused(engine: Path, tmp_path: Path) -> None:
    source = write_random_f5(tmp_path / "model_1.safetensors")
    checkpoint = rt.convert(source, tmp_path / "ckpt", variant="v1", progress=False)
    rt.build(checkpoint, tmp_path / "engine", max_seq_len=64)
    with pytest.raises(ConfigError, match="expected an engine of Vocos, got one of the family f5"):
        open_vocoder(tmp_path / "engine", MODEL)
    with pytest.raises(NotFoundError):
        open_vocoder(tmp_path / "none", MODEL)


@given(st.integers(2, 400), st.integers(2, 90), st.integers(0, 40))
def test_windows_cover_all_frames_once(frames: int, most: int, halo: int) -> None:
    windows = list(windows_of(frames, most, halo))
    assert windows[0].first == windows[0].begin == 0
    assert windows[-1].last is None
    assert windows[-1].end == frames
    for of, following in pairwise(windows):
        assert of.last == following.first > of.first
        assert following.first - following.begin == min(halo, following.first)
        assert of.end - following.first == halo
    if len(windows) > 1 or frames <= most:
        assert all(of.end - of.begin <= most for of in windows)


@pytest.mark.parametrize("padding", ["center", "same"])
def test_long_spectrograms_are_decoded_in_windows(padding: str, tmp_path: Path) -> None:
    """Their sound has the bits of a vocoder that takes them whole."""
    source = write_random_vocos(tmp_path / "vocos")
    config = source / "config.yaml"
    config.write_text(config.read_text().replace("padding: center", f"padding: {padding}"))
    checkpoint = rt.convert(source, tmp_path / "ckpt", progress=False)
    mels = [
        np.random.default_rng(frames).normal(size=(frames, 100)).astype(np.float32)
        for frames in (2, 64, 65, 66, 151)
    ]
    sounds = []
    for most in (64, 200):
        rt.build(checkpoint, tmp_path / str(most), max_seq_len=most)
        engine = open_vocoder(tmp_path / str(most), MODEL)
        with rt.Executor(engine, device=NATIVE) as executor:
            sounds.append(Vocoder(executor, engine).sounds_of(mels))
    for windowed, whole, mel in zip(*sounds, mels, strict=True):
        assert len(whole) == 256 * (len(mel) - (1 if padding == "center" else 0))
        np.testing.assert_array_equal(windowed, whole)


def test_vocoders_of_few_frames_have_no_windows(tmp_path: Path) -> None:
    source = write_random_vocos(tmp_path / "vocos")
    checkpoint = rt.convert(source, tmp_path / "ckpt", progress=False)
    rt.build(checkpoint, tmp_path / "engine", max_seq_len=24)  # twice the frames that a sample sees
    engine = open_vocoder(tmp_path / "engine", MODEL)
    message = r"mel: expected \[2 to 24, 100\], got \[25, 100\]"
    with rt.Executor(engine, device=NATIVE) as executor, pytest.raises(ConfigError, match=message):
        Vocoder(executor, engine).sounds_of([np.zeros((25, 100), np.float32)])
