"""Converts codecs from every kind of file, and refuses others."""

from __future__ import annotations

import gzip
import json
import logging
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from ttsrt_rt.convert import convert, open_weights
from ttsrt_rt.convert.nanocodec_convert import looks_like_nanocodec
from ttsrt_rt.convert.safetensors_write import tensor_of_array, write_safetensors
from ttsrt_rt.errors import ConfigError, FormatError
from ttsrt_rt.synth import write_random_codec, write_random_nemo
from ttsrt_rt.synth.nanocodec_layout import codec_config, codec_size

Arrays = dict[str, np.ndarray[Any, Any]]


def read(path: Path) -> Arrays:
    with open_weights(path) as weights:
        return {name: weights[name].read().copy() for name in weights}


def write(folder: Path, arrays: Arrays) -> Path:
    """Writes weights with the configuration of the tiny codec beside them."""
    path = folder / "codec.safetensors"
    write_safetensors(path, {name: tensor_of_array(name, each) for name, each in arrays.items()})
    (folder / "codec.yaml").write_text(yaml.safe_dump(codec_config(codec_size("tiny"))), "utf-8")
    return path


@pytest.fixture(scope="module")
def nemo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_random_codec(tmp_path_factory.mktemp("codec") / "codec.nemo", seed=1)


@pytest.fixture(scope="module")
def expected(nemo: Path) -> bytes:
    folder = convert(nemo, nemo.parent / "out", progress=False)
    return (folder / "model.safetensors").read_bytes()


def unpacked(nemo: Path, folder: Path) -> Path:
    with tarfile.open(nemo) as archive:
        archive.extractall(folder / "codec", filter="data")
    return folder / "codec"


def gzipped(nemo: Path, folder: Path) -> Path:
    path = folder / "packed.nemo"
    path.write_bytes(gzip.compress(nemo.read_bytes()))
    return path


def checkpoint(nemo: Path, folder: Path) -> Path:
    return write_random_codec(folder / "codec.ckpt", seed=1)


@pytest.mark.parametrize("make", [unpacked, gzipped, checkpoint])
def test_every_kind_of_file(
    make: Callable[[Path, Path], Path], nemo: Path, expected: bytes, tmp_path: Path
) -> None:
    made = convert(make(nemo, tmp_path), tmp_path / "out", progress=False)
    assert (made / "model.safetensors").read_bytes() == expected


def test_what_is_written(nemo: Path, expected: bytes, tmp_path: Path) -> None:
    made = convert(nemo, tmp_path / "out", dtype="bfloat16", progress=False)
    config = json.loads((made / "config.json").read_text("utf-8"))
    assert (config["family"], config["defaults"]) == ("nanocodec", {})
    assert config["source"] == {"file": "codec.nemo"}
    assert config["codec"] == {"name": "codec.nemo", "sample_rate": 22050}
    assert config["model"] == {
        "sample_rate": 22050,
        "samples_per_frame": 16,
        "groups": 2,
        "levels": [4, 3],
        "decoder": {
            "base_channels": 32,
            "rates": [4, 2, 2],
            "kernels": [3, 7, 11],
            "dilations": [1, 3, 5],
            "pre_kernel": 7,
            "post_kernel": 3,
        },
        "encoder": {
            "base_channels": 4,
            "rates": [2, 2, 4],
            "kernels": [3, 7, 11],
            "dilations": [1, 3, 5],
            "pre_kernel": 7,
            "post_kernel": 7,
            "pad": "replicate",
        },
    }
    with open_weights(made / "model.safetensors") as weights:
        assert weights["decoder.stages.2.up"].dtype == "bfloat16"
        assert weights["decoder.stages.2.up"].shape == (8, 4)


def test_names_of_wrappers_and_of_old_weight_norm(
    nemo: Path, expected: bytes, tmp_path: Path
) -> None:
    arrays = {
        "module."
        + name.replace("parametrizations.weight.original0", "weight_g").replace(
            "parametrizations.weight.original1", "weight_v"
        ): values
        for name, values in read(nemo).items()
    }
    arrays["module.discriminator.discriminators.0.x"] = np.ones(3, np.float32)
    source = write(tmp_path, arrays)
    assert looks_like_nanocodec(source)
    made = convert(source, tmp_path / "out", progress=False)
    assert (made / "model.safetensors").read_bytes() == expected


def test_tensors_are_accounted_for(nemo: Path, tmp_path: Path) -> None:
    arrays = read(nemo)
    with pytest.raises(FormatError, match=r"1 unexpected tensors: audio_decoder\.x"):
        convert(write(tmp_path, {**arrays, "audio_decoder.x": np.ones(2, np.float32)}), "out")
    missing = arrays.pop("audio_decoder.post_conv.conv.bias")
    with pytest.raises(FormatError, match=r"1 tensors are missing: audio_decoder\.post_conv"):
        convert(write(tmp_path, arrays), tmp_path / "out")
    arrays["audio_decoder.post_conv.conv.bias"] = missing * np.float32(np.nan)
    with pytest.raises(FormatError, match="expected finite values"):
        convert(write(tmp_path, arrays), tmp_path / "out", progress=False)
    assert not (tmp_path / "out").exists()


def test_levels_that_differ_from_the_stored_ones(nemo: Path, tmp_path: Path) -> None:
    arrays = read(nemo)
    arrays["vector_quantizer.fsqs.1.num_levels"] = np.array([3, 4], np.int32).reshape(1, 2, 1)
    with pytest.raises(FormatError, match=r"fsqs\.1\.num_levels: expected \[4, 3\], got \[3, 4\]"):
        convert(write(tmp_path, arrays), tmp_path / "out", progress=False)


def test_without_an_encoder(nemo: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    kept = {name: each for name, each in read(nemo).items() if "audio_encoder" not in name}
    with caplog.at_level(logging.WARNING):
        made = convert(write(tmp_path, kept), tmp_path / "out", progress=False)
    assert "converted without its encoder, which turns sound into codes" in caplog.text
    assert json.loads((made / "config.json").read_text("utf-8"))["model"]["encoder"] is None


def test_a_codec_inside_a_speech_model_stays_there(tmp_path: Path) -> None:
    path = write_random_nemo(tmp_path / "magpie.nemo")
    arrays = read(path)
    arrays["_codec_model.audio_decoder.pre_conv.conv.bias"] = np.ones(3, np.float32)
    write_safetensors(
        tmp_path / "magpie.safetensors",
        {name: tensor_of_array(name, each) for name, each in arrays.items()},
    )
    for name in ("magpie.nemo", "magpie.safetensors"):
        assert not looks_like_nanocodec(tmp_path / name)
    assert not looks_like_nanocodec(gzipped(path, tmp_path))
    assert not looks_like_nanocodec(tmp_path)


def test_the_configuration_is_needed(nemo: Path, tmp_path: Path) -> None:
    source = write_random_codec(tmp_path / "codec.ckpt")
    (tmp_path / "codec.hparams.yaml").rename(tmp_path / "elsewhere.yml")
    with pytest.raises(ConfigError, match="expected its configuration in the same folder"):
        convert(source, tmp_path / "out", progress=False)
    convert(source, tmp_path / "out", config=tmp_path / "elsewhere.yml", progress=False)
    with pytest.raises(ConfigError, match="variant: expected none for codec"):
        convert(nemo, tmp_path / "other", variant="v1", progress=False)
