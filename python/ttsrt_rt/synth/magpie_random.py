"""Writes random Magpie checkpoints in the original file formats, for demos, tests and benchmarks.
They need neither a download nor torch.

Weights are normally distributed float32 numbers, scaled so that activations keep their magnitude
through the stacks and codes vary. Linear maps are scaled by the root of their inputs, and maps that
write to the residual also by the depth; table rows and norm scales are about 1. Heads give logits
with a standard deviation of 2.5. The end of speech is as likely as any other code, so a guided
sampled run ends after a few dozen steps; a greedy run may not end.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt
import yaml

from ttsrt_rt.synth.front_end import front_end_of
from ttsrt_rt.synth.magpie_layout import (
    CKPT_SIZES,
    NEMO_SIZES,
    SPEAKERS,
    SynthModel,
    config,
    layout,
    named_size,
)
from ttsrt_rt.synth.nemo_writer import write_nemo
from ttsrt_rt.synth.torch_writer import SynthTensor, normal_tensor, write_torch_archive
from ttsrt_rt.writing import replacing, write_text

MASK = ".self_attention.causal_mask"
SPEAKERS_FILE = "speakers.json"
ARTIFACT_HASH = "0123456789abcdef0123456789abcdef"


def _spread(name: str, shape: tuple[int, ...], depth: int) -> tuple[float, float]:
    """Returns mean and standard deviation of a tensor's values."""
    if "norm" in name:
        return 1.0, 0.1
    if name.endswith(".bias"):
        return 0.0, 0.1
    if name.startswith(("final_proj", "local_transformer_out_projections")):
        return 0.0, 2.5 / math.sqrt(shape[1])
    if "position_embeddings" in name:
        return 0.0, 0.3
    if "embedding" in name:
        return 0.0, 1.0
    fan_in = math.prod(shape[1:])
    if ".o_net" in name:
        return 0.0, 1.0 / math.sqrt(2 * depth * fan_in)
    return 0.0, 1.0 / math.sqrt(fan_in)


def _depth(model: SynthModel, name: str) -> int:
    depths = {
        "encoder": model.encoder_layers,
        "decoder": model.decoder_layers,
        "context_encoder": model.context_layers,
        "local_transformer": model.local_layers,
    }
    return max(1, depths.get(name.split(".")[0], 1))


def random_tensors(model: SynthModel, seed: int, *, masks: bool = False) -> dict[str, SynthTensor]:
    """Returns every tensor of `layout(model)`. Values are generated when they are read; each tensor
    has its own random stream, so the order of reading does not matter.
    """
    tensors: dict[str, SynthTensor] = {}
    for index, (name, shape) in enumerate(layout(model).items()):
        if name.endswith(MASK):
            if masks:
                tensors[name] = _mask(shape)
        elif name.startswith("_baked") or name.endswith("_len"):
            value = model.dim if name.endswith("_D") else model.voice_rows
            tensors[name] = _constant(shape, value)
        else:
            tensors[name] = normal_tensor(
                shape, [seed, index], _spread(name, shape, _depth(model, name))
            )
    return tensors


def _constant(shape: tuple[int, ...], value: int) -> SynthTensor:
    return SynthTensor("int64", shape, lambda: np.full(shape, value, np.int64))


def _mask(shape: tuple[int, ...]) -> SynthTensor:
    def make() -> npt.NDArray[np.float32]:
        return np.tri(shape[-1], dtype=np.float32).reshape(shape)

    return SynthTensor("float32", shape, make)


def write_random_nemo(
    path: str | os.PathLike[str],
    size: str | SynthModel = "tiny",
    seed: int = 0,
    *,
    masks: bool = False,
    artifacts: Mapping[str, bytes] | None = None,
) -> Path:
    """Writes a `.nemo` of the current generation.

    Args:
        path: the file to create.
        size: "tiny", "mid" (the size of the demo), "v2607" (full size), or a `SynthModel`.
        seed: the seed of the weights.
        masks: whether to write the causal-mask buffers too, as the original does; they are large
            and carry no information.
        artifacts: more members of the archive.

    Raises:
        ConfigError: the size is unknown.
    """
    model = named_size(NEMO_SIZES, size)
    front_end = front_end_of(model.text_vocab)
    values = config(model, is_nemo3=True) | {"text_tokenizers": front_end.tokenizers}
    members = front_end.files | dict(artifacts or {})
    if model.voices:
        name = f"{ARTIFACT_HASH}_{SPEAKERS_FILE}"
        names = [SPEAKERS[i] if i < len(SPEAKERS) else f"Voice {i}" for i in range(model.voices)]
        members[name] = json.dumps({each: index for index, each in enumerate(names)}).encode()
        values["speaker_map"] = f"nemo:{name}"
    members["model_config.yaml"] = yaml.safe_dump(values, sort_keys=False).encode()
    return write_nemo(path, members, random_tensors(model, seed, masks=masks))


def write_random_ckpt(
    path: str | os.PathLike[str],
    size: str | SynthModel = "tiny",
    seed: int = 0,
    *,
    masks: bool = False,
) -> Path:
    """Writes a 2503 `.ckpt`, and `<stem>.hparams.yaml` in the same folder.

    Args:
        path: the file to create.
        size: "tiny", "mid", "true" (full size), or a `SynthModel`.
        seed: the seed of the weights.
        masks: whether to write the causal-mask buffers too.

    Raises:
        ConfigError: the size is unknown.
    """
    model = named_size(CKPT_SIZES, size)
    path = Path(path)
    entries: dict[str, int | str] = {
        "epoch": 0,
        "global_step": 1000,
        "pytorch-lightning_version": "2.4.0",
    }
    with replacing(path) as file:
        write_torch_archive(
            file, random_tensors(model, seed, masks=masks), folder=path.stem, entries=entries
        )
    text = yaml.safe_dump({"cfg": config(model, is_nemo3=False)}, sort_keys=False)
    write_text(path.with_name(f"{path.stem}.hparams.yaml"), text)
    return path
