"""Writes the random models: a folder of Hugging Face, our engines of it, files of llama.cpp."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

from bench.llm_peers.shape import LlmShape, tensor_shapes
from bench.t3_peers.models import made_at_once
from bench.t3_peers.shape import draw
from ttsrt_rt.convert.safetensors_write import write_safetensors

__all__ = ["CROWD", "KINDS", "files_of", "write_hugging_face"]

CROWD = 8
# Our precisions: quantization, and whether the head is left wide.
KINDS: dict[str, dict[str, Any]] = {
    "bfloat16": {"quantization": "none"},
    "w8a16": {"quantization": "w8a16", "wide_heads": False},
    "w8a8": {"quantization": "w8a8", "wide_heads": False},
    "w4a16": {"quantization": "w4a16", "wide_heads": False},
    "w4a8": {"quantization": "w4a8", "wide_heads": False},
}
_MOST_ROWS = 512

Job = Callable[[], object]


def write_hugging_face(shape: LlmShape, folder: Path) -> None:
    """Writes config.json and model.safetensors into an empty folder."""
    (folder / "config.json").write_text(json.dumps(shape.hugging_face()), "utf-8")
    sources = {
        name: ("bfloat16", size, partial(draw, name, size)) for name, size in tensor_shapes(shape)
    }
    write_safetensors(folder / "model.safetensors", sources, {"format": "pt"})


def files_of(
    shape: LlmShape, folder: Path, size: str, gguf_kinds: tuple[str, ...]
) -> Iterator[tuple[Path, Job]]:
    """Yields each file or folder of a contest with what writes it; later ones need earlier ones."""
    original = folder / f"llm-{size}.hf"
    checkpoint = folder / f"llm-{size}.checkpoint"
    yield original, partial(_write_original, shape, original)
    yield checkpoint, partial(_convert, original, checkpoint)
    for kind in KINDS:
        engine = folder / f"llm-{size}.{kind}.engine"
        yield engine, partial(_build, checkpoint, engine, kind)
    for kind in gguf_kinds:
        path = folder / f"llm-{size}.{kind}.gguf"
        yield path, partial(_write_gguf, shape, path, kind)


def _write_original(shape: LlmShape, path: Path) -> None:
    with made_at_once(path) as made:
        write_hugging_face(shape, made)


def _convert(original: Path, checkpoint: Path) -> None:
    from ttsrt_rt.convert import convert

    convert(original, checkpoint, family="llm", progress=False)


def _build(checkpoint: Path, engine: Path, kind: str) -> None:
    from ttsrt_rt.build import build

    build(
        checkpoint,
        engine,
        dtype="bfloat16",
        max_batch_size=CROWD,
        max_seq_len=2 * _MOST_ROWS,
        max_input_len=_MOST_ROWS,
        max_num_tokens=_MOST_ROWS,
        progress=False,
        **KINDS[kind],
    )


def _write_gguf(shape: LlmShape, path: Path, kind: str) -> None:
    from bench.t3_peers.gguf_model import write_llama

    write_llama(shape, tensor_shapes(shape), path, kind)
