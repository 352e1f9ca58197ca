"""Plans how our tensors of a Vocos vocoder are made of the original ones.

The scale behind each block is multiplied into the block's last matrix, in float32. Kernels of
depthwise convolutions are [taps, channels].
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from ttsrt_rt.convert.lazy_tensor import Array
from ttsrt_rt.convert.tensor_plan import TensorPlan, same
from ttsrt_rt.convert.vocos_model import VocosModel

__all__ = ["KERNEL", "depthwise", "is_unused", "plan_vocoder"]

KERNEL = 7
UNUSED = re.compile(r"feature_extractor\..+|head\.istft\.window")


def is_unused(name: str) -> bool:
    """Whether an original tensor is a window or a filterbank, which are computed here."""
    return UNUSED.fullmatch(name) is not None


def depthwise(source: str, channels: int, taps: int) -> TensorPlan:
    """Returns the plan of a depthwise convolution, stored as [channels, 1, taps]."""
    stored = ((source, (channels, 1, taps)),)
    return TensorPlan((taps, channels), stored, lambda values: values[0][:, 0, :].T)


def plan_vocoder(model: VocosModel, prefix: str = "", source: str = "") -> dict[str, TensorPlan]:
    """Returns how each of our tensors is made, by its name (docs/format.md).

    Args:
        model: the vocoder.
        prefix: what our names begin with.
        source: what the original names begin with.
    """
    plans = {prefix + name: plan for name, plan in _plans(model, source)}
    return plans


def _plans(model: VocosModel, source: str) -> Iterator[tuple[str, TensorPlan]]:
    dim, bins = model.dim, model.n_fft + 2
    backbone = f"{source}backbone"
    yield "embed", same(f"{backbone}.embed.weight", (dim, model.mel_bins, KERNEL))
    yield "embed_bias", same(f"{backbone}.embed.bias", (dim,))
    yield from _norm("norm", f"{backbone}.norm", dim)
    for layer in range(model.layers):
        yield from _layer(model, f"layers.{layer}", f"{backbone}.convnext.{layer}")
    yield from _norm("final_norm", f"{backbone}.final_layer_norm", dim)
    yield "head", same(f"{source}head.out.weight", (bins, dim))
    yield "head_bias", same(f"{source}head.out.bias", (bins,))


def _norm(ours: str, source: str, dim: int) -> Iterator[tuple[str, TensorPlan]]:
    yield ours, same(f"{source}.weight", (dim,))
    yield f"{ours}_bias", same(f"{source}.bias", (dim,))


def _scaled(values: Sequence[Array]) -> Array:
    gamma, matrix = values
    made: Array = gamma.reshape(-1, *[1] * (matrix.ndim - 1)) * matrix
    return made


def _layer(model: VocosModel, new: str, old: str) -> Iterator[tuple[str, TensorPlan]]:
    dim, ffn = model.dim, model.ffn_dim
    yield f"{new}.conv", depthwise(f"{old}.dwconv.weight", dim, KERNEL)
    yield f"{new}.conv_bias", same(f"{old}.dwconv.bias", (dim,))
    yield from _norm(f"{new}.norm", f"{old}.norm", dim)
    yield f"{new}.ffn_in", same(f"{old}.pwconv1.weight", (ffn, dim))
    yield f"{new}.ffn_in_bias", same(f"{old}.pwconv1.bias", (ffn,))
    gamma = (f"{old}.gamma", (dim,))
    for ours, name, shape in (("ffn_out", "weight", (dim, ffn)), ("ffn_out_bias", "bias", (dim,))):
        sources = (gamma, (f"{old}.pwconv2.{name}", shape))
        yield f"{new}.{ours}", TensorPlan(shape, sources, _scaled, computes=True)
