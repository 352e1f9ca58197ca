"""Configurations and sizes of Vocos."""

from __future__ import annotations

from pathlib import Path

import pytest

from ttsrt_rt.convert.vocos_model import VocosConfig, read_vocos_config, read_vocos_model
from ttsrt_rt.errors import ConfigError, FormatError
from ttsrt_rt.synth import write_random_vocos
from ttsrt_rt.synth.f5_layout import SynthVocos, vocos_layout


def config_of(folder: Path, old: str = "", new: str = "") -> VocosConfig:
    path = write_random_vocos(folder / "vocos") / "config.yaml"
    text = path.read_text("utf-8")
    assert old in text
    path.write_text(text.replace(old, new), "utf-8")
    return read_vocos_config(path)


def test_sizes_come_from_tensors_and_are_compared(tmp_path: Path) -> None:
    model = read_vocos_model(vocos_layout(SynthVocos()), config_of(tmp_path))
    assert (model.dim, model.ffn_dim, model.layers, model.n_fft, model.hop) == (
        *(32, 80, 2, 1024),
        256,
    )
    with pytest.raises(ConfigError, match=r"backbone.init_args.dim: expected 32"):
        read_vocos_model(vocos_layout(SynthVocos()), config_of(tmp_path, "dim: 32,", "dim: 48,"))


def test_padding_defaults_to_that_of_the_class(tmp_path: Path) -> None:
    assert config_of(tmp_path).padding == "center"
    old = "hop_length: 256, padding: center}}".replace("}}", "}")
    path = write_random_vocos(tmp_path / "vocos") / "config.yaml"
    head, _, tail = path.read_text("utf-8").rpartition(old)
    path.write_text(f"{head}hop_length: 256}}{tail}", "utf-8")
    assert read_vocos_config(path).padding == "same"


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("MelSpectrogramFeatures", "EncodecFeatures", "feature_extractor.class_path"),
        ("VocosBackbone", "VocosResNetBackbone", "backbone.class_path"),
        ("ISTFTHead", "IMDCTSymExpHead", "head.class_path"),
        ("num_layers: 2", "num_layers: 2, adanorm_num_embeddings: 4", "adanorm"),
        ("padding: center", "padding: valid", "one of 'center', 'same'"),
        ("num_layers: 2", "num_layers: 0", "num_layers"),
    ],
)
def test_other_vocoders_are_refused(old: str, new: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=message):
        config_of(tmp_path, old, new)


def test_impossible_shapes_are_refused() -> None:
    shapes = vocos_layout(SynthVocos())
    shapes["head.out.weight"] = (1026,)
    with pytest.raises(FormatError, match=r"head.out.weight: expected 2 axes"):
        read_vocos_model(shapes, VocosConfig())
    del shapes["head.out.weight"]
    with pytest.raises(FormatError, match=r"head.out.weight: expected a tensor"):
        read_vocos_model(shapes, VocosConfig())
