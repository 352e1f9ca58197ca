"""AWQ (Lin et al., "AWQ: Activation-aware Weight Quantization", 2023): finds scales of the inputs
of linear layers that make rounding to 4 bits cost less, folds them into what comes before, and
finds where to clip.

The formulas are those of AutoAWQ, with which losses and scales are compared in the tests. What is
added: plain rounding, without scales, is one of the candidates.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from ttsrt_rt.llm.awq_layer import Floats, Layer, Site, Sites, Taps

__all__ = ["Found", "clip", "fold", "round_to_grid", "search"]

RATIOS = 20
CLIPS = 10  # of the 20 steps from the largest magnitude to 0
CLIP_TOKENS = 512
LEAST_RANGE = 1e-5
UNCLIPPED = ("self_attn.q_proj", "self_attn.k_proj")


@dataclass(frozen=True)
class Found:
    """What a search found for a site.

    Attributes:
        x_mean: mean magnitude of each input.
        w_mean: mean of the weights' magnitudes, each as a share of the largest of its group.
        losses: of each ratio, float64 [20].
        plain_loss: of rounding without scales.
        best: the ratio with the least loss, or -1 where rounding without scales is as good.
        scales: of the inputs, float32; ones without scales.
    """

    x_mean: Floats
    w_mean: Floats
    losses: tuple[float, ...]
    plain_loss: float
    best: int
    scales: Floats


def round_to_grid(weight: Floats, group: int, *, half: bool = False) -> tuple[Floats, ...]:
    """Rounds a matrix to 4 bits with zero points.

    Args:
        weight: float32 [outputs, inputs].
        group: inputs that share a scale, a divisor of their number.
        half: whether scales are those that float16 holds.

    Returns:
        The rounded matrix, and codes, zero points and scales as floats: [outputs, inputs], and
        [outputs, inputs / group] twice.
    """
    grouped = weight.reshape(len(weight), -1, group)
    high, low = grouped.max(axis=-1, keepdims=True), grouped.min(axis=-1, keepdims=True)
    scales = np.maximum(high - low, np.float32(LEAST_RANGE)) / np.float32(15)
    if half:
        scales = scales.astype(np.float16).astype(np.float32)
    zeros = np.clip(-np.rint(low / scales), 0, 15)
    codes = np.clip(np.rint(grouped / scales) + zeros, 0, 15)
    rounded = ((codes - zeros) * scales).reshape(weight.shape)
    return rounded, codes.reshape(weight.shape), zeros[..., 0], scales[..., 0]


def search(layer: Layer, site: Site, means: Floats, inputs: Sequence[Floats], group: int) -> Found:
    """Finds the scales of a site.

    Args:
        layer: the block with its original weights.
        site: the site.
        means: mean magnitude of each input over the whole calibration.
        inputs: rows of the texts that losses are measured on.
        group: inputs that share a scale of the weights.
    """
    weights = [layer.weights[f"{name}.weight"] for name in site.linears]
    w_mean = _weight_means(weights, group)
    exact = [layer.function(site.function, rows, {}) for rows in inputs]

    def loss(scales: Floats | None) -> float:
        changed = {
            name: _rounded(weight, scales, group)
            for name, weight in zip(site.linears, weights, strict=True)
        }
        total, count = 0.0, 0
        for rows, wanted in zip(inputs, exact, strict=True):
            off = (layer.function(site.function, rows, changed) - wanted).astype(np.float64)
            total += float(np.vdot(off, off))
            count += off.size
        return total / count

    plain = loss(None)
    ones = np.ones(weights[0].shape[1], np.float32)
    if site.fold is None:
        return Found(means, w_mean, (), plain, -1, ones)
    tried = [_scales(means, w_mean, step / RATIOS) for step in range(RATIOS)]
    losses = tuple(loss(scales) for scales in tried)
    best = int(np.argmin(losses))
    if plain <= losses[best]:
        return Found(means, w_mean, losses, plain, -1, ones)
    return Found(means, w_mean, losses, plain, best, tried[best])


def fold(layer: Layer, site: Site, scales: Floats) -> None:
    """Multiplies the inputs of a site's weights by the scales, and divides what comes before, so
    that the block computes the same.

    Args:
        layer: the block, whose weights are replaced.
        site: whose linear layers [outputs, inputs] read the scaled inputs.
        scales: of these inputs, float32 [inputs], above 0. Where `site.fold` is a linear layer, its
            outputs are these inputs.
    """
    for name in site.linears:
        layer.weights[f"{name}.weight"] = layer.weights[f"{name}.weight"] * scales
    if site.fold is None:
        return
    weight, bias = f"{site.fold}.weight", f"{site.fold}.bias"
    is_matrix = layer.weights[weight].ndim == 2
    layer.weights[weight] = layer.weights[weight] / (scales[:, None] if is_matrix else scales)
    if bias in layer.weights:
        layer.weights[bias] = layer.weights[bias] / scales


def clip(layer: Layer, sites: Sites, taps: Taps, scales: Mapping[str, Floats], group: int) -> None:
    """Clips the weights of each group where that makes the error of its part of the products
    smaller: those of `layer`, which are folded. Queries and keys are left as they are, as their
    products are multiplied with each other.

    Args:
        layer: the block.
        sites: its sites; linear layers of none are clipped, too.
        taps: inputs before folding: of each site, lists of float32 [rows, inputs].
        scales: of each tap's inputs, float32 [inputs], which were folded.
        group: inputs that share a scale of the weights.
    """
    names = {name: site.tap for site in sites for name in site.linears}
    out = "self_attn.dense" if layer.stack.parallel else "self_attn.o_proj"
    names.setdefault(out, "attn_out")
    for name, tap in names.items():
        if name in UNCLIPPED:
            continue
        rows = np.concatenate(taps.values[tap])
        rows = rows[:: max(1, len(rows) // CLIP_TOKENS)]
        if tap in scales:
            rows = rows / scales[tap]
        layer.weights[f"{name}.weight"] = _clipped(layer.weights[f"{name}.weight"], rows, group)


def _clipped(weight: Floats, rows: Floats, group: int) -> Floats:
    """The weights of each group, not beyond the bound with the least error."""
    grouped = weight.reshape(len(weight), -1, group)
    largest = np.abs(grouped).max(axis=-1, keepdims=True)
    parts = rows.reshape(len(rows), -1, group).transpose(1, 0, 2)
    products = np.matmul(parts.transpose(0, 2, 1), parts).astype(np.float64)  # of inputs, by group
    least = np.full(grouped.shape[:2], np.inf)
    bounds = largest.copy()
    for step in range(CLIPS):
        bound = largest * np.float32(1 - step / 20)
        rounded = round_to_grid(np.clip(grouped, -bound, bound).reshape(weight.shape), group)[0]
        off = (rounded.reshape(grouped.shape) - grouped).astype(np.float64).transpose(1, 0, 2)
        errors = (np.matmul(off, products) * off).sum(axis=-1).T
        better = errors < least
        least = np.where(better, errors, least)
        bounds = np.where(better[..., None], bound, bounds)
    made: Floats = np.clip(grouped, -bounds, bounds).reshape(weight.shape)
    return made


def _rounded(weight: Floats, scales: Floats | None, group: int) -> Floats:
    if scales is None:
        return round_to_grid(weight, group)[0]
    return round_to_grid(weight * scales, group)[0] / scales


def _weight_means(weights: Sequence[Floats], group: int) -> Floats:
    stacked = np.abs(np.concatenate(weights))
    grouped = stacked.reshape(len(stacked), -1, group)
    shares = grouped / (grouped.max(axis=-1, keepdims=True) + np.float32(1e-6))
    means: Floats = shares.reshape(stacked.shape).mean(axis=0, dtype=np.float64).astype(np.float32)
    return means


def _scales(x_mean: Floats, w_mean: Floats, ratio: float) -> Floats:
    made = x_mean**ratio / (w_mean ** (1 - ratio) + np.float32(1e-4))
    made = np.maximum(made, np.float32(1e-4))
    scales: Floats = (made / np.sqrt(made.max() * made.min())).astype(np.float32)
    scales[~np.isfinite(scales)] = 1.0
    return scales
