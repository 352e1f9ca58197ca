"""Configurations of NanoCodecs: their sizes, and what is refused by name."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from ttsrt_rt.convert.nanocodec_model import CodecModel, find_codec_block, read_codec_model
from ttsrt_rt.convert.yaml_config import Config
from ttsrt_rt.errors import ConfigError
from ttsrt_rt.synth.nanocodec_layout import codec_config, codec_size


def changed(field: str, value: Any, size: str = "tiny") -> dict[str, Any]:
    """Returns the configuration of a codec with another value at a dotted path; None: without."""
    config = codec_config(codec_size(size))
    *parts, last = field.split(".")
    place = config
    for part in parts:
        place = place[part]
    if value is None:
        place.pop(last, None)
    else:
        place[last] = value
    return config


def read(values: dict[str, Any], notices: list[str] | None = None) -> CodecModel:
    config = find_codec_block(Config.parse(yaml.safe_dump(values), "codec"))
    told: list[str] = [] if notices is None else notices
    return read_codec_model(config, told, has_encoder=True)


def test_the_published_codec() -> None:
    notices: list[str] = []
    model = read(codec_config(codec_size("nano")), notices)
    assert (model.sample_rate, model.samples_per_frame, model.latent) == (22050, 1024, 32)
    assert (model.groups, model.levels) == (8, (8, 7, 6, 6))
    decoder, encoder = model.decoder, model.encoder
    assert (decoder.base_channels, decoder.rates) == (864, (8, 8, 4, 2, 2))
    assert (decoder.kernels, decoder.dilations) == ((3, 7, 11), (1, 3, 5))
    assert (decoder.pre_kernel, decoder.post_kernel) == (7, 3)
    assert encoder is not None
    assert (encoder.base_channels, encoder.rates) == (24, (2, 2, 4, 8, 8))
    assert (encoder.pre_kernel, encoder.post_kernel) == (7, 7)
    assert notices == []


@pytest.mark.parametrize("place", ["", "cfg", "cfg.value", "model"])
def test_the_codec_is_found(place: str) -> None:
    values = codec_config(codec_size("tiny"))
    values["audio_decoder"]["input_dim"] = f"${{{place + '.' if place else ''}width}}"
    values["width"] = 4
    for part in reversed(place.split(".") if place else []):
        values = {part: values}
    assert read(values).latent == 4


def test_another_file_is_no_codec() -> None:
    with pytest.raises(ConfigError, match=r"codec: expected an audio codec \(audio_decoder,"):
        read({"model_type": "decoder_ce", "cfg": 3})


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("audio_decoder._target_", "a.HiFiGANDecoder", "a decoder that looks to both sides"),
        ("audio_decoder._target_", "a.ResNetDecoder", "a decoder of spectral codecs"),
        ("audio_decoder._target_", "a.Other", "expected CausalHiFiGANDecoder, got 'Other'"),
        ("audio_decoder._target_", None, "audio_decoder._target_: expected text"),
        ("audio_decoder.output_activation", "tanh", "output_activation: expected clamp"),
        ("audio_decoder.output_activation", None, "output_activation: expected clamp"),
        ("audio_decoder.activation", "lrelu", "activation: expected half_snake"),
        ("audio_decoder.activation", None, "activation: expected half_snake"),
        ("audio_decoder.pad_mode", "reflect", "pad_mode: expected zeros"),
        ("audio_decoder.n_groups_equal_to_out_channels", False, "upsamplers without groups"),
        ("audio_decoder.input_dim", 5, "input_dim: expected 4 as the quantizer has"),
        ("audio_decoder.base_channels", 36, "a multiple of 8 that is at least 16"),
        ("audio_decoder.base_channels", 8, "a multiple of 8 that is at least 16"),
        ("audio_decoder.up_sample_rates", [4, 2], "whose product is samples_per_frame 16"),
        ("audio_decoder.up_sample_rates", [], "it is empty"),
        ("audio_decoder.resblock_kernel_sizes", [99], "in 1..63"),
        ("audio_decoder.new", 1, "unknown fields new"),
        ("vector_quantizer", None, "expected GroupFiniteScalarQuantizer"),
        ("vector_quantizer._target_", "a.ResidualVectorQuantizer", "learned codebooks"),
        (
            "vector_quantizer._target_",
            "a.Other",
            "expected GroupFiniteScalarQuantizer, got 'Other'",
        ),
        ("vector_quantizer.num_levels_per_group", [], "levels for at most"),
        ("vector_quantizer.num_levels_per_group", [60, 60, 60], "levels for at most"),
        ("vector_quantizer.eps", 0.01, "another margin"),
        ("audio_encoder.encoded_dim", 5, "encoded_dim: expected 4"),
        ("audio_encoder.down_sample_rates", [16, 1], "rates of at least 2"),
        ("audio_encoder.down_sample_rates", [4], "whose product is samples_per_frame 16"),
        ("audio_encoder.base_channels", 4096, "at most 2048"),
        ("audio_decoder.in_kernel_size", 4, "odd kernels"),
        ("audio_encoder.in_kernel_size", 4, "odd kernels"),
        ("audio_encoder.resblock_kernel_sizes", [3, 6], "odd kernels"),
        ("sample_rate", None, "sample_rate: expected an integer"),
        ("output_sample_rate", 44100, "expected 22050 like sample_rate"),
        ("semantic_codec", {"sample_rate": 1}, "a codec inside the codec"),
        ("semantic_codec_path", "x.nemo", "a codec inside the codec"),
    ],
)
def test_other_codecs_are_refused_by_name(field: str, value: Any, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        read(changed(field, value))


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("audio_encoder", None, "the configuration has no audio_encoder"),
        ("audio_encoder._target_", "a.CausalHiFiGANEncoder", "got 'CausalHiFiGANEncoder'"),
        ("audio_encoder.pad_mode", None, "pad_mode: expected replicate, got 'reflect'"),
        ("audio_encoder.pad_mode", "zeros", "pad_mode: expected replicate, got 'zeros'"),
        ("audio_encoder.activation", "half_snake", "activation: expected lrelu"),
        ("audio_encoder.new", 1, "unknown fields new"),
    ],
)
def test_another_encoder_is_left_out_and_told(field: str, value: Any, message: str) -> None:
    notices: list[str] = []
    model = read(changed(field, value), notices)
    assert model.encoder is None
    (notice,) = notices
    assert notice.startswith("converted without its encoder") and message in notice


def test_defaults_are_those_of_the_classes() -> None:
    values = codec_config(codec_size("tiny"))
    values["samples_per_frame"] = 16
    del values["audio_decoder"]["base_channels"], values["audio_encoder"]["base_channels"]
    model = read(values)
    assert model.decoder.base_channels == 512
    assert model.encoder is not None and model.encoder.base_channels == 32
    values["audio_decoder"]["resblock_dilation_sizes"] = [1, 2]
    values["audio_decoder"]["out_kernel_size"] = 5
    decoder = read(values).decoder
    assert (decoder.dilations, decoder.post_kernel) == ((1, 2), 5)
