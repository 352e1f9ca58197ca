"""Reads `config.json` of a TensorRT-LLM folder with a Llama or a Phi, and gives it the fields that
Hugging Face has for the same model.

The weights are in `rank0.safetensors` as floats, or spread over the files of several ranks
(`llm_ranks`). Weights that were quantized or laid out for a GPU are refused by name.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ttsrt_rt.convert.fields import Block
from ttsrt_rt.convert.llm_names import CONFIG, MAX_CONFIG_BYTES
from ttsrt_rt.convert.llm_ranks import ranks_of
from ttsrt_rt.errors import ConfigError
from ttsrt_rt.json_text import read_json

__all__ = ["is_tensorrt_config", "read_as_hugging_face"]

LOGGER = logging.getLogger(__name__)

KINDS = {"LlamaForCausalLM": "llama", "PhiForCausalLM": "phi"}
ALGORITHMS = ("W8A16", "W4A16")  # whose files may hold floats
EPSILON = 1e-5
SILU = "silu"
ROPE = "rope_gpt_neox"  # pairs of a dimension and that half a head behind it
_PART = "partial_rotary_factor"
SAME = (
    *("hidden_size", "num_hidden_layers", "num_attention_heads", "num_key_value_heads"),
    *("vocab_size", "max_position_embeddings", "mlp_bias", "eos_token_id", "bos_token_id"),
)


def is_tensorrt_config(values: Any) -> bool:
    """Whether this is the contents of such a config.json, of any model."""
    return isinstance(values, Mapping) and isinstance(values.get("architecture"), str)


def read_as_hugging_face(folder: Path) -> Block:
    """Returns the fields of config.json under Hugging Face's names.

    Raises:
        ConfigError: it is of another model, spread over ranks in a way that is not read, or
            quantized.
        FormatError: it is not JSON.
    """
    path = folder / CONFIG
    config = Block(read_json(path, max_bytes=MAX_CONFIG_BYTES), f"{path}: ", ConfigError)
    kind = KINDS[config.word("architecture", tuple(KINDS))]
    ranks_of(config)
    _check_quantization(config)
    dim = config.integer("hidden_size", 2, 1 << 20)
    heads = config.integer("num_attention_heads", 1, 1 << 12)
    activation = config.values.get("hidden_act")
    epsilon = "layer_norm_eps" if kind == "phi" else "rms_norm_eps"
    made: dict[str, Any] = {
        "model_type": kind,
        "architectures": [config.values["architecture"]],
        "intermediate_size": config.integer("intermediate_size", 2, 1 << 20, 4 * dim),
        "head_dim": config.integer("head_size", 2, 1 << 14, dim // heads),
        epsilon: config.number("norm_epsilon", 0.0, 1.0, EPSILON),
        "hidden_act": SILU if activation in ("silu", "swiglu") else activation,
        "attention_bias": config.flag("attn_bias", False),
        "tie_word_embeddings": config.flag("share_embedding_table", False),
        "eos_token_id": None,  # such folders do not follow the defaults of Hugging Face's classes
        **{name: config.values[name] for name in SAME if config.has(name)},
    }
    _check_rope(config)
    for ours, theirs in (("rope_theta", ("rotary_base", "rope_theta")), *_of_phi(kind)):
        found = [name for name in theirs if config.has(name)]
        if found:
            made[ours] = config.values[found[0]]
        elif kind == "phi" and ours == _PART:
            raise config.fail(theirs[0], "the part of a head that rotary positions turn")
    if config.has("rotary_scaling"):
        made["rope_scaling"] = config.values["rotary_scaling"]
    if config.flag("qk_layernorm", False):
        raise config.fail("qk_layernorm", "false, as norms of queries and keys are not supported")
    return Block(made, f"{path}: ", ConfigError)


def _of_phi(kind: str) -> tuple[tuple[str, tuple[str, ...]], ...]:
    return ((_PART, ("rotary_pct", _PART)),) if kind == "phi" else ()


def _check_rope(config: Block) -> None:
    name = "position_embedding_type"
    if config.has(name):
        config.word(name, (ROPE,))


def _check_quantization(config: Block) -> None:
    if not config.has("quantization"):
        return
    block = config.block("quantization")
    if block.has("quant_algo"):
        algorithm = block.values["quant_algo"]
        if algorithm not in ALGORITHMS:
            raise block.fail(
                "quant_algo",
                f"null, {' or '.join(ALGORITHMS)} with float weights; convert the model that it "
                "was made from, and quantize it with ttsrt build --quantization",
            )
        LOGGER.info(
            "%s%s: the weights are floats; ttsrt build --quantization quantizes them",
            block.path,
            algorithm,
        )
    if block.has("kv_cache_quant_algo"):
        LOGGER.info(
            "%skv_cache_quant_algo %s is not used; an int8 cache here needs no calibration",
            block.path,
            block.values["kv_cache_quant_algo"],
        )
