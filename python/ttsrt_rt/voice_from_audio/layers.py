"""What the networks of a voice compute with, in NumPy and float32. Rows are moments, columns
channels.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from ttsrt_rt.convert.casting import bits_to_float32
from ttsrt_rt.convert.lazy_tensor import LazyTensor

__all__ = ["Network", "Rows", "gelu", "relu", "sigmoid", "softmax"]

Rows = npt.NDArray[np.float32]


def relu(x: Rows) -> Rows:
    """Returns max(x, 0)."""
    made: Rows = np.maximum(x, np.float32(0))
    return made


def sigmoid(x: Rows) -> Rows:
    """Returns 1 / (1 + e^-x), which never overflows."""
    made: Rows = np.float32(0.5) * (1 + np.tanh(np.float32(0.5) * x))
    return made


def softmax(x: Rows) -> Rows:
    """Returns the softmax over the last axis."""
    power = np.exp(x - x.max(-1, keepdims=True))
    made: Rows = power / power.sum(-1, keepdims=True)
    return made


def gelu(x: Rows) -> Rows:
    """Returns x / 2 (1 + erf(x / sqrt 2)), by formula 7.1.26 of Abramowitz and Stegun, whose error
    is below 1.5e-7.
    """
    z = np.abs(x) * np.float32(0.70710678)
    t = 1 / (1 + np.float32(0.3275911) * z)
    series = np.full_like(t, 1.061405429)
    for factor in (-1.453152027, 1.421413741, -0.284496736, 0.254829592):
        series = series * t + np.float32(factor)
    tail = series * t * np.exp(-z * z)
    made: Rows = np.maximum(x, 0) - np.float32(0.5) * np.abs(x) * tail
    return made


class Network:
    """A part of one checkpoint: its sizes, and its tensors in float32. Convolutions lie as one
    matrix for each tap.

    Attributes:
        model: the part's object in config.json.
        trace: where intermediate values go, by name; None for nowhere.
    """

    part: str

    def __init__(
        self,
        config: Mapping[str, Any],
        tensors: Mapping[str, LazyTensor],
        trace: dict[str, Rows] | None = None,
    ) -> None:
        """Reads the tensors of the part.

        Args:
            config: the object "model" of config.json, which was checked.
            tensors: of the checkpoint, which were checked.
            trace: see above.

        Raises:
            FormatError: the file is damaged.
        """
        self.model: Mapping[str, Any] = config[self.part]
        self.trace = trace
        prefix = f"{self.part}."
        self._weights = {
            name.removeprefix(prefix): _arranged(_floats(tensor))
            for name, tensor in tensors.items()
            if name.startswith(prefix)
        }

    def weight(self, name: str) -> Rows:
        """Returns a tensor, without the name of the part in front."""
        return self._weights[name]

    def keep(self, name: str, x: Rows) -> None:
        """Keeps an intermediate value if it is traced."""
        if self.trace is not None:
            self.trace[name] = x

    def matrix(self, name: str, x: Rows) -> Rows:
        """Returns the product of rows with a matrix, and its bias if it has one."""
        made: Rows = x @ self._weights[name].T
        bias = self._weights.get(f"{name}_bias")
        return made if bias is None else made + bias

    def norm(self, name: str, x: Rows) -> Rows:
        """Returns the layer norm of rows."""
        centred = x - x.mean(-1, keepdims=True)
        variance = np.square(centred).mean(-1, keepdims=True)
        made: Rows = centred / np.sqrt(variance + np.float32(1e-5)) * self._weights[name]
        return made + self._weights[f"{name}_bias"]

    def conv(self, name: str, x: Rows, *, pad: int, dilation: int = 1, stride: int = 1) -> Rows:
        """Returns a convolution of rows with `pad` zero rows on both sides."""
        weight = self._weights[name]  # [taps, inputs, outputs]
        padded = np.pad(x, ((pad, pad), (0, 0)))
        count = (len(padded) - (len(weight) - 1) * dilation - 1) // stride + 1
        total = np.zeros((count, weight.shape[2]), np.float32)
        for tap, matrix in enumerate(weight):
            begin = tap * dilation
            total += padded[begin : begin + (count - 1) * stride + 1 : stride] @ matrix
        bias = self._weights.get(f"{name}_bias")
        return total if bias is None else total + bias


def _floats(tensor: LazyTensor) -> Rows:
    values = tensor.read()
    made = bits_to_float32(values) if tensor.dtype == "bfloat16" else values
    return np.ascontiguousarray(made, np.float32)


def _arranged(values: Rows) -> Rows:
    return values if values.ndim != 3 else np.ascontiguousarray(values.transpose(2, 1, 0))
