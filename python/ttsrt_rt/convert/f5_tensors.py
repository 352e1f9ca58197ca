"""Plans how our tensors of F5-TTS are made of the original ones.

Queries, keys and values are one matrix. Heads that are rotated have their channels reordered, from
pairs of neighbours to halves. The matrix of the inputs is split into its columns for the noisy
spectrogram, the given one and the text. All matrices that turn the time into shifts, scales and
gates are one. Kernels of depthwise convolutions are [taps, channels], and groups of the position
convolution are joined where they have fewer than 16 channels.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence

import numpy as np

from ttsrt_rt.convert.f5_model import CONV_GROUPS, TIME_WIDTH, F5Model, merged_groups
from ttsrt_rt.convert.lazy_tensor import Array
from ttsrt_rt.convert.tensor_plan import Make, TensorPlan, same, stacked
from ttsrt_rt.convert.vocos_tensors import KERNEL, depthwise

__all__ = ["is_unused", "plan_tensors"]

UNUSED = re.compile(r"rotary_embed\.inv_freq")
MODULATIONS = 6  # of a block: shift, scale and gate, of attention and of the feed-forward
Plans = Iterator[tuple[str, TensorPlan]]


def is_unused(name: str) -> bool:
    """Whether an original tensor holds constants that are computed here."""
    return UNUSED.fullmatch(name) is not None


def plan_tensors(model: F5Model) -> dict[str, TensorPlan]:
    """Returns how each of our tensors is made, by its name (docs/format.md)."""
    plans: dict[str, TensorPlan] = {}
    for part in (_text, _time, _inputs, _position_conv, _blocks, _outputs):
        plans |= dict(part(model))
    return plans


def _linear(ours: str, source: str, outputs: int, inputs: int) -> Plans:
    yield ours, same(f"{source}.weight", (outputs, inputs))
    yield f"{ours}_bias", same(f"{source}.bias", (outputs,))


def _text(model: F5Model) -> Plans:
    dim, wide = model.text_dim, 2 * model.text_dim
    rows = (model.text_vocab + 1, dim)
    yield "text_embedding", same("text_embed.text_embed.weight", rows)
    for layer in range(model.text_layers):
        old, new = f"text_embed.text_blocks.{layer}", f"text.layers.{layer}"
        yield f"{new}.conv", depthwise(f"{old}.dwconv.weight", dim, KERNEL)
        yield f"{new}.conv_bias", same(f"{old}.dwconv.bias", (dim,))
        yield f"{new}.norm", same(f"{old}.norm.weight", (dim,))
        yield f"{new}.norm_bias", same(f"{old}.norm.bias", (dim,))
        yield from _linear(f"{new}.ffn_in", f"{old}.pwconv1", wide, dim)
        for name in ("gamma", "beta"):
            yield f"{new}.grn_{name}", same(f"{old}.grn.{name}", (1, 1, wide), (wide,))
        yield from _linear(f"{new}.ffn_out", f"{old}.pwconv2", dim, wide)


def _time(model: F5Model) -> Plans:
    yield from _linear("time.in", "time_embed.time_mlp.0", model.dim, TIME_WIDTH)
    yield from _linear("time.out", "time_embed.time_mlp.2", model.dim, model.dim)
    layers = [f"transformer_blocks.{layer}.attn_norm.linear" for layer in range(model.layers)]
    sizes = [MODULATIONS * model.dim] * model.layers + [2 * model.dim]
    sources = list(zip([*layers, "norm_out.linear"], sizes, strict=True))
    yield "modulation", stacked([(f"{name}.weight", (rows, model.dim)) for name, rows in sources])
    yield "modulation_bias", stacked([(f"{name}.bias", (rows,)) for name, rows in sources])


def _columns(begin: int, end: int) -> Make:
    return lambda values: values[0][:, begin:end]


def _inputs(model: F5Model) -> Plans:
    mel, name = model.mel_bins, "input_embed.proj"
    whole = (model.dim, 2 * mel + model.text_dim)
    ends = {"noisy": (0, mel), "cond": (mel, 2 * mel), "text": (2 * mel, whole[1])}
    for ours, (begin, end) in ends.items():
        yield (
            f"input.{ours}",
            TensorPlan(
                (model.dim, end - begin), ((f"{name}.weight", whole),), _columns(begin, end)
            ),
        )
    yield "input_bias", same(f"{name}.bias", (model.dim,))


def _position_conv(model: F5Model) -> Plans:
    width, merged = model.dim // CONV_GROUPS, merged_groups(model.dim)

    def join(values: Sequence[Array]) -> Array:
        made = np.zeros((model.dim, merged * width, model.conv_kernel), values[0].dtype)
        for group in range(CONV_GROUPS):
            rows, place = group * width, group % merged * width
            made[rows : rows + width, place : place + width] = values[0][rows : rows + width]
        return made

    stored = (model.dim, width, model.conv_kernel)
    shape = (model.dim, merged * width, model.conv_kernel)
    for ours, index in ((0, 0), (1, 2)):
        old, new = f"input_embed.conv_pos_embed.conv1d.{index}", f"position_conv.{ours}"
        make = None if merged == 1 else join
        yield new, TensorPlan(shape, ((f"{old}.weight", stored),), make)
        yield f"{new}_bias", same(f"{old}.bias", (model.dim,))


def _rotated(model: F5Model, parts: int) -> Callable[[Sequence[Array]], Array]:
    """Returns what reorders the rows of rotated heads in the first `parts` of stacked matrices."""
    size = model.head_dim
    halves = np.concatenate([np.arange(0, size, 2), np.arange(1, size, 2)])
    order = np.arange(3 * model.heads * size).reshape(3, model.heads, size)
    for part in range(parts):
        for head in range(model.rope_heads or model.heads):
            order[part, head] = order[part, head][halves]
    flat = order.reshape(-1)
    return lambda values: values[0][flat[: len(values[0])]]


def _blocks(model: F5Model) -> Plans:
    dim, width = model.dim, model.heads * model.head_dim
    for layer in range(model.layers):
        old, new = f"transformer_blocks.{layer}", f"decoder.layers.{layer}"
        parts = [f"{old}.attn.{name}" for name in ("to_q", "to_k", "to_v")]
        reorder = _rotated(model, 2)
        weights = [(f"{part}.weight", (width, dim)) for part in parts]
        biases = [(f"{part}.bias", (width,)) for part in parts]
        yield f"{new}.self_qkv", stacked(weights, reorder)
        yield f"{new}.self_qkv_bias", stacked(biases, reorder)
        if model.qk_norm:
            for name in ("q_norm", "k_norm"):
                yield f"{new}.{name}", _head_norm(model, f"{old}.attn.{name}.weight")
        yield from _linear(f"{new}.self_out", f"{old}.attn.to_out.0", dim, width)
        yield from _linear(f"{new}.ffn_in", f"{old}.ff.ff.0.0", model.ffn_dim, dim)
        yield from _linear(f"{new}.ffn_out", f"{old}.ff.ff.2", dim, model.ffn_dim)


def _head_norm(model: F5Model, source: str) -> TensorPlan:
    """Returns the plan of a norm's scale: one for each head, reordered where it is rotated."""
    reorder = _rotated(model, 1)

    def repeat(values: Sequence[Array]) -> Array:
        return reorder([np.tile(values[0], model.heads)])

    shape = (model.heads * model.head_dim,)
    return TensorPlan(shape, ((source, (model.head_dim,)),), repeat)


def _outputs(model: F5Model) -> Plans:
    if model.long_skip:
        source = (("long_skip_connection.weight", (model.dim, 2 * model.dim)),)
        for ours, begin in (("hidden", 0), ("input", model.dim)):
            columns = _columns(begin, begin + model.dim)
            yield f"long_skip.{ours}", TensorPlan((model.dim, model.dim), source, columns)
    yield from _linear("output", "proj_out", model.mel_bins, model.dim)
