"""A block of a Llama or a Phi in NumPy, float32, written apart from the library: what its own
layers are compared with.

    Llama   x += o(attention(q, k, v of n1(x))); x += down(silu(gate(n2(x))) * up(n2(x)))
    Phi     n = norm(x); x + dense(attention(q, k, v of n)) + fc2(gelu(fc1(n)))
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ttsrt_rt.convert.llm_config import LlmStack
from ttsrt_rt.llm.awq_layer import QKV, Floats, Taps

GELU = np.float32(np.sqrt(2 / np.pi))


@dataclass(frozen=True)
class Rope:
    """Cosines and sines of a rotation, float32 [positions, dims / 2]."""

    dims: int
    cosines: Floats
    sines: Floats

    @staticmethod
    def of(stack: LlmStack, positions: int) -> Rope:
        """Computes them for the first positions."""
        rope: Mapping[str, Any] = stack.rope
        dims = int(rope["dims"])
        powers = np.arange(0, dims, 2, dtype=np.float64) / dims
        speeds = 1.0 / float(rope["theta"]) ** powers
        if rope["kind"] == "linear":
            speeds = speeds / float(rope["factor"])
        if rope["kind"] == "llama3":
            speeds = _rescaled(speeds, rope)
        angles = np.arange(positions, dtype=np.float64)[:, None] * speeds
        return Rope(dims, np.cos(angles).astype(np.float32), np.sin(angles).astype(np.float32))

    def turn(self, heads: Floats) -> Floats:
        """Rotates [rows, heads, head_dim] in pairs (j, j + dims / 2)."""
        half = self.dims // 2
        rows = len(heads)
        cos, sin = self.cosines[:rows, None], self.sines[:rows, None]
        a, b = heads[..., :half], heads[..., half : self.dims]
        turned = (a * cos - b * sin, b * cos + a * sin, heads[..., self.dims :])
        return np.concatenate(turned, axis=-1)


def _rescaled(speeds: npt.NDArray[np.float64], rope: Mapping[str, Any]) -> Any:
    """The speeds of Llama 3: those of long waves are divided, those between are mixed."""
    waves = 2 * np.pi / speeds
    low, high = float(rope["low_freq_factor"]), float(rope["high_freq_factor"])
    original = float(rope["original_positions"])
    slow = speeds / float(rope["factor"])
    share = (original / waves - low) / (high - low)
    mixed = (1 - share) * slow + share * speeds
    return np.where(waves < original / high, speeds, np.where(waves > original / low, slow, mixed))


class NumpyLayer:
    """A block with its weights.

    Attributes:
        weights: matrices [outputs, inputs], biases and norms by their names inside the block, such
            as "mlp.fc1.weight".
    """

    def __init__(self, stack: LlmStack, weights: Mapping[str, Floats], rope: Rope) -> None:
        """Keeps the weights; they may be replaced later."""
        self.stack = stack
        self.weights = dict(weights)
        self.rope = rope

    def linear(self, name: str, rows: Floats, weight: Floats | None = None) -> Floats:
        """Returns x * W^T + b; `weight` stands in for the layer's own."""
        made: Floats = rows @ (self.weights[f"{name}.weight"] if weight is None else weight).T
        bias = self.weights.get(f"{name}.bias")
        return made if bias is None else made + bias

    def norm(self, name: str, rows: Floats) -> Floats:
        """Returns what a norm makes of rows, float32 [rows, dim] both."""
        weight, epsilon = self.weights[f"{name}.weight"], np.float32(self.stack.norm_epsilon)
        if self.stack.norm == "layer":
            off = rows - rows.mean(axis=-1, keepdims=True)
            spread = np.sqrt((off * off).mean(axis=-1, keepdims=True) + epsilon)
            made: Floats = off / spread * weight + self.weights[f"{name}.bias"]
            return made
        size = np.sqrt((rows * rows).mean(axis=-1, keepdims=True) + epsilon)
        scaled: Floats = rows / size * weight
        return scaled

    def attended(self, normed: Floats, changed: Mapping[str, Floats]) -> Floats:
        """Returns the mixed values of all heads [rows, heads * head_dim], the input of the last
        linear layer of attention. `changed` has weights that stand in for the block's own.
        """
        stack, rows = self.stack, len(normed)
        query, key, value = (self.linear(name, normed, changed.get(name)) for name in QKV)
        heads = self.rope.turn(query.reshape(rows, stack.heads, stack.head_dim))
        keys = self.rope.turn(key.reshape(rows, stack.kv_heads, stack.head_dim))
        values = value.reshape(rows, stack.kv_heads, stack.head_dim)
        share = stack.heads // stack.kv_heads
        scale = stack.attention_scale or 1.0 / np.sqrt(stack.head_dim)
        later = np.triu(np.ones((rows, rows), bool), 1)
        made = np.empty((rows, stack.heads, stack.head_dim), np.float32)
        for head in range(stack.heads):
            scores = heads[:, head] @ keys[:, head // share].T * np.float32(scale)
            scores[later] = -np.inf
            powers = np.exp(scores - scores.max(axis=-1, keepdims=True))
            made[:, head] = powers / powers.sum(axis=-1, keepdims=True) @ values[:, head // share]
        return made.reshape(rows, -1)

    def hidden(self, normed: Floats, changed: Mapping[str, Floats]) -> Floats:
        """Returns the input of the last linear layer of the feed-forward part."""
        if self.stack.gated:
            gate, up = (
                self.linear(name, normed, changed.get(name))
                for name in ("mlp.gate_proj", "mlp.up_proj")
            )
            gated: Floats = gate / (1 + np.exp(-gate)) * up
            return gated
        inner = self.linear("mlp.fc1", normed, changed.get("mlp.fc1"))
        cubic = inner + np.float32(0.044715) * inner * inner * inner
        made: Floats = np.float32(0.5) * inner * (1 + np.tanh(GELU * cubic))
        return made

    def run(self, rows: Floats, taps: Taps) -> Floats:
        """Runs the rows of one text through the block.

        Args:
            rows: float32 [rows, dim], no more than the positions of `rope`.
            taps: takes the inputs of the linear layers: "attn_in" and "mlp_in" [rows, dim],
                "attn_out" [rows, heads * head_dim] and "mlp_out" [rows, ffn_dim].

        Returns:
            float32 [rows, dim].
        """
        normed = self.norm("input_layernorm", rows)
        taps.add("attn_in", normed)
        mixed = self.attended(normed, {})
        taps.add("attn_out", mixed)
        if self.stack.parallel:
            inner = self.hidden(normed, {})
            taps.add("mlp_out", inner)
            both = self.linear("self_attn.dense", mixed) + self.linear("mlp.fc2", inner)
            return both + rows
        rows = rows + self.linear("self_attn.o_proj", mixed)
        normed = self.norm("post_attention_layernorm", rows)
        taps.add("mlp_in", normed)
        inner = self.hidden(normed, {})
        taps.add("mlp_out", inner)
        return rows + self.linear("mlp.down_proj", inner)

    def function(self, name: str, rows: Floats, changed: Mapping[str, Floats]) -> Floats:
        """Returns what a site's loss is measured on, of the rows of one text.

        Args:
            name: `Site.function`.
            rows: the input of the site, float32 [rows, inputs].
            changed: weights that stand in for the block's own, by the names of their layers.

        Returns:
            float32 [rows, outputs], of the function.
        """
        parallel = self.stack.parallel
        if name in ("attention", "both"):
            out = "self_attn.dense" if parallel else "self_attn.o_proj"
            mixed = self.linear(out, self.attended(rows, changed))
            if name == "attention":
                return mixed
            return mixed + self.linear("mlp.fc2", self.hidden(rows, changed))
        if name == "mlp":
            return self.linear("mlp.down_proj", self.hidden(rows, changed))
        return self.linear(name, rows, changed.get(name))
