"""F5-TTS and Vocos in NumPy, over the tensors of our checkpoints: the maths in the order in which a
paper would write it. It checks converters without an engine, and is the oracle of test cases that
are not stored.

Differs from the original in nothing but rounding. Every sample is computed alone, with the
statistics of its own length.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ttsrt_rt.convert import open_weights

Array = NDArray[Any]
EPSS = {
    5: [0, 2, 4, 8, 16, 32],
    6: [0, 2, 4, 6, 8, 16, 32],
    7: [0, 2, 4, 6, 8, 16, 24, 32],
    10: [0, 2, 4, 6, 8, 12, 16, 20, 24, 28, 32],
    12: [0, 2, 4, 6, 8, 10, 12, 14, 16, 20, 24, 28, 32],
    16: [0, 1, 2, 3, 4, 5, 6, 7, 8, 10, 12, 14, 16, 20, 24, 28, 32],
}


def erf(x: Array) -> Array:
    """Error function, within 2e-16 of max|erf|: Taylor inside 3, a continued fraction outside."""
    near = np.clip(x, -3, 3)
    term, total = near.copy(), near.copy()
    for n in range(1, 80):
        term = -term * near * near / n
        total += term / (2 * n + 1)
    far = np.maximum(np.abs(x), 2.5)
    fraction = far.copy()
    for n in range(60, 0, -1):
        fraction = far + n / 2 / fraction
    tail = 1 - np.exp(-far * far) / fraction / np.sqrt(np.pi)
    return np.where(np.abs(x) < 3, 2 / np.sqrt(np.pi) * total, np.sign(x) * tail)


def gelu(x: Array) -> Array:
    return 0.5 * x * (1 + erf(x / np.sqrt(2)))


def gelu_tanh(x: Array) -> Array:
    return 0.5 * x * (1 + np.tanh(np.sqrt(2 / np.pi) * (x + 0.044715 * x**3)))


def silu(x: Array) -> Array:
    return x / (1 + np.exp(-x))


def mish(x: Array) -> Array:
    return x * np.tanh(np.logaddexp(0, x))


def layer_norm(x: Array, scale: Array | float = 1.0, bias: Array | float = 0.0) -> Array:
    centred = x - x.mean(-1, keepdims=True)
    return centred / np.sqrt((centred**2).mean(-1, keepdims=True) + 1e-6) * scale + bias


def depthwise(x: Array, kernel: Array, bias: Array) -> Array:
    """x [rows, channels], kernel [taps, channels]."""
    half = len(kernel) // 2
    padded = np.pad(x, ((half, half), (0, 0)))
    return sum(padded[i : i + len(x)] * tap for i, tap in enumerate(kernel)) + bias


def convolution(x: Array, kernel: Array, bias: Array, groups: int) -> Array:
    """x [rows, channels], kernel [outputs, channels / groups, taps]."""
    outputs, width, taps = kernel.shape
    padded = np.pad(x, ((taps // 2, taps // 2), (0, 0)))
    made = np.zeros((len(x), outputs), x.dtype)
    per = outputs // groups
    for group in range(groups):
        part = padded[:, group * width : (group + 1) * width]
        rows = slice(group * per, (group + 1) * per)
        for tap in range(taps):
            made[:, rows] += part[tap : tap + len(x)] @ kernel[rows, :, tap].T
    return made + bias


class Reference:
    """One checkpoint of ours, in float64."""

    def __init__(self, folder: Path) -> None:
        self.config: Mapping[str, Any] = json.loads((folder / "config.json").read_text("utf-8"))
        with open_weights(folder / "model.safetensors") as weights:
            self.weights = {name: weights[name].read().astype(np.float64) for name in weights}
        self.model = self.config["model"]

    def linear(self, name: str, x: Array, bias: str | None = None) -> Array:
        return x @ self.weights[name].T + self.weights[f"{name}_bias" if bias is None else bias]

    def text(self, ids: list[int], frames: int, *, dropped: bool) -> Array:
        model, weights = self.model, self.weights
        tokens = np.zeros(frames, np.int64)
        tokens[: len(ids)] = np.array(ids[:frames]) + 1
        is_filler = tokens == 0
        x = weights["text_embedding"][tokens * (not dropped)]
        half = model["text_dim"] // 2
        angles = np.arange(frames)[:, None] * 10000.0 ** (-np.arange(half) / half)
        x = x + np.concatenate([np.cos(angles), np.sin(angles)], 1)
        mask = (~is_filler)[:, None] if model["text_mask_padding"] else np.ones((frames, 1))
        x = x * mask
        for layer in range(model["text_layers"]):
            at = f"text.layers.{layer}"
            y = depthwise(x, weights[f"{at}.conv"], weights[f"{at}.conv_bias"])
            y = layer_norm(y, weights[f"{at}.norm"], weights[f"{at}.norm_bias"])
            y = gelu(self.linear(f"{at}.ffn_in", y))
            norms = np.sqrt((y**2).sum(0))
            y = weights[f"{at}.grn_gamma"] * y * (norms / (norms.mean() + 1e-6)) + (
                weights[f"{at}.grn_beta"] + y
            )
            x = (x + self.linear(f"{at}.ffn_out", y)) * mask
        if model["text_average_upsampling"]:
            rows = x[~is_filler]
            whole, rest = divmod(frames, len(rows))
            counts = np.full(len(rows), whole)
            counts[len(rows) - rest :] += 1
            x = np.repeat(rows, counts, 0)
        return x

    def modulation(self, time: float) -> Array:
        frequencies = np.exp(-np.arange(128) * np.log(10000) / 127)
        angles = 1000 * time * frequencies
        t = self.linear("time.in", np.concatenate([np.sin(angles), np.cos(angles)]))
        return self.linear("modulation", silu(self.linear("time.out", silu(t))))

    def attention(self, at: str, x: Array) -> Array:
        model, weights = self.model, self.weights
        heads, size = model["heads"], model["head_dim"]
        qkv = self.linear(f"{at}.self_qkv", x).reshape(len(x), 3, heads, size)
        query, key, value = (qkv[:, part] for part in range(3))
        if model["qk_norm"]:
            for part, name in ((query, "q_norm"), (key, "k_norm")):
                scale = np.sqrt((part**2).mean(-1, keepdims=True) + 1e-6)
                part[:] = part / scale * weights[f"{at}.{name}"].reshape(heads, size)
        angles = np.arange(len(x))[:, None] * 10000.0 ** (-np.arange(0, size, 2) / size)
        for head in range(model["rope_heads"] or heads):
            for part in (query, key):
                one, two = part[:, head, : size // 2].copy(), part[:, head, size // 2 :].copy()
                part[:, head, : size // 2] = one * np.cos(angles) - two * np.sin(angles)
                part[:, head, size // 2 :] = two * np.cos(angles) + one * np.sin(angles)
        made = np.empty_like(query)
        for head in range(heads):
            scores = query[:, head] @ key[:, head].T / np.sqrt(size)
            scores = np.exp(scores - scores.max(1, keepdims=True))
            made[:, head] = scores / scores.sum(1, keepdims=True) @ value[:, head]
        return self.linear(f"{at}.self_out", made.reshape(len(x), -1))

    def evaluate(self, x: Array, cond: Array, text: Array, time: float) -> Array:
        """Returns the velocity [frames, bins] of one branch."""
        model, weights, dim = self.model, self.weights, self.model["dim"]
        h = x @ weights["input.noisy"].T + cond @ weights["input.cond"].T
        h = h + text @ weights["input.text"].T + weights["input_bias"]
        y = h
        for index in (0, 1):
            name = f"position_conv.{index}"
            y = mish(convolution(y, weights[name], weights[f"{name}_bias"], model["conv_groups"]))
        h = first = h + y
        rows = self.modulation(time).reshape(-1, dim)
        for layer in range(model["layers"]):
            at = f"decoder.layers.{layer}"
            shift, scale, gate, shift2, scale2, gate2 = rows[6 * layer : 6 * layer + 6]
            h = h + gate * self.attention(at, layer_norm(h) * (1 + scale) + shift)
            y = self.linear(f"{at}.ffn_in", layer_norm(h) * (1 + scale2) + shift2)
            h = h + gate2 * self.linear(f"{at}.ffn_out", gelu_tanh(y))
        if model["long_skip"]:
            h = h @ weights["long_skip.hidden"].T + first @ weights["long_skip.input"].T
        scale, shift = rows[-2:]
        return self.linear("output", layer_norm(h) * (1 + scale) + shift)

    def guided(self, x: Array, cond: Array, ids: list[int], time: float, cfg: float) -> Array:
        texts = [self.text(ids, len(x), dropped=dropped) for dropped in (False, True)]
        with_both = self.evaluate(x, cond, texts[0], time)
        if cfg < 1e-5:
            return with_both
        return with_both + (with_both - self.evaluate(x, np.zeros_like(cond), texts[1], time)) * cfg

    def sample(self, cond: Array, ids: list[int], noise: Array, **flow: Any) -> Array:
        """Returns the spectrogram; `flow` has the fields of a request, and `lens`."""
        lens = flow.get("lens", len(cond))
        given = np.zeros_like(noise, np.float64)
        given[: len(cond)] = cond
        mask = np.arange(len(noise)) < lens
        if flow.get("edit_mask") is not None:
            mask[: len(cond)] &= flow["edit_mask"]
        if flow.get("no_ref_audio"):
            given[:] = 0
        seen = np.where(mask[:, None], given, 0)
        y = noise.astype(np.float64)
        times = time_grid(flow.get("steps", 32), flow.get("sway"), flow.get("use_epss", True))
        for now, then in pairwise(times):
            step = then - now
            v = self.guided(y, seen, ids, now, flow.get("cfg", 2.0))
            if flow.get("method") == "midpoint":
                half = y + step / 2 * v
                v = self.guided(half, seen, ids, now + step / 2, flow.get("cfg", 2.0))
            y = y + step * v
        return np.where(mask[:, None], given, y)


def time_grid(steps: int, sway: float | None, use_epss: bool) -> Array:
    """Returns the steps + 1 points of time."""
    t = np.linspace(0, 1, steps + 1)
    if use_epss and steps in EPSS:
        t = np.array(EPSS[steps]) / 32
    return t + (sway or 0) * (np.cos(np.pi / 2 * t) - 1 + t)


def decode(weights: Mapping[str, Array], model: Mapping[str, Any], mel: Array) -> Array:
    """Vocos: mel [frames, bins] to samples; weights by our names without a prefix."""

    def linear(name: str, x: Array) -> Array:
        return x @ weights[name].T + weights[f"{name}_bias"]

    x = convolution(mel.astype(np.float64), weights["embed"], weights["embed_bias"], 1)
    x = layer_norm(x, weights["norm"], weights["norm_bias"])
    for layer in range(model["layers"]):
        at = f"layers.{layer}"
        y = depthwise(x, weights[f"{at}.conv"], weights[f"{at}.conv_bias"])
        y = layer_norm(y, weights[f"{at}.norm"], weights[f"{at}.norm_bias"])
        x = x + linear(f"{at}.ffn_out", gelu(linear(f"{at}.ffn_in", y)))
    x = linear("head", layer_norm(x, weights["final_norm"], weights["final_norm_bias"]))
    size, hop = model["n_fft"], model["hop"]
    bins = size // 2 + 1
    spectrum = np.minimum(np.exp(x[:, :bins]), 100) * np.exp(1j * x[:, bins:])
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(size) / size)
    frames = np.fft.irfft(spectrum, size) * window
    whole, squares = (np.zeros((len(x) - 1) * hop + size) for _ in range(2))
    for index, frame in enumerate(frames):
        whole[index * hop : index * hop + size] += frame
        squares[index * hop : index * hop + size] += window**2
    cut = size // 2 if model["padding"] == "center" else (size - hop) // 2
    return whole[cut:-cut] / squares[cut:-cut]
