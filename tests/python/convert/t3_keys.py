"""The keys and shapes of the published T3 models, from tests/data/chatterbox/keys.json."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from ttsrt_rt.convert.lazy_tensor import LazyTensor

DATA = Path(__file__).parents[2] / "data" / "chatterbox"
VARIANTS = ("english", "multilingual", "turbo", "nano")

Shapes = dict[str, tuple[int, ...]]


def original_shapes(variant: str) -> Shapes:
    """Returns all tensors that the original code stores."""
    described = json.loads((DATA / "keys.json").read_text())[variant]
    return {
        pattern.format(layer): tuple(shape)
        for pattern, shape in described["tensors"].items()
        for layer in range(described["layers"] if "{}" in pattern else 1)
    }


def flash_shapes() -> Shapes:
    """Flash is English with one more row of the speech table."""
    return original_shapes("english") | {"speech_emb.weight": (8195, 1024)}


def tensors_of(shapes: Shapes, dtype: str = "float32") -> dict[str, LazyTensor]:
    """Returns tensors of these shapes without memory; their values are ones."""
    return {
        name: LazyTensor(
            name, dtype, shape, 4 * int(np.prod(shape)), lambda s=shape: np.ones(s, np.float32)
        )
        for name, shape in shapes.items()
    }
