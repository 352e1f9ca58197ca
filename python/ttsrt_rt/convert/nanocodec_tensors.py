"""Plans how our tensors of a NanoCodec are made of the original ones.

Weight norm is folded, in float64: a kernel is its direction divided by the norm of all axes but the
first, times a gain for each index of the first. That axis is the file's first one: the outputs, but
of upsamplers the inputs.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import TypeVar

import numpy as np

from ttsrt_rt.convert.lazy_tensor import Array
from ttsrt_rt.convert.nanocodec_model import CodecCoder, CodecModel
from ttsrt_rt.convert.tensor_plan import Shape, TensorPlan, same
from ttsrt_rt.errors import FormatError

__all__ = ["PARTS", "fold_weight_norm", "is_unused", "plan_codec", "rename_norms"]

PARTS = ("audio_decoder", "audio_encoder", "vector_quantizer")
GAIN, DIRECTION = "parametrizations.weight.original0", "parametrizations.weight.original1"
OLD_NORMS = {"weight_g": GAIN, "weight_v": DIRECTION}
# What codecs have for training, and what follows from the configuration.
UNUSED_MODULES = (
    *("discriminator", "mel_loss_fn", "stft_loss_fn", "time_domain_loss_fn", "si_sdr_loss_fn"),
    *("gen_loss_fn", "disc_loss_fn", "feature_loss_fn", "mmd_loss_fn", "mmd_time_loss_fn"),
    *("slm_encoder", "slm_predictor", "slm_loss_fn", "speaker_encoder"),
    *("speaker_encoder_resampler", "encoder_noise"),
)
UNUSED = re.compile(
    rf"(?:{'|'.join(UNUSED_MODULES)})\..+"
    r"|vector_quantizer\.fsqs\.\d+\.(?:dim_base_index|num_levels)"
    r"|audio_(?:de|en)coder\..+\.(?:stride|kernel_size|padding_total)"
)

T = TypeVar("T")
Plans = Iterator[tuple[str, TensorPlan]]


def is_unused(name: str, *, has_encoder: bool) -> bool:
    """Whether an original tensor has no use here."""
    if not has_encoder and name.startswith("audio_encoder."):
        return True
    return UNUSED.fullmatch(name) is not None


def rename_norms(tensors: Mapping[str, T]) -> dict[str, T]:
    """Returns tensors with the names that weight norm has today in place of its old ones."""
    made: dict[str, T] = {}
    for name, tensor in tensors.items():
        head, _, last = name.rpartition(".")
        renamed = f"{head}.{OLD_NORMS[last]}" if last in OLD_NORMS and head else name
        if renamed in made:
            raise FormatError(f"{renamed}: expected it once, got it under an old and a new name")
        made[renamed] = tensor
    return made


def fold_weight_norm(gain: Array, direction: Array, name: str) -> Array:
    """Returns the kernel that weight norm describes.

    Raises:
        FormatError: a direction has no length.
    """
    wide = direction.astype(np.float64)
    axes = tuple(range(1, wide.ndim))
    norms = np.sqrt((wide**2).sum(axes, keepdims=True))
    if not norms.all():
        raise FormatError(f"{name}: expected directions, got zeros at {int(np.argmin(norms))}")
    made: Array = (gain.astype(np.float64) * wide / norms).astype(np.float32)
    return made


def plan_codec(model: CodecModel) -> dict[str, TensorPlan]:
    """Returns how each of our tensors is made, by its name (docs/format.md)."""
    plans = dict(_decoder(model.decoder, model.latent))
    if model.encoder is not None:
        plans |= dict(_encoder(model.encoder, model.latent))
    return plans


def _conv(ours: str, source: str, stored: Shape, outputs: int, shape: Shape | None = None) -> Plans:
    """Yields the plans of a convolution with its bias."""
    direction = f"{source}.{DIRECTION}"
    norms = (stored[0], *[1] * (len(stored) - 1))

    def make(values: Sequence[Array]) -> Array:
        return fold_weight_norm(values[0], values[1], direction)

    sources = ((f"{source}.{GAIN}", norms), (direction, stored))
    yield ours, TensorPlan(shape or stored, sources, make, computes=True)
    yield f"{ours}_bias", same(f"{source}.bias", (outputs,))


def _alpha(ours: str, source: str, channels: int) -> Plans:
    half = channels // 2
    yield ours, same(f"{source}.activation.snake_act.alpha", (1, half, 1), (half,))


def _chains(ours: str, source: str, coder: CodecCoder, channels: int, *, snake: bool) -> Plans:
    for chain, kernel in enumerate(coder.kernels):
        for block in range(len(coder.dilations)):
            new = f"{ours}.chains.{chain}.blocks.{block}"
            old = f"{source}.res_blocks.{chain}.res_blocks.{block}"
            shape = (channels, channels, kernel)
            for name, part in (("in", "input"), ("out", "skip")):
                if snake:
                    yield from _alpha(f"{new}.{name}_alpha", f"{old}.{part}_activation", channels)
                yield from _conv(f"{new}.{name}", f"{old}.{part}_conv.conv", shape, channels)


def _decoder(coder: CodecCoder, latent: int) -> Plans:
    source, channels = PARTS[0], coder.base_channels
    shape: Shape = (channels, latent, coder.pre_kernel)
    yield from _conv("decoder.pre", f"{source}.pre_conv.conv", shape, channels)
    for stage, rate in enumerate(coder.rates):
        new, halved = f"decoder.stages.{stage}", channels // 2
        yield from _alpha(f"{new}.alpha", f"{source}.activations.{stage}", channels)
        up = f"{source}.up_sample_conv_layers.{stage}.conv"
        taps = 2 * rate
        yield from _conv(f"{new}.up", up, (channels, 1, taps), halved, (channels, taps))
        yield from _chains(new, f"{source}.res_layers.{stage}", coder, halved, snake=True)
        channels = halved
    yield from _alpha("decoder.alpha", f"{source}.post_activation", channels)
    shape = (1, channels, coder.post_kernel)
    yield from _conv("decoder.post", f"{source}.post_conv.conv", shape, 1)


def _encoder(coder: CodecCoder, latent: int) -> Plans:
    source, channels = PARTS[1], coder.base_channels
    shape: Shape = (channels, 1, coder.pre_kernel)
    yield from _conv("encoder.pre", f"{source}.pre_conv.conv", shape, channels)
    for stage, rate in enumerate(coder.rates):
        new, doubled = f"encoder.stages.{stage}", 2 * channels
        yield from _chains(new, f"{source}.res_layers.{stage}", coder, channels, snake=False)
        down = f"{source}.down_sample_conv_layers.{stage}.conv"
        yield from _conv(f"{new}.down", down, (doubled, channels, 2 * rate), doubled)
        channels = doubled
    shape = (latent, channels, coder.post_kernel)
    yield from _conv("encoder.post", f"{source}.post_conv.conv", shape, latent)
