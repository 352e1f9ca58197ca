"""Writes random NanoCodecs in the original file formats, for demos, tests and benchmarks. They need
neither a download nor torch.

Directions of weight norm are normally distributed. Gains are such that activations keep their
magnitude through the stages: a kernel whose rows have length 1 does that, for an upsampler, which
adds four products, the root of half its rate. The sound has a deviation of about 0.2, with few
samples at the limits, and the encoder's codes vary.
"""

from __future__ import annotations

import math
import os
from pathlib import Path

import numpy as np
import numpy.typing as npt
import yaml

from ttsrt_rt.errors import ConfigError
from ttsrt_rt.synth.nanocodec_layout import SynthCodec, codec_config, codec_layout, codec_size
from ttsrt_rt.synth.nemo_writer import write_nemo
from ttsrt_rt.synth.torch_writer import SynthTensor, normal_tensor, write_torch_archive
from ttsrt_rt.writing import replacing, write_text

__all__ = ["random_codec_tensors", "write_random_codec"]

GAIN = ".original0"
RESIDUAL_GAIN = 0.4
SOUND_GAIN = 0.25
HEARING_GAIN = 5.0
DOWN_GAIN = 1.6  # leaky columns lose magnitude
LATENT_GAIN = 0.8


def _gain(name: str, model: SynthCodec) -> float:
    """Returns the length of a kernel's rows."""
    if ".skip_conv." in name:
        return RESIDUAL_GAIN
    if name.startswith("audio_encoder.pre_conv"):
        return HEARING_GAIN
    if name.startswith("audio_decoder.post_conv"):
        return SOUND_GAIN
    if name.startswith("audio_encoder.post_conv"):
        return LATENT_GAIN
    if ".down_sample_conv_layers." in name:
        return DOWN_GAIN
    if ".up_sample_conv_layers." in name:
        return math.sqrt(model.rates[int(name.split(".")[2])] / 2)
    return 1.0


def _spread(name: str, model: SynthCodec) -> tuple[float, float]:
    """Returns mean and standard deviation of a tensor's values."""
    if name.endswith(".alpha"):
        return 1.0, 0.2
    if name.endswith(".bias"):
        return 0.0, 0.02
    if name.endswith(GAIN):
        gain = _gain(name, model)
        return gain, 0.1 * gain
    return 0.0, 0.1


def _integers(values: list[int]) -> SynthTensor:
    def make() -> npt.NDArray[np.int32]:
        return np.array(values, np.int32).reshape(1, -1, 1)

    return SynthTensor("int32", (1, len(values), 1), make)


def random_codec_tensors(model: SynthCodec, seed: int) -> dict[str, SynthTensor]:
    """Returns every tensor of `codec_layout(model)`. Values are generated when they are read; each
    tensor has its own random stream, so the order of reading does not matter.
    """
    levels = list(model.levels)
    bases = [math.prod(levels[:index]) for index in range(len(levels))]
    tensors: dict[str, SynthTensor] = {}
    for index, (name, shape) in enumerate(codec_layout(model).items()):
        if name.endswith(".num_levels"):
            tensors[name] = _integers(levels)
        elif name.endswith(".dim_base_index"):
            tensors[name] = _integers(bases)
        else:
            tensors[name] = normal_tensor(shape, [seed, index], _spread(name, model))
    return tensors


def write_random_codec(
    path: str | os.PathLike[str], size: str | SynthCodec = "tiny", seed: int = 0
) -> Path:
    """Writes a codec.

    Args:
        path: the file to create; it ends in .nemo, or in .ckpt, which gets `<stem>.hparams.yaml`
            beside it.
        size: "tiny"; "tiny_magpie" and "mid", for the random Magpie models of those sizes; "nano",
            the published one's; or a `SynthCodec`.
        seed: the seed of the weights.

    Raises:
        ConfigError: the size or the ending is unknown, or the file cannot be written.
        CapacityError: the disk is full.
    """
    path, model = Path(path), codec_size(size)
    config, tensors = codec_config(model), random_codec_tensors(model, seed)
    if path.suffix == ".nemo":
        text = yaml.safe_dump({"target": "AudioCodecModel", **config}, sort_keys=False)
        return write_nemo(path, {"model_config.yaml": text.encode()}, tensors)
    if path.suffix != ".ckpt":
        raise ConfigError(f"{path}: expected a name that ends in .nemo or .ckpt")
    with replacing(path) as file:
        write_torch_archive(file, tensors, folder=path.stem, entries={"epoch": 0})
    text = yaml.safe_dump({"cfg": config}, sort_keys=False)
    write_text(path.with_name(f"{path.stem}.hparams.yaml"), text)
    return path
