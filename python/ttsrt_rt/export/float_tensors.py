"""Tensors of a checkpoint as float32, exactly."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from ttsrt_rt.convert.casting import bits_to_float32
from ttsrt_rt.convert.lazy_tensor import LazyTensor
from ttsrt_rt.errors import FormatError

__all__ = ["Floats", "read_floats"]

Floats = NDArray[np.float32]


def read_floats(
    weights: Mapping[str, LazyTensor], name: str, shape: tuple[int, ...], where: str = ""
) -> Floats:
    """Reads a tensor and checks its shape.

    Args:
        weights: The tensors.
        name: Which one.
        shape: What it must have.
        where: The file, for messages.

    Raises:
        FormatError: It is missing, has another shape, or is not of floats.
    """
    told = f"{where}: {name}" if where else name
    tensor = weights.get(name)
    if tensor is None:
        raise FormatError(f"{told}: expected {list(shape)}, got nothing")
    if tensor.shape != shape:
        raise FormatError(f"{told}: expected {list(shape)}, got {list(tensor.shape)}")
    if tensor.dtype not in ("float32", "float16", "bfloat16"):
        raise FormatError(f"{told}: expected float32, float16 or bfloat16, got {tensor.dtype}")
    values = tensor.read()
    if tensor.dtype == "bfloat16":
        return bits_to_float32(values)
    return np.ascontiguousarray(values, dtype=np.float32)
