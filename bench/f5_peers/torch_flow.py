"""F5-TTS v1's network in plain PyTorch: what torch.compile gets to make fast on a GPU.

An evaluation is the original's with both branches in one batch: time and modulation, the input
projection, the position convolutions, the blocks and the output. The text is embedded before it,
once. Queries, keys and values are one product. Everything between two attentions is one function,
so that all blocks share what is compiled; attention is PyTorch's own function.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch.nn.attention import SDPBackend, sdpa_kernel

from bench.f5_peers.ours import Inputs
from ttsrt_rt.convert import open_weights
from ttsrt_rt.synth.f5_layout import GROUPS, HEAD_DIM, TIME, SynthF5

__all__ = ["ATTENTIONS", "COMPILES", "Prepare", "TorchFlow", "compiled", "exact_products", "plain"]

Tensor: TypeAlias = torch.Tensor
Layer: TypeAlias = tuple[Tensor, ...]
Prepare: TypeAlias = Callable[[Callable[..., Any]], Callable[..., Any]]

ATTENTIONS = {"flash": SDPBackend.FLASH_ATTENTION, "cudnn": SDPBackend.CUDNN_ATTENTION}
COMPILES = {"default": None, "max-autotune": "max-autotune-no-cudagraphs"}
_EPSILON = 1e-6
_PREFIX = "ema_model.transformer."
_PARTS = ("attn_norm.linear", "attn.qkv", "attn.to_out.0", "ff.ff.0.0", "ff.ff.2")


@contextmanager
def exact_products() -> Iterator[None]:
    """Products of float32 are of float32, not of TF32, which convolutions are rounded to else."""
    backends: tuple[Any, ...] = (torch.backends.cuda.matmul, torch.backends.cudnn)
    before = [backend.allow_tf32 for backend in backends]
    try:
        for backend in backends:
            backend.allow_tf32 = False
        yield
    finally:
        for backend, is_allowed in zip(backends, before, strict=True):
            backend.allow_tf32 = is_allowed


def plain(function: Callable[..., Any]) -> Callable[..., Any]:
    """Nothing is done to it."""
    return function


def compiled(how: str) -> Prepare:
    """What is done to a function before it is captured; `how` is of COMPILES."""

    def prepare(function: Callable[..., Any]) -> Callable[..., Any]:
        made: Callable[..., Any] = torch.compile(
            function, mode=COMPILES[how], fullgraph=True, dynamic=False
        )
        return made

    return prepare


def rotate(x: Tensor, cosines: Tensor, sines: Tensor) -> Tensor:
    """Rope of neighbours: x [branches, frames, heads, 64] by tables [frames, 1, 32]."""
    first, second = x.float().view(*x.shape[:-1], -1, 2).unbind(-1)
    turned = (first * cosines - second * sines, second * cosines + first * sines)
    return torch.stack(turned, dim=-1).flatten(-2).to(x.dtype)


def modulated(x: Tensor, shift: Tensor, scale: Tensor) -> Tensor:
    """A norm without parameters, and what the time makes of it."""
    return F.layer_norm(x, x.shape[-1:], eps=_EPSILON) * (1 + scale) + shift


def enter(x: Tensor, time: Tensor, layer: Layer, rope: Tensor) -> tuple[Tensor, ...]:
    """A block up to its attention: its modulation; q, k and v [branches, heads, frames, 64]."""
    modulation = F.linear(time, layer[0], layer[1])
    shift, scale = modulation.chunk(6, dim=-1)[:2]
    qkv = F.linear(modulated(x, shift, scale), layer[2], layer[3])
    shape = (*x.shape[:2], 3, -1, HEAD_DIM)
    q, k, v = qkv.view(shape).unbind(2)
    q, k = (rotate(part, rope[0], rope[1]) for part in (q, k))
    return modulation, q.transpose(1, 2), k.transpose(1, 2), v.transpose(1, 2)


def leave(x: Tensor, modulation: Tensor, attended: Tensor, layer: Layer) -> Tensor:
    """A block behind its attention."""
    gate, shift, scale, last = modulation.chunk(6, dim=-1)[2:]
    x = x + gate * F.linear(attended, layer[4], layer[5])
    hidden = F.linear(modulated(x, shift, scale), layer[6], layer[7])
    return x + last * F.linear(F.gelu(hidden, approximate="tanh"), layer[8], layer[9])


def between(
    x: Tensor,
    modulation: Tensor,
    attended: Tensor,
    time: Tensor,
    layer: Layer,
    following: Layer,
    rope: Tensor,
) -> tuple[Tensor, ...]:
    """From one attention to the next: the activations, then what `enter` returns."""
    x = leave(x, modulation, attended, layer)
    return (x, *enter(x, time, following, rope))


def finish(
    x: Tensor, modulation: Tensor, attended: Tensor, time: Tensor, layer: Layer, ends: Layer
) -> Tensor:
    """From the last attention to the velocities."""
    x = leave(x, modulation, attended, layer)
    scale, shift = F.linear(time, ends[0], ends[1]).chunk(2, dim=-1)
    return F.linear(modulated(x, shift, scale), ends[2], ends[3])


class TorchFlow:
    """The network, its weights from a file in the original's layout, and one utterance.

    Args:
        source: The file.
        size: Of the network.
        inputs: Of the utterance.
        device: Where it runs.
        dtype: Of weights and activations, "float32" or "bfloat16".
        attention: Of ATTENTIONS; None lets PyTorch choose.
        prepare: What is done to the functions of an evaluation.
    """

    def __init__(
        self,
        source: Path,
        size: SynthF5,
        inputs: Inputs,
        *,
        device: str,
        dtype: str,
        attention: str | None = None,
        prepare: Prepare = plain,
    ):
        self._device, self._dtype, self._size = device, getattr(torch, dtype), size
        self._attention = attention
        with open_weights(source) as weights:
            self._weights = {
                name.removeprefix(_PREFIX): self._tensor(weights[name].read().copy())
                for name in weights
                if name.startswith(_PREFIX)
            }
        self._layers = [self._layer(f"transformer_blocks.{i}.") for i in range(size.layers)]
        self._ends = (*self._linear("norm_out.linear"), *self._linear("proj_out"))
        self._x, self._cond = self._tensor(inputs.noise), self._tensor(np.zeros_like(inputs.noise))
        self._cond[: len(inputs.prompt)] = self._tensor(inputs.prompt)
        self._rope = self._angles(inputs.frames)
        self._start, self._between, self._finish = (
            prepare(each) for each in (self._begin, between, finish)
        )
        with torch.inference_mode():
            self._texts = torch.stack([self._text(inputs, is_kept) for is_kept in (True, False)])

    def _tensor(self, values: NDArray[Any]) -> Tensor:
        return torch.from_numpy(values).to(self._device, self._dtype)

    def _linear(self, name: str) -> Layer:
        return self._weights[f"{name}.weight"], self._weights[f"{name}.bias"]

    def _layer(self, name: str) -> Layer:
        for part in ("weight", "bias"):
            parts = [self._weights[f"{name}attn.to_{which}.{part}"] for which in "qkv"]
            self._weights[f"{name}attn.qkv.{part}"] = torch.cat(parts)
        return sum((self._linear(name + part) for part in _PARTS), ())

    def _angles(self, frames: int) -> Tensor:
        rates = 10000.0 ** (-torch.arange(0, HEAD_DIM, 2, dtype=torch.float64) / HEAD_DIM)
        angles = torch.outer(torch.arange(frames, dtype=torch.float64), rates)[:, None]
        return torch.stack([angles.cos(), angles.sin()]).float().to(self._device)

    def _text(self, inputs: Inputs, is_kept: bool) -> Tensor:
        """The embedding of the text, or of fillers in its place, [frames, text_dim]."""
        frames, dim = inputs.frames, self._size.text_dim
        ids = torch.zeros(frames, dtype=torch.int64, device=self._device)
        count = min(len(inputs.ids), frames)
        ids[:count] = torch.from_numpy(inputs.ids[:count].astype(np.int64)) + 1
        is_text = (ids > 0)[:, None]
        rates = 10000.0 ** (-torch.arange(0, dim, 2).double() / dim)
        angles = torch.outer(torch.arange(frames).double(), rates)
        places = torch.cat([angles.cos(), angles.sin()], dim=-1).to(self._device, self._dtype)
        rows = self._weights["text_embed.text_embed.weight"][ids if is_kept else ids * 0]
        x = (rows + places) * is_text
        for layer in range(self._size.text_layers):
            x = self._text_block(x, f"text_embed.text_blocks.{layer}.") * is_text
        return x

    def _text_block(self, x: Tensor, name: str) -> Tensor:
        weight, bias = self._linear(name + "dwconv")
        y = F.conv1d(x.T[None], weight, bias, padding=weight.shape[-1] // 2, groups=len(weight))
        factors, shifts = self._linear(name + "norm")
        y = F.layer_norm(y[0].T, x.shape[-1:], factors, shifts, _EPSILON)
        y = F.gelu(F.linear(y, *self._linear(name + "pwconv1")))
        sizes = y.norm(dim=0)
        gamma, beta = (self._weights[f"{name}grn.{which}"][0, 0] for which in ("gamma", "beta"))
        y = gamma * (y * (sizes / (sizes.mean() + _EPSILON))) + beta + y
        return x + F.linear(y, *self._linear(name + "pwconv2"))

    def _begin(self, x: Tensor, cond: Tensor, texts: Tensor, time: Tensor) -> tuple[Tensor, ...]:
        """Up to the first attention: SiLU of the time's embedding, the activations, and `enter`."""
        rates = torch.exp(torch.arange(TIME // 2, device=x.device) * -(math.log(1e4) / 127))
        angles = 1000.0 * time * rates
        waves = torch.cat([angles.sin(), angles.cos()])[None].to(x.dtype)
        embedded = F.silu(F.linear(waves, *self._linear("time_embed.time_mlp.0")))
        embedded = F.silu(F.linear(embedded, *self._linear("time_embed.time_mlp.2")))
        audio = torch.stack([torch.cat([x, each], dim=-1) for each in (cond, cond * 0)])
        rows = F.linear(torch.cat([audio, texts], dim=-1), *self._linear("input_embed.proj"))
        y = rows.transpose(1, 2)
        for place in (0, 2):
            weight, bias = self._linear(f"input_embed.conv_pos_embed.conv1d.{place}")
            y = F.mish(F.conv1d(y, weight, bias, padding=weight.shape[-1] // 2, groups=GROUPS))
        rows = rows + y.transpose(1, 2)
        return (embedded, rows, *enter(rows, embedded, self._layers[0], self._rope))

    def evaluate(self) -> Tensor:
        """The velocities of both branches at time 0, [2, frames, bins]."""
        time = torch.zeros(1, device=self._device)
        embedded, x, *entered = self._start(self._x, self._cond, self._texts, time)
        for layer, following in zip(self._layers, self._layers[1:], strict=False):
            attended = self._attend(*entered[1:])
            x, *entered = self._between(
                x, entered[0], attended, embedded, layer, following, self._rope
            )
        attended = self._attend(*entered[1:])
        made: Tensor = self._finish(x, entered[0], attended, embedded, self._layers[-1], self._ends)
        return made

    def _attend(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        if self._attention is None:
            mixed = F.scaled_dot_product_attention(q, k, v)
        else:
            with sdpa_kernel(ATTENTIONS[self._attention]):
                mixed = F.scaled_dot_product_attention(q, k, v)
        return mixed.transpose(1, 2).flatten(2)

    @torch.inference_mode()
    def velocity(self) -> NDArray[np.float32]:
        """The velocities of both branches at the noise, [2 * frames, bins]."""
        found: NDArray[np.float32] = self.evaluate().flatten(0, 1).float().cpu().numpy()
        return found
