"""The TensorRT-LLM checkpoint of a T3 model: the tensors of rank0.safetensors, and config.json.

Text and speech share one vocabulary of unified ids: text ids stay as they are, and speech ids
follow them. The head has as many rows, so that sampled ids are unified ids; its rows of text ids
are zeros. What keeps those ids from being drawn is the logits bias (trtllm_bias.py).

TensorRT-LLM's names deceive: `mlp.fc` is the gate and `mlp.gate` the other factor.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from ttsrt_rt.errors import ConfigError
from ttsrt_rt.export.t3_checkpoint import Floats, T3Checkpoint, T3Fields

__all__ = ["ExportTensor", "config_of", "is_gpt", "rank_tensors", "vocab_size"]


@dataclass(frozen=True)
class ExportTensor:
    """A tensor to write: its shape, and a function that reads it as float32 from the checkpoint."""

    shape: tuple[int, ...]
    read: Callable[[], Floats]


def vocab_size(fields: T3Fields) -> int:
    """Returns the number of unified ids: those of the text, then the rows of the speech table."""
    return fields.text_vocab + fields.speech_rows


def is_gpt(fields: T3Fields) -> bool:
    """Returns whether the stack is TensorRT-LLM's GPT, and not its LLaMA.

    Raises:
        ConfigError: It is neither, or the model does not decode one token after another.
    """
    if fields.variant == "flash":
        raise ConfigError(
            "model.variant: expected a model that makes one token after another, got 'flash', "
            "which TensorRT-LLM can't run"
        )
    has = fields.decoder
    common = {"parallel": False, "attention_scale": None}
    llama = {
        **common,
        "norm": "rms",
        "norm_bias": False,
        "attention_bias": False,
        "ffn_bias": False,
        "learned_positions": False,
        "activation": "silu",
        "gated": True,
    }
    gpt = {
        **common,
        "norm": "layer",
        "norm_bias": True,
        "attention_bias": True,
        "ffn_bias": True,
        "learned_positions": True,
        "activation": "gelu_tanh",
        "gated": False,
        "rope": None,
    }
    if all(has.get(name) == value for name, value in gpt.items()):
        return True
    if has.get("rope") is not None and all(has.get(name) == llama[name] for name in llama):
        return False
    raise ConfigError(
        "model.decoder: expected the block of TensorRT-LLM's LLaMA (RMS norms, rope, gated SiLU, "
        "no biases) or GPT (layer norms, learned positions, GELU, biases), got another"
    )


def config_of(fields: T3Fields, dtype: str) -> dict[str, Any]:
    """Returns config.json as TensorRT-LLM's builder reads it.

    Raises:
        ConfigError: TensorRT-LLM has no such architecture.
    """
    stack = fields.decoder
    config: dict[str, Any] = {
        "architecture": "GPTForCausalLM" if is_gpt(fields) else "LlamaForCausalLM",
        "dtype": dtype,
        "logits_dtype": "float32",
        "vocab_size": vocab_size(fields),
        "hidden_size": stack["dim"],
        "num_hidden_layers": stack["layers"],
        "num_attention_heads": stack["heads"],
        "num_key_value_heads": stack["kv_heads"],
        "head_size": stack["head_dim"],
        "intermediate_size": stack["ffn_dim"],
        "norm_epsilon": stack["norm_epsilon"],
        "max_position_embeddings": stack["max_positions"],
        "use_parallel_embedding": False,
        "embedding_sharding_dim": 0,
        "mapping": {"world_size": 1, "tp_size": 1, "pp_size": 1},
        "quantization": {"quant_algo": None, "kv_cache_quant_algo": None},
    }
    if is_gpt(fields):
        config |= {
            "hidden_act": "gelu",
            "position_embedding_type": "learned_absolute",
            "bias": True,
            "q_scaling": 1.0,
            "embedding_scale": None,
            "apply_query_key_layer_scaling": False,
            "rotary_pct": 1.0,
            "rotary_base": 10000.0,
            "rotary_scaling": None,
        }
        return config
    config |= {
        "hidden_act": "silu",
        "position_embedding_type": "rope_gpt_neox",
        "rotary_base": stack["rope"]["theta"],
        "rotary_scaling": _rotary_scaling(stack["rope"]),
        "attn_bias": False,
        "mlp_bias": False,
    }
    return config


def _rotary_scaling(rope: dict[str, Any]) -> dict[str, Any] | None:
    kind = rope["kind"]
    if kind == "default":
        return None
    scaling = {"type": kind, "rope_type": kind, "factor": rope["factor"]}
    if kind == "llama3":
        scaling |= {
            "low_freq_factor": rope["low_freq_factor"],
            "high_freq_factor": rope["high_freq_factor"],
            "original_max_position_embeddings": rope["original_positions"],
        }
    return scaling


def rank_tensors(checkpoint: T3Checkpoint) -> dict[str, ExportTensor]:
    """Returns every tensor of rank0.safetensors by name; nothing is read.

    Raises:
        ConfigError: TensorRT-LLM has no such architecture.
    """
    fields = checkpoint.fields
    dim, vocab = fields.dim, vocab_size(fields)
    tensors = {
        "transformer.vocab_embedding.weight": ExportTensor(
            (vocab, dim), lambda: _unified_table(checkpoint)
        ),
        "lm_head.weight": ExportTensor((vocab, dim), lambda: _padded_head(checkpoint)),
    }
    has_bias = is_gpt(fields)

    def add(theirs: str, ours: str, *shape: int) -> None:
        tensors[theirs] = ExportTensor(shape, lambda: checkpoint.floats(ours, *shape))

    def pair(theirs: str, ours: str, *shape: int) -> None:
        add(f"{theirs}.weight", ours, *shape)
        if has_bias:
            add(f"{theirs}.bias", f"{ours}_bias", shape[0])

    if has_bias:
        positions = int(fields.decoder["max_positions"])
        add("transformer.position_embedding.weight", "decoder.positions", positions, dim)
    for layer in range(fields.layers):
        _add_layer(tensors, checkpoint, layer, pair)
    pair("transformer.ln_f", "decoder.norm_out", dim)
    return tensors


def _add_layer(
    tensors: dict[str, ExportTensor],
    checkpoint: T3Checkpoint,
    layer: int,
    pair: Callable[..., None],
) -> None:
    stack, dim = checkpoint.fields.decoder, checkpoint.fields.dim
    width = int(stack["heads"]) * int(stack["head_dim"])
    qkv = width + 2 * int(stack["kv_heads"]) * int(stack["head_dim"])
    ffn = int(stack["ffn_dim"])
    theirs, ours = f"transformer.layers.{layer}", f"decoder.layers.{layer}"
    pair(f"{theirs}.input_layernorm", f"{ours}.self_norm", dim)
    pair(f"{theirs}.attention.qkv", f"{ours}.self_qkv", qkv, dim)
    pair(f"{theirs}.attention.dense", f"{ours}.self_out", dim, width)
    pair(f"{theirs}.post_layernorm", f"{ours}.ffn_norm", dim)
    pair(f"{theirs}.mlp.proj", f"{ours}.ffn_out", dim, ffn)
    if not stack["gated"]:
        pair(f"{theirs}.mlp.fc", f"{ours}.ffn_in", ffn, dim)
        return

    def half(part: int) -> Floats:
        both = checkpoint.floats(f"{ours}.ffn_in", 2 * ffn, dim)
        return both[part * ffn : (part + 1) * ffn]

    tensors[f"{theirs}.mlp.fc.weight"] = ExportTensor((ffn, dim), lambda: half(0))
    tensors[f"{theirs}.mlp.gate.weight"] = ExportTensor((ffn, dim), lambda: half(1))


def _unified_table(checkpoint: T3Checkpoint) -> Floats:
    fields = checkpoint.fields
    text = checkpoint.floats("text_embedding", fields.text_vocab, fields.dim)
    speech = checkpoint.floats("speech_embedding", fields.speech_rows, fields.dim)
    return np.concatenate([text, speech])


def _padded_head(checkpoint: T3Checkpoint) -> Floats:
    fields = checkpoint.fields
    head = np.zeros((vocab_size(fields), fields.dim), np.float32)
    begin = fields.text_vocab
    head[begin : begin + fields.speech_vocab] = checkpoint.floats(
        "head", fields.speech_vocab, fields.dim
    )
    return head
