"""Writes the random models: a folder of Hugging Face, our engines of it, files of llama.cpp."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import Any

from bench.llm_peers.shape import LlmShape, tensor_shapes
from bench.peers.contest import CROWD, Stage, write_files
from bench.peers.weights import draw
from bench.t3_peers.models import made_at_once
from ttsrt_rt.convert.safetensors_write import write_safetensors

__all__ = ["KINDS", "MOST_ROWS", "engine_of", "make_engines", "write_gguf", "write_original"]

# Our precisions: options of `build`. Heads of engines that are compared with peers have the
# precision of the layers, as the peers' files have.
KINDS: dict[str, dict[str, Any]] = {
    "float32": {"dtype": "float32"},
    "bfloat16": {"quantization": "none"},
    "w8a16": {"quantization": "w8a16", "wide_heads": False},
    "w8a8": {"quantization": "w8a8", "wide_heads": False},
    "w4a16": {"quantization": "w4a16", "wide_heads": False},
    "w4a8": {"quantization": "w4a8", "wide_heads": False},
    "w8a16-wide": {"quantization": "w8a16", "wide_heads": True},
    "w4a16-wide": {"quantization": "w4a16", "wide_heads": True},
    "w4a16-head8": {"quantization": "w4a16", "head_quantization": "w8a16"},
}
MOST_ROWS = 512


def write_original(shape: LlmShape, path: Path) -> None:
    """Writes config.json and model.safetensors, as Hugging Face has them, into a new folder."""
    with made_at_once(path) as folder:
        (folder / "config.json").write_text(json.dumps(shape.hugging_face()), "utf-8")
        sources = {
            name: ("bfloat16", size, partial(draw, name, size))
            for name, size in tensor_shapes(shape)
        }
        write_safetensors(folder / "model.safetensors", sources, {"format": "pt"})


def engine_of(folder: Path, size: str, kind: str) -> Path:
    """Where the engine of a size in one of `KINDS` is."""
    return folder / f"llm-{size}.{kind}.engine"


def make_engines(
    shape: LlmShape,
    folder: Path,
    size: str,
    kinds: Iterable[str],
    progress: Callable[[str], object],
    others: Stage | None = None,
    *,
    keeps_original: bool,
) -> None:
    """Writes the engines that a folder lacks, and what they are made of.

    Args:
        shape: Of the model.
        folder: It exists.
        size: In the names.
        kinds: Of `KINDS`.
        progress: Called with each name.
        others: More files, which need nothing of these.
        keeps_original: Whether the folder of Hugging Face is wanted, too.
    """
    original, checkpoint = folder / f"llm-{size}.hf", folder / f"llm-{size}.checkpoint"
    engines: Stage = {}
    for kind in kinds:
        path = engine_of(folder, size, kind)
        engines[path] = partial(_build_engine, checkpoint, path, kind)
    is_complete = all(path.exists() for path in engines)
    first: Stage = dict(others or {})
    if keeps_original or not is_complete:
        first = {original: partial(write_original, shape, original), **first}
    second: Stage = {} if is_complete else {checkpoint: partial(_convert, original, checkpoint)}
    write_files([first, second, engines], progress)
    if not is_complete:
        shutil.rmtree(checkpoint)  # as large as the model, and of no more use


def _convert(original: Path, checkpoint: Path) -> None:
    from ttsrt_rt.convert import convert

    convert(original, checkpoint, family="llm", progress=False)


def _build_engine(checkpoint: Path, engine: Path, kind: str) -> None:
    from ttsrt_rt.build import build

    options: dict[str, Any] = {"dtype": "bfloat16", **KINDS[kind]}
    build(
        checkpoint,
        engine,
        max_batch_size=CROWD,
        max_seq_len=2 * MOST_ROWS,
        max_input_len=MOST_ROWS,
        max_num_tokens=MOST_ROWS,
        progress=False,
        **options,
    )


def write_gguf(shape: LlmShape, path: Path, kind: str) -> None:
    """Writes the file of llama.cpp."""
    from bench.peers.gguf_model import write_llama

    write_llama(shape, tensor_shapes(shape), path, kind)
