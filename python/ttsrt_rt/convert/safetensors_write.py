"""Writes `.safetensors`: one tensor in memory at a time, and the file appears whole or not at all.

The bytes depend on the tensors and the metadata only: tensors lie by item size, largest first, and
then by name, so each is aligned to its own items; the data starts at a multiple of 64 bytes. The
file is written under a temporary name beside its place, synced, and renamed.
"""

from __future__ import annotations

import json
import math
import os
import secrets
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import BinaryIO, Protocol

import numpy as np

from ttsrt_rt.convert.lazy_tensor import DTYPES, Array, LazyTensor, check_shape, dtype_of_array
from ttsrt_rt.convert.pickle_values import quote
from ttsrt_rt.convert.safetensors_file import DTYPE_CODES
from ttsrt_rt.errors import ConfigError, FormatError

__all__ = ["TensorSource", "tensor_of_array", "write_safetensors"]

ALIGNMENT = 64

Data = Array | bytes | bytearray | memoryview


class TensorSource(Protocol):
    """What can be written: a `LazyTensor`, or anything with these three."""

    @property
    def dtype(self) -> str:
        """A tag of `lazy_tensor.DTYPES`."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Dimensions, outermost first."""

    def read(self) -> Data:
        """Returns the values: an array of `shape`, or little-endian bytes in row-major order."""


Source = TensorSource | tuple[str, Sequence[int], Callable[[], Data]]


def tensor_of_array(name: str, array: Array, dtype: str | None = None) -> LazyTensor:
    """Wraps values that are in memory already.

    Args:
        name: the tensor's key.
        array: values, any layout, any byte order.
        dtype: the tag; None takes the array's own. "bfloat16" needs uint16 values, "float8_*"
        uint8.

    Raises:
        ConfigError: no such dtype, or an item size other than the tag's.
    """
    tag = dtype_of_array(array) if dtype is None else dtype
    check_tag(tag, quote(name))
    if array.dtype.newbyteorder("<") != DTYPES[tag]:
        raise ConfigError(
            f"{quote(name)}: expected {DTYPES[tag].name} values for {tag}, got {array.dtype.name}"
        )
    return LazyTensor(name, tag, array.shape, array.nbytes, lambda: array)


def write_safetensors(
    path: str | os.PathLike[str],
    tensors: Mapping[str, Source] | Iterable[tuple[str, Source]],
    metadata: Mapping[str, str] | None = None,
) -> int:
    """Writes all tensors to `path`, replacing what is there.

    Args:
        path: the file; its folder must exist.
        tensors: name -> `LazyTensor` (or `TensorSource`), or -> (dtype tag, shape, function that
        returns the values).
            Each is read once, in the order of the file, and dropped before the next.
        metadata: free text for the header.

    Returns:
        The size of the file in bytes.

    Raises:
        ConfigError: a name twice, an unknown dtype, or values that are not of the stated dtype and
        shape. The file at
            `path` is then what it was before.
        OSError: the disk is full or the folder cannot be written.
    """
    pairs = tensors.items() if isinstance(tensors, Mapping) else tensors
    plans: dict[str, Plan] = {}
    for name, source in pairs:
        if name in plans or name == "__metadata__":
            raise ConfigError(
                f"tensor {quote(name)}: expected a name of its own, got it twice or reserved"
            )
        plans[name] = Plan(name, source)
    ordered = sorted(plans.values(), key=lambda plan: (-plan.itemsize, plan.name))
    header = make_header(ordered, metadata or {})
    path = Path(path)
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(8)}.tmp")
    try:
        with temporary.open("xb") as file:
            file.write(header)
            for plan in ordered:
                plan.write(file)
            file.flush()
            os.fsync(file.fileno())
            size = file.tell()
        os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    sync_folder(path.parent)
    return size


class Plan:
    """One tensor to be written, checked as far as that goes without reading its values."""

    def __init__(self, name: str, source: Source) -> None:
        if isinstance(source, tuple):
            dtype, shape, self.read = source
        else:
            dtype, shape, self.read = source.dtype, source.shape, source.read
        check_tag(dtype, quote(name))
        self.name = name
        self.dtype = dtype
        self.itemsize = DTYPES[dtype].itemsize
        try:
            self.shape = check_shape(quote(name), [int(size) for size in shape], self.itemsize)
        except FormatError as error:
            raise ConfigError(str(error)) from error
        self.nbytes = math.prod(self.shape) * self.itemsize

    def write(self, file: BinaryIO) -> None:
        """Reads the values, compares them with what was stated, and writes them."""
        data = self.read()
        if isinstance(data, np.ndarray):
            if data.shape != self.shape or data.dtype.newbyteorder("<") != DTYPES[self.dtype]:
                raise ConfigError(
                    f"tensor {quote(self.name)}: expected {DTYPES[self.dtype].name} "
                    f"{list(self.shape)} for "
                    f"{self.dtype}, got {data.dtype.name} {list(data.shape)}"
                )
            values = np.ascontiguousarray(data, dtype=DTYPES[self.dtype]).reshape(-1).view(np.uint8)
            file.write(values.data)
            return
        view = memoryview(data)
        if view.nbytes != self.nbytes or not view.c_contiguous:
            raise ConfigError(
                f"tensor {quote(self.name)}: expected {self.nbytes} contiguous bytes, got "
                f"{view.nbytes}"
            )
        file.write(view)


def make_header(plans: list[Plan], metadata: Mapping[str, str]) -> bytes:
    """Returns length and JSON of the header, padded with spaces so that the data starts aligned."""
    header: dict[str, object] = {}
    if metadata:
        header["__metadata__"] = dict(sorted(metadata.items()))
    at = 0
    for plan in plans:
        span = [at, at + plan.nbytes]
        header[plan.name] = {
            "dtype": DTYPE_CODES[plan.dtype],
            "shape": list(plan.shape),
            "data_offsets": span,
        }
        at = span[1]
    try:
        text = json.dumps(header, ensure_ascii=False, separators=(",", ":")).encode()
    except UnicodeEncodeError as error:
        raise ConfigError(
            "tensor names and metadata: expected Unicode text, got a lone surrogate"
        ) from error
    text += b" " * (-(8 + len(text)) % ALIGNMENT)
    return len(text).to_bytes(8, "little") + text


def check_tag(dtype: str, where: str) -> None:
    """Refuses a dtype tag that is not known."""
    if dtype not in DTYPES:
        raise ConfigError(
            f"{where}: dtype: expected one of {', '.join(DTYPES)}, got {quote(str(dtype))}"
        )


def sync_folder(folder: Path) -> None:
    """Makes a rename in a folder last."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
