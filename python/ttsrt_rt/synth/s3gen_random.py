"""Writes random S3Gens and voice encoders in the original file formats, for tests and benchmarks.
They need neither a download nor torch.

Weights are normally distributed, scaled so that activations keep their magnitude through the
layers. Pitches are on both sides of what counts as voiced, and the sound stays below its limits.
"""

from __future__ import annotations

import math
import os
from pathlib import Path

import numpy as np
import numpy.typing as npt

from ttsrt_rt.convert.safetensors_write import write_safetensors
from ttsrt_rt.errors import ConfigError
from ttsrt_rt.synth.s3gen_layout import (
    SynthS3Gen,
    s3gen_layout,
    s3gen_size,
    voice_encoder_layout,
)
from ttsrt_rt.synth.torch_writer import (
    SynthTensor,
    normal_tensor,
    write_torch_archive,
)
from ttsrt_rt.writing import replacing

__all__ = ["random_s3gen_tensors", "write_random_s3gen", "write_random_voice_encoder"]

ENDINGS = (".safetensors", ".pt")
NORMS = (
    *("norm", "out.1.weight", "block.2.weight", "_ln.weight"),
    *("bn1.weight", "bn2.weight", "shortcut.1.weight"),
)
CHAIN_GAIN, SOUND_GAIN = 0.35, 0.35
PITCH_SPREAD, PITCH = 160.0, 35.0


def _spread(name: str, shape: tuple[int, ...]) -> tuple[float, float]:
    """Returns mean and standard deviation of a tensor's values."""
    if name.endswith("classifier.bias"):
        return PITCH, 0.0
    if name.endswith("classifier.weight"):
        return 0.0, PITCH_SPREAD / math.sqrt(shape[1])
    if name.endswith("alpha"):
        return 1.0, 0.1
    if name.endswith("original0"):
        gain = SOUND_GAIN if "conv_post" in name else 1.0
        gain = CHAIN_GAIN if ".convs" in name else gain
        return gain, 0.1 * gain
    if name.endswith(("bias", "running_mean")) or "bias_" in name:
        return 0.0, 0.1
    if len(shape) == 1 and any(part in name for part in NORMS):
        return 1.0, 0.1
    if name.endswith("input_embedding.weight"):
        return 0.0, 1.0
    return 0.0, 1 / math.sqrt(max(1, math.prod(shape[1:])))


def _variances(shape: tuple[int, ...], seed: list[int]) -> SynthTensor:
    def make() -> npt.NDArray[np.float32]:
        return np.random.default_rng(seed).uniform(0.5, 1.5, shape).astype(np.float32)

    return SynthTensor("float32", shape, make)


def _counter() -> SynthTensor:
    return SynthTensor("int64", (), lambda: np.array(1, np.int64))


def _random(shapes: dict[str, tuple[int, ...]], seed: list[int]) -> dict[str, SynthTensor]:
    tensors: dict[str, SynthTensor] = {}
    for index, (name, shape) in enumerate(shapes.items()):
        if name.endswith("num_batches_tracked"):
            tensors[name] = _counter()
        elif name.endswith("running_var"):
            tensors[name] = _variances(shape, [*seed, index])
        else:
            tensors[name] = normal_tensor(shape, [*seed, index], _spread(name, shape))
    return tensors


def random_s3gen_tensors(model: SynthS3Gen, seed: int) -> dict[str, SynthTensor]:
    """Returns every tensor of `s3gen_layout(model)`. Values are generated when they are read; each
    tensor has its own random stream, so the order of reading does not matter.
    """
    return _random(s3gen_layout(model), [seed])


def write_random_s3gen(
    path: str | os.PathLike[str], size: str | SynthS3Gen = "tiny", seed: int = 0
) -> Path:
    """Writes an S3Gen with the original keys, one tensor in memory at a time.

    Args:
        path: the file to create; it ends in .safetensors or .pt.
        size: "tiny", "tiny_meanflow", one of the published models ("cfm", "meanflow"), or a
            `SynthS3Gen`.
        seed: the seed of the weights.

    Raises:
        ConfigError: the size or the ending is unknown, or the file cannot be written.
        CapacityError: the disk is full.
    """
    return _write(Path(path), random_s3gen_tensors(s3gen_size(size), seed))


def write_random_voice_encoder(
    path: str | os.PathLike[str], size: str | SynthS3Gen = "tiny", seed: int = 0
) -> Path:
    """Writes a voice encoder, as `ve.safetensors` has one.

    Args:
        path, size, seed: as of `write_random_s3gen`.

    Raises:
        ConfigError: the size or the ending is unknown, or the file cannot be written.
        CapacityError: the disk is full.
    """
    return _write(Path(path), _random(voice_encoder_layout(s3gen_size(size)), [seed, 1 << 20]))


def _write(path: Path, tensors: dict[str, SynthTensor]) -> Path:
    if path.suffix not in ENDINGS:
        raise ConfigError(f"{path}: expected a name that ends in {' or '.join(ENDINGS)}")
    if path.suffix == ".safetensors":
        write_safetensors(
            path, {name: (each.dtype, each.shape, each.make) for name, each in tensors.items()}
        )
        return path
    with replacing(path) as file:
        write_torch_archive(file, tensors, folder=path.stem)
    return path
