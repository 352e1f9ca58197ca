"""What the parts of S3Gen compute with, in NumPy and float64, over the tensors of our checkpoints.

Rows are moments, columns channels. Convolutions are written tap by tap.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ttsrt_rt.convert import open_weights

Array = NDArray[Any]


def leaky(x: Array, slope: float) -> Array:
    return np.where(x < 0, slope * x, x)


def relu(x: Array) -> Array:
    return np.maximum(x, 0)


def elu(x: Array) -> Array:
    return np.where(x < 0, np.expm1(np.minimum(x, 0)), x)


def sigmoid(x: Array) -> Array:
    made: Array = 0.5 * (1 + np.tanh(0.5 * x))
    return made


def snake(x: Array, alpha: Array) -> Array:
    made: Array = x + np.sin(alpha * x) ** 2 / (alpha + 1e-9)
    return made


def softmax(x: Array) -> Array:
    e = np.exp(x - x.max(-1, keepdims=True))
    made: Array = e / e.sum(-1, keepdims=True)
    return made


def layer_norm(x: Array, scale: Array, bias: Array, epsilon: float) -> Array:
    """The variance is a mean of squares of differences: with an epsilon of 1e-12, rows that are
    constant leave nothing else.
    """
    centred = x - x.mean(-1, keepdims=True)
    made: Array = centred / np.sqrt((centred**2).mean(-1, keepdims=True) + epsilon) * scale + bias
    return made


def convolution(
    x: Array,
    weight: Array,
    bias: Array | float = 0.0,
    *,
    pad: tuple[int, int] = (0, 0),
    dilation: int = 1,
    stride: int = 1,
) -> Array:
    """x [rows, inputs]; weight [outputs, inputs, taps]; `pad` are zero rows in front and behind."""
    padded = np.pad(x, (pad, (0, 0)))
    taps = weight.shape[2]
    rows = (len(padded) - (taps - 1) * dilation - 1) // stride + 1
    made = np.zeros((rows, weight.shape[0])) + bias
    for tap in range(taps):
        begin = tap * dilation
        made += padded[begin : begin + (rows - 1) * stride + 1 : stride] @ weight[:, :, tap].T
    return made


def transposed(x: Array, weight: Array, bias: Array, rate: int) -> Array:
    """x [rows, inputs] to [rows * rate, outputs]; weight [inputs, outputs, taps]."""
    taps = weight.shape[2]
    spread = np.zeros(((len(x) - 1) * rate + taps, weight.shape[1]))
    for tap in range(taps):
        spread[tap : tap + (len(x) - 1) * rate + 1 : rate] += x @ weight[:, :, tap]
    edge = (taps - rate) // 2
    made: Array = spread[edge : edge + len(x) * rate] + bias
    return made


def in_heads(x: Array, heads: int) -> Array:
    """x [rows, heads * columns] to [heads, rows, columns]."""
    made: Array = x.reshape(len(x), heads, -1).transpose(1, 0, 2)
    return made


def attention(q: Array, k: Array, v: Array, more: Array | float = 0.0) -> Array:
    """q, k, v [heads, rows, columns], every row seeing all; `more` is added to the products of
    queries and keys. Returns [rows, heads * columns].
    """
    scores = (q @ k.transpose(0, 2, 1) + more) / np.sqrt(q.shape[2])
    made: Array = (softmax(scores) @ v).transpose(1, 0, 2).reshape(q.shape[1], -1)
    return made


class Part:
    """A part of one checkpoint of ours: its sizes, and its tensors in float64.

    Attributes:
        model: the part's object in config.json.
        defaults: those of the checkpoint.
        stages: what the last run computed on the way, by names of the goldens.
    """

    def __init__(self, folder: Path, part: str) -> None:
        config: Mapping[str, Any] = json.loads((folder / "config.json").read_text("utf-8"))
        self.model: dict[str, Any] = config["model"][part]
        self.sample_rate: int = config["model"]["sample_rate"]
        self.defaults: dict[str, Any] = config["defaults"]
        with open_weights(folder / "model.safetensors") as weights:
            self.weights = {name: weights[name].read().astype(np.float64) for name in weights}
        self.stages: dict[str, Array] = {}

    def matrix(self, name: str, x: Array) -> Array:
        """The product of rows with a matrix, and its bias if it has one."""
        made: Array = x @ self.weights[name].T + self.weights.get(f"{name}_bias", 0.0)
        return made

    def norm(self, name: str, x: Array, epsilon: float = 1e-5) -> Array:
        return layer_norm(x, self.weights[name], self.weights[f"{name}_bias"], epsilon)

    def conv(self, name: str, x: Array, **options: Any) -> Array:
        """A convolution with its bias if it has one."""
        bias = self.weights.get(f"{name}_bias", 0.0)
        return convolution(x, self.weights[name], bias, **options)

    def causal(self, name: str, x: Array) -> Array:
        return self.conv(name, x, pad=(self.weights[name].shape[2] - 1, 0))

    def centred(self, name: str, x: Array, dilation: int = 1) -> Array:
        half = (self.weights[name].shape[2] - 1) * dilation // 2
        return self.conv(name, x, pad=(half, half), dilation=dilation)
