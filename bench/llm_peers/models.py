"""Writes the random models: a folder of Hugging Face, our engines of it, files of llama.cpp."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from typing import Any

from bench.llm_peers.shape import LlmShape, tensor_shapes
from bench.peers.contest import CROWD
from bench.peers.weights import draw
from bench.t3_peers.models import made_at_once
from ttsrt_rt.convert.safetensors_write import write_safetensors

__all__ = ["KINDS", "build_engine", "convert_model", "write_gguf", "write_original"]

# Our precisions: options of `build`. Quantized engines have quantized heads, as the peers' files.
KINDS: dict[str, dict[str, Any]] = {
    "float32": {"dtype": "float32"},
    "bfloat16": {"quantization": "none"},
    "w8a16": {"quantization": "w8a16", "wide_heads": False},
    "w8a8": {"quantization": "w8a8", "wide_heads": False},
    "w4a16": {"quantization": "w4a16", "wide_heads": False},
    "w4a8": {"quantization": "w4a8", "wide_heads": False},
}
_MOST_ROWS = 512


def write_original(shape: LlmShape, path: Path) -> None:
    """Writes config.json and model.safetensors, as Hugging Face has them, into a new folder."""
    with made_at_once(path) as folder:
        (folder / "config.json").write_text(json.dumps(shape.hugging_face()), "utf-8")
        sources = {
            name: ("bfloat16", size, partial(draw, name, size))
            for name, size in tensor_shapes(shape)
        }
        write_safetensors(folder / "model.safetensors", sources, {"format": "pt"})


def convert_model(original: Path, checkpoint: Path) -> None:
    """Writes our checkpoint of what `write_original` wrote."""
    from ttsrt_rt.convert import convert

    convert(original, checkpoint, family="llm", progress=False)


def build_engine(checkpoint: Path, engine: Path, kind: str) -> None:
    """Builds an engine of one of `KINDS`."""
    from ttsrt_rt.build import build

    options: dict[str, Any] = {"dtype": "bfloat16", **KINDS[kind]}
    build(
        checkpoint,
        engine,
        max_batch_size=CROWD,
        max_seq_len=2 * _MOST_ROWS,
        max_input_len=_MOST_ROWS,
        max_num_tokens=_MOST_ROWS,
        progress=False,
        **options,
    )


def write_gguf(shape: LlmShape, path: Path, kind: str) -> None:
    """Writes the file of llama.cpp."""
    from bench.peers.gguf_model import write_llama

    write_llama(shape, tensor_shapes(shape), path, kind)
