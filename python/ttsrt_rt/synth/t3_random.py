"""Writes random T3 models and voices in the original file formats, for tests and benchmarks. They
need neither a download nor torch.

Weights are normally distributed float32 numbers, scaled so that activations keep their magnitude
through the layers: matrices by the root of their inputs, those that write to the residual also by
the depth; rows of tables and scales of norms are about 1. The head gives logits with a standard
deviation of 2.5, so that sampled tokens vary.
"""

from __future__ import annotations

import math
import os
from pathlib import Path

import numpy as np
import numpy.typing as npt

from ttsrt_rt.convert.safetensors_write import write_safetensors
from ttsrt_rt.errors import ConfigError
from ttsrt_rt.synth.t3_layout import SPEAKER_DIM, SynthT3, t3_layout, t3_size
from ttsrt_rt.synth.torch_writer import (
    SynthTensor,
    Tree,
    normal_tensor,
    write_torch_archive,
    write_torch_tree,
)
from ttsrt_rt.writing import replacing

__all__ = ["random_t3_tensors", "write_random_conds", "write_random_t3"]

ENDINGS = (".safetensors", ".pt")
RESIDUAL_WRITERS = (".o_proj.weight", ".down_proj.weight", ".c_proj.weight")
NUM_CODES = 6561
GENERATOR_TOKENS = 250
MEL_BANDS, GENERATOR_EMBEDDING = 80, 192


def _spread(name: str, shape: tuple[int, ...], depth: int) -> tuple[float, float]:
    """Returns mean and standard deviation of a tensor's values."""
    is_norm = any(part in name for part in ("norm", "ln_1", "ln_2", "ln_f"))
    if name.endswith(".bias"):
        return 0.0, 0.1
    if is_norm:
        return 1.0, 0.1
    if name.startswith("speech_head"):
        return 0.0, 2.5 / math.sqrt(shape[1])
    if "pos_emb" in name or "wpe" in name:
        return 0.0, 0.3
    if name.endswith(("_emb.weight", "embed_tokens.weight", "wte.weight", "pre_attention_query")):
        return 0.0, 1.0
    if name.endswith("emotion_adv_fc.weight"):
        return 0.0, 1.0
    is_conv1d = ".c_" in name  # stored as [inputs, outputs]
    inputs = shape[0] if is_conv1d else shape[1]
    writes = 2 * depth if name.endswith(RESIDUAL_WRITERS) else 1
    return 0.0, 1.0 / math.sqrt(writes * inputs)


def random_t3_tensors(model: SynthT3, seed: int) -> dict[str, SynthTensor]:
    """Returns every tensor of `t3_layout(model)`. Values are generated when they are read; each
    tensor has its own random stream, so the order of reading does not matter.
    """
    return {
        name: normal_tensor(shape, [seed, index], _spread(name, shape, model.layers))
        for index, (name, shape) in enumerate(t3_layout(model).items())
    }


def write_random_t3(
    path: str | os.PathLike[str],
    size: str | SynthT3 = "tiny",
    seed: int = 0,
    *,
    prefix: str = "",
    is_listed: bool = False,
) -> Path:
    """Writes a T3 model with the original keys, one tensor in memory at a time.

    Args:
        path: the file to create; it ends in .safetensors or .pt.
        size: "tiny", "tiny_turbo", "tiny_flash", one of the published models ("english",
            "multilingual", "turbo", "nano", "flash"), or a `SynthT3`.
        seed: the seed of the weights.
        prefix: what stands before every key, as wrappers leave it: "module.".
        is_listed: whether a .pt holds a list of one state dict under `model`, as some releases do.

    Raises:
        ConfigError: the size or the ending is unknown, or the file cannot be written.
        CapacityError: the disk is full.
    """
    path = Path(path)
    if path.suffix not in ENDINGS:
        raise ConfigError(f"{path}: expected a name that ends in {' or '.join(ENDINGS)}")
    tensors = {
        f"{prefix}{name}": tensor for name, tensor in random_t3_tensors(t3_size(size), seed).items()
    }
    if path.suffix == ".safetensors":
        write_safetensors(
            path, {name: (each.dtype, each.shape, each.make) for name, each in tensors.items()}
        )
        return path
    with replacing(path) as file:
        if is_listed:
            write_torch_tree(file, {"model": [dict(tensors)]}, folder=path.stem)
        else:
            write_torch_archive(file, tensors, folder=path.stem)
    return path


def write_random_conds(
    path: str | os.PathLike[str],
    size: str | SynthT3 = "tiny",
    seed: int = 0,
    *,
    prompt_tokens: int | None = None,
    emotion: float = 0.5,
) -> Path:
    """Writes a random voice in the layout of `conds.pt`.

    Args:
        path: the file to create.
        size: of the model that it is for, as `write_random_t3` takes it.
        seed: the seed of all values.
        prompt_tokens: speech tokens of the prompt; None: the most that the model takes.
        emotion: the emotion's number.

    Raises:
        ConfigError: the size is unknown, or the file cannot be written.
        CapacityError: the disk is full.
    """
    count = t3_size(size).max_prompt if prompt_tokens is None else prompt_tokens
    generator = np.random.Generator(np.random.SFC64([seed]))
    speaker = np.abs(generator.standard_normal((1, SPEAKER_DIM), np.float32))
    speaker /= np.linalg.norm(speaker)
    rows = 2 * GENERATOR_TOKENS
    tree: Tree = {
        "t3": {
            "speaker_emb": _of(speaker),
            "clap_emb": None,
            "cond_prompt_speech_tokens": _of(generator.integers(0, NUM_CODES, (1, count))),
            "cond_prompt_speech_emb": None,
            "emotion_adv": _of(np.full((1, 1, 1), emotion, np.float32)),
        },
        "gen": {
            "prompt_token": _of(generator.integers(0, NUM_CODES, (1, GENERATOR_TOKENS))),
            "prompt_token_len": _of(np.array([GENERATOR_TOKENS], np.int64)),
            "prompt_feat": _of(generator.standard_normal((1, rows, MEL_BANDS), np.float32)),
            "prompt_feat_len": None,
            "embedding": _of(generator.standard_normal((1, GENERATOR_EMBEDDING), np.float32)),
        },
    }
    path = Path(path)
    with replacing(path) as file:
        write_torch_tree(file, tree, folder=path.stem)
    return path


def _of(values: npt.NDArray[np.float32] | npt.NDArray[np.int64]) -> SynthTensor:
    return SynthTensor(values.dtype.name, values.shape, lambda: values)
