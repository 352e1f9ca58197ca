"""What a Vocos vocoder is: sizes from its tensors, compared with its config.yaml where there is
one.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ttsrt_rt.convert.tensor_shapes import TensorShapes, axes_of, num_layers
from ttsrt_rt.convert.yaml_config import Config
from ttsrt_rt.errors import ConfigError

__all__ = ["VocosConfig", "VocosModel", "read_vocos_config", "read_vocos_model"]

PARTS = {
    "feature_extractor": "vocos.feature_extractors.MelSpectrogramFeatures",
    "backbone": "vocos.models.VocosBackbone",
    "head": "vocos.heads.ISTFTHead",
}


@dataclass(frozen=True)
class VocosModel:
    """The object "model" of config.json of the family "vocos"; docs/format.md has its fields."""

    mel_bins: int
    dim: int
    ffn_dim: int
    layers: int
    n_fft: int
    hop: int
    padding: str
    sample_rate: int


@dataclass(frozen=True)
class VocosConfig:
    """What config.yaml of a vocoder says; the values are those of `vocos-mel-24khz`.

    Attributes:
        hop: samples from one frame to the next.
        padding: "center" or "same": what is cut at the ends.
        sample_rate: of the sound.
        sizes: sizes that it states of the tensors, by our names, each with its path.
    """

    hop: int = 256
    padding: str = "center"
    sample_rate: int = 24000
    sizes: Mapping[str, tuple[str, int]] | None = None


def read_vocos_config(path: str | os.PathLike[str]) -> VocosConfig:
    """Reads config.yaml of a vocoder.

    Raises:
        ConfigError: it does not exist, or is of another vocoder.
        FormatError: it is not YAML.
    """
    config = Config.load(path)
    for part, wanted in PARTS.items():
        got = config.get_str(f"{part}.class_path")
        if got != wanted:
            raise ConfigError(f"{config.where}: {part}.class_path: expected {wanted}, got {got}")
    if config.has("backbone.init_args.adanorm_num_embeddings"):
        raise ConfigError(
            f"{config.where}: backbone.init_args.adanorm_num_embeddings: expected null, got a value"
        )
    features, backbone, head = (f"{part}.init_args" for part in PARTS)
    hop = config.get_int(f"{head}.hop_length", minimum=1, maximum=1 << 16)
    named = {
        "mel_bins": f"{backbone}.input_channels",
        "dim": f"{backbone}.dim",
        "ffn_dim": f"{backbone}.intermediate_dim",
        "layers": f"{backbone}.num_layers",
        "n_fft": f"{head}.n_fft",
    }
    return VocosConfig(
        hop=hop,
        padding=_padding(config, f"{head}.padding"),
        sample_rate=config.get_int(
            f"{features}.sample_rate", minimum=1000, maximum=768000, default=24000
        ),
        sizes={
            name: (place, config.get_int(place, minimum=1, maximum=1 << 20))
            for name, place in named.items()
        },
    )


def _padding(config: Config, place: str) -> str:
    return config.get_str(place, choices=("center", "same"), default="same")


def read_vocos_model(shapes: TensorShapes, config: VocosConfig) -> VocosModel:
    """Returns the vocoder that tensors of these original names and shapes are.

    Raises:
        ConfigError: the configuration states other sizes.
        FormatError: a tensor is missing or has an impossible shape.
    """
    dim, mel_bins, _ = axes_of(shapes, "backbone.embed.weight", 3)
    ffn_dim, _ = axes_of(shapes, "backbone.convnext.0.pwconv1.weight", 2)
    bins, _ = axes_of(shapes, "head.out.weight", 2)
    made: dict[str, Any] = {
        "mel_bins": mel_bins,
        "dim": dim,
        "ffn_dim": ffn_dim,
        "layers": num_layers(shapes, "backbone.convnext."),
        "n_fft": bins - 2,
    }
    for name, (place, stated) in (config.sizes or {}).items():
        if made[name] != stated:
            raise ConfigError(
                f"config.yaml: {place}: expected {made[name]}, as the tensors have it, got {stated}"
            )
    return VocosModel(
        **made, hop=config.hop, padding=config.padding, sample_rate=config.sample_rate
    )
