"""Writes the random Llama as a GGUF file for llama.cpp, every matrix in the named type."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any, Protocol

import gguf
import numpy as np

from bench.peers.weights import Words, draw

__all__ = ["LlamaShape", "write_llama"]

_TYPES = {
    "f32": (gguf.GGMLQuantizationType.F32, gguf.LlamaFileType.ALL_F32),
    "bf16": (gguf.GGMLQuantizationType.BF16, gguf.LlamaFileType.MOSTLY_BF16),
    "q8_0": (gguf.GGMLQuantizationType.Q8_0, gguf.LlamaFileType.MOSTLY_Q8_0),
    "q4_0": (gguf.GGMLQuantizationType.Q4_0, gguf.LlamaFileType.MOSTLY_Q4_0),
}
_NAMES = {
    "model.embed_tokens": "token_embd",
    "model.norm": "output_norm",
    "lm_head": "output",
    "input_layernorm": "attn_norm",
    "post_attention_layernorm": "ffn_norm",
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
}


class LlamaShape(Protocol):
    """What a file states of a Llama."""

    @property
    def layers(self) -> int:
        """Blocks."""

    @property
    def dim(self) -> int:
        """Width of a row."""

    @property
    def ffn_dim(self) -> int:
        """Outputs of the gate."""

    @property
    def heads(self) -> int:
        """Of queries."""

    @property
    def vocab(self) -> int:
        """Rows of the table."""

    @property
    def positions(self) -> int:
        """The longest sequence."""

    @property
    def head_dim(self) -> int:
        """Values of one head."""

    @property
    def kv_heads(self) -> int:
        """Heads of keys and values."""

    def hugging_face(self) -> dict[str, Any]:
        """The fields of config.json."""


def _renamed(name: str) -> str:
    stem = name.removesuffix(".weight")
    if stem.startswith("model.layers."):
        _, _, layer, part = stem.split(".", 3)
        return f"blk.{layer}.{_NAMES[part]}.weight"
    return _NAMES[stem] + ".weight"


def _interleaved(values: Words, heads: int) -> Words:
    """Rows of queries or keys in llama.cpp's order: it rotates neighbours, not halves of a head."""
    rows, cols = values.shape
    halves = values.reshape(heads, 2, rows // heads // 2, cols)
    order: Words = halves.swapaxes(1, 2).reshape(rows, cols)
    return order


def _add_words(writer: gguf.GGUFWriter, shape: LlamaShape) -> None:
    """A tokenizer without meaning; the benchmarks of llama.cpp need its size only."""
    first = ["<unk>", "<s>", "</s>", *(f"<0x{byte:02X}>" for byte in range(256))]
    words = [*first, *(f"t{i}" for i in range(shape.vocab))][: shape.vocab]
    kinds = [2, 3, 3, *[6] * 256, *[1] * shape.vocab][: shape.vocab]
    writer.add_tokenizer_model("llama")
    writer.add_token_list(words)
    writer.add_token_scores([0.0] * shape.vocab)
    writer.add_token_types(kinds)
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    writer.add_unk_token_id(0)


def write_llama(
    shape: LlamaShape, tensors: Iterable[tuple[str, tuple[int, ...]]], path: Path, kind: str
) -> None:
    """Writes one file.

    Args:
        shape: Of the model.
        tensors: Names, as transformers gives them, and shapes.
        path: The file; it has another name until it is complete.
        kind: "f32", "bf16", "q8_0" or "q4_0".
    """
    stored, file_type = _TYPES[kind]
    config = shape.hugging_face()
    part = path.with_suffix(".part")
    writer = gguf.GGUFWriter(part, "llama")
    writer.add_name(path.stem)
    writer.add_context_length(shape.positions)
    writer.add_embedding_length(shape.dim)
    writer.add_block_count(shape.layers)
    writer.add_feed_forward_length(shape.ffn_dim)
    writer.add_head_count(shape.heads)
    writer.add_head_count_kv(shape.kv_heads)
    writer.add_layer_norm_rms_eps(config["rms_norm_eps"])
    writer.add_rope_freq_base(config["rope_theta"])
    writer.add_rope_dimension_count(shape.head_dim)
    writer.add_vocab_size(shape.vocab)
    writer.add_file_type(file_type)
    _add_words(writer, shape)
    for name, size in tensors:
        words = draw(name, size)
        if ".q_proj" in name or ".k_proj" in name:
            words = _interleaved(words, shape.heads if ".q_proj" in name else shape.kv_heads)
        values = (words.astype(np.uint32) << 16).view(np.float32)
        if len(size) == 1:
            writer.add_tensor(_renamed(name), values)
        else:
            writer.add_tensor(
                _renamed(name), gguf.quants.quantize(values, stored), raw_dtype=stored
            )
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    part.rename(path)
