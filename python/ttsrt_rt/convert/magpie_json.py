"""Reads config.json into frozen values and checks every number and every word.

The reader is strict on purpose: only `ttsrt convert` writes these files, so a missing field means a
damaged file.
"""

from __future__ import annotations

from ttsrt_rt.convert import magpie_model as m
from ttsrt_rt.convert.fields import Block
from ttsrt_rt.errors import FormatError


def read_stack(block: Block) -> m.StackConfig:
    """Reads a `text_encoder` or `context_encoder` block."""
    stack = m.StackConfig(
        layers=block.integer("layers", 1, m.MAX_LAYERS),
        dim=block.integer("dim", 2, m.MAX_DIM),
        ffn_dim=block.integer("ffn_dim", 2, m.MAX_FFN_DIM),
        heads=block.integer("heads", 1, m.MAX_HEADS),
        kernel=block.integer("kernel", 1, m.MAX_KERNEL),
        causal=block.flag("causal"),
        max_positions=block.integer("max_positions", 1, m.MAX_POSITIONS),
        norm_out=block.flag("norm_out"),
    )
    check_stack(stack, block.path)
    return stack


def check_stack(stack: m.StackConfig, path: str) -> None:
    """Checks that the fields of a stack are consistent."""
    if stack.dim % stack.heads:
        raise FormatError(f"{path}.heads: expected a divisor of dim {stack.dim}, got {stack.heads}")
    if not stack.causal and stack.kernel % 2 == 0:
        raise FormatError(
            f"{path}.kernel: expected an odd kernel in a stack that is not causal, "
            f"got {stack.kernel}"
        )


def _read_decoder(block: Block) -> m.DecoderConfig:
    stack = read_stack(block)
    if not stack.causal:
        raise FormatError(f"{block.path}.causal: expected true, got false")
    last = stack.layers - 1
    decoder = m.DecoderConfig(
        **vars(stack),
        cross_heads=block.integer("cross_heads", 1, m.MAX_HEADS),
        cross_head_dim=block.integer("cross_head_dim", 1, m.MAX_DIM),
        memory_norm=block.flag("memory_norm"),
        text_layers=block.integers("text_layers", 0, last),
        context_layers=block.integers("context_layers", 0, last),
    )
    if not decoder.text_layers or set(decoder.text_layers) & set(decoder.context_layers):
        raise FormatError(
            f"{block.path}.text_layers: expected some layers, none of them in context_layers"
        )
    return decoder


def _read_local(block: Block | None) -> m.LocalConfig | None:
    if block is None:
        return None
    local = m.LocalConfig(
        kind=block.word("kind", m.LOCAL_KINDS),
        layers=block.integer("layers", 1, m.MAX_LAYERS),
        dim=block.integer("dim", 2, m.MAX_DIM),
        ffn_dim=block.integer("ffn_dim", 2, m.MAX_FFN_DIM),
        heads=block.integer("heads", 1, m.MAX_HEADS),
        max_positions=block.integer("max_positions", 1, m.MAX_POSITIONS),
        in_projection=block.flag("in_projection"),
    )
    check_stack(local.stack, block.path)
    return local


def _read_tokens(block: Block, vocab: int, text_vocab: int) -> m.TokenIds:
    forbidden = block.integers("forbidden", 0, vocab - 1)
    if len(forbidden) > m.MAX_FORBIDDEN:
        raise block.fail("forbidden", f"at most {m.MAX_FORBIDDEN} ids")
    return m.TokenIds(
        audio_bos=block.integer("audio_bos", 0, vocab - 1),
        audio_eos=block.integer("audio_eos", 0, vocab - 1),
        context_bos=block.integer("context_bos", 0, vocab - 1),
        context_eos=block.integer("context_eos", 0, vocab - 1),
        mask=block.integer("mask", 0, vocab - 1),
        forbidden=forbidden,
        minimum_forbids=(
            block.integer("minimum_forbids", 0, vocab - 1) if block.has("minimum_forbids") else None
        ),
        text_bos=block.integer("text_bos", 0, text_vocab - 1),
        text_eos=block.integer("text_eos", 0, text_vocab - 1),
    )


def _read_quantizer(block: Block, codebooks: int) -> m.Quantizer:
    return m.Quantizer(
        groups=block.integer("groups", codebooks, codebooks),
        levels=block.integers_with_repeats("levels", 2, m.MAX_LEVELS),
    )


def read_model(block: Block) -> m.MagpieModel:
    """Reads the `model` block.

    Raises:
        FormatError: a field is missing, of the wrong kind or out of its limits, or contradicts
            another field.
    """
    vocab = block.integer("codebook_vocab", 2, m.MAX_VOCAB)
    text_vocab = block.integer("text_vocab", 1, m.MAX_VOCAB)
    context_encoder = block.optional("context_encoder")
    num_voices = block.integer("num_voices", 0, m.MAX_VOICES)
    names = block.block("speakers")
    codebooks = block.integer("codebooks", 1, m.MAX_CODEBOOKS)
    own = block.block("quantizer") if block.has("quantizer") else None
    model = m.MagpieModel(
        dim=block.integer("dim", 2, m.MAX_DIM),
        codebooks=codebooks,
        codebook_vocab=vocab,
        frame_stacking=block.integer("frame_stacking", 1, m.MAX_STACKING),
        text_vocab=text_vocab,
        frame_rate=block.number("frame_rate", 0.01, 100_000.0),
        tokens=_read_tokens(block.block("tokens"), vocab, text_vocab),
        context=block.word("context", m.CONTEXTS),
        context_text=block.word("context_text", m.CONTEXT_TEXTS),
        context_text_vocab=block.integer("context_text_vocab", 0, m.MAX_VOCAB),
        text_encoder=read_stack(block.block("text_encoder")),
        context_encoder=None if context_encoder is None else read_stack(context_encoder),
        decoder=_read_decoder(block.block("decoder")),
        local_transformer=_read_local(block.optional("local_transformer")),
        speakers={name: names.integer(name, 0, num_voices - 1) for name in names.values},
        num_voices=num_voices,
        quantizer=None if own is None else _read_quantizer(own, codebooks),
    )
    check_model(model, block.path)
    return model


def check_model(model: m.MagpieModel, path: str) -> None:
    """Checks that the blocks of a model agree: widths, table counts, required encoders."""
    stacks = {"text_encoder": model.text_encoder, "decoder": model.decoder}
    if model.context_encoder is not None:
        stacks["context_encoder"] = model.context_encoder
    for name, stack in stacks.items():
        if stack.dim != model.dim:
            raise FormatError(f"{path}.{name}.dim: expected {model.dim}, got {stack.dim}")
    if model.tables > m.MAX_TABLES:
        raise FormatError(
            f"{path}.codebooks * frame_stacking: expected at most {m.MAX_TABLES}, "
            f"got {model.tables}"
        )
    wants_encoder = model.context in ("encoder", "memory")
    if wants_encoder != (model.context_encoder is not None):
        raise FormatError(
            f"{path}.context_encoder: expected {'one' if wants_encoder else 'null'} "
            f"for context {model.context}"
        )
    if (model.context == "memory") != bool(model.decoder.context_layers):
        raise FormatError(
            f"{path}.decoder.context_layers: expected layers if and only if context is memory"
        )
    if (model.context == "voices") != (model.num_voices > 0):
        raise FormatError(
            f"{path}.num_voices: expected voices if and only if context is voices, "
            f"got {model.num_voices}"
        )
    if (model.context_text == "own") != (model.context_text_vocab > 0):
        raise FormatError(
            f"{path}.context_text_vocab: expected rows if and only if context_text is own"
        )
    local = model.local_transformer
    if local is not None:
        needed = model.tables + int(local.kind == "maskgit")
        if local.max_positions < needed:
            raise FormatError(
                f"{path}.local_transformer.max_positions: expected at least {needed}, "
                f"got {local.max_positions}"
            )
        if not local.in_projection and local.dim != model.dim:
            raise FormatError(
                f"{path}.local_transformer.in_projection: expected true for width {local.dim}, "
                f"which is not {model.dim}"
            )


def _read_prior(block: Block, layers: int) -> m.PriorConfig:
    return m.PriorConfig(
        mode=block.word("mode", m.PRIOR_MODES),
        epsilon=block.number("epsilon", 0.0, 1.0),
        lookahead=block.integer("lookahead", 1, m.MAX_COUNT),
        left=block.integer("left", 0, m.MAX_COUNT),
        right=block.integer("right", 0, m.MAX_COUNT) if block.has("right") else None,
        estimate_layers=block.integers("estimate_layers", 0, layers - 1),
        apply_layers=block.integers("apply_layers", 0, layers - 1),
        start_step=block.integer("start_step", 0, m.MAX_COUNT),
        skip_after=block.integer("skip_after", 0, m.MAX_COUNT),
        suppress_after=block.integer("suppress_after", 0, m.MAX_COUNT),
        suppress=block.word("suppress", m.SUPPRESSIONS),
        short_text=block.integer("short_text", 0, m.MAX_COUNT),
        end_margin=block.integer("end_margin", 0, m.MAX_COUNT),
        count_end=block.flag("count_end"),
        track_finish=block.flag("track_finish"),
        unfinished_grace=block.integer("unfinished_grace", 0, m.MAX_COUNT),
        force_after=block.integer("force_after", 0, m.MAX_COUNT),
        end_after=block.integer("end_after", 0, m.MAX_COUNT),
        recompute=block.flag("recompute"),
    )


def read_defaults(block: Block, model: m.MagpieModel) -> m.RequestDefaults:
    """Reads the `defaults` block of a checkpoint with this `model`.

    Raises:
        FormatError: as for `read_model`.
    """
    prior = block.optional("prior")
    return m.RequestDefaults(
        cfg_scale=block.number("cfg_scale", 0.0, m.MAX_SCALE),
        temperature=block.number("temperature", 0.0, m.MAX_SCALE),
        top_k=block.integer("top_k", 0, m.MAX_COUNT),
        max_frames=block.integer("max_frames", 1, m.MAX_COUNT),
        min_frames=block.integer("min_frames", 0, m.MAX_COUNT),
        eos_method=block.word("eos_method", m.EOS_METHODS),
        use_local_transformer=block.flag("use_local_transformer"),
        prior_mode=block.word("prior_mode", m.PRIOR_MODES, "nemo"),
        prior=None if prior is None else _read_prior(prior, model.decoder.layers),
        text_history=_text_history(block),
    )


def _text_history(block: Block) -> int | None:
    name = "text_history"
    return block.integer(name, 1, m.MAX_HISTORY) if block.has(name) else None
