"""Which layers lose most when they are quantized: one at a time is rounded, and all others stay as
they are.
"""

from __future__ import annotations

import re
import shutil
import tempfile
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

from ttsrt_rt.build import build
from ttsrt_rt.convert import open_weights
from ttsrt_rt.convert.checkpoint import CONFIG_NAME, WEIGHTS_NAME, check_checkpoint, read_config
from ttsrt_rt.convert.lazy_tensor import LazyTensor
from ttsrt_rt.convert.mapped_tensor import read_as
from ttsrt_rt.convert.safetensors_write import write_safetensors
from ttsrt_rt.errors import ConfigError
from ttsrt_rt.quality.compare import Forcing
from ttsrt_rt.quality.rounding import Matrix, rounded
from ttsrt_rt.quality.sources import EngineSource, Source
from ttsrt_rt.quoting import show

__all__ = ["layer_distances"]

_LINEAR = re.compile(r"decoder\.layers\.(\d+)\.(?:self_qkv|self_out|ffn_in|ffn_out)")


def layer_distances(
    checkpoint: Path,
    reference: Source,
    prompts: Sequence[list[int]],
    *,
    quantization: str = "w4a16",
    group_size: int = 64,
    max_tokens: int = 64,
    progress: Callable[[str], object] | None = None,
) -> list[dict[str, Any]]:
    """Returns each layer's distance, the largest first: `layer`, `kl_mean`, `kl_p99`, `top1`.

    A checkpoint with one rounded layer, and a float32 engine of it, are written to a temporary
    folder and removed, layer by layer.

    Args:
        checkpoint: what `convert` wrote, of a language model.
        reference: what is right, on whose own greedy texts distances are measured.
        prompts: ids of each.
        quantization, group_size: as of `build`, with zero points for 4 bits.
        max_tokens: ids of a text.
        progress: called with each step's name.

    Raises:
        ConfigError: it is no checkpoint of a language model, or a group does not divide a row.
    """
    folder = check_checkpoint(checkpoint)
    family = read_config(folder).get("family")
    if family != "llm":
        raise ConfigError(f"{folder}: expected a checkpoint of family llm, got {show(family)}")
    right = reference.greedy(prompts, max_tokens)
    texts = [[*ids, *made] for ids, (made, _) in zip(prompts, right, strict=True)]
    longest = max(len(ids) for ids in texts)
    found = []
    with open_weights(folder / WEIGHTS_NAME) as weights:
        for layer in _layers_of(weights):
            if progress is not None:
                progress(f"layer {layer}")
            forcing = Forcing()
            with tempfile.TemporaryDirectory(prefix=".ttsrt-", dir=folder.parent) as made_in:
                engine = _engine(
                    folder, weights, layer, Path(made_in), quantization, group_size, longest
                )
                with closing(engine):
                    for ids in texts:  # the reference again: logits of all texts may be gigabytes
                        forcing.add(reference.logits(ids), engine.logits(ids))
            distance = forcing.result()
            found.append(
                {
                    "layer": layer,
                    "kl_mean": distance.kl_mean,
                    "kl_p99": distance.kl_p99,
                    "top1": distance.top1,
                }
            )
    return sorted(found, key=lambda each: -float(each["kl_mean"]))


def _layers_of(weights: Mapping[str, LazyTensor]) -> list[int]:
    return sorted({int(match[1]) for name in weights if (match := _LINEAR.fullmatch(name))})


def _engine(
    folder: Path,
    weights: Mapping[str, LazyTensor],
    layer: int,
    made_in: Path,
    quantization: str,
    group_size: int,
    length: int,
) -> EngineSource:
    """A float32 engine of the checkpoint, one of whose layers is rounded."""
    checkpoint = made_in / "checkpoint"
    checkpoint.mkdir()
    shutil.copy(folder / CONFIG_NAME, checkpoint / CONFIG_NAME)
    sources: dict[str, Any] = {}
    for name, tensor in weights.items():
        match = _LINEAR.fullmatch(name)
        if match is not None and int(match[1]) == layer:
            read = partial(_rounded, tensor, quantization, group_size)
            sources[name] = ("float32", tensor.shape, read)
        else:
            sources[name] = tensor
    write_safetensors(checkpoint / WEIGHTS_NAME, sources)
    build(
        checkpoint,
        made_in / "engine",
        dtype="float32",
        max_batch_size=1,
        max_input_len=length,
        max_seq_len=length + 1,
        progress=False,
    )
    return EngineSource(made_in / "engine")


def _rounded(tensor: LazyTensor, quantization: str, group_size: int) -> Matrix:
    return rounded(read_as(tensor, "float32"), quantization, group_size)
