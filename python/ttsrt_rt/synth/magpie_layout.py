"""Computes names, shapes and configuration of Magpie checkpoints in the original layouts, at any
size.

The full sizes are those of the published models; the test suite compares them, name by name, with
lists taken from the original code. Smaller sizes have the same architecture.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ttsrt_rt.errors import ConfigError

SPECIALS = 8
SPEAKERS = ("Aria", "Jason", "John", "Leo", "Sofia")


@dataclass(frozen=True)
class SynthModel:
    """The sizes and options of a synthetic Magpie model.

    Attributes:
        model_type: the original's model type: decoder_context_tts, decoder_ce or
            multi_encoder_context_tts.
        codebook_size: codec entries K; the tables have K + 8 rows.
        voices, voice_rows: the number and length of stored voices (decoder_ce only); with 0 voices
            the model has a context encoder instead.
        local_type: "none", "autoregressive" or "maskgit".
        estimate_layers, apply_layers: layers of the attention prior, for `inference_parameters`.
    """

    model_type: str
    dim: int
    heads: int
    encoder_layers: int
    decoder_layers: int
    codebooks: int
    codebook_size: int
    frame_stacking: int
    text_vocab: int
    max_positions: int
    cross_head_dim: int
    cross_heads: int = 1
    kernel: int = 3
    decoder_kernel: int = 1
    encoder_causal: bool = True
    context_layers: int = 1
    voices: int = 0
    voice_rows: int = 0
    local_type: str = "none"
    local_layers: int = 2
    local_dim: int = 0
    local_heads: int = 1
    context_text: bool = False
    estimate_layers: tuple[int, ...] = ()
    apply_layers: tuple[int, ...] = ()
    max_frames: int = 500
    top_k: int = 80

    @property
    def tables(self) -> int:
        """Returns the number of audio tables, which is also the number of heads."""
        return self.codebooks * self.frame_stacking

    @property
    def vocab(self) -> int:
        """Returns the rows of one audio table."""
        return self.codebook_size + SPECIALS


_TINY_2503 = SynthModel(
    model_type="decoder_context_tts",
    dim=64,
    heads=4,
    encoder_layers=2,
    decoder_layers=4,
    codebooks=4,
    codebook_size=88,
    frame_stacking=1,
    text_vocab=30,
    max_positions=256,
    cross_head_dim=16,
    top_k=20,
)
_MID_2503 = SynthModel(
    model_type="decoder_context_tts",
    dim=256,
    heads=4,
    encoder_layers=4,
    decoder_layers=6,
    codebooks=8,
    codebook_size=2016,
    frame_stacking=1,
    text_vocab=98,
    max_positions=1024,
    cross_head_dim=64,
)
_TRUE_2503 = SynthModel(
    model_type="decoder_context_tts",
    dim=768,
    heads=12,
    encoder_layers=6,
    decoder_layers=12,
    codebooks=8,
    codebook_size=2016,
    frame_stacking=1,
    text_vocab=98,
    max_positions=2048,
    cross_head_dim=128,
)
_TINY_NEMO = SynthModel(
    model_type="decoder_ce",
    dim=64,
    heads=4,
    encoder_layers=2,
    decoder_layers=4,
    codebooks=4,
    codebook_size=88,
    frame_stacking=2,
    text_vocab=40,
    max_positions=256,
    cross_head_dim=16,
    voices=3,
    voice_rows=11,
    local_type="autoregressive",
    local_dim=64,
    local_heads=4,
    estimate_layers=(1, 2),
    apply_layers=(1, 2, 3),
    max_frames=60,
    top_k=20,
)
_MID_NEMO = SynthModel(
    model_type="decoder_ce",
    dim=256,
    heads=4,
    encoder_layers=4,
    decoder_layers=6,
    codebooks=8,
    codebook_size=2016,
    frame_stacking=2,
    text_vocab=386,
    max_positions=1024,
    cross_head_dim=64,
    voices=5,
    voice_rows=109,
    local_type="autoregressive",
    local_dim=256,
    local_heads=4,
    estimate_layers=(2, 3, 4),
    apply_layers=(1, 2, 3, 4, 5),
)
_V2607 = SynthModel(
    model_type="decoder_ce",
    dim=768,
    heads=12,
    encoder_layers=6,
    decoder_layers=12,
    codebooks=8,
    codebook_size=2016,
    frame_stacking=2,
    text_vocab=3359,
    max_positions=2048,
    cross_head_dim=128,
    voices=5,
    voice_rows=217,
    local_type="autoregressive",
    local_dim=768,
    local_heads=12,
    estimate_layers=(4, 5, 8, 9),
    apply_layers=(2, 3, 4, 5, 6, 7, 8, 9, 10),
)

NEMO_SIZES = {"tiny": _TINY_NEMO, "mid": _MID_NEMO, "v2607": _V2607}
CKPT_SIZES = {"tiny": _TINY_2503, "mid": _MID_2503, "true": _TRUE_2503}


def named_size(sizes: dict[str, SynthModel], size: str | SynthModel) -> SynthModel:
    """Returns the size of this name; a `SynthModel` is returned unchanged.

    Raises:
        ConfigError: the name is unknown.
    """
    if isinstance(size, SynthModel):
        return size
    if size not in sizes:
        raise ConfigError(f"size: expected one of {', '.join(sizes)}, got {size!r}")
    return sizes[size]


def _stack(
    name: str,
    layers: int,
    dim: int,
    kernel: int,
    positions: int,
    *,
    is_causal: bool,
    norm_out: bool,
) -> dict[str, tuple[int, ...]]:
    shapes: dict[str, tuple[int, ...]] = {}
    if norm_out:
        shapes[f"{name}.norm_out.weight"] = (dim,)
    for layer in range(layers):
        base = f"{name}.layers.{layer}"
        shapes[f"{base}.norm_self.weight"] = (dim,)
        if is_causal:
            shapes[f"{base}.self_attention.causal_mask"] = (1, 1, positions, positions)
        shapes[f"{base}.self_attention.o_net.weight"] = (dim, dim)
        shapes[f"{base}.self_attention.qkv_net.weight"] = (3 * dim, dim)
        shapes[f"{base}.norm_pos_ff.weight"] = (dim,)
        shapes[f"{base}.pos_ff.proj.conv.weight"] = (4 * dim, dim, kernel)
        shapes[f"{base}.pos_ff.o_net.conv.weight"] = (dim, 4 * dim, kernel)
    shapes[f"{name}.position_embeddings.weight"] = (positions, dim)
    return shapes


def _cross(model: SynthModel) -> dict[str, tuple[int, ...]]:
    inner = model.cross_heads * model.cross_head_dim
    shapes: dict[str, tuple[int, ...]] = {}
    for layer in range(model.decoder_layers):
        base = f"decoder.layers.{layer}"
        shapes[f"{base}.norm_xattn_query.weight"] = (model.dim,)
        shapes[f"{base}.norm_xattn_memory.weight"] = (model.dim,)
        shapes[f"{base}.cross_attention.o_net.weight"] = (model.dim, inner)
        shapes[f"{base}.cross_attention.q_net.weight"] = (inner, model.dim)
        shapes[f"{base}.cross_attention.kv_net.weight"] = (2 * inner, model.dim)
    return shapes


def _local(model: SynthModel) -> dict[str, tuple[int, ...]]:
    shapes: dict[str, tuple[int, ...]] = {}
    if model.local_type == "none":
        return shapes
    width, dim, vocab = model.local_dim, model.dim, model.vocab
    if width != dim:
        shapes["local_transformer_in_projection.weight"] = (width, dim)
        shapes["local_transformer_in_projection.bias"] = (width,)
    shapes |= _stack(
        "local_transformer",
        model.local_layers,
        width,
        1,
        model.tables + 2,
        is_causal=model.local_type == "autoregressive",
        norm_out=False,
    )
    for table in range(model.tables):
        shapes[f"local_transformer_out_projections.{table}.weight"] = (vocab, width)
        shapes[f"local_transformer_out_projections.{table}.bias"] = (vocab,)
    return shapes


def layout(model: SynthModel) -> dict[str, tuple[int, ...]]:
    """Returns name and shape of every tensor that the original code stores, with mask buffers."""
    dim, vocab = model.dim, model.vocab
    shapes: dict[str, tuple[int, ...]] = {}
    if model.voices:
        shapes["_baked_embedding_T"] = ()
        shapes["_baked_embedding_D"] = ()
        shapes["baked_context_embedding_len"] = (model.voices,)
    for table in range(model.tables):
        shapes[f"audio_embeddings.{table}.weight"] = (vocab, dim)
    shapes["text_embedding.weight"] = (model.text_vocab, dim)
    positions = model.max_positions
    shapes |= _stack(
        "encoder",
        model.encoder_layers,
        dim,
        model.kernel,
        positions,
        is_causal=model.encoder_causal,
        norm_out=True,
    )
    shapes |= _stack(
        "decoder",
        model.decoder_layers,
        dim,
        model.decoder_kernel,
        positions,
        is_causal=True,
        norm_out=True,
    )
    shapes |= _cross(model)
    if has_context_encoder(model):
        shapes |= _stack(
            "context_encoder",
            model.context_layers,
            dim,
            3,
            positions,
            is_causal=False,
            norm_out=True,
        )
    shapes["final_proj.weight"] = (model.tables * vocab, dim)
    shapes["final_proj.bias"] = (model.tables * vocab,)
    shapes |= _local(model)
    if model.voices:
        shapes["baked_context_embedding.weight"] = (model.voices, model.voice_rows * dim)
    return shapes


def has_context_encoder(model: SynthModel) -> bool:
    """Whether the state dict has a context encoder: stored voices replace it."""
    return model.model_type in ("decoder_ce", "multi_encoder_context_tts") and not model.voices


def _stack_config(
    model: SynthModel, layers: int, kernel: int, *, is_causal: bool
) -> dict[str, Any]:
    return {
        "n_layers": layers,
        "d_model": model.dim,
        "d_ffn": 4 * model.dim,
        "sa_n_heads": model.heads,
        "kernel_size": kernel,
        "p_dropout": 0.1,
        "p_dropout_out": 0.0,
        "has_xattn": False,
        "is_causal": is_causal,
        "apply_norm_out": True,
        "max_length_causal_mask": model.max_positions,
        "use_learnable_pos_emb": True,
    }


def config(model: SynthModel, *, is_nemo3: bool) -> dict[str, Any]:
    """Returns the configuration that matches `layout(model)`; `is_nemo3` adds the fields that the
    later generation writes.
    """
    decoder = _stack_config(model, model.decoder_layers, model.decoder_kernel, is_causal=True) | {
        "has_xattn": True,
        "xa_d_memory": model.dim,
        "xa_n_heads": model.cross_heads,
        "xa_d_head": model.cross_head_dim,
        "apply_norm_to_cond": True,
        "make_prior_window_strict": True,
    }
    values: dict[str, Any] = {
        "model_type": model.model_type,
        "embedding_dim": model.dim,
        "hidden_dim": model.dim,
        "codecmodel_path": "codec.nemo",
        "text_tokenizers": {"english_phoneme": {}},
        "encoder": _stack_config(
            model, model.encoder_layers, model.kernel, is_causal=model.encoder_causal
        ),
        "decoder": decoder,
        "use_text_conditioning_encoder": model.context_text,
    }
    if model.model_type != "decoder_context_tts":
        values["context_encoder"] = _stack_config(model, model.context_layers, 3, is_causal=False)
    if not is_nemo3:
        return values
    values |= {
        "frame_stacking_factor": model.frame_stacking,
        "local_transformer_type": model.local_type,
        "inference_parameters": {
            "max_decoder_steps": model.max_frames,
            "temperature": 0.6,
            "topk": model.top_k,
            "cfg_scale": 2.5,
            "apply_attention_prior": True,
            "attention_prior_epsilon": 0.1,
            "attention_prior_lookahead_window": 6,
            "estimate_alignment_from_layers": list(model.estimate_layers) or None,
            "apply_prior_to_layers": list(model.apply_layers) or None,
            "start_prior_after_n_audio_steps": 0,
            "ignore_finished_sentence_tracking": True,
            "eos_detection_method": "argmax_or_multinomial_any",
        },
        "target": "nemo.collections.tts.models.magpietts.MagpieTTSModel",
        "nemo_version": "2.8.0rc0",
    }
    if model.local_type != "none":
        values |= {
            "local_transformer_hidden_dim": model.local_dim,
            "local_transformer_n_layers": model.local_layers,
            "local_transformer_n_heads": model.local_heads,
        }
    return values
