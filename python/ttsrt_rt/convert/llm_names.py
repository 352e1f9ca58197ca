"""Recognises a folder of a language model as Hugging Face writes it, by its files alone.

`config.json` names a `model_type`, and the weights have fixed names. Folders of other layouts of
language models are recognised too, so that an error can say what they are and what to do.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

from ttsrt_rt.errors import ConfigError, FormatError
from ttsrt_rt.json_text import read_json

__all__ = [
    "CONFIG",
    "PICKLES",
    "PICKLES_INDEX",
    "RANK_0",
    "TENSORS",
    "TENSORS_INDEX",
    "hint_of_foreign_llm",
    "is_llm_folder",
    "is_llm_part",
]

CONFIG = "config.json"
TENSORS, TENSORS_INDEX = "model.safetensors", "model.safetensors.index.json"
PICKLES, PICKLES_INDEX = "pytorch_model.bin", "pytorch_model.bin.index.json"
RANK_0 = "rank0.safetensors"  # of TensorRT-LLM
WEIGHTS = (TENSORS, TENSORS_INDEX, PICKLES, PICKLES_INDEX)
SHARD = re.compile(r"(?:model|pytorch_model)-\d+-of-\d+\.(?:safetensors|bin)|rank\d+\.safetensors")
OF_OTHER_FAMILIES = ("inf5",)
MAX_CONFIG_BYTES = 1 << 20

FOREIGN = (
    (re.compile(r"adapter_config\.json"), "an adapter without its model; merge the adapter first"),
    (
        re.compile(r"consolidated.*\.pth"),
        "weights in Meta's own layout; convert them to Hugging Face's with transformers first",
    ),
    (
        re.compile(r".*\.gguf"),
        "weights of llama.cpp; pass the folder that they were made from",
    ),
    (re.compile(r".*\.onnx"), "an ONNX graph; pass the folder that it was made from"),
)


def is_llm_folder(path: Path) -> bool:
    """Whether a folder has a `config.json` with a `model_type`, and weights under the names that
    Hugging Face gives them; or, of TensorRT-LLM, an `architecture` and `rank0.safetensors`. Which
    models are converted is not asked here.
    """
    of_tensorrt = (path / RANK_0).is_file()
    has_weights = of_tensorrt or any((path / name).is_file() for name in WEIGHTS)
    if not (path / CONFIG).is_file() or not has_weights:
        return False
    try:
        config = read_json(path / CONFIG, max_bytes=MAX_CONFIG_BYTES)
    except (ConfigError, FormatError):
        return False
    if not isinstance(config, dict):
        return False
    if of_tensorrt and str(config.get("architecture")).endswith("ForCausalLM"):
        return True
    kind = config.get("model_type")
    return isinstance(kind, str) and kind not in OF_OTHER_FAMILIES


def is_llm_part(path: Path) -> bool:
    """Whether a file is a part of such a folder, which then stands for the whole."""
    is_named = path.name in (CONFIG, *WEIGHTS) or SHARD.fullmatch(path.name) is not None
    return is_named and is_llm_folder(path.parent)


def hint_of_foreign_llm(names: Iterable[str]) -> str | None:
    """Returns what a folder with these files is, if it is another layout of a language model."""
    found = list(names)
    for pattern, told in FOREIGN:
        if any(pattern.fullmatch(name) for name in found):
            return told
    return None
