"""What a checkpoint of F5-TTS is: sizes from its tensors, the rest from the variant and the
configuration.

Checkpoints of the first version (v0: F5TTS_Base, IndicF5) and of the second (v1) have the same
names and shapes, and the wrong choice gives fluent babble. So the caller names the variant; it is
never told from tensors. A configuration of the release may change single flags of it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, get_args

from ttsrt_rt.convert.f5_config import F5Config
from ttsrt_rt.convert.tensor_shapes import TensorShapes, axes_of, num_layers
from ttsrt_rt.convert.vocos_model import VocosModel
from ttsrt_rt.errors import ConfigError, FormatError
from ttsrt_rt.options import F5Variant
from ttsrt_rt.quoting import show

__all__ = ["HEAD_DIM", "F5Defaults", "F5Model", "check_variant", "read_defaults", "read_model"]

HEAD_DIM = 64  # of all models; the originals have no option for it
TIME_WIDTH = 256
CONV_GROUPS = 16


@dataclass(frozen=True)
class F5Model:
    """The object "model" of config.json of the family "f5"; docs/format.md describes its fields."""

    variant: str
    dim: int
    layers: int
    heads: int
    head_dim: int
    ffn_dim: int
    text_vocab: int
    text_dim: int
    text_layers: int
    text_mask_padding: bool
    text_average_upsampling: bool
    rope_heads: int
    qk_norm: bool
    long_skip: bool
    mel_bins: int
    conv_groups: int
    conv_kernel: int
    sample_rate: int
    hop: int
    max_frames: int
    vocoder: VocosModel | None


@dataclass(frozen=True)
class F5Defaults:
    """The object "defaults" of config.json; `sway_sampling_coef` 0 is none."""

    steps: int = 32
    cfg_strength: float = 2.0
    sway_sampling_coef: float = -1.0
    use_epss: bool = True
    method: str = "euler"


def check_variant(variant: str | None, where: str) -> str:
    """Returns the variant that the caller named.

    Raises:
        ConfigError: none was named, or another one.
    """
    known = get_args(F5Variant)
    if variant is not None and variant in known:
        return variant
    told = "nothing" if variant is None else show(variant)
    raise ConfigError(
        f"variant: expected one of {', '.join(known)} for {where}, got {told}; v0 and v1 have the "
        "same tensors and nothing in the file tells them apart: F5TTS_v1_* is v1, F5TTS_Base and "
        "F5TTS_Small are v0, IndicF5 is indicf5"
    )


def read_defaults(variant: str) -> F5Defaults:
    """Returns the defaults of requests: IndicF5's sampler has only the uniform grid."""
    return F5Defaults(use_epss=variant != "indicf5")


def read_model(
    shapes: TensorShapes, variant: str, config: F5Config, vocoder: VocosModel | None
) -> F5Model:
    """Returns the model that tensors of these shapes are.

    Args:
        shapes: shapes by original names, which begin behind `transformer.`.
        variant: what `check_variant` returned.
        config: the flags of the release.
        vocoder: the vocoder that is stored with it.

    Raises:
        ConfigError: the configuration contradicts the variant or the tensors, or the vocoder is for
            other spectrograms.
        FormatError: a tensor is missing or has an impossible shape.
    """
    rows, text_dim = axes_of(shapes, "text_embed.text_embed.weight", 2)
    dim, inputs = axes_of(shapes, "input_embed.proj.weight", 2)
    mel_bins, _ = axes_of(shapes, "proj_out.weight", 2)
    width, _ = axes_of(shapes, "transformer_blocks.0.attn.to_q.weight", 2)
    ffn_dim, _ = axes_of(shapes, "transformer_blocks.0.ff.ff.0.0.weight", 2)
    _, _, kernel = axes_of(shapes, "input_embed.conv_pos_embed.conv1d.0.weight", 3)
    if width % HEAD_DIM or dim % CONV_GROUPS or inputs != 2 * mel_bins + text_dim or rows < 2:
        raise FormatError(
            f"expected heads of {HEAD_DIM}, {CONV_GROUPS} groups and inputs of two mels of "
            f"{mel_bins} and a text of {text_dim}, got heads of {width} in all, a width of {dim} "
            f"and {inputs} inputs"
        )
    is_v1 = variant == "v1"
    flags = config.flags(text_mask_padding=is_v1, rope_heads=0 if is_v1 else 1)
    model = F5Model(
        variant="v1" if is_v1 else "v0",
        dim=dim,
        layers=num_layers(shapes, "transformer_blocks."),
        heads=width // HEAD_DIM,
        head_dim=HEAD_DIM,
        ffn_dim=ffn_dim,
        text_vocab=rows - 1,
        text_dim=text_dim,
        text_layers=num_layers(shapes, "text_embed.text_blocks."),
        text_mask_padding=flags.text_mask_padding,
        text_average_upsampling=flags.average_upsampling,
        rope_heads=flags.rope_heads,
        qk_norm="transformer_blocks.0.attn.q_norm.weight" in shapes,
        long_skip="long_skip_connection.weight" in shapes,
        mel_bins=mel_bins,
        conv_groups=CONV_GROUPS // merged_groups(dim),
        conv_kernel=kernel,
        sample_rate=config.sample_rate,
        hop=config.hop,
        max_frames=4096 if variant == "indicf5" else 8192,
        vocoder=vocoder,
    )
    config.check_sizes(_sizes(model))
    if vocoder is not None:
        _check_vocoder(model, vocoder)
    return model


def _check_vocoder(model: F5Model, vocoder: VocosModel) -> None:
    """Compares what both say of sound: a vocoder of another rate would speak too fast or slowly."""
    for name in ("mel_bins", "hop", "sample_rate"):
        expected, got = getattr(model, name), getattr(vocoder, name)
        if got != expected:
            raise ConfigError(
                f"vocoder: {name}: expected {expected}, as the model has it, got {got}"
            )


def merged_groups(dim: int) -> int:
    """Returns how many neighbouring groups of the position convolution are stored as one, so that
    each has a multiple of 16 channels.
    """
    width, merged = dim // CONV_GROUPS, 1
    while width * merged % 16 and merged < CONV_GROUPS:
        merged *= 2
    return merged


def _sizes(model: F5Model) -> dict[str, Any]:
    """Returns what the configuration of a release may state of the tensors, under its names."""
    return {
        "dim": model.dim,
        "depth": model.layers,
        "heads": model.heads,
        "dim_head": model.head_dim,
        "ff_mult": model.ffn_dim / model.dim,
        "mel_dim": model.mel_bins,
        "text_num_embeds": model.text_vocab,
        "text_dim": model.text_dim,
        "conv_layers": model.text_layers,
        "qk_norm": "rms_norm" if model.qk_norm else None,
        "long_skip_connection": model.long_skip,
    }
