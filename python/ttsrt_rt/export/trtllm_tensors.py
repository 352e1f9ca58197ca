"""Writes the tensors of an export, one at a time."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np

from ttsrt_rt.convert.casting import cast
from ttsrt_rt.convert.lazy_tensor import Array
from ttsrt_rt.convert.safetensors_write import Source, write_safetensors
from ttsrt_rt.export.trtllm_layout import ExportTensor
from ttsrt_rt.progress import ProgressCallback

__all__ = ["write_tensors"]


def write_tensors(
    files: Mapping[str, Mapping[str, ExportTensor]],
    folder: Path,
    dtype: str,
    report: ProgressCallback,
) -> None:
    """Writes files of tensors by their names below `folder`, in `dtype`; not those without any."""
    total = sum(len(tensors) for tensors in files.values())
    done = 0

    def reader(name: str, tensor: ExportTensor) -> Callable[[], Array]:
        def read() -> Array:
            nonlocal done
            values = cast(name, np.ascontiguousarray(tensor.read()), "float32", dtype)
            done += 1
            report(done, total, name)
            return values

        return read

    for file, tensors in files.items():
        if not tensors:
            continue
        sources: dict[str, Source] = {
            name: (dtype, tensor.shape, reader(name, tensor)) for name, tensor in tensors.items()
        }
        write_safetensors(folder / file, sources, {"format": "pt"})
