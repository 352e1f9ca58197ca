"""Converts Vocos folders, finds their files, and refuses other vocoders."""

from __future__ import annotations

import json
from contextlib import ExitStack
from pathlib import Path

import pytest

from ttsrt_rt.convert import convert, open_weights
from ttsrt_rt.convert.safetensors_write import tensor_of_array, write_safetensors
from ttsrt_rt.convert.vocos_convert import looks_like_vocos, open_vocoder
from ttsrt_rt.errors import ConfigError, NotFoundError
from ttsrt_rt.synth import write_random_t3, write_random_vocos


def test_a_folder_or_its_weights(tmp_path: Path) -> None:
    folder = write_random_vocos(tmp_path / "vocos", seed=2)
    one = convert(folder, tmp_path / "a", progress=False)
    two = convert(folder / "pytorch_model.bin", tmp_path / "b", progress=False)
    assert (one / "model.safetensors").read_bytes() == (two / "model.safetensors").read_bytes()
    config = json.loads((one / "config.json").read_text("utf-8"))
    assert config["family"] == "vocos"
    assert config["model"]["padding"] == "center"
    assert config["source"] == {"file": "pytorch_model.bin"}


def test_safetensors_are_taken_too(tmp_path: Path) -> None:
    folder = write_random_vocos(tmp_path / "vocos", seed=2)
    expected = convert(folder, tmp_path / "a", progress=False)
    with open_weights(folder / "pytorch_model.bin") as weights:
        arrays = {name: tensor_of_array(name, weights[name].read()) for name in weights}
        write_safetensors(folder / "model.safetensors", arrays)
    (folder / "pytorch_model.bin").unlink()
    made = convert(folder, tmp_path / "b", progress=False)
    assert (made / "model.safetensors").read_bytes() == (
        expected / "model.safetensors"
    ).read_bytes()


def test_what_is_missing_is_named(tmp_path: Path) -> None:
    folder = write_random_vocos(tmp_path / "vocos")
    (folder / "config.yaml").unlink()
    with ExitStack() as files, pytest.raises(NotFoundError, match="the configuration of pytorch"):
        open_vocoder(files, folder / "pytorch_model.bin")
    with ExitStack() as files, pytest.raises(NotFoundError, match="got no weights"):
        open_vocoder(files, tmp_path)


def test_other_models_are_not_taken_for_one(tmp_path: Path) -> None:
    assert looks_like_vocos(write_random_vocos(tmp_path / "vocos"))
    assert looks_like_vocos(tmp_path / "vocos" / "pytorch_model.bin")
    assert not looks_like_vocos(tmp_path)
    assert not looks_like_vocos(write_random_t3(tmp_path / "t3_cfg.safetensors"))
    with pytest.raises(ConfigError, match=r"unknown option|variant"):
        convert(tmp_path / "vocos", tmp_path / "ckpt", variant="v1", progress=False)
