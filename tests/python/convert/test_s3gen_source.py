"""What the shapes of an S3Gen's tensors tell, and what is refused by name."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from ttsrt_rt.convert.s3gen_model import S3Gen
from ttsrt_rt.convert.s3gen_source import MIXER, parts_of, read_s3gen_model
from ttsrt_rt.errors import ConfigError, FormatError
from ttsrt_rt.synth.s3gen_layout import S3GEN_SIZES, s3gen_layout, voice_encoder_layout

Shapes = dict[str, tuple[int, ...]]
GAIN = "parametrizations.weight.original1"


def layout(size: str) -> Shapes:
    model = S3GEN_SIZES[size]
    others = {f"voice_encoder.{name}": each for name, each in voice_encoder_layout(model).items()}
    return {**s3gen_layout(model), **others}


def without(shapes: Shapes, *parts: str) -> Shapes:
    return {name: each for name, each in shapes.items() if not name.startswith(parts)}


@pytest.mark.parametrize("size", ["cfm", "meanflow"])
def test_the_published_models(size: str) -> None:
    model = read_s3gen_model(layout(size))
    assert model.sample_rate == 24000
    flow, vocoder = model.flow, model.vocoder
    assert flow is not None and vocoder is not None
    assert (flow.kind, flow.vocab, flow.dim, flow.heads, flow.ffn_dim) == (size, 6561, 512, 8, 2048)
    assert (flow.layers, flow.up_layers, flow.lookahead, flow.upsampling) == (6, 4, 3, 2)
    assert (flow.mel_bins, flow.speaker_dim) == (80, 192)
    inner = flow.estimator
    assert (inner.dim, inner.heads, inner.head_dim, inner.ffn_dim) == (256, 8, 64, 1024)
    assert (inner.time_dim, inner.layers, inner.mid_stages) == (1024, 4, 12)
    assert (vocoder.dim, vocoder.kernels, vocoder.chain_kernels) == (512, (16, 11, 7), (3, 7, 11))
    assert (vocoder.source_kernels, vocoder.n_fft, vocoder.hop) == ((7, 7, 11), 16, 4)
    assert (vocoder.harmonics, vocoder.f0_dim, vocoder.f0_layers) == (9, 512, 5)
    assert (vocoder.samples_per_frame, vocoder.strides()) == (480, (15, 3, 1))


def test_what_makes_voices() -> None:
    model = read_s3gen_model(layout("cfm"))
    speech, speaker, voice = model.speech_tokenizer, model.speaker_encoder, model.voice_encoder
    assert speech is not None and speaker is not None and voice is not None
    assert (speech.dim, speech.heads, speech.layers, speech.memory_taps) == (1280, 20, 6, 31)
    assert (speech.digits, speech.levels, speech.mel_bins) == (8, 3, 128)
    assert (speaker.layers, speaker.dilations) == ((12, 24, 16), (1, 2, 2))
    assert speaker.widths() == (128, 256, 512, 512)
    assert (speaker.mel_bins, speaker.inner, speaker.gate, speaker.growth) == (80, 128, 64, 32)
    assert (voice.mel_bins, voice.dim, voice.layers, voice.embedding) == (40, 256, 3, 256)


def test_any_part_may_be_missing() -> None:
    shapes = layout("tiny")
    assert parts_of(shapes) == ("flow", "mel2wav", "tokenizer", "speaker_encoder", "voice_encoder")
    assert read_s3gen_model(without(shapes, "flow.")).flow is None
    model = read_s3gen_model(without(shapes, "tokenizer.", "speaker_encoder.", "voice_encoder."))
    assert (model.speech_tokenizer, model.speaker_encoder, model.voice_encoder) == (None,) * 3
    assert model.vocoder is not None


def test_the_mixer_alone_tells_the_kind() -> None:
    flow = read_s3gen_model({**layout("tiny"), MIXER: (64, 128)}).flow
    assert flow is not None and flow.kind == "meanflow"


def test_heads() -> None:
    shapes = layout("tiny")  # 32 columns for all heads

    def heads(model: S3Gen) -> tuple[int, int]:
        assert model.flow is not None
        return model.flow.estimator.heads, model.flow.estimator.head_dim

    assert heads(read_s3gen_model(shapes)) == (2, 16)
    assert heads(read_s3gen_model(shapes, 4)) == (4, 8)
    with pytest.raises(ConfigError, match="heads: expected a divisor of the width 32, got 5"):
        read_s3gen_model(shapes, 5)
    with pytest.raises(ConfigError, match="heads: expected none without a flow"):
        read_s3gen_model(without(shapes, "flow."), 2)
    odd = s3gen_layout(replace(S3GEN_SIZES["tiny"], inner_width=72))
    with pytest.raises(ConfigError, match="multiple of 64, got 72; pass heads="):
        read_s3gen_model(odd)


def changed(name: str, shape: tuple[int, ...] | None) -> Callable[[Shapes], Shapes]:
    def change(shapes: Shapes) -> Shapes:
        made = dict(shapes)
        assert made.pop(name, None) is not None, name
        return made if shape is None else {**made, name: shape}

    return change


MISTAKES = {
    "flow.input_embedding.weight: expected 2 axes": changed("flow.input_embedding.weight", (6561,)),
    "flow.spk_embed_affine_layer.weight: expected a tensor of this name, got none": changed(
        "flow.spk_embed_affine_layer.weight", None
    ),
    "model.flow.dim: expected a multiple of 6": changed(
        "flow.encoder.encoders.0.self_attn.pos_bias_u", (3, 5)
    ),
    "model.flow.lookahead: expected an integer in 1..62, got 0": changed(
        "flow.encoder.pre_lookahead_layer.conv1.weight", (16, 16, 1)
    ),
    "model.flow.vocab: expected at least the 6561 tokens": changed(
        "flow.input_embedding.weight", (400, 16)
    ),
    "vocoder.mel_bins: expected 80 like the flow's, got 100": changed(
        f"mel2wav.conv_pre.{GAIN}", (16, 100, 7)
    ),
    "model.vocoder.n_fft: expected four times the hop 3": changed(
        f"mel2wav.conv_post.{GAIN}", (17, 2, 7)
    ),
    "model.vocoder.kernels: expected each larger than its rate 8": changed(
        f"mel2wav.ups.0.{GAIN}", (16, 8, 15)
    ),
    "model.vocoder.chain_kernels: expected odd numbers": changed(
        f"mel2wav.resblocks.0.convs1.0.{GAIN}", (8, 8, 4)
    ),
    "speaker_encoder.embedding: expected 192 like the flow's": changed(
        "speaker_encoder.xvector.dense.linear.weight", (256, 36, 1)
    ),
    "tdnn.linear.weight: expected a multiple of 4 inputs, got 41": changed(
        "speaker_encoder.xvector.tdnn.linear.weight", (16, 41, 5)
    ),
    "conv1.weight: expected a multiple of 64 rows, got 65": changed(
        "tokenizer.encoder.conv1.weight", (65, 128, 3)
    ),
    "model.voice_encoder.dim: expected an integer in 1..8192, got 9000": changed(
        "voice_encoder.lstm.weight_hh_l0", (36000, 9000)
    ),
}


@pytest.mark.parametrize("message", MISTAKES)
def test_impossible_shapes_are_named(message: str) -> None:
    with pytest.raises(FormatError) as caught:
        read_s3gen_model(MISTAKES[message](layout("tiny")))
    assert message in str(caught.value)


def test_missing_stages_are_named() -> None:
    shapes = layout("tiny")
    with pytest.raises(FormatError, match=r"mel2wav\.ups: expected 3 stages, got 2"):
        read_s3gen_model(without(shapes, "mel2wav.ups.2."))
    with pytest.raises(FormatError, match=r"mel2wav\.resblocks: expected a multiple of 3 chains"):
        read_s3gen_model(without(shapes, "mel2wav.resblocks.8."))
    with pytest.raises(FormatError, match=r"block3\.tdnnd: expected 1 to 256 layers, got 0"):
        read_s3gen_model(without(shapes, "speaker_encoder.xvector.block3."))
