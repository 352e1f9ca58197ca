"""Writes small folders of language models as Hugging Face does, with random weights."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ttsrt_rt.convert.llm_config import read_llm_config
from ttsrt_rt.convert.llm_tensors import plan_llm
from ttsrt_rt.convert.safetensors_write import tensor_of_array, write_safetensors
from ttsrt_rt.synth.torch_writer import SynthTensor, write_torch_tree

Arrays = dict[str, NDArray[Any]]

LLAMA: dict[str, Any] = {
    "architectures": ["LlamaForCausalLM"],
    "model_type": "llama",
    "vocab_size": 40,
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 64,
    "rms_norm_eps": 1e-5,
    "hidden_act": "silu",
    "bos_token_id": 1,
    "eos_token_id": 2,
}
PHI: dict[str, Any] = {
    **{
        name: LLAMA[name] for name in LLAMA if not name.startswith(("num_key", "rms", "hidden_act"))
    },
    "architectures": ["PhiForCausalLM"],
    "model_type": "phi",
    "partial_rotary_factor": 0.5,
    "layer_norm_eps": 1e-5,
    "hidden_act": "gelu_new",
}


def write_config(folder: Path, base: Mapping[str, Any], **changed: Any) -> Path:
    """Writes config.json; a field that is changed to `...` is left out."""
    folder.mkdir(parents=True, exist_ok=True)
    fields = {name: value for name, value in {**base, **changed}.items() if value is not ...}
    (folder / "config.json").write_text(json.dumps(fields), "utf-8")
    return folder


def arrays_of(folder: Path, seed: int = 0) -> Arrays:
    """Returns random float32 values of all tensors that a folder's config.json asks for."""
    random = np.random.default_rng(seed)
    config = read_llm_config(folder)
    return {
        name: random.normal(size=shape).astype(np.float32)
        for plan in plan_llm(config, config.vocab).values()
        for name, shape in plan.sources
    }


def write_model(folder: Path, arrays: Arrays, name: str = "model.safetensors") -> None:
    """Writes weights into one file, safetensors or a pickle by the end of its name."""
    if name.endswith(".safetensors"):
        write_safetensors(
            folder / name, {key: tensor_of_array(key, value) for key, value in arrays.items()}
        )
        return
    tree = {
        key: SynthTensor(value.dtype.name, value.shape, lambda value=value: value)
        for key, value in arrays.items()
    }
    with (folder / name).open("wb") as file:
        write_torch_tree(file, tree)


def write_shards(folder: Path, arrays: Arrays, count: int, ending: str) -> Path:
    """Writes weights into several files and their index, whose path is returned."""
    stem = "model" if ending == "safetensors" else "pytorch_model"
    placed = {}
    for number in range(count):
        name = f"{stem}-{number + 1:05}-of-{count:05}.{ending}"
        part = dict(list(arrays.items())[number::count])
        write_model(folder, part, name)
        placed |= dict.fromkeys(part, name)
    index = folder / f"{stem}.{ending}.index.json"
    index.write_text(json.dumps({"metadata": {"total_size": 1}, "weight_map": placed}), "utf-8")
    return index


def write_llm(folder: Path, base: Mapping[str, Any] = LLAMA, **changed: Any) -> Path:
    """Writes a folder with config.json and model.safetensors."""
    write_config(folder, base, **changed)
    write_model(folder, arrays_of(folder))
    return folder
