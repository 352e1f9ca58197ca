"""Checkpoints in our layout of models without a converter yet, made from the original files.

The rearranging is plain NumPy: query, key and value rows side by side in one matrix, gate rows
above up rows (docs/format.md lists the names).
"""

from __future__ import annotations

import gzip
import json
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import ttsrt_rt as rt
from ttsrt_rt.convert.safetensors_file import SafetensorsFile
from ttsrt_rt.convert.safetensors_write import write_safetensors

Floats = NDArray[np.float32]
Tensors = dict[str, Floats]

ROPE_FIELDS = {
    "factor": "factor",
    "low_freq_factor": "low_freq_factor",
    "high_freq_factor": "high_freq_factor",
    "original_max_position_embeddings": "original_positions",
}


def read_tensors(folder: Path) -> Tensors:
    """Returns every tensor of a folder's safetensors files, packed or not, widened to float32."""
    tensors: Tensors = {}
    for packed in sorted(folder.glob("*.safetensors.gz")):
        with tempfile.TemporaryDirectory() as unpacked:
            (Path(unpacked) / packed.stem).write_bytes(gzip.decompress(packed.read_bytes()))
            tensors.update(read_tensors(Path(unpacked)))
    for path in sorted(folder.glob("*.safetensors")):
        for name, tensor in SafetensorsFile.open(path).tensors.items():
            values = tensor.read()
            if tensor.dtype == "bfloat16":
                values = (values.astype(np.uint32) << 16).view(np.float32)
            tensors[name] = np.ascontiguousarray(values, dtype=np.float32)
    return tensors


def write_checkpoint(
    folder: Path, family: str, model: dict[str, Any], defaults: dict[str, Any], tensors: Tensors
) -> Path:
    """Writes the two files of a checkpoint and returns the folder."""
    folder.mkdir(parents=True)
    config = {
        "format": "ttsrt.checkpoint",
        "format_version": 1,
        "family": family,
        "source": {},
        "model": model,
        "defaults": defaults,
    }
    (folder / "config.json").write_text(json.dumps(config))
    sources = {
        name: ("float32", values.shape, lambda values=values: values)
        for name, values in tensors.items()
    }
    write_safetensors(folder / "model.safetensors", sources)
    return folder


def defaults_of(cfg_scale: float) -> dict[str, Any]:
    """Returns greedy defaults; the tests set no option but the length."""
    return {
        "cfg_scale": cfg_scale,
        "temperature": 0.0,
        "top_k": 0,
        "min_p": 0.0,
        "repetition_penalty": 1.0,
        "max_frames": 100,
        "min_frames": 0,
    }


def llama_rope(config: dict[str, Any], dims: int) -> dict[str, Any]:
    """Returns our rope of a Hugging Face config, old style or new."""
    scaling = config.get("rope_parameters") or config.get("rope_scaling") or {}
    rope = {
        "kind": scaling.get("rope_type", scaling.get("type", "default")),
        "dims": dims,
        "theta": scaling.get("rope_theta", config.get("rope_theta", 10000.0)),
    }
    for theirs, ours in ROPE_FIELDS.items():
        if theirs in scaling:
            rope[ours] = scaling[theirs]
    return rope


def llama_stack(config: dict[str, Any]) -> dict[str, Any]:
    """Returns our block fields of a Llama config."""
    head_dim = config.get("head_dim") or config["hidden_size"] // config["num_attention_heads"]
    return {
        "layers": config["num_hidden_layers"],
        "dim": config["hidden_size"],
        "ffn_dim": config["intermediate_size"],
        "heads": config["num_attention_heads"],
        "kv_heads": config.get("num_key_value_heads") or config["num_attention_heads"],
        "head_dim": head_dim,
        "max_positions": config["max_position_embeddings"],
        "learned_positions": False,
        "parallel": False,
        "norm": "rms",
        "norm_bias": False,
        "norm_epsilon": config["rms_norm_eps"],
        "attention_bias": False,
        "attention_scale": None,
        "rope": llama_rope(config, head_dim),
        "activation": "silu",
        "gated": True,
        "ffn_bias": False,
    }


def llama_tensors(source: Tensors, prefix: str, layers: int) -> Tensors:
    """Returns our stack "decoder" of Llama's layers, whose names begin with `prefix`."""
    tensors: Tensors = {}
    for layer in range(layers):
        theirs = f"{prefix}layers.{layer}."
        ours = f"decoder.layers.{layer}."
        attention = [source[f"{theirs}self_attn.{part}_proj.weight"] for part in "qkv"]
        gate_up = [source[f"{theirs}mlp.{part}_proj.weight"] for part in ("gate", "up")]
        tensors[ours + "self_norm"] = source[theirs + "input_layernorm.weight"]
        tensors[ours + "self_qkv"] = np.concatenate(attention)
        tensors[ours + "self_out"] = source[theirs + "self_attn.o_proj.weight"]
        tensors[ours + "ffn_norm"] = source[theirs + "post_attention_layernorm.weight"]
        tensors[ours + "ffn_in"] = np.concatenate(gate_up)
        tensors[ours + "ffn_out"] = source[theirs + "mlp.down_proj.weight"]
    tensors["decoder.norm_out"] = source[prefix + "norm.weight"]
    return tensors


def engines_of(
    factory: pytest.TempPathFactory, convert: Callable[[str, Path], Path], max_seq_len: int
) -> Callable[[str], Path]:
    """Returns a function that gives a case's float32 engine, converted and built once."""
    made: dict[str, Path] = {}

    def make(case: str) -> Path:
        if case not in made:
            folder = factory.mktemp(case)
            checkpoint = convert(case, folder / "checkpoint")
            rt.build(checkpoint, folder / "engine", dtype="float32", max_seq_len=max_seq_len)
            made[case] = folder / "engine"
        return made[case]

    return make
