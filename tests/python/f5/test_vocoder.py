"""The vocoder beside a model: one of other spectrograms or rates is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import ttsrt_rt as rt
from ttsrt_rt.errors import ConfigError, NotFoundError
from ttsrt_rt.f5.vocoder import open_vocoder
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
