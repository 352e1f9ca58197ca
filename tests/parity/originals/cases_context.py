"""Cases for every source of the voice: context encoder, context text, own memory, old decoders."""

from __future__ import annotations

from typing import Any

import numpy as np

from .cases import DECODE_ONLY, LAYERS_12, Case
from .original import Sizes
from .runs import Run
from .tiny import ABSENT, CONTEXT_ENCODER, config, context_codes, decoder, text_batch

_LOCAL = {
    "frame_stacking_factor": 2,
    "local_transformer_type": "autoregressive",
    "local_transformer_hidden_dim": 32,
    "local_transformer_n_layers": 1,
    "local_transformer_n_heads": 2,
}
_TEXT_COLUMNS = 13  # context text is padded to this many ids, all of them valid
_SIZES = Sizes()
_LEGACY = Sizes(context_text_vocab=12, context_text_offset=18)


def _audio(frames: int) -> dict[str, Any]:
    return {**text_batch([14, 9], 20, seed=5), **context_codes(2, frames, _SIZES, seed=frames)}


def _with_text(frames: int, has_text: list[bool], vocab: int, offset: int) -> dict[str, Any]:
    draw = np.random.default_rng(17)
    tokens = draw.integers(0, vocab, (2, _TEXT_COLUMNS)) + offset
    tokens[0, 6:] = offset + 1  # pads, which the original keeps as valid positions
    tokens[1, 9:] = offset + 1
    return {
        **_audio(frames),
        "context_text_tokens": tokens,
        "context_text_tokens_lens": np.full(2, _TEXT_COLUMNS),
        "has_text_context": np.array(has_text),
    }


def _shared(frames: int, has_text: list[bool]) -> dict[str, Any]:
    return _with_text(frames, has_text, 18, 0)


def _legacy(frames: int, has_text: list[bool]) -> dict[str, Any]:
    return _with_text(frames, has_text, 12, 18)


def _lt(name: str, steps: int = 12, **fields: Any) -> Run:
    return Run(name, steps, local_transformer=True, prior=LAYERS_12, **fields)


# 8 frames and two special columns make 5 stacked rows; 9 frames make 6, and half of the last row is
# code 0.
TINYCE = Case(
    name="tinyce",
    config=config("decoder_ce", context_encoder=CONTEXT_ENCODER, **_LOCAL),
    batch=lambda: _audio(8),
    seed=207,
    runs=(
        _lt("even_cfg_prior_kv"),
        _lt("odd_cfg_prior_kv", batch=_audio(9)),
        _lt("odd_cfg_prior_nokv", kv_cache=False, batch=_audio(9), keep=DECODE_ONLY),
        _lt("odd_nocfg_prior_kv", cfg_scale=None, batch=_audio(9), keep=DECODE_ONLY),
    ),
)

_TEXT_FIELDS = {
    "context_encoder": CONTEXT_ENCODER,
    "use_text_conditioning_encoder": True,
    "context_duration_min": 10.0,
    "context_duration_max": 10.0,
    **_LOCAL,
}

TINYCETEXT = Case(
    name="tinycetext",
    config=config("decoder_ce", **_TEXT_FIELDS),
    batch=lambda: _shared(11, [True, True]),
    seed=208,
    runs=(
        _lt("text_cfg_prior_kv"),
        _lt("audio_cfg_prior_kv", batch=_shared(11, [False, False])),
        _lt("mixed_cfg_prior_kv", 8, batch=_shared(11, [True, False])),
        _lt("short_audio_cfg_prior_kv", 8, batch=_shared(6, [False, False])),
    ),
)

TINYCELEGACY = Case(
    name="tinycelegacy",
    config=config(
        "decoder_ce",
        **_TEXT_FIELDS,
        legacy_text_conditioning=True,
        text_conditioning_tokenizer_name="context",
    ),
    batch=lambda: _legacy(11, [True, True]),
    sizes=_LEGACY,
    seed=204,
    runs=(
        _lt("text_cfg_prior_kv"),
        _lt("mixed_cfg_prior_kv", 8, batch=_legacy(11, [True, False]), keep=DECODE_ONLY),
    ),
)

TINYMULTI = Case(
    name="tinymulti",
    config=config(
        "multi_encoder_context_tts",
        context_encoder=CONTEXT_ENCODER,
        decoder=decoder(4),
        transcript_decoder_layers=[1, 2],
        context_decoder_layers=[0],
        frame_stacking_factor=2,
    ),
    batch=lambda: _audio(9),
    seed=213,
    runs=(
        Run("cfg_prior_kv", 12, prior=LAYERS_12),
        Run("cfg_prior_nokv", 12, kv_cache=False, prior=LAYERS_12, keep=DECODE_ONLY),
        Run("nocfg_prior_kv", 12, cfg_scale=None, prior=LAYERS_12, keep=DECODE_ONLY),
        Run(
            "cfg_prior_alllayers_kv",
            12,
            prior={"prior_epsilon": 0.1, "lookahead_window_size": 4},
            keep=DECODE_ONLY,
        ),
        Run("cfg_noprior_kv", 8, keep=DECODE_ONLY),
    ),
)

# Decoders from before 2025 have a convolution over time in the FFN, and as many cross heads as self
# heads.
TINYOLD = Case(
    name="tinyold",
    config=config(
        "decoder_context_tts",
        decoder=decoder(3, kernel_size=3, sa_n_heads=4, xa_n_heads=4, xa_d_head=ABSENT),
    ),
    batch=lambda: _audio(8),
    seed=208,
    runs=(
        Run("cfg_prior_kv", 12, prior=LAYERS_12),
        Run("cfg_prior_nokv", 12, kv_cache=False, prior=LAYERS_12, keep=DECODE_ONLY),
        Run("nocfg_noprior_kv", 12, cfg_scale=None, keep=DECODE_ONLY),
    ),
)

CASES = (TINYCE, TINYCETEXT, TINYCELEGACY, TINYMULTI, TINYOLD)
