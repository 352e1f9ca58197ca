"""What tests of causal decoders share: the original's tensors, greedy defaults, built engines."""

from __future__ import annotations

import lzma
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import ttsrt_rt as rt
from ttsrt_rt.convert.safetensors_file import SafetensorsFile

Floats = NDArray[np.float32]
Tensors = dict[str, Floats]


def read_tensors(folder: Path) -> Tensors:
    """Returns every tensor of a folder's safetensors files, packed or not, widened to float32."""
    tensors: Tensors = {}
    for packed in sorted(folder.glob("*.safetensors.xz")):
        with tempfile.TemporaryDirectory() as unpacked:
            (Path(unpacked) / packed.stem).write_bytes(lzma.decompress(packed.read_bytes()))
            tensors.update(read_tensors(Path(unpacked)))
    for path in sorted(folder.glob("*.safetensors")):
        for name, tensor in SafetensorsFile.open(path).tensors.items():
            values = tensor.read()
            if tensor.dtype == "bfloat16":
                values = (values.astype(np.uint32) << 16).view(np.float32)
            tensors[name] = np.ascontiguousarray(values, dtype=np.float32)
    return tensors


def defaults_of(cfg_scale: float) -> dict[str, Any]:
    """Returns greedy defaults; the tests set no option but the length."""
    return {
        "cfg_scale": cfg_scale,
        "temperature": 0.0,
        "top_k": 0,
        "min_p": 0.0,
        "repetition_penalty": 1.0,
        "max_frames": 100,
        "min_frames": 0,
    }


def engines_of(
    factory: pytest.TempPathFactory, convert: Callable[[str, Path], Path], max_seq_len: int
) -> Callable[[str], Path]:
    """Returns a function that gives a case's float32 engine, converted and built once."""
    made: dict[str, Path] = {}

    def make(case: str) -> Path:
        if case not in made:
            folder = factory.mktemp(case)
            checkpoint = convert(case, folder / "checkpoint")
            rt.build(checkpoint, folder / "engine", dtype="float32", max_seq_len=max_seq_len)
            made[case] = folder / "engine"
        return made[case]

    return make
