"""How the tensors of a Llama and of a Phi become ours: queries, keys and values in one matrix, and
gates above values. Their heads are stored for a rotation of half-split pairs, as ours are, so no
row moves.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

from ttsrt_rt.convert.llm_config import LlmConfig, LlmStack
from ttsrt_rt.convert.tensor_plan import TensorPlan, same, stacked

__all__ = ["EMBEDDING", "HEAD", "linears_of", "plan_llm", "unused_in"]

EMBEDDING, HEAD = "model.embed_tokens.weight", "lm_head.weight"
ROTATION = re.compile(r"model\.(?:layers\.\d+\.self_attn\.)?rotary_emb\.inv_freq")

Plans = Iterator[tuple[str, TensorPlan]]


def plan_llm(config: LlmConfig, vocab: int) -> dict[str, TensorPlan]:
    """Returns how each of our tensors is made, by its name.

    Args:
        config: the model.
        vocab: rows of its table.
    """
    stack = config.decoder
    dim = stack.dim
    plans = {"embedding": same(EMBEDDING, (vocab, dim))}
    for layer in range(stack.layers):
        old, new = f"model.layers.{layer}.", f"decoder.layers.{layer}."
        plans.update(
            _phi_layer(stack, old, new) if stack.parallel else _llama_layer(stack, old, new)
        )
    final = "model.final_layernorm" if stack.parallel else "model.norm"
    plans.update(_norm(stack, "decoder.norm_out", final))
    plans["head"] = same(EMBEDDING if config.is_tied else HEAD, (vocab, dim))
    if config.has_head_bias:
        plans["head_bias"] = same("lm_head.bias", (vocab,))
    return plans


def linears_of(config: LlmConfig) -> dict[str, tuple[int, int]]:
    """Returns the outputs and inputs of every linear layer inside the blocks, by its original name
    without `.weight`. These may be quantized in the source.
    """
    stack = config.decoder
    width, kv = stack.heads * stack.head_dim, stack.kv_heads * stack.head_dim
    dim, ffn = stack.dim, stack.ffn_dim
    attention = {"q_proj": (width, dim), "k_proj": (kv, dim), "v_proj": (kv, dim)}
    if stack.parallel:
        shapes = {f"self_attn.{name}": shape for name, shape in attention.items()}
        shapes |= {"self_attn.dense": (dim, width), "mlp.fc1": (ffn, dim), "mlp.fc2": (dim, ffn)}
    else:
        shapes = {f"self_attn.{name}": shape for name, shape in attention.items()}
        shapes |= {"self_attn.o_proj": (dim, width), "mlp.down_proj": (dim, ffn)}
        shapes |= {"mlp.gate_proj": (ffn, dim), "mlp.up_proj": (ffn, dim)}
    return {
        f"model.layers.{layer}.{name}": shape
        for layer in range(stack.layers)
        for name, shape in shapes.items()
    }


def unused_in(config: LlmConfig) -> Callable[[str], bool]:
    """Returns what tells whether an original tensor has no use here: stored rotations of old
    releases, and the copy of a tied head.
    """

    def is_unused(name: str) -> bool:
        return (config.is_tied and name == HEAD) or ROTATION.fullmatch(name) is not None

    return is_unused


def _llama_layer(stack: LlmStack, old: str, new: str) -> Plans:
    dim, ffn = stack.dim, stack.ffn_dim
    width = stack.heads * stack.head_dim
    yield from _norm(stack, f"{new}self_norm", f"{old}input_layernorm")
    yield from _attention(stack, old, new)
    yield from _linear(
        f"{new}self_out", f"{old}self_attn.o_proj", (dim, width), stack.attention_bias
    )
    yield from _norm(stack, f"{new}ffn_norm", f"{old}post_attention_layernorm")
    halves = [(f"{old}mlp.{name}_proj", ffn) for name in ("gate", "up")]
    yield from _side_by_side(f"{new}ffn_in", halves, dim, stack.ffn_bias)
    yield from _linear(f"{new}ffn_out", f"{old}mlp.down_proj", (dim, ffn), stack.ffn_bias)


def _phi_layer(stack: LlmStack, old: str, new: str) -> Plans:
    dim, ffn = stack.dim, stack.ffn_dim
    width = stack.heads * stack.head_dim
    yield from _norm(stack, f"{new}self_norm", f"{old}input_layernorm")
    yield from _attention(stack, old, new)
    yield from _linear(f"{new}self_out", f"{old}self_attn.dense", (dim, width), True)
    yield from _linear(f"{new}ffn_in", f"{old}mlp.fc1", (ffn, dim), True)
    yield from _linear(f"{new}ffn_out", f"{old}mlp.fc2", (dim, ffn), True)


def _attention(stack: LlmStack, old: str, new: str) -> Plans:
    kv = stack.kv_heads * stack.head_dim
    rows = (("q", stack.heads * stack.head_dim), ("k", kv), ("v", kv))
    parts = [(f"{old}self_attn.{name}_proj", count) for name, count in rows]
    yield from _side_by_side(f"{new}self_qkv", parts, stack.dim, stack.attention_bias)


def _norm(stack: LlmStack, ours: str, theirs: str) -> Plans:
    yield ours, same(f"{theirs}.weight", (stack.dim,))
    if stack.norm_bias:
        yield f"{ours}_bias", same(f"{theirs}.bias", (stack.dim,))


def _linear(ours: str, theirs: str, shape: tuple[int, int], has_bias: bool) -> Plans:
    yield ours, same(f"{theirs}.weight", shape)
    if has_bias:
        yield f"{ours}_bias", same(f"{theirs}.bias", shape[:1])


def _side_by_side(ours: str, parts: list[tuple[str, int]], inputs: int, has_bias: bool) -> Plans:
    """The plan of linear layers that read the same rows, as one matrix."""
    yield ours, stacked([(f"{name}.weight", (rows, inputs)) for name, rows in parts])
    if has_bias:
        yield f"{ours}_bias", stacked([(f"{name}.bias", (rows,)) for name, rows in parts])
