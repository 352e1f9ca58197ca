"""Language models under other names: older exports of Phi, and folders of TensorRT-LLM. Each holds
the same numbers as a folder of Hugging Face, and must become the same checkpoint.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import ttsrt_rt as rt
from tests.python.convert.llm_models import (
    LLAMA,
    PHI,
    Arrays,
    arrays_of,
    write_config,
    write_model,
)
from ttsrt_rt.convert import open_weights

LAYERS, HEADS, DIM = 2, 4, 8
QKV = ("q_proj", "k_proj", "v_proj")


def weights_of(folder: Path) -> Arrays:
    with open_weights(folder / "model.safetensors") as weights:
        return {name: weights[name].read() for name in weights}


def check_equal(folder: Path, other: Path) -> None:
    """Both become the same checkpoint."""
    made = [
        weights_of(rt.convert(each, each / "ours", overwrite=True, progress=False))
        for each in (folder, other)
    ]
    assert made[0].keys() == made[1].keys()
    for name, values in made[0].items():
        assert np.array_equal(values, made[1][name]), name
    configs = [
        json.loads((each / "ours" / "config.json").read_text("utf-8")) for each in (folder, other)
    ]
    assert configs[0]["model"] == configs[1]["model"]


def write_original(folder: Path, base: dict[str, Any], **changed: Any) -> Arrays:
    arrays = arrays_of(write_config(folder, base, **changed))
    write_model(folder, arrays)
    return arrays


def joined(arrays: Arrays, layer: int, kind: str) -> list[Any]:
    begin = f"model.layers.{layer}.self_attn."
    return [arrays.pop(f"{begin}{name}.{kind}") for name in QKV]


def form_a(arrays: Arrays) -> Arrays:
    """The names of Phi's first export."""
    made: Arrays = {}
    for layer in range(LAYERS):
        for kind in ("weight", "bias"):
            made[f"transformer.h.{layer}.mixer.Wqkv.{kind}"] = np.concatenate(
                joined(arrays, layer, kind)
            )
        made[f"transformer.h.{layer}.mixer.rotary_emb.inv_freq"] = np.ones(2, np.float32)
    names = {
        ".input_layernorm.": ".ln.",
        ".self_attn.dense.": ".mixer.out_proj.",
        "model.embed_tokens.": "transformer.embd.wte.",
        "model.final_layernorm.": "lm_head.ln.",
        "lm_head.": "lm_head.linear.",
        "model.layers.": "transformer.h.",
    }
    for name, value in arrays.items():
        for new, old in names.items():
            if new in name:
                name = name.replace(new, old, 1)
                if new == "model.final_layernorm.":
                    break
        made[name] = value
    return made


def form_b(arrays: Arrays) -> Arrays:
    """Phi's early form in transformers."""
    for layer in range(LAYERS):
        for kind in ("weight", "bias"):
            parts = [each.reshape(HEADS, DIM, -1) for each in joined(arrays, layer, kind)]
            rest = (DIM * HEADS,) if kind == "weight" else ()
            whole = np.stack(parts, axis=1).reshape(3 * HEADS * DIM, *rest)
            arrays[f"model.layers.{layer}.self_attn.query_key_value.{kind}"] = whole
    return arrays


@pytest.mark.parametrize("form", [form_a, form_b])
def test_older_exports_of_phi(form: Callable[[Arrays], Arrays], tmp_path: Path) -> None:
    arrays = write_original(tmp_path / "today", PHI)
    write_model(write_config(tmp_path / "older", PHI), form(dict(arrays)))
    check_equal(tmp_path / "today", tmp_path / "older")


def test_a_matrix_of_another_size_is_named(tmp_path: Path) -> None:
    arrays = form_b(arrays_of(write_config(tmp_path, PHI)))
    name = "model.layers.0.self_attn.query_key_value.weight"
    arrays[name] = arrays[name][:-1]
    write_model(tmp_path, arrays)
    with pytest.raises(rt.FormatError, match=r"query_key_value\.weight: expected 96 rows"):
        rt.convert(tmp_path, tmp_path / "ours", progress=False)


def tensorrt(arrays: Arrays, is_phi: bool) -> Arrays:
    """The names of TensorRT-LLM."""
    made: Arrays = {}
    for layer in range(LAYERS):
        at = f"transformer.layers.{layer}."
        for kind in ("weight", "bias") if is_phi else ("weight",):
            made[f"{at}attention.qkv.{kind}"] = np.concatenate(joined(arrays, layer, kind))
        made[f"{at}attention.kv_cache_scaling_factor"] = np.ones(1, np.float32)
    names = {
        "self_attn.dense": "attention.dense",
        "self_attn.o_proj": "attention.dense",
        "post_attention_layernorm": "post_layernorm",
        "mlp.gate_proj": "mlp.fc",
        "mlp.up_proj": "mlp.gate",
        "mlp.down_proj": "mlp.proj",
        "mlp.fc1": "mlp.fc",
        "mlp.fc2": "mlp.proj",
        "model.layers.": "transformer.layers.",
        "model.embed_tokens": "transformer.vocab_embedding",
        "model.final_layernorm": "transformer.ln_f",
        "model.norm": "transformer.ln_f",
    }
    for name, value in arrays.items():
        for theirs, new in names.items():
            name = name.replace(theirs, new)
        made[name] = value
    return made


def tensorrt_config(is_phi: bool, **changed: Any) -> dict[str, Any]:
    config = {
        "architecture": "PhiForCausalLM" if is_phi else "LlamaForCausalLM",
        "dtype": "float16",
        "logits_dtype": "float32",
        "vocab_size": 40,
        "hidden_size": 32,
        "num_hidden_layers": LAYERS,
        "num_attention_heads": HEADS,
        "num_key_value_heads": HEADS if is_phi else 2,
        "head_size": DIM,
        "hidden_act": "gelu_new" if is_phi else "silu",
        "intermediate_size": 64,
        "norm_epsilon": 1e-5,
        "position_embedding_type": "rope_gpt_neox",
        "max_position_embeddings": 64,
        "rotary_base": 5000.0,
        "rotary_scaling": None,
        "mapping": {"world_size": 1, "tp_size": 1, "pp_size": 1},
        "quantization": {"quant_algo": None, "kv_cache_quant_algo": "INT8"},
        "eos_token_id": 2,
        **({"rotary_pct": 0.5} if is_phi else {"attn_bias": False, "mlp_bias": False}),
    }
    return {**config, **changed}


def write_tensorrt(folder: Path, arrays: Arrays, config: dict[str, Any]) -> Path:
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps(config), "utf-8")
    write_model(folder, arrays, "rank0.safetensors")
    return folder


@pytest.mark.parametrize("is_phi", [False, True], ids=["llama", "phi"])
def test_folders_of_tensorrt_llm(is_phi: bool, tmp_path: Path) -> None:
    base = PHI if is_phi else LLAMA
    arrays = write_original(tmp_path / "original", base, rope_theta=5000.0)
    made = tensorrt(dict(arrays), is_phi)
    folder = write_tensorrt(tmp_path / "rank", made, tensorrt_config(is_phi))
    check_equal(tmp_path / "original", folder)
    assert rt.convert(folder / "rank0.safetensors", tmp_path / "same", progress=False)
    old = {"rotary_pct": None, "partial_rotary_factor": 0.5, "rope_theta": 5000.0}
    if is_phi:  # the names of an older writer
        config = tensorrt_config(True, **old, rotary_base=None)
        check_equal(tmp_path / "original", write_tensorrt(tmp_path / "old", made, config))


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"architecture": "GPTForCausalLM"}, "architecture: expected one of"),
        ({"mapping": {"tp_size": 2}}, "world_size: expected 2, tp_size 2 times pp_size 1"),
        ({"quantization": {"quant_algo": "W4A16_AWQ"}}, "quant_algo: expected null"),
        ({"quantization": {"quant_algo": "FP8"}}, "quant_algo: expected null"),
        ({"rotary_scaling": {"type": "yarn", "factor": 2.0}}, "yarn"),
        ({"position_embedding_type": "alibi"}, "position_embedding_type: expected"),
        ({"position_embedding_type": "rope_gptj"}, "position_embedding_type: expected"),
        ({"eos_token_id": None}, "write it into generation_config.json"),
    ],
)
def test_what_is_not_read_of_tensorrt_llm(
    changed: dict[str, Any], message: str, tmp_path: Path
) -> None:
    arrays = arrays_of(write_config(tmp_path / "original", LLAMA))
    config = tensorrt_config(False, **changed)
    folder = write_tensorrt(tmp_path / "rank", tensorrt(arrays, False), config)
    with pytest.raises(rt.ConfigError, match=message):
        rt.convert(folder, tmp_path / "ours", progress=False)


def test_a_phi_must_say_what_part_of_a_head_is_turned(tmp_path: Path) -> None:
    arrays = arrays_of(write_config(tmp_path / "original", PHI))
    config = tensorrt_config(True, rotary_pct=None)
    folder = write_tensorrt(tmp_path / "rank", tensorrt(arrays, True), config)
    with pytest.raises(rt.ConfigError, match="rotary_pct: expected the part of a head"):
        rt.convert(folder, tmp_path / "ours", progress=False)


def test_weights_that_are_integers_are_refused(tmp_path: Path) -> None:
    arrays = tensorrt(arrays_of(write_config(tmp_path / "original", LLAMA)), False)
    name = "transformer.layers.0.attention.qkv.weight"
    arrays[name] = arrays[name].astype(np.int8)
    config = tensorrt_config(False, quantization={"quant_algo": "W8A16"})
    folder = write_tensorrt(tmp_path / "rank", arrays, config)
    with pytest.raises(rt.FormatError, match="expected floating-point values, got int8"):
        rt.convert(folder, tmp_path / "ours", progress=False)
