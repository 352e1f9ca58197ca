"""The model and its variant are told from names and shapes."""

from __future__ import annotations

import pytest

from ttsrt_rt.convert.t3_model import VARIANTS, Shapes, T3Model, T3Options, read_model
from ttsrt_rt.errors import ConfigError, FormatError
from ttsrt_rt.synth.t3_layout import T3_SIZES, t3_layout

from .t3_keys import flash_shapes, original_shapes

ORIGINALS = {
    **{name: original_shapes(name) for name in ("english", "multilingual", "turbo", "nano")},
    "flash": flash_shapes(),
}


def model_of(shapes: dict[str, tuple[int, ...]], **options: object) -> T3Model:
    return read_model(Shapes(shapes), T3Options(**options))  # type: ignore[arg-type]


@pytest.mark.parametrize("variant", VARIANTS)
def test_published_models_are_told_from_their_shapes(variant: str) -> None:
    model = model_of(ORIGINALS[variant])
    assert model.variant == variant
    layers = {"turbo": 24, "nano": 12}.get(variant, 30)
    width, heads = (768, 12) if variant == "nano" else (1024, 16)
    decoder = model.decoder
    assert (decoder.layers, decoder.dim) == (layers, width)
    assert (decoder.heads, decoder.kv_heads, decoder.head_dim) == (heads, heads, 64)
    assert decoder.ffn_dim == 4 * width
    assert model.frame_rate == 25.0
    assert (model.bos, model.eos) == (6561, 6562)
    assert model.conditioning.speaker_dim == 256


def test_the_llama_kind() -> None:
    model = model_of(ORIGINALS["multilingual"])
    assert (model.text_vocab, model.speech_vocab, model.speech_rows) == (2454, 8194, 8194)
    assert (model.text_positions, model.speech_positions, model.start_rows) == (2050, 4100, 2)
    assert (model.text_start, model.text_stop, model.processors) == (255, 0, "t3")
    assert not model.head_bias
    conditioning = model.conditioning
    assert (conditioning.queries, conditioning.heads, conditioning.max_prompt) == (32, 4, 150)
    assert conditioning.emotion
    rope = model.decoder.rope
    assert rope is not None
    assert (rope.kind, rope.dims, rope.theta, rope.factor) == ("llama3", 64, 500_000.0, 8.0)
    assert (rope.low_freq_factor, rope.high_freq_factor, rope.original_positions) == (1, 4, 8192)
    assert (model.decoder.norm, model.decoder.activation, model.decoder.gated) == (
        *("rms", "silu"),
        True,
    )
    assert not model.decoder.learned_positions


def test_only_multilingual_models_have_alignment_heads() -> None:
    model = model_of(ORIGINALS["multilingual"])
    assert model.analyzer is not None and model.analyzer.heads == ((12, 15), (13, 11), (9, 2))
    for other in ("english", "turbo", "nano", "flash"):
        assert model_of(ORIGINALS[other]).analyzer is None
    small = ORIGINALS["english"] | {"text_emb.weight": (2454, 1024)}
    small = {k: v for k, v in small.items() if not k.startswith("tfmr.layers.")} | {
        k: v for k, v in small.items() if k.startswith("tfmr.layers.0.")
    }
    assert model_of(small).analyzer is None  # has a single layer


def test_the_gpt2_kind() -> None:
    model = model_of(ORIGINALS["turbo"])
    assert (model.text_vocab, model.speech_vocab, model.speech_rows) == (50276, 6563, 6563)
    assert (model.text_positions, model.speech_positions, model.start_rows) == (0, 0, 1)
    assert (model.text_start, model.text_stop, model.processors) == (None, None, "turbo")
    assert model.head_bias
    conditioning = model.conditioning
    assert (conditioning.queries, conditioning.heads, conditioning.max_prompt) == (0, 0, 375)
    assert not conditioning.emotion
    decoder = model.decoder
    assert (decoder.norm, decoder.activation, decoder.gated) == ("layer", "gelu_tanh", False)
    assert (decoder.norm_bias, decoder.attention_bias, decoder.ffn_bias) == (True, True, True)
    assert (decoder.learned_positions, decoder.max_positions, decoder.rope) == (True, 8196, None)


def test_flash_has_a_row_for_its_mask() -> None:
    model = model_of(ORIGINALS["flash"])
    assert (model.speech_rows, model.speech_vocab, model.start_rows) == (8195, 8194, 1)
    assert model.block_size == 16
    assert model_of(ORIGINALS["english"]).block_size is None


@pytest.mark.parametrize(("size", "variant"), [("tiny", "english"), ("tiny_turbo", "turbo")])
def test_miniature_models_have_heads_of_sixteen(size: str, variant: str) -> None:
    model = model_of(t3_layout(T3_SIZES[size]))
    assert (model.variant, model.decoder.heads, model.decoder.head_dim) == (variant, 4, 16)
    wide = model_of(t3_layout(T3_SIZES[size]), heads=2)
    assert (wide.decoder.heads, wide.decoder.head_dim) == (2, 32)


def test_heads_that_do_not_fit_are_refused() -> None:
    for heads in (0, 7, True, 2.0):
        with pytest.raises(ConfigError, match="heads: expected a divisor of the width 64"):
            model_of(t3_layout(T3_SIZES["tiny"]), heads=heads)


def test_a_text_table_of_another_size_needs_the_variant() -> None:
    shapes = ORIGINALS["english"] | {"text_emb.weight": (900, 1024)}
    with pytest.raises(ConfigError, match=r"704 rows .English.* got 900; pass variant="):
        model_of(shapes)
    assert model_of(shapes, variant="multilingual").variant == "multilingual"


def test_a_variant_that_the_tensors_contradict_is_refused() -> None:
    for actual, asked in (("english", "turbo"), ("nano", "english"), ("flash", "english")):
        with pytest.raises(ConfigError, match=f"variant: expected .* got '{asked}'"):
            model_of(ORIGINALS[actual], variant=asked)
    with pytest.raises(ConfigError, match="expected one of english, multilingual"):
        model_of(ORIGINALS["english"], variant="klingon")
    assert model_of(ORIGINALS["nano"], variant="turbo").variant == "turbo"


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"speech_emb.weight": (8196, 1024)}, "speech_emb.weight: expected 8194 rows"),
        ({"speech_head.weight": (6000, 1024)}, "speech_head.weight: expected more than 6562"),
        ({"text_emb.weight": (704,)}, "text_emb.weight: expected 2 dimensions"),
        ({"tfmr.h.0.ln_1.weight": (1024,)}, "expected layers of one kind"),
        (
            {"tfmr.layers.0.self_attn.k_proj.weight": (100, 1024)},
            "k_proj.weight: expected rows for a divisor of 16 heads",
        ),
    ],
)
def test_wrong_shapes_are_named(changed: dict[str, tuple[int, ...]], words: str) -> None:
    with pytest.raises(FormatError, match=words):
        model_of(ORIGINALS["english"] | changed)


def test_missing_tensors_that_sizes_come_from_are_named() -> None:
    for name in ("speech_emb.weight", "text_pos_emb.emb.weight", "cond_enc.spkr_enc.weight"):
        shapes = {each: shape for each, shape in ORIGINALS["english"].items() if each != name}
        with pytest.raises(FormatError, match=f"{name}: expected a tensor"):
            model_of(shapes)
