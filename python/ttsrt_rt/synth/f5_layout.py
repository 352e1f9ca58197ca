"""Computes names and shapes of F5-TTS and Vocos models in the original layout, at any size."""

from __future__ import annotations

from dataclasses import dataclass

from ttsrt_rt.errors import ConfigError

__all__ = ["F5_SIZES", "SynthF5", "SynthVocos", "f5_layout", "f5_size", "vocos_layout"]

Shapes = dict[str, tuple[int, ...]]
HEAD_DIM, GROUPS, POSITION_KERNEL, KERNEL, TIME = 64, 16, 31, 7, 256


@dataclass(frozen=True)
class SynthVocos:
    """The sizes of a synthetic Vocos; the defaults are a miniature."""

    dim: int = 32
    ffn_dim: int = 80
    layers: int = 2
    mel_bins: int = 100
    n_fft: int = 1024


@dataclass(frozen=True)
class SynthF5:
    """The sizes of a synthetic F5-TTS model; `vocab` are lines of its vocab.txt."""

    dim: int
    layers: int
    heads: int
    ffn_dim: int
    text_dim: int
    text_layers: int
    vocab: int
    mel_bins: int = 100
    qk_norm: bool = False
    long_skip: bool = False
    vocoder: SynthVocos = SynthVocos()


VOCOS_24KHZ = SynthVocos(512, 1536, 8)
F5_SIZES = {
    "tiny": SynthF5(64, 2, 2, 96, 32, 2, 64),
    "tiny_norm": SynthF5(64, 2, 2, 96, 32, 2, 64, qk_norm=True, long_skip=True),
    "base": SynthF5(1024, 22, 16, 2048, 512, 4, 2545, vocoder=VOCOS_24KHZ),
    "small": SynthF5(768, 18, 12, 1536, 512, 4, 2545, vocoder=VOCOS_24KHZ),
}


def f5_size(size: str | SynthF5) -> SynthF5:
    """Returns the size of this name; a `SynthF5` is returned unchanged.

    Raises:
        ConfigError: the name is unknown.
    """
    if isinstance(size, SynthF5):
        return size
    if size not in F5_SIZES:
        raise ConfigError(f"size: expected one of {', '.join(F5_SIZES)}, got {size!r}")
    return F5_SIZES[size]


def _linear(name: str, outputs: int, inputs: int) -> Shapes:
    return {f"{name}.weight": (outputs, inputs), f"{name}.bias": (outputs,)}


def _norm(name: str, dim: int) -> Shapes:
    return {f"{name}.weight": (dim,), f"{name}.bias": (dim,)}


def _depthwise(name: str, dim: int) -> Shapes:
    return {f"{name}.weight": (dim, 1, KERNEL), f"{name}.bias": (dim,)}


def _text_block(name: str, dim: int) -> Shapes:
    wide = 2 * dim
    shapes = _depthwise(f"{name}.dwconv", dim) | _norm(f"{name}.norm", dim)
    shapes |= _linear(f"{name}.pwconv1", wide, dim)
    shapes |= {f"{name}.grn.gamma": (1, 1, wide), f"{name}.grn.beta": (1, 1, wide)}
    return shapes | _linear(f"{name}.pwconv2", dim, wide)


def _block(name: str, model: SynthF5) -> Shapes:
    dim, width = model.dim, model.heads * HEAD_DIM
    shapes = _linear(f"{name}.attn_norm.linear", 6 * dim, dim)
    for part in ("to_q", "to_k", "to_v"):
        shapes |= _linear(f"{name}.attn.{part}", width, dim)
    if model.qk_norm:
        shapes |= {f"{name}.attn.{part}.weight": (HEAD_DIM,) for part in ("q_norm", "k_norm")}
    shapes |= _linear(f"{name}.attn.to_out.0", dim, width)
    shapes |= _linear(f"{name}.ff.ff.0.0", model.ffn_dim, dim)
    return shapes | _linear(f"{name}.ff.ff.2", dim, model.ffn_dim)


def f5_layout(model: SynthF5) -> Shapes:
    """Returns the shapes of the network's tensors by the original names behind `transformer.`."""
    dim = model.dim
    shapes = _linear("time_embed.time_mlp.0", dim, TIME) | _linear(
        "time_embed.time_mlp.2", dim, dim
    )
    shapes["text_embed.text_embed.weight"] = (model.vocab + 1, model.text_dim)
    for layer in range(model.text_layers):
        shapes |= _text_block(f"text_embed.text_blocks.{layer}", model.text_dim)
    shapes |= _linear("input_embed.proj", dim, 2 * model.mel_bins + model.text_dim)
    for index in (0, 2):
        name = f"input_embed.conv_pos_embed.conv1d.{index}"
        shapes[f"{name}.weight"] = (dim, dim // GROUPS, POSITION_KERNEL)
        shapes[f"{name}.bias"] = (dim,)
    shapes["rotary_embed.inv_freq"] = (HEAD_DIM // 2,)
    for layer in range(model.layers):
        shapes |= _block(f"transformer_blocks.{layer}", model)
    if model.long_skip:
        shapes["long_skip_connection.weight"] = (dim, 2 * dim)
    shapes |= _linear("norm_out.linear", 2 * dim, dim)
    return shapes | _linear("proj_out", model.mel_bins, dim)


def vocos_layout(model: SynthVocos) -> Shapes:
    """Returns the shapes of a vocoder's tensors by the original names, buffers included."""
    dim, bins = model.dim, model.n_fft // 2 + 1
    shapes: Shapes = {
        "feature_extractor.mel_spec.spectrogram.window": (model.n_fft,),
        "feature_extractor.mel_spec.mel_scale.fb": (bins, model.mel_bins),
        "backbone.embed.weight": (dim, model.mel_bins, KERNEL),
        "backbone.embed.bias": (dim,),
    }
    shapes |= _norm("backbone.norm", dim)
    for layer in range(model.layers):
        name = f"backbone.convnext.{layer}"
        shapes[f"{name}.gamma"] = (dim,)
        shapes |= _depthwise(f"{name}.dwconv", dim) | _norm(f"{name}.norm", dim)
        shapes |= _linear(f"{name}.pwconv1", model.ffn_dim, dim)
        shapes |= _linear(f"{name}.pwconv2", dim, model.ffn_dim)
    shapes |= _norm("backbone.final_layer_norm", dim) | _linear("head.out", 2 * bins, dim)
    return shapes | {"head.istft.window": (model.n_fft,)}
