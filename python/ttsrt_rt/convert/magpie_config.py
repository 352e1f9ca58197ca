"""Derives our `model` block from the YAML and the tensor shapes of an original checkpoint.

Every size comes from the tensors and every choice from the configuration; a size that both state
must agree. Release names and revision numbers are never used. Training fields are ignored silently;
unknown fields are ignored with a notice. Features that this program cannot run raise an error that
names them here, before any weight is read.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

from ttsrt_rt.convert import magpie_model as m
from ttsrt_rt.convert.fields import Block
from ttsrt_rt.convert.magpie_known_fields import unknown_fields
from ttsrt_rt.convert.magpie_reading import Reading, Shapes, agree
from ttsrt_rt.convert.magpie_tokens import read_tokens
from ttsrt_rt.errors import ConfigError, FormatError
from ttsrt_rt.quoting import list_names, shorten

MODEL_TYPES = ("decoder_context_tts", "decoder_ce", "multi_encoder_context_tts")
REFUSED_TYPES = {
    "single_encoder_sv_tts": "a speaker-verification vector is not supported",
    "decoder_pretrain_synthesizer": "a model without text is not supported",
}
DEFAULT_FRAME_RATE = 22050 / 1024
DEFAULT_TRANSCRIPT_LAYERS = (3, 4, 5, 6, 7, 8)
DEFAULT_CONTEXT_LAYERS = (0, 1, 2, 9, 10, 11)

BAKED = "baked_context_embedding.weight"


def check_kind(config: Block, shapes: Shapes) -> str:
    """Returns the model type, after checking that the model uses no unsupported feature.

    Raises:
        ConfigError: the model type is unknown or unsupported, or the model has routed experts or a
            character-aware text table.
    """
    kind = config.values.get("model_type")
    if kind in REFUSED_TYPES:
        raise ConfigError(f"{config.place('model_type')}: {kind}: {REFUSED_TYPES[str(kind)]}")
    if kind not in MODEL_TYPES:
        raise config.fail("model_type", "one of " + ", ".join(MODEL_TYPES))
    blocks = [config] + [
        config.block(s) for s in ("encoder", "decoder", "context_encoder") if config.has(s)
    ]
    for block in blocks:
        if block.flag("use_moe", False):
            raise ConfigError(
                f"{block.place('use_moe')}: expected false, got true: "
                "routed experts are not supported"
            )
    if config.flag("use_bpe_char_tokenizer", False) or any(
        k.startswith("cas_encoder.") for k in shapes.shapes
    ):
        raise ConfigError(
            f"{config.place('use_bpe_char_tokenizer')}: expected false, got true: "
            "character-aware text is not supported"
        )
    return str(kind)


def read_stack(
    block: Block, shapes: Shapes, name: str, causal: bool | None = None
) -> m.StackConfig:
    """Reads one stack, named `name` in the tensors; `causal` overrides the configuration.

    Raises:
        ConfigError: a field is out of its limits or contradicts the tensors.
        FormatError: the tensors of the first layer are missing or of a wrong rank.
    """
    max_positions, dim = shapes.get(f"{name}.position_embeddings.weight", 2)
    ffn_dim, _, kernel = shapes.get(f"{name}.layers.0.pos_ff.proj.conv.weight", 3)
    for field_name, known in (("d_model", dim), ("d_ffn", ffn_dim), ("kernel_size", kernel)):
        agree(block, field_name, known)
    agree(block, "max_length_causal_mask", max_positions)
    heads = block.integer("sa_n_heads", 1, m.MAX_HEADS)
    if dim % heads:
        raise block.fail("sa_n_heads", f"a divisor of the width {dim}")
    if not block.flag("use_learnable_pos_emb", True):
        raise block.fail("use_learnable_pos_emb", "true")
    if block.flag("has_xattn", name == "decoder") != (name == "decoder"):
        raise block.fail("has_xattn", "true" if name == "decoder" else "false")
    is_causal = block.flag("is_causal", True) if causal is None else causal
    if not is_causal and kernel % 2 == 0:
        raise ConfigError(
            f"{block.place('kernel_size')}: expected an odd kernel in a stack that is not causal, "
            f"got {kernel}"
        )
    return m.StackConfig(
        layers=block.integer("n_layers", 1, m.MAX_LAYERS),
        dim=dim,
        ffn_dim=ffn_dim,
        heads=heads,
        kernel=kernel,
        causal=is_causal,
        max_positions=max_positions,
        norm_out=block.flag("apply_norm_out", False),
    )


def _read_decoder(reading: Reading, kind: str) -> m.DecoderConfig:
    block, shapes = reading.config.block("decoder"), reading.shapes
    stack = read_stack(block, shapes, "decoder")
    if not stack.causal:
        raise block.fail("is_causal", "true")
    heads = reading.options.cross_heads or block.integer("xa_n_heads", 1, m.MAX_HEADS)
    inner, _ = shapes.get("decoder.layers.0.cross_attention.q_net.weight", 2)
    if inner % heads:
        raise ConfigError(
            f"{block.place('xa_n_heads')}: expected a divisor of {inner}, got {heads}"
        )
    agree(block, "xa_d_head", inner // heads)
    agree(block, "xa_d_memory", stack.dim)
    text_layers: tuple[int, ...] = tuple(range(stack.layers))
    context_layers: tuple[int, ...] = ()
    if kind == "multi_encoder_context_tts":
        config, last = reading.config, stack.layers - 1
        context_layers = config.integers("context_decoder_layers", 0, last, DEFAULT_CONTEXT_LAYERS)
        listed = config.integers("transcript_decoder_layers", 0, last, DEFAULT_TRANSCRIPT_LAYERS)
        # A layer in both lists attends to the context, as in the original.
        text_layers = tuple(sorted(set(listed) - set(context_layers)))
        if not text_layers or not context_layers:
            raise config.fail(
                "transcript_decoder_layers", "some layers for the text and some for the context"
            )
    return m.DecoderConfig(
        **vars(stack),
        cross_heads=heads,
        cross_head_dim=inner // heads,
        memory_norm=block.flag("apply_norm_to_cond", True),
        text_layers=text_layers,
        context_layers=tuple(sorted(context_layers)),
    )


def _read_local(reading: Reading, tables: int) -> m.LocalConfig | None:
    config, shapes = reading.config, reading.shapes
    kind = config.values.get("local_transformer_type")
    if kind is None:
        kind = "autoregressive" if config.flag("use_local_transformer", False) else "none"
    if not isinstance(kind, str) or kind.lower() not in ("none", *m.LOCAL_KINDS):
        raise config.fail("local_transformer_type", "one of none, " + ", ".join(m.LOCAL_KINDS))
    if kind.lower() == "none":
        return None
    max_positions, dim = shapes.get("local_transformer.position_embeddings.weight", 2)
    ffn_dim, _, kernel = shapes.get("local_transformer.layers.0.pos_ff.proj.conv.weight", 3)
    if kernel != 1:
        raise FormatError(
            f"local_transformer.layers.0.pos_ff.proj.conv.weight: expected kernel 1, got {kernel}"
        )
    agree(config, "local_transformer_hidden_dim", dim)
    heads = config.integer("local_transformer_n_heads", 1, m.MAX_HEADS, 1)
    if dim % heads:
        raise config.fail("local_transformer_n_heads", f"a divisor of the width {dim}")
    needed = tables + int(kind.lower() == "maskgit")
    if max_positions < needed:
        raise FormatError(
            f"local_transformer.position_embeddings.weight: expected at least {needed} rows, "
            f"got {max_positions}"
        )
    return m.LocalConfig(
        kind=kind.lower(),
        layers=config.integer("local_transformer_n_layers", 1, m.MAX_LAYERS, 2),
        dim=dim,
        ffn_dim=ffn_dim,
        heads=heads,
        max_positions=max_positions,
        in_projection="local_transformer_in_projection.weight" in shapes,
    )


def _read_context_text(reading: Reading, context: str) -> tuple[str, int]:
    """Returns `context_text` and the number of rows in its own table."""
    config, shapes = reading.config, reading.shapes
    own = "context_text_embedding.weight"
    if context == "voices":
        return "none", 0  # stored voices replace every other context
    if not config.flag("use_text_conditioning_encoder", False):
        return "none", 0
    if config.flag("legacy_text_conditioning", own in shapes):
        return "own", shapes.get(own, 2)[0]
    return "shared", 0


def _read_tables(reading: Reading) -> tuple[int, int, int, int]:
    """Returns codebooks, rows of one table, stacked frames and width, from the audio tables."""
    config, shapes = reading.config, reading.shapes
    vocab, dim = shapes.get("audio_embeddings.0.weight", 2)
    tables = 0
    while f"audio_embeddings.{tables}.weight" in shapes:
        tables += 1
    if config.has("downsample_factor"):
        raise config.fail("downsample_factor", "frame_stacking_factor instead")
    stacking = config.integer("frame_stacking_factor", 1, m.MAX_STACKING, 1)
    if tables % stacking or tables > m.MAX_TABLES:
        raise config.fail(
            "frame_stacking_factor",
            f"a divisor of the {tables} audio tables, at most {m.MAX_TABLES}",
        )
    agree(config, "num_audio_codebooks", tables // stacking)
    for name in ("embedding_dim", "hidden_dim"):
        agree(config, name, dim)
    return tables // stacking, vocab, stacking, dim


def _read_frame_rate(reading: Reading) -> float:
    """Returns codec frames per second: the caller's value, else the value that follows from the
    codec's configuration, else 22050 / 1024.
    """
    config, rate = reading.config, reading.options.frame_rate
    if rate is not None:
        if not (math.isfinite(rate) and 0.01 <= rate <= 100_000):
            raise ConfigError(f"frame_rate: expected 0.01..100000, got {rate}")
        return rate
    if config.has("sample_rate") and config.has("codec_model_downsample_factor"):
        samples = config.number("sample_rate", 1000, 1e6)
        return samples / config.number("codec_model_downsample_factor", 1, 1e6)
    return DEFAULT_FRAME_RATE


def _check_widths(config: Block, stacks: Mapping[str, m.StackConfig | None], dim: int) -> None:
    for name, stack in stacks.items():
        if stack is not None and stack.dim != dim:
            raise ConfigError(
                f"{config.place(name)}.d_model: expected the tables' width {dim}, got {stack.dim}"
            )


def _notice_fields(reading: Reading) -> None:
    config = reading.config
    if unknown := unknown_fields(config):
        reading.notices.append(
            f"unknown fields of the configuration were ignored: {list_names(unknown)}"
        )
    if config.has("vector_quantizer"):
        reading.notices.append(
            "vector_quantizer: the model produces codes in its own layout, not in the codec's"
        )


def _read_quantizer(reading: Reading, codebooks: int) -> m.Quantizer | None:
    """Returns the model's own layout of codes, if the configuration has one that is known here."""
    if not reading.config.has("vector_quantizer"):
        return None
    block = reading.config.block("vector_quantizer")
    if not block.has("num_groups") or not block.has("num_levels_per_group"):
        reading.notices.append(
            f"{block.path}: expected num_groups and num_levels_per_group, got another quantizer, "
            "so a codec cannot make sound of the codes"
        )
        return None
    agree(block, "num_groups", codebooks)
    levels = block.integers_with_repeats("num_levels_per_group", 2, m.MAX_LEVELS)
    return m.Quantizer(codebooks, levels)


def read_model(reading: Reading) -> m.MagpieModel:
    """Reads the `model` block of a source.

    Raises:
        ConfigError: a field is missing, out of its limits or unsupported, or contradicts the
            tensors.
        FormatError: a tensor that determines a size is missing or of a wrong rank.
    """
    config, shapes = reading.config, reading.shapes
    kind = check_kind(config, shapes)
    codebooks, vocab, stacking, dim = _read_tables(reading)
    decoder = _read_decoder(reading, kind)
    context = {"decoder_context_tts": "codes", "multi_encoder_context_tts": "memory"}.get(
        kind, "encoder"
    )
    num_voices = 0
    if kind == "decoder_ce" and BAKED in shapes:
        context, num_voices = "voices", shapes.get(BAKED, 2)[0]
    context_encoder = None
    if context in ("encoder", "memory"):
        context_encoder = read_stack(config.block("context_encoder"), shapes, "context_encoder")
    text_vocab = shapes.get("text_embedding.weight", 2)[0]
    context_text, context_text_vocab = _read_context_text(reading, context)
    encoder_causal = reading.options.encoder_causal
    text_encoder = read_stack(config.block("encoder"), shapes, "encoder", encoder_causal)
    named = {"encoder": text_encoder, "decoder": decoder, "context_encoder": context_encoder}
    _check_widths(config, named, dim)
    _notice_fields(reading)
    if text_vocab < 2 or vocab < 2:
        raise FormatError(f"text_embedding.weight: expected at least 2 rows, got {text_vocab}")
    return m.MagpieModel(
        dim=dim,
        codebooks=codebooks,
        codebook_vocab=vocab,
        frame_stacking=stacking,
        text_vocab=text_vocab,
        frame_rate=_read_frame_rate(reading),
        tokens=read_tokens(reading, kind, vocab, text_vocab),
        context=context,
        context_text=context_text,
        context_text_vocab=context_text_vocab,
        text_encoder=text_encoder,
        context_encoder=context_encoder,
        decoder=decoder,
        local_transformer=_read_local(reading, codebooks * stacking),
        speakers=_check_speakers(reading.speakers, num_voices),
        num_voices=num_voices,
        quantizer=_read_quantizer(reading, codebooks),
    )


def _check_speakers(speakers: Mapping[str, int], num_voices: int) -> dict[str, int]:
    if num_voices == 0:
        return {}
    for name, index in speakers.items():
        if not 0 <= index < num_voices:
            raise ConfigError(
                f"speakers.{shorten(name)}: expected 0..{num_voices - 1}, got {index}"
            )
    return dict(speakers)
