"""Rounding in Python is what `build` stores: engines of rounded floats are close to coded ones."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import ttsrt_rt as rt
from ttsrt_rt.convert import open_weights
from ttsrt_rt.convert.checkpoint import WEIGHTS_NAME
from ttsrt_rt.convert.mapped_tensor import read_as
from ttsrt_rt.convert.safetensors_write import write_safetensors
from ttsrt_rt.quality.compare import Forcing
from ttsrt_rt.quality.rounding import rounded
from ttsrt_rt.quality.sources import EngineSource

DATA = Path(__file__).resolve().parents[2] / "data" / "llm"
MATRICES = ("self_qkv", "self_out", "ffn_in", "ffn_out")


def write_rounded(checkpoint: Path, made: Path, quantization: str) -> None:
    made.mkdir()
    (made / "config.json").write_bytes((checkpoint / "config.json").read_bytes())
    sources: dict[str, Any] = {}
    with open_weights(checkpoint / WEIGHTS_NAME) as weights:
        for name, tensor in weights.items():
            values = read_as(tensor, "float32")
            if name.endswith(MATRICES):
                values = rounded(values, quantization, 64)
            sources[name] = ("float32", values.shape, lambda values=values: values)
        write_safetensors(made / WEIGHTS_NAME, sources)


@pytest.mark.parametrize("case", ["tiny_llama", "tiny_phi"])
@pytest.mark.parametrize("quantization", ["w8a16", "w4a16"])
def test_codes_and_rounded_floats(case: str, quantization: str, tmp_path: Path) -> None:
    checkpoint = rt.convert(DATA / case, tmp_path / "ckpt", progress=False)
    write_rounded(checkpoint, tmp_path / "rounded", quantization)
    options: dict[str, Any] = {"dtype": "float32", "max_seq_len": 128, "progress": False}
    codes: dict[str, Any] = {"quantization": quantization, "wide_heads": True}
    if quantization == "w4a16":
        codes |= {"zero_points": True, "group_size": 64}
    rt.build(checkpoint, tmp_path / "float", **options)
    rt.build(tmp_path / "rounded", tmp_path / "rounded-float", **options)
    rt.build(checkpoint, tmp_path / "codes", **options, **codes)
    ids = np.load(DATA / case / "ref.npz")["ids_1"].tolist()
    names = ("float", "rounded-float", "codes")
    sources = [EngineSource(tmp_path / name, device="reference") for name in names]
    original, in_floats, in_codes = (each.logits(ids) for each in sources)
    for each in sources:
        each.close()
    far, near = Forcing(), Forcing()
    far.add(original, in_codes)
    near.add(in_floats, in_codes)
    # What is left is that engines of codes round activations to bfloat16.
    assert near.result().kl_mean < 0.15 * far.result().kl_mean


def test_corners() -> None:
    zeros = np.zeros((2, 64), np.float32)
    for quantization in ("w8a16", "w4a16"):
        assert np.array_equal(rounded(zeros, quantization, 32), zeros)
    ramp = np.arange(16, dtype=np.float32).repeat(4)[None] - 3
    assert np.array_equal(rounded(ramp, "w4a16", 64), ramp)  # 16 values have 16 codes
    short = np.random.default_rng(0).normal(size=(3, 40)).astype(np.float32)
    assert np.array_equal(rounded(short, "w4a16", 32)[:, :32], rounded(short[:, :32], "w4a16", 32))
    with pytest.raises(rt.ConfigError, match="group_size"):
        rounded(short, "w4a16", 0)
