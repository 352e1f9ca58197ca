"""The Magpie network in plain PyTorch: stacks, caches, encoders, heads. No sampling, no prior rule,
no loop.

What it is for: the torch side of our speed comparison, and an oracle for tests. It is written from
the equations of the model (pre-norm transformer with scale-only layer norm, tanh GELU,
convolutional feed-forward), not from NeMo's code. Decided: one request at a time, its conditional
and unconditional branch as two rows of each product; keys and values of a position are computed
once; the unconditional row skips cross-attention, which there adds exactly zero. Norms, softmax and
logits are float32 whatever the weights are.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

import torch
import torch.nn.functional as F

from ttsrt_rt.convert.magpie_model import MagpieModel, StackConfig

if TYPE_CHECKING:
    from collections.abc import Mapping

Tensor: TypeAlias = torch.Tensor


def layer_norm(x: Tensor, scale: Tensor) -> Tensor:
    """Scale-only layer normalisation over the last axis, eps 1e-5; torch keeps the statistics in
    float32.
    """
    return F.layer_norm(x, (x.shape[-1],), scale, None, 1e-5)


def weighted_softmax(scores: Tensor, weights: Tensor | None) -> Tensor:
    """Softmax over the last axis, then times `weights` and renormalised (the attention prior of
    NeMo).

    scores float32 [heads, queries, text_len]; weights float32 [text_len] or None. The smallest
    normal float32 is added to every weight, so a weight of zero leaves a probability that is tiny,
    not a division by zero.
    """
    p = torch.softmax(scores, dim=-1)
    if weights is None:
        return p
    p = p * (weights + torch.finfo(torch.float32).tiny)
    return p / p.sum(dim=-1, keepdim=True)


class StackCache:
    """What a causal stack keeps of the positions it has seen: keys, values and the tails of its
    convolutions.

    keys, values: [layers, rows, heads, capacity, head_dim]; tails, for kernels above 1: [layers,
    rows, kernel - 1, .].
    """

    def __init__(self, stack: StackConfig, rows: int, capacity: int, like: Tensor) -> None:
        head_dim = stack.dim // stack.heads
        shape = (stack.layers, rows, stack.heads, capacity, head_dim)
        self.keys = like.new_zeros(shape)
        self.values = like.new_zeros(shape)
        self.in_tail = like.new_zeros((stack.layers, rows, stack.kernel - 1, stack.dim))
        self.out_tail = like.new_zeros((stack.layers, rows, stack.kernel - 1, stack.ffn_dim))
        self.length = 0

    def reset(self) -> None:
        """Forget every position."""
        self.length = 0
        self.in_tail.zero_()
        self.out_tail.zero_()


@dataclass(frozen=True)
class CrossMemory:
    """Keys and values of one decoder layer over its memory, [heads, memory_len, head_dim] each;
    text or context.
    """

    keys: Tensor
    values: Tensor
    is_text: bool


@dataclass
class CrossAttention:
    """The memories of one request, and what the prior does to the text layers in this forward pass.

    `weights`: float32 [text_len] or None; `probabilities` receives, per text layer, the mean over
    heads of the last query row of the conditional branch, float32 [text_len].
    """

    memories: list[CrossMemory | None]
    apply_layers: frozenset[int] = frozenset()
    weights: Tensor | None = None

    def __post_init__(self) -> None:
        self.probabilities: dict[int, Tensor] = {}


class Stack:
    """One transformer stack over [rows, positions, dim]."""

    def __init__(self, config: StackConfig, weights: Mapping[str, Tensor], name: str) -> None:
        self.config = config
        self.name = name
        self.head_dim = config.dim // config.heads
        self.positions = weights[f"{name}.positions"]
        self.norm_out = weights.get(f"{name}.norm_out")
        self.layers = [
            {
                key[len(f"{name}.layers.{layer}.") :]: value
                for key, value in weights.items()
                if key.startswith(f"{name}.layers.{layer}.")
            }
            for layer in range(config.layers)
        ]

    def cache(self, rows: int, capacity: int) -> StackCache:
        """An empty cache for `rows` branches and up to `capacity` positions."""
        return StackCache(self.config, rows, capacity, self.positions)

    def __call__(
        self,
        x: Tensor,
        cache: StackCache | None = None,
        cross: CrossAttention | None = None,
        layer_outputs: list[Tensor] | None = None,
    ) -> Tensor:
        """X [rows, n, dim] at the n positions after those in `cache` (none: 0..n-1); returns [rows,
        n, dim].
        """
        start = 0 if cache is None else cache.length
        x = x + self.positions[start : start + x.shape[1]]
        for index, layer in enumerate(self.layers):
            x = x + self._self_attention(x, layer, index, cache, start)
            if cross is not None:
                x = self._add_cross_attention(x, layer, index, cross)
            x = x + self._feed_forward(x, layer, index, cache)
            if layer_outputs is not None:
                layer_outputs.append(x)
        if cache is not None:
            cache.length += x.shape[1]
        return x if self.norm_out is None else layer_norm(x, self.norm_out)

    def _self_attention(
        self,
        x: Tensor,
        layer: Mapping[str, Tensor],
        index: int,
        cache: StackCache | None,
        start: int,
    ) -> Tensor:
        rows, n, dim = x.shape
        qkv = F.linear(layer_norm(x, layer["self_norm"]), layer["self_qkv"])
        q, k, v = qkv.view(rows, n, 3, self.config.heads, self.head_dim).permute(2, 0, 3, 1, 4)
        if cache is not None:
            cache.keys[index, :, :, start : start + n] = k
            cache.values[index, :, :, start : start + n] = v
            k = cache.keys[index, :, :, : start + n]
            v = cache.values[index, :, :, : start + n]
        mask = None
        if (
            self.config.causal and n > 1 and start > 0
        ):  # a later block: row i sees start + i + 1 keys
            mask = torch.ones(n, start + n, dtype=torch.bool, device=x.device).tril(start)
        whole = self.config.causal and n > 1 and start == 0
        y = F.scaled_dot_product_attention(q, k, v, attn_mask=mask, is_causal=whole)
        return F.linear(y.transpose(1, 2).reshape(rows, n, dim), layer["self_out"])

    def _add_cross_attention(
        self, x: Tensor, layer: Mapping[str, Tensor], index: int, cross: CrossAttention
    ) -> Tensor:
        memory = cross.memories[index]
        if memory is None:
            return x
        heads, _, head_dim = memory.keys.shape
        n = x.shape[1]
        query = F.linear(layer_norm(x[0], layer["cross_query_norm"]), layer["cross_q"])
        q = query.view(n, heads, head_dim).transpose(0, 1)
        scores = torch.matmul(q, memory.keys.transpose(1, 2)).float() * head_dim**-0.5
        weights = cross.weights if memory.is_text and index in cross.apply_layers else None
        p = weighted_softmax(scores, weights)
        if memory.is_text:
            cross.probabilities[index] = p[:, -1].mean(dim=0)
        y = torch.matmul(p.to(x.dtype), memory.values).transpose(0, 1).reshape(n, heads * head_dim)
        added = x[:1] + F.linear(y, layer["cross_out"])
        return added if x.shape[0] == 1 else torch.cat([added, x[1:]])

    def _feed_forward(
        self, x: Tensor, layer: Mapping[str, Tensor], index: int, cache: StackCache | None
    ) -> Tensor:
        x = layer_norm(x, layer["ffn_norm"])
        if self.config.kernel == 1:
            hidden = F.gelu(F.linear(x, layer["ffn_in"][:, :, 0]), approximate="tanh")
            return F.linear(hidden, layer["ffn_out"][:, :, 0])
        in_tail = None if cache is None else cache.in_tail[index]
        out_tail = None if cache is None else cache.out_tail[index]
        hidden = F.gelu(self._conv(x, layer["ffn_in"], in_tail), approximate="tanh")
        return self._conv(hidden, layer["ffn_out"], out_tail)

    def _conv(self, x: Tensor, weight: Tensor, tail: Tensor | None) -> Tensor:
        """Convolution over positions; causal ones take `tail` (zeros: the sequence starts) on the
        left and renew it.
        """
        margin = self.config.kernel - 1
        if not self.config.causal:
            return F.conv1d(x.transpose(1, 2), weight, padding=margin // 2).transpose(1, 2)
        left = x.new_zeros((x.shape[0], margin, x.shape[2])) if tail is None else tail
        padded = torch.cat([left, x], dim=1)
        if tail is not None:
            tail.copy_(padded[:, -margin:])
        return F.conv1d(padded.transpose(1, 2), weight).transpose(1, 2)


class TorchMagpie:
    """The network of one checkpoint: embeddings, encoders, decoder, heads, local transformer."""

    def __init__(self, model: MagpieModel, weights: Mapping[str, Tensor]) -> None:
        self.model = model
        self.weights = weights
        self.text_encoder = Stack(model.text_encoder, weights, "text_encoder")
        self.context_encoder = None
        if model.context_encoder is not None:
            self.context_encoder = Stack(model.context_encoder, weights, "context_encoder")
        self.decoder = Stack(model.decoder, weights, "decoder")
        self.local = None
        if model.local_transformer is not None:
            self.local = Stack(model.local_transformer.stack, weights, "local_transformer")
        self.audio = weights["audio_embeddings"]

    def encode_text(self, ids: Tensor, layer_outputs: list[Tensor] | None = None) -> Tensor:
        """int64 [text_len] to [text_len, dim]."""
        features = self.weights["text_embedding"][ids]
        return self.text_encoder(features[None], layer_outputs=layer_outputs)[0]

    def embed_codes(self, codes: Tensor) -> Tensor:
        """int64 [frames, codebooks] to [ceil(frames / S), dim]: the mean over the tables of a
        stack.

        A last stack that is not full is filled with code 0, as the original does.
        """
        model = self.model
        missing = -codes.shape[0] % model.frame_stacking
        stacks = F.pad(codes, (0, 0, 0, missing)).reshape(-1, model.tables)
        table = torch.arange(model.tables, device=codes.device)
        return self.audio[table, stacks].float().mean(dim=1).to(self.audio.dtype)

    def embed_context_text(self, ids: Tensor) -> Tensor:
        """int64 [context_len] to [context_len, dim], from the table this model keeps for them."""
        own = self.model.context_text == "own"
        return self.weights["context_text_embedding" if own else "text_embedding"][ids]

    def embed_context_codes(self, codes: Tensor) -> Tensor:
        """int64 [frames, codebooks], special columns included, to context rows before any encoder.

        Models that also take context text count the context in frames, not stacks, and leave the
        rest zero: with stacked frames half of such a context is zeros that are attended to. Kept,
        since they were trained so.
        """
        rows = self.embed_codes(codes)
        if self.model.context_text != "none":
            rows = F.pad(rows, (0, 0, 0, codes.shape[0] - rows.shape[0]))
        return rows

    def encode_context(self, rows: Tensor) -> Tensor:
        """[n, dim] through the context encoder, where there is one."""
        if self.context_encoder is None:
            return rows
        return self.context_encoder(rows[None])[0]

    def project_memory(self, text: Tensor, context: Tensor | None) -> list[CrossMemory | None]:
        """Keys and values of every decoder layer over text [text_len, dim] or context [context_len,
        dim].
        """
        decoder = self.model.decoder
        memories: list[CrossMemory | None] = []
        for index, layer in enumerate(self.decoder.layers):
            is_text = index in decoder.text_layers and index not in decoder.context_layers
            memory = text if is_text else context
            if memory is None or not (is_text or index in decoder.context_layers):
                memories.append(None)
                continue
            if decoder.memory_norm:
                memory = layer_norm(memory, layer["cross_memory_norm"])
            kv = F.linear(memory, layer["cross_kv"])
            kv = kv.view(-1, 2, decoder.cross_heads, decoder.cross_head_dim).permute(1, 2, 0, 3)
            memories.append(CrossMemory(kv[0].contiguous(), kv[1].contiguous(), is_text))
        return memories

    def head_logits(self, hidden: Tensor) -> Tensor:
        """[rows, dim] to float32 [rows, C*S, V] of the decoder's own heads."""
        z = F.linear(hidden, self.weights["final_proj"], self.weights["final_proj_bias"])
        return z.float().view(hidden.shape[0], self.model.tables, self.model.codebook_vocab)

    def local_input(self, x: Tensor) -> Tensor:
        """[..., dim] to the width of the local transformer."""
        if "local_transformer.in_proj" not in self.weights:
            return x
        w = self.weights
        return F.linear(x, w["local_transformer.in_proj"], w["local_transformer.in_proj_bias"])

    def local_logits(self, hidden: Tensor, table: int) -> Tensor:
        """[rows, h] to float32 [rows, V] of the head of `table`."""
        heads, bias = (
            self.weights["local_transformer.heads"],
            self.weights["local_transformer.heads_bias"],
        )
        return F.linear(hidden, heads[table], bias[table]).float()
