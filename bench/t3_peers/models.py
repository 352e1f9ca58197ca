"""Writes the random Llama as our checkpoint and as a folder for transformers."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from bench.t3_peers.shape import OWN, Shape, Words, draw, tensor_shapes
from ttsrt_rt.convert.safetensors_write import write_safetensors

__all__ = ["made_at_once", "write_checkpoint", "write_hugging_face"]

Source = tuple[str, tuple[int, ...], Callable[[], Words]]

_OURS = {
    "model.embed_tokens.weight": "speech_embedding",
    "model.norm.weight": "decoder.norm_out",
    "lm_head.weight": "head",
    **{name: name for name in OWN},
}
_LAYER = {
    "self_norm": ("input_layernorm",),
    "self_qkv": ("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"),
    "self_out": ("self_attn.o_proj",),
    "ffn_norm": ("post_attention_layernorm",),
    "ffn_in": ("mlp.gate_proj", "mlp.up_proj"),
    "ffn_out": ("mlp.down_proj",),
}


@contextmanager
def made_at_once(path: Path) -> Iterator[Path]:
    """A folder that takes the name `path` when the block has ended."""
    with tempfile.TemporaryDirectory(prefix=".ttsrt-", dir=path.parent) as made:
        folder = Path(made) / "made"
        folder.mkdir()
        yield folder
        folder.rename(path)


def _source(parts: tuple[str, ...], shapes: dict[str, tuple[int, ...]]) -> Source:
    """One or several tensors, one below the other."""
    rows = sum(shapes[part][0] for part in parts)
    whole = (rows, *shapes[parts[0]][1:])

    def read() -> Words:
        return np.concatenate([draw(part, shapes[part]) for part in parts])

    return "bfloat16", whole, read


def write_checkpoint(shape: Shape, folder: Path) -> None:
    """Writes the two files of a checkpoint of the family "t3" into an empty folder."""
    shapes = dict(tensor_shapes(shape))
    sources = {ours: _source((name,), shapes) for name, ours in _OURS.items()}
    for layer in range(shape.layers):
        for ours, parts in _LAYER.items():
            names = tuple(f"model.layers.{layer}.{part}.weight" for part in parts)
            sources[f"decoder.layers.{layer}.{ours}"] = _source(names, shapes)
    config = {
        "format": "ttsrt.checkpoint",
        "format_version": 1,
        "family": "t3",
        "source": {},
        "model": shape.ours(),
        "defaults": {
            "cfg_scale": 1.0,
            "temperature": 0.8,
            "top_k": 0,
            "min_p": 0.05,
            "repetition_penalty": 1.2,
            "max_frames": 1000,
            "min_frames": 0,
        },
    }
    (folder / "config.json").write_text(json.dumps(config), "utf-8")
    write_safetensors(folder / "model.safetensors", sources)


def write_hugging_face(shape: Shape, folder: Path) -> None:
    """Writes config.json and model.safetensors for transformers into an empty folder."""
    shapes = {name: size for name, size in tensor_shapes(shape) if name not in OWN}
    (folder / "config.json").write_text(json.dumps(shape.hugging_face()), "utf-8")
    sources = {name: _source((name,), shapes) for name in shapes}
    write_safetensors(folder / "model.safetensors", sources, {"format": "pt"})
