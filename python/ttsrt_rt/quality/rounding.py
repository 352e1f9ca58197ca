"""Rounds matrices to codes and back, as `build` does: what a quantized layer computes with.

8 bits: s = max|w| / 127 of a row, q = rint(w / s) in -127..127, w' = q s.
4 bits with zero points: of the range of a group, which contains 0, some shares are tried, and the
one with the least squared error is kept: s = range / 15 in half precision, z = rint(-min / s) in
0..15, q = rint(w / s) + z in 0..15, w' = (q - z) s.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from ttsrt_rt.errors import ConfigError

__all__ = ["rounded"]

Matrix = npt.NDArray[np.float32]

SHARES = (1.0, 0.95, 0.9, 0.85, 0.8, 0.75)
LEAST = np.float32(2.0**-24)


def rounded(weights: Matrix, quantization: str, group_size: int) -> Matrix:
    """Returns the weights that codes stand for.

    Args:
        weights: float32 [outputs, inputs].
        quantization: "w8a16" or "w4a16".
        group_size: of 4 bits: inputs that share a scale.

    Raises:
        ConfigError: the group is no number of inputs.
    """
    if quantization == "w8a16":
        scale = (np.abs(weights).max(axis=1, keepdims=True) / np.float32(127)).astype(np.float32)
        codes = np.rint(weights / np.where(scale == 0, np.float32(1), scale)).clip(-127, 127)
        whole: Matrix = (codes * scale).astype(np.float32)
        return whole
    if group_size < 1:
        raise ConfigError(f"group_size: expected 32, 64 or 128, got {group_size}")
    outputs, inputs = weights.shape
    groups = -(-inputs // group_size)
    padded = np.zeros((outputs, groups * group_size), np.float32)  # the last group may be short
    padded[:, :inputs] = weights
    best = _nibbles(padded.reshape(outputs, groups, group_size))
    made: Matrix = best.reshape(padded.shape)[:, :inputs].copy()
    return made


def _nibbles(groups: Matrix) -> Matrix:
    """The best rounding of each group: float32 [outputs, groups, inputs of a group]."""
    low = np.minimum(groups.min(axis=2, keepdims=True), np.float32(0))
    high = np.maximum(groups.max(axis=2, keepdims=True), np.float32(0))
    best = np.zeros_like(groups)
    least = np.full((*groups.shape[:2], 1), np.inf)
    for share in SHARES:
        step = (high - low) * np.float32(share) / np.float32(15)
        scale = np.maximum(step.astype(np.float16).astype(np.float32), LEAST)
        zero = np.rint(-low * np.float32(share) / scale).clip(0, 15)
        made = ((np.rint(groups / scale) + zero).clip(0, 15) - zero) * scale
        error = ((groups - made) ** 2).sum(axis=2, keepdims=True)
        is_better = error < least
        best, least = np.where(is_better, made, best), np.where(is_better, error, least)
    return np.asarray(best, np.float32)
