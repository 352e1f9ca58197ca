"""Tensors of a checkpoint to be written, as every converter makes them: mapped from tensors of the
source, read and cast one at a time while they are written.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from ttsrt_rt.convert.casting import cast, check_finite
from ttsrt_rt.convert.lazy_tensor import Array, LazyTensor
from ttsrt_rt.convert.safetensors_write import write_safetensors
from ttsrt_rt.progress import ProgressCallback

__all__ = ["MappedTensor", "read_as", "target_dtype", "write_mapped"]


@dataclass(frozen=True)
class MappedTensor:
    """One tensor of the checkpoint to be written: our name, dtype tag, shape, and a function that
    reads its values.
    """

    name: str
    dtype: str
    shape: tuple[int, ...]
    read: Callable[[], Array]


def target_dtype(stored: str, dtype: str | None) -> str:
    """Returns the dtype tag to write: the one asked for, or the stored one, float64 as float32."""
    return dtype or ("float32" if stored == "float64" else stored)


def read_as(source: LazyTensor, target: str) -> Array:
    """Reads a tensor of the source as values of this dtype tag.

    Raises:
        FormatError: A value is not finite, or too large for the target.
    """
    values = source.read()
    check_finite(source.name, values, source.dtype)
    return cast(source.name, values, source.dtype, target)


def write_mapped(path: Path, mapped: Mapping[str, MappedTensor], report: ProgressCallback) -> None:
    """Writes the weights of a checkpoint, one tensor in memory at a time.

    Args:
        path: The file to create.
        mapped: The tensors by name.
        report: Called with (tensors done, of all, name) after each was read.
    """
    done = itertools.count(1)

    def read(name: str, tensor: MappedTensor) -> Array:
        values = tensor.read()
        report(next(done), len(mapped), name)
        return values

    write_safetensors(
        path,
        {
            name: (tensor.dtype, tensor.shape, functools.partial(read, name, tensor))
            for name, tensor in mapped.items()
        },
    )
