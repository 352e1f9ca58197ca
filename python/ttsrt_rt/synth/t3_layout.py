"""Computes names and shapes of T3 models in the original layout, at any size.

The full sizes are those of the published models; the test suite compares them, name by name, with
lists taken from the original code. The small sizes have the true vocabularies and positions, except
the text vocabulary of "tiny_turbo".
"""

from __future__ import annotations

from dataclasses import dataclass

from ttsrt_rt.errors import ConfigError

__all__ = ["T3_SIZES", "SynthT3", "t3_layout", "t3_size"]

SPEAKER_DIM = 256
QUERIES = 32
BACKBONE_VOCAB = 8  # rows of the unused table of the Llama backbone
WPE_ROWS = 8196

Shapes = dict[str, tuple[int, ...]]


@dataclass(frozen=True)
class SynthT3:
    """The sizes of a synthetic T3 model.

    Attributes:
        is_gpt2: whether the backbone is GPT-2 (Turbo, Nano) and not Llama.
        speech_vocab: rows of the head.
        speech_rows: rows of the speech table; one more than the head's in Flash.
    """

    is_gpt2: bool
    layers: int
    dim: int
    ffn_dim: int
    text_vocab: int
    speech_vocab: int
    speech_rows: int
    text_positions: int = 2050
    speech_positions: int = 4100

    @property
    def max_prompt(self) -> int:
        """Returns how many prompt tokens a voice for it may have."""
        return 375 if self.is_gpt2 else 150


T3_SIZES = {
    "tiny": SynthT3(False, 3, 64, 160, 704, 8194, 8194),
    "tiny_turbo": SynthT3(True, 3, 64, 256, 320, 6563, 6563),
    "tiny_flash": SynthT3(False, 3, 64, 160, 704, 8194, 8195),
    "english": SynthT3(False, 30, 1024, 4096, 704, 8194, 8194),
    "multilingual": SynthT3(False, 30, 1024, 4096, 2454, 8194, 8194),
    "turbo": SynthT3(True, 24, 1024, 4096, 50276, 6563, 6563),
    "nano": SynthT3(True, 12, 768, 3072, 50276, 6563, 6563),
    "flash": SynthT3(False, 30, 1024, 4096, 704, 8194, 8195),
}


def t3_size(size: str | SynthT3) -> SynthT3:
    """Returns the size of this name; a `SynthT3` is returned unchanged.

    Raises:
        ConfigError: the name is unknown.
    """
    if isinstance(size, SynthT3):
        return size
    if size not in T3_SIZES:
        raise ConfigError(f"size: expected one of {', '.join(T3_SIZES)}, got {size!r}")
    return T3_SIZES[size]


def _linear(name: str, outputs: int, inputs: int) -> Shapes:
    return {f"{name}.weight": (outputs, inputs), f"{name}.bias": (outputs,)}


def _norm(name: str, dim: int) -> Shapes:
    return {f"{name}.weight": (dim,), f"{name}.bias": (dim,)}


def _llama(model: SynthT3) -> Shapes:
    dim, ffn = model.dim, model.ffn_dim
    shapes: Shapes = {"tfmr.embed_tokens.weight": (BACKBONE_VOCAB, dim)}
    for layer in range(model.layers):
        base = f"tfmr.layers.{layer}"
        shapes |= {f"{base}.self_attn.{name}_proj.weight": (dim, dim) for name in "qkvo"}
        shapes[f"{base}.mlp.gate_proj.weight"] = (ffn, dim)
        shapes[f"{base}.mlp.up_proj.weight"] = (ffn, dim)
        shapes[f"{base}.mlp.down_proj.weight"] = (dim, ffn)
        shapes[f"{base}.input_layernorm.weight"] = (dim,)
        shapes[f"{base}.post_attention_layernorm.weight"] = (dim,)
    shapes["tfmr.norm.weight"] = (dim,)
    return shapes


def _gpt2(model: SynthT3) -> Shapes:
    dim, ffn = model.dim, model.ffn_dim
    shapes: Shapes = {
        "tfmr.wte.weight": (model.text_vocab, dim),
        "tfmr.wpe.weight": (WPE_ROWS, dim),
    }
    for layer in range(model.layers):
        base = f"tfmr.h.{layer}"
        shapes |= _norm(f"{base}.ln_1", dim)
        for name, inputs, outputs in (("attn.c_attn", dim, 3 * dim), ("attn.c_proj", dim, dim)):
            shapes[f"{base}.{name}.weight"] = (inputs, outputs)
            shapes[f"{base}.{name}.bias"] = (outputs,)
        shapes |= _norm(f"{base}.ln_2", dim)
        for name, inputs, outputs in (("mlp.c_fc", dim, ffn), ("mlp.c_proj", ffn, dim)):
            shapes[f"{base}.{name}.weight"] = (inputs, outputs)
            shapes[f"{base}.{name}.bias"] = (outputs,)
    return shapes | _norm("tfmr.ln_f", dim)


def t3_layout(model: SynthT3) -> Shapes:
    """Returns name and shape of every tensor that the original code stores, unused ones too."""
    dim = model.dim
    shapes = _gpt2(model) if model.is_gpt2 else _llama(model)
    shapes |= _linear("cond_enc.spkr_enc", dim, SPEAKER_DIM)
    if not model.is_gpt2:
        shapes["cond_enc.emotion_adv_fc.weight"] = (dim, 1)
        base = "cond_enc.perceiver"
        shapes[f"{base}.pre_attention_query"] = (1, QUERIES, dim)
        shapes |= _norm(f"{base}.attn.norm", dim)
        for name in ("to_q", "to_k", "to_v", "proj_out"):
            shapes |= _linear(f"{base}.attn.{name}", dim, dim)
    shapes["text_emb.weight"] = (model.text_vocab, dim)
    shapes["speech_emb.weight"] = (model.speech_rows, dim)
    if not model.is_gpt2:
        shapes["text_pos_emb.emb.weight"] = (model.text_positions, dim)
        shapes["speech_pos_emb.emb.weight"] = (model.speech_positions, dim)
    shapes["text_head.weight"] = (model.text_vocab, dim)
    shapes["speech_head.weight"] = (model.speech_vocab, dim)
    if model.is_gpt2:
        shapes["speech_head.bias"] = (model.speech_vocab,)
    return shapes
