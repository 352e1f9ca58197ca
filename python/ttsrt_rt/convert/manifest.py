"""The tensors of a checkpoint, as the library's family declares them.

The library packs and loads engines by this list; converters check what they write against it, so
that names and shapes stand in one place (cpp/src/model, a manifest for each family).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ttsrt_rt.convert.mapped_tensor import MappedTensor
from ttsrt_rt.errors import FormatError
from ttsrt_rt.quoting import list_names

__all__ = ["DeclaredTensor", "check_mapped", "check_tensors", "declared_tensors"]

ANY_SIZE = -1


@dataclass(frozen=True)
class DeclaredTensor:
    """A tensor that a checkpoint must hold.

    Attributes:
        name: Its name in the file.
        shape: Its sizes; -1 stands for a size that the configuration does not fix.
        dtypes: The types it may have.
        role: What it is for: table, vector, matrix, convolution, transposed, heads, data or unused.
    """

    name: str
    shape: tuple[int, ...]
    dtypes: tuple[str, ...]
    role: str

    def sized(self, size: int) -> tuple[int, ...]:
        """Returns the shape with `size` in place of sizes that are not fixed."""
        return tuple(size if axis == ANY_SIZE else axis for axis in self.shape)

    def fits(self, shape: tuple[int, ...]) -> bool:
        """Returns whether a tensor of this shape is the declared one."""
        pairs = zip(self.shape, shape, strict=False)
        return len(shape) == len(self.shape) and all(
            got > 0 if axis == ANY_SIZE else got == axis for axis, got in pairs
        )


def declared_tensors(config: Mapping[str, Any]) -> dict[str, DeclaredTensor]:
    """Returns the tensors of a checkpoint with this config.json, by name, in file order.

    Only `family`, `model` and `defaults` are read.

    Raises:
        FormatError: The library does not know the family, or refuses the configuration.
    """
    from ttsrt_rt import _core

    return {
        tensor.name: DeclaredTensor(
            tensor.name, tuple(tensor.shape), tuple(tensor.dtypes), tensor.role
        )
        for tensor in _core.describe_manifest(json.dumps(config))
    }


def check_mapped(config: Mapping[str, Any], mapped: Mapping[str, MappedTensor]) -> None:
    """Checks what a converter is about to write against what the family declares.

    Args:
        config: the checkpoint's config.json.
        mapped: its tensors by name.

    Raises:
        FormatError: as `declared_tensors` and `check_tensors`.
    """
    made = {name: (tensor.dtype, tensor.shape) for name, tensor in mapped.items()}
    check_tensors(declared_tensors(config), made)


def check_tensors(
    declared: Mapping[str, DeclaredTensor], tensors: Mapping[str, tuple[str, tuple[int, ...]]]
) -> None:
    """Checks the dtypes and shapes of a whole checkpoint's tensors, keyed by name.

    Raises:
        FormatError: A tensor is missing, unexpected, or of another dtype or shape.
    """
    for name, expected in declared.items():
        shape = list(expected.shape)
        if name not in tensors:
            raise FormatError(f"{name}: expected {shape}, got nothing")
        dtype, got = tensors[name]
        if not expected.fits(got):
            raise FormatError(f"{name}: expected {shape}, got {list(got)}")
        if dtype not in expected.dtypes:
            raise FormatError(f"{name}: expected {' or '.join(expected.dtypes)}, got {dtype}")
    unknown = sorted(
        name for name in tensors if name not in declared and not _is_of_a_grid(name, declared)
    )
    if unknown:
        raise FormatError(f"unexpected tensors: {list_names(unknown)}")


def _is_of_a_grid(name: str, declared: Mapping[str, DeclaredTensor]) -> bool:
    """Whether these are scales or zero points that a matrix was made with, which `build` checks."""
    matrix, _, ending = name.rpartition(".")
    return (
        ending in ("scales", "zeros") and matrix in declared and declared[matrix].role == "matrix"
    )
