"""NanoCodec in NumPy, from the formulas: both directions of a converted checkpoint, in float64.

Rows are moments, columns channels. Nothing here knows of frames that come in pieces.
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
SLOPE = 0.01


def leaky(x: Array) -> Array:
    return np.where(x < 0, SLOPE * x, x)


def half_snake(x: Array, alpha: Array) -> Array:
    """The first columns, one for each alpha, are a snake; the others leaky."""
    half = len(alpha)
    snake = x[:, :half] + np.sin(alpha * x[:, :half]) ** 2 / (alpha + 1e-9)
    return np.concatenate([snake, leaky(x[:, half:])], 1)


def convolution(x: Array, weight: Array, bias: Array, dilation: int = 1, stride: int = 1) -> Array:
    """x [rows, inputs], already padded; weight [outputs, inputs, taps]."""
    taps = weight.shape[2]
    rows = (len(x) - (taps - 1) * dilation - 1) // stride + 1
    made = np.tile(bias, (rows, 1))
    for tap in range(taps):
        begin = tap * dilation
        made += x[begin : begin + (rows - 1) * stride + 1 : stride] @ weight[:, :, tap].T
    return made


def levels_of(codes: Array, levels: list[int]) -> Array:
    """Returns the index of each dimension of a code, as a last axis: the first level runs
    fastest.
    """
    bases = np.cumprod([1, *levels[:-1]])
    made: Array = codes[..., None] // bases % np.array(levels)
    return made


class Reference:
    """One checkpoint of ours."""

    def __init__(self, folder: Path) -> None:
        self.config: Mapping[str, Any] = json.loads((folder / "config.json").read_text("utf-8"))
        with open_weights(folder / "model.safetensors") as weights:
            self.weights = {name: weights[name].read().astype(np.float64) for name in weights}
        self.model = self.config["model"]
        self.stages: dict[str, Array] = {}  # of the last run, by names of the goldens

    def causal(self, name: str, x: Array, dilation: int = 1) -> Array:
        weight = self.weights[name]
        padded = np.pad(x, (((weight.shape[2] - 1) * dilation, 0), (0, 0)))
        return convolution(padded, weight, self.weights[f"{name}_bias"], dilation)

    def centred(self, name: str, x: Array, dilation: int = 1) -> Array:
        """The rows at the edges stand for those beyond."""
        weight = self.weights[name]
        half = (weight.shape[2] - 1) * dilation // 2
        padded = np.pad(x, ((half, half), (0, 0)), mode="edge")
        return convolution(padded, weight, self.weights[f"{name}_bias"], dilation)

    def upsampled(self, name: str, x: Array, rate: int) -> Array:
        """Two columns make one; each row adds to its own `rate` rows and to the next ones."""
        rows, channels = x.shape
        weight = self.weights[name]  # [inputs, 2 * rate]
        spread = (x[:, :, None] * weight).reshape(rows, channels // 2, 2, 2 * rate).sum(2)
        made = np.zeros((rows + 1, rate, channels // 2))
        made[:rows] += spread[:, :, :rate].transpose(0, 2, 1)
        made[1:] += spread[:, :, rate:].transpose(0, 2, 1)
        flat = made[:rows].reshape(rows * rate, -1)
        return flat + self.weights[f"{name}_bias"]

    def residual(self, at: str, x: Array, coder: Mapping[str, Any], *, is_decoder: bool) -> Array:
        chains = []
        for chain in range(len(coder["kernels"])):
            y = x
            for block, dilation in enumerate(coder["dilations"]):
                name = f"{at}.chains.{chain}.blocks.{block}"
                if is_decoder:
                    z = half_snake(y, self.weights[f"{name}.in_alpha"])
                    z = self.causal(f"{name}.in", z, dilation)
                    z = half_snake(z, self.weights[f"{name}.out_alpha"])
                    y = y + self.causal(f"{name}.out", z)
                else:
                    z = self.centred(f"{name}.in", leaky(y), dilation)
                    y = y + self.centred(f"{name}.out", leaky(z))
            chains.append(y)
        made: Array = sum(chains) / len(chains)
        return made

    def dequantize(self, codes: Array) -> Array:
        """codes [frames, groups] to latents [frames, groups * dimensions]."""
        levels = self.model["levels"]
        half = np.array(levels) // 2
        values = (levels_of(np.asarray(codes, np.int64), levels) - half) / half
        return values.reshape(len(codes), -1)

    def quantize(self, latents: Array) -> Array:
        levels = np.array(self.model["levels"])
        scale = (levels - 1) / 2 * (1 - 1e-3)
        offset = np.where(levels % 2 == 0, 0.5, 0)
        x = latents.reshape(len(latents), -1, len(levels))
        indices = np.round(scale * np.tanh(x + np.tan(offset / scale)) - offset) + levels // 2
        codes: Array = (indices * np.cumprod([1, *levels[:-1]])).sum(-1).astype(np.int64)
        return codes

    def margin(self, latents: Array) -> float:
        """Returns how far the nearest value is from where its index would be another."""
        levels = np.array(self.model["levels"])
        scale = (levels - 1) / 2 * (1 - 1e-3)
        offset = np.where(levels % 2 == 0, 0.5, 0)
        x = latents.reshape(len(latents), -1, len(levels))
        y = scale * np.tanh(x + np.tan(offset / scale)) - offset
        return float(np.abs(np.abs(y - np.round(y)) - 0.5).min())

    def decode(self, codes: Array) -> Array:
        """codes [frames, groups] to samples."""
        coder = self.model["decoder"]
        latent = self.dequantize(codes)
        x = self.causal("decoder.pre", latent)
        self.stages = {"latent": latent, "pre_conv": x}
        for stage, rate in enumerate(coder["rates"]):
            at = f"decoder.stages.{stage}"
            x = half_snake(x, self.weights[f"{at}.alpha"])
            self.stages[f"act{stage}"] = x
            x = self.upsampled(f"{at}.up", x, rate)
            self.stages[f"up{stage}"] = x
            x = self.residual(at, x, coder, is_decoder=True)
            self.stages[f"res{stage}"] = x
        x = half_snake(x, self.weights["decoder.alpha"])
        return np.clip(self.causal("decoder.post", x)[:, 0], -1, 1)

    def latents(self, samples: Array) -> Array:
        """samples, which are padded to whole frames with zeros, to latents."""
        coder, frame = self.model["encoder"], self.model["samples_per_frame"]
        wave = np.pad(np.asarray(samples, np.float64), (0, -len(samples) % frame))
        x = self.centred("encoder.pre", wave[:, None])
        for stage, rate in enumerate(coder["rates"]):
            at = f"encoder.stages.{stage}"
            x = leaky(self.residual(at, x, coder, is_decoder=False))
            half = (rate + 1) // 2
            padded = np.pad(x, ((half, half), (0, 0)), mode="edge")
            weight, bias = self.weights[f"{at}.down"], self.weights[f"{at}.down_bias"]
            x = convolution(padded, weight, bias, stride=rate)
        return self.centred("encoder.post", leaky(x))

    def encode(self, samples: Array) -> Array:
        """Returns codes [frames, groups]."""
        return self.quantize(self.latents(samples))
