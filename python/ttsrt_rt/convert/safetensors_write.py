"""Writes `.safetensors` atomically, with one tensor in memory at a time.

The bytes depend only on the tensors and the metadata: tensors are sorted by item size, largest
first, and then by name, so each is aligned to its item size; the data starts at a multiple of 64
bytes. The file is written under a temporary name in the same folder, synced, and renamed.
"""

from __future__ import annotations

import json
import math
import os
import secrets
from collections.abc import Callable, Iterable, Mapping, Sequence
from io import RawIOBase
from pathlib import Path
from typing import Protocol

import numpy as np

from ttsrt_rt.convert.lazy_tensor import DTYPES, Array, LazyTensor, check_shape, dtype_of_array
from ttsrt_rt.convert.safetensors_file import DTYPE_CODES
from ttsrt_rt.errors import ConfigError, FormatError
from ttsrt_rt.quoting import quote
from ttsrt_rt.writing import writing

__all__ = ["TensorSource", "tensor_of_array", "write_safetensors"]

ALIGNMENT = 64
MAX_WRITE = 16 << 20  # of one call: signal handlers run between two calls

Data = Array | bytes | bytearray | memoryview


class TensorSource(Protocol):
    """What can be written: a `LazyTensor`, or any object with these three members."""

    @property
    def dtype(self) -> str:
        """Returns a tag of `lazy_tensor.DTYPES`."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Returns the dimensions, outermost first."""

    def read(self) -> Data:
        """Returns the values: an array of `shape`, or little-endian bytes in row-major order."""


Source = TensorSource | tuple[str, Sequence[int], Callable[[], Data]]


def tensor_of_array(name: str, array: Array, dtype: str | None = None) -> LazyTensor:
    """Wraps values that are already in memory.

    Args:
        name: the tensor's key.
        array: the values, in any layout and byte order.
        dtype: the dtype tag; None takes that of the array. "bfloat16" needs uint16 values, and
            "float8_*" needs uint8 values.

    Raises:
        ConfigError: the dtype is unknown, or its item size is not that of the array.
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
    """Writes all tensors to `path` and replaces a file that exists there.

    Args:
        path: the file; its folder must exist.
        tensors: name -> `LazyTensor` (or `TensorSource`), or name -> (dtype tag, shape, function
            that returns the values). Each tensor is read once, in the order of the file, and
            released before the next one is read.
        metadata: free text for the header.

    Returns:
        The size of the file in bytes.

    Raises:
        ConfigError: a name is used twice, a dtype is unknown, or values are not of the stated dtype
            and shape; or the file cannot be created there. The file at `path` is then unchanged.
        CapacityError: the disk is full.
    """
    pairs = tensors.items() if isinstance(tensors, Mapping) else tensors
    entries: dict[str, TensorEntry] = {}
    for name, source in pairs:
        if name in entries or name == "__metadata__":
            raise ConfigError(
                f"tensor {quote(name)}: expected a unique name, got it twice or a reserved one"
            )
        entries[name] = TensorEntry(name, source)
    ordered = sorted(entries.values(), key=lambda entry: (-entry.itemsize, entry.name))
    header = make_header(ordered, metadata or {})
    path = Path(path)
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(8)}.tmp")
    try:
        with writing(path):
            file = temporary.open("xb", buffering=0)
        with file:
            write_all(file, header, path)
            for entry in ordered:
                write_all(file, entry.read_bytes(), path)
            with writing(path):
                size = file.tell()
                os.fsync(file.fileno())
                file.close()
        with writing(path):
            os.replace(temporary, path)
            sync_folder(path.parent)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    return size


def write_all(file: RawIOBase, data: bytes | memoryview, path: Path) -> None:
    """Writes all bytes to an unbuffered file; `path` is its final name."""
    view = memoryview(data)
    view = view.cast("B") if view.nbytes else view
    while view.nbytes > 0:
        with writing(path):
            written = file.write(view[:MAX_WRITE])
        view = view[written:]


class TensorEntry:
    """One tensor to be written: everything is checked but its values, which are not read yet."""

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

    def read_bytes(self) -> memoryview:
        """Reads the values and checks them against the stated dtype and shape."""
        data = self.read()
        if isinstance(data, np.ndarray):
            if data.shape != self.shape or data.dtype.newbyteorder("<") != DTYPES[self.dtype]:
                raise ConfigError(
                    f"tensor {quote(self.name)}: expected {DTYPES[self.dtype].name} "
                    f"{list(self.shape)} for "
                    f"{self.dtype}, got {data.dtype.name} {list(data.shape)}"
                )
            values = np.ascontiguousarray(data, dtype=DTYPES[self.dtype]).reshape(-1).view(np.uint8)
            return values.data
        view = memoryview(data)
        if view.nbytes != self.nbytes or not view.c_contiguous:
            raise ConfigError(
                f"tensor {quote(self.name)}: expected {self.nbytes} contiguous bytes, got "
                f"{view.nbytes}"
            )
        return view


def make_header(entries: list[TensorEntry], metadata: Mapping[str, str]) -> bytes:
    """Returns the header's length and JSON, padded with spaces so that the data is aligned."""
    header: dict[str, object] = {}
    if metadata:
        header["__metadata__"] = dict(sorted(metadata.items()))
    at = 0
    for entry in entries:
        span = [at, at + entry.nbytes]
        header[entry.name] = {
            "dtype": DTYPE_CODES[entry.dtype],
            "shape": list(entry.shape),
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
    """Rejects an unknown dtype tag."""
    if dtype not in DTYPES:
        raise ConfigError(
            f"{where}: dtype: expected one of {', '.join(DTYPES)}, got {quote(str(dtype))}"
        )


def sync_folder(folder: Path) -> None:
    """Syncs a folder, so that a rename inside it survives a crash."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
