"""Sizes of F5-TTS models from their tensors, at the published sizes, and wrong ones."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from ttsrt_rt.convert.f5_config import F5Config
from ttsrt_rt.convert.f5_model import check_variant, merged_groups, read_defaults, read_model
from ttsrt_rt.convert.vocos_model import VocosModel
from ttsrt_rt.errors import ConfigError, FormatError
from ttsrt_rt.synth.f5_layout import F5_SIZES, SynthVocos, f5_layout, vocos_layout


def shapes_of(size: str) -> dict[str, tuple[int, ...]]:
    return f5_layout(F5_SIZES[size])


@pytest.mark.parametrize(
    ("size", "tensors", "parameters"),
    [("base", 364, 337_096_804), ("small", 308, 159_228_772)],
)
def test_published_sizes(size: str, tensors: int, parameters: int) -> None:
    shapes = shapes_of(size)
    assert len(shapes) == tensors
    del shapes["rotary_embed.inv_freq"]
    assert sum(math.prod(shape) for shape in shapes.values()) == parameters


def test_the_published_vocoder() -> None:
    shapes = vocos_layout(SynthVocos(512, 1536, 8))
    assert len(shapes) == 83
    assert 364 + len(shapes) == 447  # of IndicF5's file


def test_all_fields_of_the_base_model() -> None:
    model = read_model(shapes_of("base"), "v1", F5Config(), None)
    assert (model.dim, model.layers, model.heads, model.ffn_dim) == (1024, 22, 16, 2048)
    assert (model.text_vocab, model.text_dim, model.text_layers) == (2545, 512, 4)
    assert (model.variant, model.text_mask_padding, model.rope_heads) == ("v1", True, 0)
    assert (model.conv_groups, model.conv_kernel, model.mel_bins) == (16, 31, 100)
    assert (model.qk_norm, model.long_skip, model.vocoder) == (False, False, None)
    assert model.max_frames == 8192
    old = read_model(shapes_of("small"), "indicf5", F5Config(), None)
    assert (old.dim, old.layers, old.heads, old.variant) == (768, 18, 12, "v0")
    assert (old.text_mask_padding, old.rope_heads, old.max_frames) == (False, 1, 4096)
    assert not read_defaults("indicf5").use_epss
    assert read_defaults("v0").use_epss


def test_tensors_tell_of_norms_and_the_long_skip() -> None:
    model = read_model(shapes_of("tiny_norm"), "v1", F5Config(), None)
    assert model.qk_norm
    assert model.long_skip


@pytest.mark.parametrize(("dim", "merged"), [(1024, 1), (768, 1), (128, 2), (64, 4), (16, 16)])
def test_groups_are_merged_to_multiples_of_16(dim: int, merged: int) -> None:
    assert merged_groups(dim) == merged


@pytest.mark.parametrize(
    ("name", "shape", "message"),
    [
        ("proj_out.weight", None, "proj_out.weight: expected a tensor"),
        ("proj_out.weight", (100,), "expected 2 axes"),
        ("proj_out.weight", (0, 64), "expected 2 axes"),
        ("input_embed.proj.weight", (64, 233), "233 inputs"),
        ("transformer_blocks.0.attn.to_q.weight", (130, 64), "heads of 130 in all"),
    ],
)
def test_impossible_shapes_are_refused(
    name: str, shape: tuple[int, ...] | None, message: str
) -> None:
    shapes = shapes_of("tiny")
    if shape is None:
        del shapes[name]
    else:
        shapes[name] = shape
    with pytest.raises(FormatError, match=message):
        read_model(shapes, "v1", F5Config(), None)


def test_layers_are_limited() -> None:
    shapes = shapes_of("tiny")
    shapes["transformer_blocks.4096.attn.to_q.weight"] = (128, 64)
    with pytest.raises(FormatError, match="layers"):
        read_model(shapes, "v1", F5Config(), None)
    no_text = f5_layout(replace(F5_SIZES["tiny"], text_layers=0))
    with pytest.raises(FormatError, match="layers, got 0"):
        read_model(no_text, "v1", F5Config(), None)


def test_the_configuration_must_agree() -> None:
    config = F5Config(name="config.json", arch={"depth": 22})
    with pytest.raises(ConfigError, match="depth: expected 2, as the tensors have it, got 22"):
        read_model(shapes_of("tiny"), "v1", config, None)


def test_variants_are_words() -> None:
    assert check_variant("v0", "file") == "v0"
    for wrong in (None, "v2", ""):
        with pytest.raises(ConfigError, match="variant: expected one of v0, v1, indicf5 for file"):
            check_variant(wrong, "file")


@pytest.mark.parametrize(
    ("name", "value"), [("mel_bins", 80), ("hop", 300), ("sample_rate", 22050)]
)
def test_a_vocoder_of_another_rate_is_refused(name: str, value: int) -> None:
    vocoder = VocosModel(100, 32, 80, 2, 1024, 256, "center", 24000)
    model = read_model(shapes_of("tiny"), "v1", F5Config(), vocoder)
    assert model.vocoder == vocoder
    other = replace(vocoder, **{name: value})
    with pytest.raises(ConfigError, match=f"vocoder: {name}: expected .* got {value}"):
        read_model(shapes_of("tiny"), "v1", F5Config(), other)
