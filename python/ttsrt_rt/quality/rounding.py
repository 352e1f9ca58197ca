"""Rounds matrices to codes and back, as `build` does: what a quantized layer computes with.

8 bits: s = max|w| / 127 of a row, q = rint(w / s) in -127..127, w' = q s.
4 bits with zero points: s = max(max - min, 1e-5) / 15 of a group in half precision,
z = rint(-min / s) in 0..15, q = rint(w / s) + z in 0..15, w' = (q - z) s.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from ttsrt_rt.errors import ConfigError

__all__ = ["rounded"]

Matrix = npt.NDArray[np.float32]


def rounded(weights: Matrix, quantization: str, group_size: int) -> Matrix:
    """Returns the weights that codes stand for.

    Args:
        weights: float32 [outputs, inputs].
        quantization: "w8a16" or "w4a16".
        group_size: of 4 bits: inputs that share a scale.

    Raises:
        ConfigError: the group does not divide the inputs.
    """
    if quantization == "w8a16":
        scale = (np.abs(weights).max(axis=1, keepdims=True) / np.float32(127)).astype(np.float32)
        codes = np.rint(weights / np.where(scale == 0, np.float32(1), scale)).clip(-127, 127)
        whole: Matrix = (codes * scale).astype(np.float32)
        return whole
    outputs, inputs = weights.shape
    if group_size < 1 or inputs % group_size:
        raise ConfigError(f"group_size: expected a divisor of {inputs}, got {group_size}")
    groups = weights.reshape(outputs, inputs // group_size, group_size)
    low, high = groups.min(axis=2, keepdims=True), groups.max(axis=2, keepdims=True)
    step = np.maximum(high - low, np.float32(1e-5)) / np.float32(15)
    scale = step.astype(np.float16).astype(np.float32)
    zero = np.rint(-low / scale).clip(0, 15)
    codes = (np.rint(groups / scale) + zero).clip(0, 15)
    made: Matrix = ((codes - zero) * scale).reshape(weights.shape).astype(np.float32)
    return made
