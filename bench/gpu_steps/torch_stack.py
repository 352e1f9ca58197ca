"""A decoder in plain PyTorch with static caches: what torch.compile gets to make fast.

A step has one row per branch of each request; the conditional rows come first. Keys and values have
a fixed number of positions, all filled, of which the newest is written in each step. Everything is
bfloat16 with random weights; softmax and logits are float32. Guided logits are mixed, and the
largest id of each code is picked and feeds the next step. There is neither sampling nor a prior,
which our own steps have.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, TypeAlias

import torch
import torch.nn.functional as F

from bench.gpu_steps.shapes import LocalShape, StackShape

__all__ = ["Attention", "Decoder", "LocalPicks", "Rows"]

Tensor: TypeAlias = torch.Tensor
Attention: TypeAlias = Literal["sdpa", "explicit"]

_DEVIATION = 0.02
_GUIDANCE = 2.5


@dataclass(frozen=True)
class Rows:
    """The rows of a step.

    Attributes:
        requests: At once.
        is_guided: Whether each has two rows.
        position: Positions of the caches.
        text_len: Text tokens that conditional rows attend to.
    """

    requests: int
    is_guided: bool
    position: int
    text_len: int

    @property
    def count(self) -> int:
        """Rows of all branches."""
        return self.requests * (2 if self.is_guided else 1)


@dataclass
class Layer:
    """The weights and caches of one block. Matrices are [outputs, inputs]."""

    self_norm: Tensor
    qkv: Tensor
    out: Tensor
    ffn_norm: Tensor
    ffn_in: Tensor
    ffn_out: Tensor
    keys: Tensor  # [rows, kv_heads, positions, head_dim]
    values: Tensor
    cross_norm: Tensor | None = None
    cross_q: Tensor | None = None
    cross_out: Tensor | None = None
    cross_keys: Tensor | None = None  # [requests, cross_heads, text_len, cross_dim]
    cross_values: Tensor | None = None


class _Maker:
    """Makes random tensors on a device."""

    def __init__(self, device: str, dtype: torch.dtype) -> None:
        self.device, self.dtype = device, dtype

    def normal(self, *shape: int, deviation: float = _DEVIATION) -> Tensor:
        values = torch.empty(shape, dtype=self.dtype, device=self.device)
        return values.normal_(0.0, deviation)

    def ones(self, *shape: int) -> Tensor:
        return torch.ones(shape, dtype=self.dtype, device=self.device)


def attend(q: Tensor, keys: Tensor, values: Tensor, attention: Attention) -> Tensor:
    """One query row against all positions.

    Args:
        q: [rows, heads, 1, head_dim].
        keys: [rows, kv_heads, positions, head_dim].
        values: As `keys`.
        attention: PyTorch's own function, or products and a softmax.
    """
    if attention == "sdpa":
        is_grouped = q.shape[1] != keys.shape[1]
        return F.scaled_dot_product_attention(q, keys, values, enable_gqa=is_grouped)
    rows, heads, _, width = q.shape
    grouped = q.reshape(rows, keys.shape[1], -1, width)  # heads of one kv head side by side
    scores = torch.matmul(grouped, keys.transpose(2, 3)).float() / math.sqrt(width)
    mixed = torch.matmul(torch.softmax(scores, dim=-1).to(values.dtype), values)
    return mixed.reshape(rows, heads, 1, width)


def rotate(x: Tensor, cosines: Tensor, sines: Tensor) -> Tensor:
    """Rope: x [rows, heads, positions, head_dim] by tables [positions, head_dim]."""
    first, second = x.chunk(2, dim=-1)
    return x * cosines + torch.cat([-second, first], dim=-1) * sines


class Decoder:
    """The blocks, tables and heads of a decoder, with the state of its rows.

    Args:
        shape: Of the decoder.
        rows: Of a step.
        device: Where everything is.
        dtype: Of weights and caches.
    """

    def __init__(
        self,
        shape: StackShape,
        rows: Rows,
        device: str,
        *,
        attention: Attention = "sdpa",
        dtype: torch.dtype = torch.bfloat16,
    ) -> None:
        self.shape, self.rows, self.attention = shape, rows, attention
        make = _Maker(device, dtype)
        self.layers = [self._layer(make) for _ in range(shape.layers)]
        self.table = make.normal(shape.tables * shape.vocab, shape.dim, deviation=1.0)
        self.offsets = torch.arange(shape.tables, device=device) * shape.vocab
        self.ids = torch.zeros(rows.requests, shape.tables, dtype=torch.int64, device=device)
        self.norm_out = make.ones(shape.dim)
        self.head = make.normal(shape.tables * shape.vocab, shape.dim)
        self.place = torch.tensor([rows.position - 1], device=device)
        half = shape.head_dim // 2
        rates = 10000.0 ** (-torch.arange(half, device=device) / half)
        angles = torch.outer(torch.arange(rows.position, device=device), rates).repeat(1, 2)
        self.cosines, self.sines = angles.cos().to(dtype), angles.sin().to(dtype)

    def _layer(self, make: _Maker) -> Layer:
        shape, rows = self.shape, self.rows
        inner = shape.heads * shape.head_dim
        cached = (rows.count, shape.kv_heads, rows.position, shape.head_dim)
        gates = 2 if shape.is_llama else 1
        layer = Layer(
            self_norm=make.ones(shape.dim),
            qkv=make.normal(inner + 2 * shape.kv_heads * shape.head_dim, shape.dim),
            out=make.normal(shape.dim, inner),
            ffn_norm=make.ones(shape.dim),
            ffn_in=make.normal(gates * shape.ffn_dim, shape.dim),
            ffn_out=make.normal(shape.dim, shape.ffn_dim),
            keys=make.normal(*cached, deviation=1.0),
            values=make.normal(*cached, deviation=1.0),
        )
        if shape.cross_heads > 0:
            inner = shape.cross_heads * shape.cross_dim
            text = (rows.requests, shape.cross_heads, rows.text_len, shape.cross_dim)
            layer.cross_norm = make.ones(shape.dim)
            layer.cross_q = make.normal(inner, shape.dim)
            layer.cross_out = make.normal(shape.dim, inner)
            layer.cross_keys = make.normal(*text, deviation=1.0)
            layer.cross_values = make.normal(*text, deviation=1.0)
        return layer

    def norm(self, x: Tensor, weight: Tensor) -> Tensor:
        """The model's norm over the last axis."""
        width = (self.shape.dim,)
        if self.shape.is_llama:
            return F.rms_norm(x, width, weight, 1e-5)
        return F.layer_norm(x, width, weight, None, 1e-5)

    def split(self, x: Tensor, layer: Layer) -> tuple[Tensor, Tensor, Tensor]:
        """Queries, keys and values of rows x [rows, positions, dim]: [rows, heads, positions, .]"""
        shape = self.shape
        heads = F.linear(self.norm(x, layer.self_norm), layer.qkv)
        heads = heads.view(*x.shape[:2], -1, shape.head_dim).transpose(1, 2)
        first, last = shape.heads, shape.heads + shape.kv_heads
        return heads[:, :first], heads[:, first:last], heads[:, last:]

    def feed_forward(self, x: Tensor, layer: Layer) -> Tensor:
        """x [.., dim] behind its norm, through the feed-forward."""
        hidden = F.linear(self.norm(x, layer.ffn_norm), layer.ffn_in)
        if self.shape.is_llama:
            gates, ups = hidden.chunk(2, dim=-1)
            return F.linear(F.silu(gates) * ups, layer.ffn_out)
        return F.linear(F.gelu(hidden, approximate="tanh"), layer.ffn_out)

    def cross(self, x: Tensor, layer: Layer) -> Tensor:
        """x [rows, 1, dim], to whose conditional rows attention to the text is added."""
        if layer.cross_q is None or layer.cross_norm is None or layer.cross_out is None:
            return x
        if layer.cross_keys is None or layer.cross_values is None:
            return x
        count, shape = self.rows.requests, self.shape
        asking = x[:count]
        q = F.linear(self.norm(asking, layer.cross_norm), layer.cross_q)
        q = q.view(count, 1, shape.cross_heads, shape.cross_dim).transpose(1, 2)
        mixed = attend(q, layer.cross_keys, layer.cross_values, self.attention)
        asking = asking + F.linear(mixed.transpose(1, 2).reshape(count, 1, -1), layer.cross_out)
        return torch.cat([asking, x[count:]])

    def hidden(self) -> Tensor:
        """One step up to the last norm: [rows, dim]."""
        shape, rows = self.shape, self.rows
        x = self.table[self.ids + self.offsets].float().mean(dim=1).to(self.table.dtype)
        x = x.unsqueeze(1).repeat(2 if rows.is_guided else 1, 1, 1)
        cosines, sines = self.cosines[self.place], self.sines[self.place]
        for layer in self.layers:
            q, k, v = self.split(x, layer)
            if shape.is_llama:
                q, k = rotate(q, cosines, sines), rotate(k, cosines, sines)
            layer.keys[:, :, self.place] = k
            layer.values[:, :, self.place] = v
            mixed = attend(q, layer.keys, layer.values, self.attention)
            x = x + F.linear(mixed.transpose(1, 2).reshape(rows.count, 1, -1), layer.out)
            x = self.cross(x, layer)
            x = x + self.feed_forward(x, layer)
        return self.norm(x, self.norm_out).squeeze(1)

    def mix(self, logits: Tensor) -> Tensor:
        """Raw logits [rows, ..] to those of the requests [requests, ..]."""
        if not self.rows.is_guided:
            return logits
        given, free = logits.chunk(2)
        return free + _GUIDANCE * (given - free)

    def step(self) -> Tensor:
        """One step; returns the hidden rows, and replaces `ids` by the picked ones."""
        hidden = self.hidden()
        logits = F.linear(hidden, self.head).float()
        logits = self.mix(logits.view(self.rows.count, self.shape.tables, self.shape.vocab))
        self.ids.copy_(logits.argmax(dim=-1))
        return hidden

    def prompt(self, x: Tensor) -> Tensor:
        """The id behind a prompt x [1, positions, dim], whose keys and values are kept."""
        count = x.shape[1]
        cosines, sines = self.cosines[:count], self.sines[:count]
        is_grouped = self.shape.heads != self.shape.kv_heads
        for layer in self.layers:
            q, k, v = self.split(x, layer)
            if self.shape.is_llama:
                q, k = rotate(q, cosines, sines), rotate(k, cosines, sines)
            layer.keys[:, :, :count] = k
            layer.values[:, :, :count] = v
            mixed = F.scaled_dot_product_attention(q, k, v, is_causal=True, enable_gqa=is_grouped)
            x = x + F.linear(mixed.transpose(1, 2).reshape(1, count, -1), layer.out)
            x = x + self.feed_forward(x, layer)
        return F.linear(self.norm(x[:, -1], self.norm_out), self.head).argmax(dim=-1)


class LocalPicks:
    """The local transformer of a decoder, one code after another.

    Args:
        decoder: Whose codes it picks.
        local: Its sizes.
        device: Where everything is.
    """

    def __init__(
        self,
        decoder: Decoder,
        local: LocalShape,
        device: str,
        *,
        dtype: torch.dtype = torch.bfloat16,
    ) -> None:
        self.decoder = decoder
        tables, vocab = decoder.shape.tables, decoder.shape.vocab
        width = local.dim // local.heads
        shape = StackShape(
            local.layers, local.dim, local.ffn_dim, local.heads, local.heads, width, 1, vocab, False
        )
        # Its layers, caches and norms are those of a small decoder of its own.
        rows = Rows(decoder.rows.requests, decoder.rows.is_guided, tables, 0)
        self.stack = Decoder(shape, rows, device, attention="explicit", dtype=dtype)
        make = _Maker(device, dtype)
        self.heads = make.normal(tables, vocab, local.dim)
        self.positions = make.normal(tables, local.dim, deviation=0.3)
        self.in_proj = None
        if local.dim != decoder.shape.dim:
            self.in_proj = make.normal(local.dim, decoder.shape.dim)
        # Tensors of their own, and not views of one, because compiled code copies misaligned views.
        self.places = [torch.tensor([place], device=device) for place in range(tables)]
        self.offsets = [torch.tensor(place * vocab, device=device) for place in range(tables)]
        seen = torch.arange(tables, device=device)
        self.masks = [torch.where(seen <= place, 0.0, -torch.inf) for place in range(tables)]

    def pick(
        self, x: Tensor, place: Tensor, mask: Tensor, head: Tensor, position: Tensor
    ) -> Tensor:
        """The ids [requests] of one place, from its input x [rows, dim]. All arguments are
        tensors, so that one compiled function does for all places.
        """
        stack = self.stack
        x = x if self.in_proj is None else F.linear(x, self.in_proj)
        x = (x + position).unsqueeze(1)
        for layer in stack.layers:
            q, k, v = stack.split(x, layer)
            layer.keys[:, :, place] = k
            layer.values[:, :, place] = v
            scores = torch.matmul(q, layer.keys.transpose(2, 3)).float()
            scores = scores / math.sqrt(stack.shape.head_dim) + mask
            mixed = torch.matmul(torch.softmax(scores, dim=-1).to(v.dtype), layer.values)
            x = x + F.linear(mixed.transpose(1, 2).reshape(x.shape[0], 1, -1), layer.out)
            x = x + stack.feed_forward(x, layer)
        logits = F.linear(x.squeeze(1), head).float()
        return self.decoder.mix(logits).argmax(dim=-1)

    def embed(self, ids: Tensor, offset: Tensor) -> Tensor:
        """The input of the next place: rows of the decoder's table, for each branch."""
        rows = self.decoder.table[ids + offset]
        return rows.repeat(2 if self.decoder.rows.is_guided else 1, 1)
