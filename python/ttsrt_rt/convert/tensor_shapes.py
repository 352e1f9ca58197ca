"""What the shapes of original tensors tell of a model: sizes, and how many layers there are."""

from __future__ import annotations

import re
from collections.abc import Mapping

from ttsrt_rt.convert.lazy_tensor import LazyTensor
from ttsrt_rt.errors import FormatError

__all__ = ["MAX_LAYERS", "TensorShapes", "axes_of", "num_layers", "shapes_of"]

MAX_LAYERS = 256

TensorShapes = Mapping[str, tuple[int, ...]]


def shapes_of(tensors: Mapping[str, LazyTensor]) -> TensorShapes:
    """Returns the shapes of tensors by their names."""
    return {name: tensor.shape for name, tensor in tensors.items()}


def axes_of(shapes: TensorShapes, name: str, axes: int) -> tuple[int, ...]:
    """Returns the shape of a tensor that must exist with so many axes, none of them empty.

    Raises:
        FormatError: it is missing, or has another shape.
    """
    if name not in shapes:
        raise FormatError(f"{name}: expected a tensor of this name, got none")
    if len(shapes[name]) != axes or 0 in shapes[name]:
        raise FormatError(f"{name}: expected {axes} axes, got the shape {list(shapes[name])}")
    return shapes[name]


def num_layers(shapes: TensorShapes, prefix: str) -> int:
    """Returns how many layers are numbered behind a prefix, as in "blocks.0.norm" behind "blocks.".
    Their names are checked with the tensors.

    Raises:
        FormatError: there are none, or more than `MAX_LAYERS`.
    """
    pattern = re.compile(re.escape(prefix) + r"(\d+)\.")
    found = {int(match[1][:6]) for name in shapes if (match := pattern.match(name))}
    if not found or max(found) >= MAX_LAYERS:
        raise FormatError(
            f"{prefix.rstrip('.')}: expected 1 to {MAX_LAYERS} layers, got "
            f"{max(found) + 1 if found else 0}"
        )
    return max(found) + 1
