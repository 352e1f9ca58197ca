"""The Llama that is compared: its sizes and tensors."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from bench.peers.weights import Words, draw

__all__ = ["OWN", "SIZES", "Shape", "Words", "draw", "tensor_shapes"]

_EPSILON = 1e-5
_THETA = 500000.0
_SPEAKER_DIM = 256


@dataclass(frozen=True)
class Shape:
    """The sizes of a Llama without grouped queries, and of the tables around it.

    Attributes:
        layers: Blocks.
        dim: Width of a row.
        ffn_dim: Outputs of the gate.
        heads: Of queries, keys and values.
        vocab: Rows of the table of speech tokens, and outputs of the head.
        text_vocab: Rows of the table of text tokens.
        positions: The longest sequence.
        bos: The speech token before the first that is drawn.
        eos: The speech token that ends a request.
    """

    layers: int
    dim: int
    ffn_dim: int
    heads: int
    vocab: int
    text_vocab: int
    positions: int
    bos: int
    eos: int

    @property
    def head_dim(self) -> int:
        """Values of one head."""
        return self.dim // self.heads

    @property
    def kv_heads(self) -> int:
        """Heads of keys and values."""
        return self.heads

    @property
    def layer_weights(self) -> int:
        """Weights of the matrices of all blocks."""
        return self.layers * (4 * self.dim * self.dim + 3 * self.dim * self.ffn_dim)

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
            "num_key_value_heads": self.heads,
            "head_dim": self.head_dim,
            "hidden_act": "silu",
            "max_position_embeddings": self.positions,
            "rms_norm_eps": _EPSILON,
            "rope_theta": _THETA,
            "tie_word_embeddings": False,
            "attention_bias": False,
            "mlp_bias": False,
            "bos_token_id": self.bos,
            "eos_token_id": self.eos,
            "dtype": "bfloat16",
        }

    def ours(self) -> dict[str, Any]:
        """The field "model" of our config.json (docs/format.md)."""
        return {
            "variant": "english",
            "speech_vocab": self.vocab,
            "speech_rows": self.vocab,
            "text_vocab": self.text_vocab,
            "frame_rate": 25.0,
            "bos": self.bos,
            "eos": self.eos,
            "text_start": None,
            "text_stop": None,
            "start_rows": 1,
            "text_positions": 0,
            "speech_positions": 0,
            "head_bias": False,
            "processors": "t3",
            "conditioning": {  # requests bring the rows of their voice, so that nothing makes them
                "speaker_dim": _SPEAKER_DIM,
                "queries": 0,
                "heads": 0,
                "norm_epsilon": _EPSILON,
                "emotion": False,
                "max_prompt": 0,
            },
            "decoder": {
                "layers": self.layers,
                "dim": self.dim,
                "ffn_dim": self.ffn_dim,
                "heads": self.heads,
                "kv_heads": self.heads,
                "head_dim": self.head_dim,
                "max_positions": self.positions,
                "learned_positions": False,
                "parallel": False,
                "norm": "rms",
                "norm_bias": False,
                "norm_epsilon": _EPSILON,
                "attention_bias": False,
                "attention_scale": None,
                "rope": {"kind": "default", "dims": self.head_dim, "theta": _THETA},
                "activation": "silu",
                "gated": True,
                "ffn_bias": False,
            },
        }


SIZES = {
    "true": Shape(30, 1024, 4096, 16, 8194, 704, 4096, bos=6561, eos=6562),
    "tiny": Shape(2, 64, 128, 4, 258, 96, 1024, bos=255, eos=256),
}


OWN = ("text_embedding", "conditioning.speaker", "conditioning.speaker_bias")


def tensor_shapes(shape: Shape) -> Iterator[tuple[str, tuple[int, ...]]]:
    """Names, as transformers gives them, and shapes of all tensors; then those of ours alone."""
    yield "model.embed_tokens.weight", (shape.vocab, shape.dim)
    for layer in range(shape.layers):
        block = f"model.layers.{layer}."
        yield block + "input_layernorm.weight", (shape.dim,)
        for part in "qkvo":
            yield f"{block}self_attn.{part}_proj.weight", (shape.dim, shape.dim)
        yield block + "post_attention_layernorm.weight", (shape.dim,)
        for part in ("gate", "up"):
            yield f"{block}mlp.{part}_proj.weight", (shape.ffn_dim, shape.dim)
        yield block + "mlp.down_proj.weight", (shape.dim, shape.ffn_dim)
    yield "model.norm.weight", (shape.dim,)
    yield "lm_head.weight", (shape.vocab, shape.dim)
    yield "text_embedding", (shape.text_vocab, shape.dim)
    yield "conditioning.speaker", (shape.dim, _SPEAKER_DIM)
    yield "conditioning.speaker_bias", (shape.dim,)
