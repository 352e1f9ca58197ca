"""The language models that are compared: sizes and tensors."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

__all__ = ["SIZES", "LlmShape", "tensor_shapes"]

_EPSILON = 1e-5
_THETA = 10000.0
_BOS, _EOS = 1, 2


@dataclass(frozen=True)
class LlmShape:
    """The sizes of a Llama.

    Attributes:
        layers: Blocks.
        dim: Width of a row.
        ffn_dim: Outputs of the gate.
        heads: Of queries.
        kv_heads: Of keys and values.
        vocab: Rows of the table, and outputs of the head.
        positions: The longest sequence.
    """

    layers: int
    dim: int
    ffn_dim: int
    heads: int
    kv_heads: int
    vocab: int
    positions: int

    @property
    def head_dim(self) -> int:
        """Values of one head."""
        return self.dim // self.heads

    @property
    def layer_weights(self) -> int:
        """Weights of the matrices of all blocks."""
        kv = self.kv_heads * self.head_dim
        return self.layers * self.dim * (2 * self.dim + 2 * kv + 3 * self.ffn_dim)

    @property
    def head_weights(self) -> int:
        """Weights of the head."""
        return self.vocab * self.dim

    def hugging_face(self) -> dict[str, Any]:
        """The fields of a config.json for transformers' LlamaForCausalLM."""
        return {
            "architectures": ["LlamaForCausalLM"],
            "model_type": "llama",
            "vocab_size": self.vocab,
            "hidden_size": self.dim,
            "intermediate_size": self.ffn_dim,
            "num_hidden_layers": self.layers,
            "num_attention_heads": self.heads,
            "num_key_value_heads": self.kv_heads,
            "hidden_act": "silu",
            "max_position_embeddings": self.positions,
            "rms_norm_eps": _EPSILON,
            "rope_theta": _THETA,
            "tie_word_embeddings": False,
            "attention_bias": False,
            "mlp_bias": False,
            "bos_token_id": _BOS,
            "eos_token_id": _EOS,
            "torch_dtype": "bfloat16",
        }


SIZES = {
    "tinyllama": LlmShape(22, 2048, 5632, 32, 4, 32000, 2048),
    "llama2_7b": LlmShape(32, 4096, 11008, 32, 32, 32000, 4096),
    "t3": LlmShape(30, 1024, 4096, 16, 16, 8194, 4096),
    "tiny": LlmShape(2, 64, 192, 4, 2, 320, 1024),
}


def tensor_shapes(shape: LlmShape) -> Iterator[tuple[str, tuple[int, ...]]]:
    """Names, as transformers gives them, and shapes of all tensors."""
    kv = shape.kv_heads * shape.head_dim
    rows = {"q": shape.dim, "k": kv, "v": kv, "o": shape.dim}
    yield "model.embed_tokens.weight", (shape.vocab, shape.dim)
    for layer in range(shape.layers):
        block = f"model.layers.{layer}."
        yield block + "input_layernorm.weight", (shape.dim,)
        for part, outputs in rows.items():
            yield f"{block}self_attn.{part}_proj.weight", (outputs, shape.dim)
        yield block + "post_attention_layernorm.weight", (shape.dim,)
        for part in ("gate", "up"):
            yield f"{block}mlp.{part}_proj.weight", (shape.ffn_dim, shape.dim)
        yield block + "mlp.down_proj.weight", (shape.dim, shape.ffn_dim)
    yield "model.norm.weight", (shape.dim,)
    yield "lm_head.weight", (shape.vocab, shape.dim)
