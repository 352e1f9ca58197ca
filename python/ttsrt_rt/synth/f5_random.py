"""Writes random F5-TTS, IndicF5 and Vocos models in the original file formats and layouts, for
tests and benchmarks. They need neither a download nor torch.

Weights are normally distributed, scaled so that activations keep their magnitude through the
layers, and so that time, text and prompt all change the result. The vocoder's head gives magnitudes
about 1.
"""

from __future__ import annotations

import math
import os
from pathlib import Path
from typing import Literal, TypeAlias

import numpy as np

from ttsrt_rt.convert.safetensors_write import write_safetensors
from ttsrt_rt.errors import ConfigError
from ttsrt_rt.synth.f5_layout import (
    SynthF5,
    SynthVocos,
    f5_layout,
    f5_size,
    vocos_layout,
)
from ttsrt_rt.synth.torch_writer import SynthTensor, Tree, normal_tensor, write_torch_tree
from ttsrt_rt.writing import replacing, write_text

__all__ = ["F5Layout", "random_f5_tensors", "write_random_f5", "write_random_vocos"]

F5Layout: TypeAlias = Literal[
    "ema", "ema_only", "trainer", "trained", "plain", "indicf5", "reupload"
]
CHARACTERS = " abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789,.!?"
CONFIG = """feature_extractor:
  class_path: vocos.feature_extractors.MelSpectrogramFeatures
  init_args:
    {{sample_rate: 24000, n_fft: {n_fft}, hop_length: 256, n_mels: {mel_bins}, padding: center}}
backbone:
  class_path: vocos.models.VocosBackbone
  init_args:
    {{input_channels: {mel_bins}, dim: {dim}, intermediate_dim: {ffn_dim}, num_layers: {layers}}}
head:
  class_path: vocos.heads.ISTFTHead
  init_args: {{dim: {dim}, n_fft: {n_fft}, hop_length: 256, padding: center}}
"""


def _spread(name: str, shape: tuple[int, ...]) -> tuple[float, float]:
    """Returns mean and standard deviation of a tensor's values."""
    if name.endswith(("norm.weight", "q_norm.weight", "k_norm.weight")):
        return 1.0, 0.1
    if name.endswith("gamma") and len(shape) == 1:
        return 0.5, 0.1
    if name.endswith((".bias", "grn.beta", "grn.gamma", ".fb", ".window")):
        return 0.0, 0.2
    if name.endswith("text_embed.weight"):
        return 0.0, 1.0
    inputs = math.prod(shape[1:])
    return 0.0, (0.5 if "linear.weight" in name else 1.0) / math.sqrt(inputs)


def _constant(values: np.ndarray[tuple[int, ...], np.dtype[np.float32]]) -> SynthTensor:
    return SynthTensor("float32", values.shape, lambda: values)


def random_f5_tensors(model: SynthF5, seed: int) -> dict[str, SynthTensor]:
    """Returns every tensor of `f5_layout(model)`, without a prefix. Each has its own random stream,
    so the order of reading does not matter.
    """
    tensors = {
        name: normal_tensor(shape, [seed, index], _spread(name, shape))
        for index, (name, shape) in enumerate(f5_layout(model).items())
    }
    steps = np.arange(0, 64, 2, dtype=np.float32) / 64
    tensors["rotary_embed.inv_freq"] = _constant((10000.0**-steps).astype(np.float32))
    return tensors


def _vocos_tensors(model: SynthVocos, seed: int) -> dict[str, SynthTensor]:
    return {
        name: normal_tensor(shape, [seed, 1 << 20, index], _spread(name, shape))
        for index, (name, shape) in enumerate(vocos_layout(model).items())
    }


def _counter(value: int) -> SynthTensor:
    return SynthTensor("int64", (), lambda: np.array(value, np.int64))


def _prefixed(prefix: str, tensors: dict[str, SynthTensor]) -> dict[str, SynthTensor]:
    return {prefix + name: tensor for name, tensor in tensors.items()}


def _flat(layout: str, model: SynthF5, seed: int) -> dict[str, SynthTensor]:
    """Returns the tensors of a layout that is one flat dict."""
    network = random_f5_tensors(model, seed)
    if layout in ("ema", "trainer"):
        buffers = {"mel_spec.mel_stft.spectrogram.window": (1024,)}
        extra = {
            f"ema_model.{name}": normal_tensor(shape, [seed, 1 << 21], (0.0, 1.0))
            for name, shape in buffers.items()
        }
        head = {"initted": _counter(1), "step": _counter(1250000)}
        return head | extra | _prefixed("ema_model.transformer.", network)
    if layout == "ema_only":
        return _prefixed("ema_model.transformer.", network)
    if layout == "trained":
        return _prefixed("transformer.", network)
    if layout == "plain":
        return _prefixed("model.transformer.", network)
    inner = "_orig_mod." if layout == "indicf5" else ""
    vocoder = _vocos_tensors(model.vocoder, seed)
    return _prefixed(f"ema_model.{inner}transformer.", network) | _prefixed(
        f"vocoder.{inner}", vocoder
    )


def write_random_f5(
    path: str | os.PathLike[str],
    size: str | SynthF5 = "tiny",
    seed: int = 0,
    *,
    layout: F5Layout = "ema",
    vocab: bool = True,
) -> Path:
    """Writes an F5-TTS model with the original keys, one tensor in memory at a time.

    Args:
        path: the file to create; it ends in .safetensors or .pt.
        size: "tiny", "tiny_norm", "base", "small", or a `SynthF5`.
        seed: the seed of the weights.
        layout: which names the tensors have: "ema" as released, "ema_only" without counters and
            buffers, "trainer" with trained weights (of `seed` + 1) and an optimizer beside the
            averaged ones (only .pt), "trained" and "plain" without averages, "indicf5" with its
            vocoder, "reupload" the same without the names of the compiler.
        vocab: whether to write `vocab.txt` beside it.

    Raises:
        ConfigError: an argument is unknown, or the file cannot be written.
        CapacityError: the disk is full.
    """
    path, model = Path(path), f5_size(size)
    tensors = _flat(layout, model, seed)
    if vocab:
        write_text(path.parent / "vocab.txt", "".join(f"{each}\n" for each in vocab_of(model)))
    if path.suffix == ".safetensors" and layout != "trainer":
        write_safetensors(
            path, {name: (each.dtype, each.shape, each.make) for name, each in tensors.items()}
        )
        return path
    if path.suffix != ".pt":
        raise ConfigError(f"{path}: expected a name that ends in .pt, or .safetensors but for it")
    tree: Tree = {"ema_model_state_dict": dict(tensors)}
    if layout in ("trained", "plain"):
        tree = {"model_state_dict": dict(tensors)}
    if layout == "trainer":
        trained = _prefixed("transformer.", random_f5_tensors(model, seed + 1))
        optimizer: Tree = {"state": {"0": {"step": _counter(3)}}, "param_groups": [{"lr": 1}]}
        tree = {
            "model_state_dict": dict(trained),
            "optimizer_state_dict": optimizer,
            "ema_model_state_dict": dict(tensors),
            "scheduler_state_dict": {"last_epoch": 7},
            "update": 1250000,
        }
    with replacing(path) as file:
        write_torch_tree(file, tree, folder=path.stem)
    return path


def vocab_of(model: SynthF5) -> list[str]:
    """Returns the tokens of a synthetic vocabulary: a space, ASCII, then made-up syllables."""
    made = list(CHARACTERS[: model.vocab])
    return made + [f"syllable{index}" for index in range(model.vocab - len(made))]


def write_random_vocos(
    folder: str | os.PathLike[str], model: SynthVocos | None = None, seed: int = 0
) -> Path:
    """Writes a Vocos as `config.yaml` and `pytorch_model.bin` into a folder, which is created.

    Raises:
        ConfigError: it cannot be written.
        CapacityError: the disk is full.
    """
    folder, sizes = Path(folder), model or SynthVocos()
    folder.mkdir(parents=True, exist_ok=True)
    write_text(
        folder / "config.yaml",
        CONFIG.format(
            n_fft=sizes.n_fft,
            mel_bins=sizes.mel_bins,
            dim=sizes.dim,
            ffn_dim=sizes.ffn_dim,
            layers=sizes.layers,
        ),
    )
    with replacing(folder / "pytorch_model.bin") as file:
        write_torch_tree(file, dict(_vocos_tensors(sizes, seed)), folder="pytorch_model")
    return folder
