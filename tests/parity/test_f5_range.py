"""Activations beyond 65504, the largest number of float16, which other programs turn into silence
or NaN. Here only weights are narrow: rows, sums and statistics are float32.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import ttsrt_rt as rt
from tests.devices import NATIVE
from ttsrt_rt.convert.safetensors_write import tensor_of_array, write_safetensors
from ttsrt_rt.synth.f5_layout import f5_size
from ttsrt_rt.synth.f5_random import random_f5_tensors

from .f5_cases import SEED, inputs_of
from .f5_reference import Reference
from .test_f5_reference import distance

LARGEST = 65504.0
DISTANCES = {"float32": 1e-3, "float16": 1e-2, "bfloat16": 0.1}
# With keys this large, softmax picks one key alone, and a GPU multiplies queries and keys that are
# rounded to bfloat16: where two scores are close, it picks the other one.
PICKED_BY_ROUNDED_SCORES = 0.25
# What is made larger; the matrix behind each makes up for it, but for the last.
LOUDER: dict[str, tuple[tuple[str, ...], str, float]] = {
    "feed-forward": (("ff.ff.0.0.weight", "ff.ff.0.0.bias"), "ff.ff.2.weight", 2.0**16),
    "attention": (("attn.to_v.weight", "attn.to_v.bias"), "attn.to_out.0.weight", 2.0**16),
    "values": (("attn.to_v.weight", "attn.to_v.bias"), "", 2.0**16),
    "keys": (("attn.to_k.weight", "attn.to_k.bias"), "", 2.0**16),
    "residual": (("ff.ff.2.weight", "ff.ff.2.bias"), "", 2.0**16),
}


def write_louder(folder: Path, name: str) -> Path:
    """Writes a network with large activations."""
    louder, quieter, factor = LOUDER[name]
    tensors: dict[str, Any] = {}
    for key, tensor in random_f5_tensors(f5_size("tiny"), SEED).items():
        values = tensor.make()
        if key.startswith("transformer_blocks.0.") and key.endswith(louder):
            values = values * np.float32(factor)
        elif quieter and key.startswith("transformer_blocks.0.") and key.endswith(quieter):
            values = values / np.float32(factor)
        tensors[f"transformer.{key}"] = tensor_of_array(key, values.astype(np.float32))
    write_safetensors(folder / "model_1.safetensors", tensors)
    return folder / "model_1.safetensors"


@pytest.mark.parametrize("name", LOUDER)
def test_large_activations_stay_exact(name: str, tmp_path: Path) -> None:
    source = write_louder(tmp_path, name)
    checkpoint = rt.convert(source, tmp_path / "ckpt", variant="v1", progress=False)
    given = inputs_of("tiny")
    expected = Reference(checkpoint).sample(
        given["prompt"], given["ids"], given["x"], steps=2, sway=-1.0, use_epss=False
    )
    flow = rt.Flow(steps=2, sway_sampling_coef=-1.0, use_epss=False)
    for dtype, usual in DISTANCES.items():
        is_rounded = dtype == "bfloat16" and name == "keys" and NATIVE.startswith("cuda")
        most = PICKED_BY_ROUNDED_SCORES if is_rounded else usual
        if dtype == "float16" and LOUDER[name][1]:
            continue  # it has no weights as small as those that make up for large ones
        if dtype == "float16" and name == "values" and NATIVE.startswith("cuda"):
            continue  # see test_what_float16_inputs_of_a_gpu_cannot_hold_is_an_error
        rt.build(checkpoint, tmp_path / dtype, dtype=dtype, max_seq_len=64)
        with rt.Executor(tmp_path / dtype, device=NATIVE, trace=True) as executor:
            made = executor.generate(
                text_ids=given["ids"],
                context_embeddings=given["prompt"],
                noise=given["x"],
                flow=flow,
            )
        assert made.finish_reason == "stop" and made.spectrogram is not None
        assert distance(made.spectrogram, expected) < most
        if name == "residual":
            largest = max(np.abs(each.values).max() for each in made.trace if "layers" in each.name)
            assert largest > LARGEST


@pytest.mark.skipif(not NATIVE.startswith("cuda"), reason="needs TTSRT_TEST_DEVICE=cuda")
def test_what_float16_inputs_of_a_gpu_cannot_hold_is_an_error(tmp_path: Path) -> None:
    """A GPU rounds the inputs of float16 products to float16: infinity is never silence."""
    source = write_louder(tmp_path, "values")
    checkpoint = rt.convert(source, tmp_path / "ckpt", variant="v1", progress=False)
    rt.build(checkpoint, tmp_path / "engine", dtype="float16", max_seq_len=64)
    given = inputs_of("tiny")
    executor = rt.Executor(tmp_path / "engine", device=NATIVE)
    with executor, pytest.raises(rt.Error, match="finite"):
        executor.generate(
            text_ids=given["ids"],
            context_embeddings=given["prompt"],
            noise=given["x"],
            flow=rt.Flow(steps=2),
        )
