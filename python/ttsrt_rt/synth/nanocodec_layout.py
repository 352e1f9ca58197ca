"""Computes names, shapes and configuration of NanoCodecs in the original layout, at any size.

The full size is that of the published codec of 21.5 frames per second.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ttsrt_rt.errors import ConfigError

__all__ = ["CODEC_SIZES", "SynthCodec", "codec_config", "codec_layout", "codec_size"]

KERNELS, DILATIONS = (3, 7, 11), (1, 3, 5)
PRE_KERNEL, DECODER_POST_KERNEL, ENCODER_POST_KERNEL = 7, 3, 7
MODULES = "nemo.collections.tts.modules.audio_codec_modules"

Shapes = dict[str, tuple[int, ...]]


@dataclass(frozen=True)
class SynthCodec:
    """The sizes of a synthetic codec.

    Attributes:
        base: columns behind the decoder's first convolution.
        rates: of the decoder's stages; the encoder has them the other way round.
        groups, levels: of the quantizer.
        encoder_base: columns behind the encoder's first convolution; 0: no encoder.
    """

    base: int
    rates: tuple[int, ...]
    groups: int
    levels: tuple[int, ...]
    encoder_base: int
    sample_rate: int = 22050

    @property
    def latent(self) -> int:
        """Returns the columns between encoder and decoder."""
        return self.groups * len(self.levels)

    @property
    def samples_per_frame(self) -> int:
        """Returns the product of the rates."""
        samples = 1
        for rate in self.rates:
            samples *= rate
        return samples


# "tiny_magpie" and "mid" have the codes of the random Magpie models "tiny" and "mid".
CODEC_SIZES = {
    "tiny": SynthCodec(32, (4, 2, 2), 2, (4, 3), 4),
    "tiny_magpie": SynthCodec(32, (4, 2, 2), 4, (8, 11), 4),
    "mid": SynthCodec(96, (8, 8, 4, 2, 2), 8, (8, 7, 6, 6), 4),
    "nano": SynthCodec(864, (8, 8, 4, 2, 2), 8, (8, 7, 6, 6), 24),
}


def codec_size(size: str | SynthCodec) -> SynthCodec:
    """Returns the size of this name; a `SynthCodec` is returned unchanged.

    Raises:
        ConfigError: the name is unknown.
    """
    if isinstance(size, SynthCodec):
        return size
    if size not in CODEC_SIZES:
        raise ConfigError(f"size: expected one of {', '.join(CODEC_SIZES)}, got {size!r}")
    return CODEC_SIZES[size]


def _conv(name: str, shape: tuple[int, ...], outputs: int) -> Shapes:
    norms = (shape[0], *[1] * (len(shape) - 1))
    return {
        f"{name}.conv.bias": (outputs,),
        f"{name}.conv.parametrizations.weight.original0": norms,
        f"{name}.conv.parametrizations.weight.original1": shape,
    }


def _alpha(name: str, channels: int) -> Shapes:
    return {f"{name}.activation.snake_act.alpha": (1, channels // 2, 1)}


def _residual(name: str, channels: int, *, snake: bool) -> Shapes:
    shapes: Shapes = {}
    for chain, kernel in enumerate(KERNELS):
        for block in range(len(DILATIONS)):
            at = f"{name}.res_blocks.{chain}.res_blocks.{block}"
            for part in ("input", "skip"):
                if snake:
                    shapes |= _alpha(f"{at}.{part}_activation", channels)
                shapes |= _conv(f"{at}.{part}_conv", (channels, channels, kernel), channels)
    return shapes


def _decoder(model: SynthCodec) -> Shapes:
    at, channels = "audio_decoder", model.base
    shapes = _conv(f"{at}.pre_conv", (channels, model.latent, PRE_KERNEL), channels)
    for stage, rate in enumerate(model.rates):
        shapes |= _alpha(f"{at}.activations.{stage}", channels)
        up = f"{at}.up_sample_conv_layers.{stage}"
        shapes |= _conv(up, (channels, 1, 2 * rate), channels // 2)
        channels //= 2
        shapes |= _residual(f"{at}.res_layers.{stage}", channels, snake=True)
    shapes |= _alpha(f"{at}.post_activation", channels)
    return shapes | _conv(f"{at}.post_conv", (1, channels, DECODER_POST_KERNEL), 1)


def _encoder(model: SynthCodec) -> Shapes:
    at, channels = "audio_encoder", model.encoder_base
    shapes = _conv(f"{at}.pre_conv", (channels, 1, PRE_KERNEL), channels)
    for stage, rate in enumerate(reversed(model.rates)):
        shapes |= _residual(f"{at}.res_layers.{stage}", channels, snake=False)
        down = f"{at}.down_sample_conv_layers.{stage}"
        shapes |= _conv(down, (2 * channels, channels, 2 * rate), 2 * channels)
        channels *= 2
    shape = (model.latent, channels, ENCODER_POST_KERNEL)
    return shapes | _conv(f"{at}.post_conv", shape, model.latent)


def codec_layout(model: SynthCodec) -> Shapes:
    """Returns name and shape of every tensor that the original code stores for inference, in its
    order.
    """
    shapes = _encoder(model) if model.encoder_base else {}
    for group in range(model.groups):
        for name in ("dim_base_index", "num_levels"):
            shapes[f"vector_quantizer.fsqs.{group}.{name}"] = (1, len(model.levels), 1)
    return shapes | _decoder(model)


def codec_config(model: SynthCodec) -> dict[str, Any]:
    """Returns the fields of `model_config.yaml` that say what the codec computes, and some that
    say how it was trained.
    """
    config: dict[str, Any] = {
        "sample_rate": model.sample_rate,
        "samples_per_frame": model.samples_per_frame,
        "commit_loss_scale": 0.0,
        "loss_resolutions": [[512, 128, 512]],
        "vector_quantizer": {
            "_target_": f"{MODULES}.GroupFiniteScalarQuantizer",
            "num_groups": model.groups,
            "num_levels_per_group": list(model.levels),
        },
        "audio_decoder": {
            "_target_": f"{MODULES}.CausalHiFiGANDecoder",
            "up_sample_rates": list(model.rates),
            "input_dim": model.latent,
            "base_channels": model.base,
            "activation": "half_snake",
            "output_activation": "clamp",
            "pad_mode": "zeros",
            "n_groups_equal_to_out_channels": True,
        },
    }
    if model.encoder_base:
        config["audio_encoder"] = {
            "_target_": f"{MODULES}.HiFiGANEncoder",
            "down_sample_rates": list(reversed(model.rates)),
            "encoded_dim": model.latent,
            "base_channels": model.encoder_base,
            "activation": "lrelu",
            "pad_mode": "replicate",
        }
    return config
