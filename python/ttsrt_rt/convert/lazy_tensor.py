"""Tensors of a foreign checkpoint that stay on disk until they are read.

A `LazyTensor` knows name, dtype and shape from the file's index; `read()` returns the values.
Dtypes are our own tags, because NumPy has no bfloat16 and no float8: such values are read as
unsigned integers of the same width, and the tag says what the bits mean. Every shape that a file
states is checked by `check_shape`, so no product of dimensions can exceed what an array can hold.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from ttsrt_rt.errors import ConfigError, FormatError

__all__ = [
    "DTYPES",
    "Array",
    "LazyTensor",
    "array_from_bytes",
    "check_bools",
    "check_shape",
    "dtype_of_array",
]

Array = npt.NDArray[Any]

MAX_DIMENSIONS = 16
SLICE = 1 << 24  # bytes; signal handlers run between two slices
MAX_TENSOR_BYTES = 1 << 46

# Tag -> the NumPy dtype that holds it. Files are little-endian on every machine.
DTYPES: dict[str, np.dtype[Any]] = {
    "float64": np.dtype("<f8"),
    "float32": np.dtype("<f4"),
    "float16": np.dtype("<f2"),
    "bfloat16": np.dtype("<u2"),
    "float8_e4m3fn": np.dtype("u1"),
    "float8_e5m2": np.dtype("u1"),
    "int64": np.dtype("<i8"),
    "int32": np.dtype("<i4"),
    "int16": np.dtype("<i2"),
    "int8": np.dtype("i1"),
    "uint64": np.dtype("<u8"),
    "uint32": np.dtype("<u4"),
    "uint16": np.dtype("<u2"),
    "uint8": np.dtype("u1"),
    "bool": np.dtype("?"),
}


@dataclass(frozen=True)
class LazyTensor:
    """One tensor of a checkpoint whose values are still unread.

    Attributes:
        name: its key in the checkpoint.
        dtype: a tag of `DTYPES`; "bfloat16" values are read as uint16, "float8_*" as uint8.
        shape: dimensions, outermost first; () for a scalar.
        nbytes: size of what `read` returns, in bytes.
    """

    name: str
    dtype: str
    shape: tuple[int, ...]
    nbytes: int
    reader: Callable[[], Array] = field(repr=False, compare=False)

    def read(self) -> Array:
        """Returns the values, C-contiguous and read-only, of shape `shape`.

        Each call reads them into a new array. If the format has checksums, the checksum of the
        entry is verified on its first read.

        Raises:
            FormatError: the stored bytes are damaged, or the file has changed since it was opened.
            ClosedError: the checkpoint was closed.
        """
        return self.reader()


def check_shape(where: str, shape: Sequence[object], itemsize: int) -> tuple[int, ...]:
    """Checks a shape found in a file and returns it.

    Dimensions of 0 count as 1 in the limit on bytes, because array libraries multiply the others.

    Raises:
        FormatError: a dimension is not a non-negative integer, or there are too many dimensions or
            bytes.
    """
    if len(shape) > MAX_DIMENSIONS:
        raise FormatError(
            f"{where}: expected at most {MAX_DIMENSIONS} dimensions, got {len(shape)}"
        )
    bound = itemsize
    sizes: list[int] = []
    for size in shape:
        if type(size) is not int or size < 0:
            raise FormatError(f"{where}: expected dimensions >= 0, got {describe_size(size)}")
        bound *= max(size, 1)
        sizes.append(size)
        if bound > MAX_TENSOR_BYTES:
            raise FormatError(f"{where}: expected at most {MAX_TENSOR_BYTES} bytes, got more")
    return tuple(sizes)


def describe_size(size: object) -> str:
    """Describes a wrong dimension for an error, without printing the value from the file."""
    if type(size) is int:
        return str(size) if size.bit_length() <= 64 else f"an integer of {size.bit_length()} bits"
    return type(size).__name__


def array_from_bytes(
    where: str, data: npt.NDArray[np.uint8], dtype: str, shape: tuple[int, ...]
) -> Array:
    """Views bytes as an array of the dtype that a tag stands for.

    Args:
        where: what an error names.
        data: the bytes, exactly as many as `shape` needs, aligned for the dtype.
        dtype: a tag of `DTYPES`.
        shape: the shape, already checked by `check_shape`.

    Raises:
        FormatError: a bool byte is neither 0 nor 1.
    """
    if dtype == "bool":
        check_bools(where, data)
    result: Array = data.view(DTYPES[dtype]).reshape(shape)
    result.flags.writeable = False
    return result


def check_bools(where: str, values: npt.NDArray[np.uint8]) -> None:
    """Rejects bytes other than 0 and 1: NumPy would keep such a bool as neither true nor false."""
    for begin in range(0, values.size, SLICE):
        largest = int(values[begin : begin + SLICE].max())
        if largest > 1:
            raise FormatError(f"{where}: expected bool bytes 0 or 1, got {largest}")


def dtype_of_array(array: Array) -> str:
    """Returns the tag of a NumPy array's dtype; uint16 is always "uint16", never bfloat16.

    Raises:
        ConfigError: the dtype has no tag.
    """
    tag: str = array.dtype.name
    if tag not in DTYPES:
        raise ConfigError(f"array dtype: expected one of {', '.join(DTYPES)}, got {tag}")
    return tag
