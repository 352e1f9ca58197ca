"""Reads NumPy's `.npy` and `.npz` without trusting any size that they state.

`numpy.load` allocates what a header asks for and inflates what an archive gives. This reader checks
a header against the bytes that follow it, and the sizes in an archive's directory against a limit
that grows with the file, before it reads any values. Objects are refused: nothing is executed.
"""

from __future__ import annotations

import math
import os
import re
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ttsrt_rt.convert.file_bytes import FileBytes
from ttsrt_rt.convert.zip_entries import ZipEntries
from ttsrt_rt.errors import FormatError
from ttsrt_rt.foreign_file import HEAD_BYTES, describe_foreign
from ttsrt_rt.quoting import quote, show

__all__ = ["NpzFile", "read_npy"]

Array = NDArray[Any]

MAGIC = b"\x93NUMPY"
ZIP_BEGINNINGS = (b"PK\x03\x04", b"PK\x05\x06")  # the second is of an empty archive
MAX_HEADER_BYTES = 4096
MAX_ARRAYS = 1000
MAX_AXES = 16
# The dictionary that NumPy and others write, of the dtypes of numbers only.
HEADER = re.compile(
    r"\{\s*'descr':\s*'(?P<dtype>[<>|=]?(?:b1|[iu][1248]|f[248]|c8|c16))',\s*"
    r"'fortran_order':\s*(?P<order>True|False),\s*"
    r"'shape':\s*\((?P<shape>[0-9, ]{0,400})\),?\s*\}\s*"
)
# An archive may unpack to this much, or to so many times its size if that is more.
FREE_BYTES = 64 << 20
MAX_RATIO = 20
MAX_ARRAY_BYTES = 128 << 20


def read_npy(path: str | os.PathLike[str]) -> Array:
    """Reads a `.npy` file.

    Raises:
        ConfigError: the file does not exist, cannot be read, or is not a regular file.
        FormatError: the file is not one array of plain numbers.
    """
    region = FileBytes.open(path).all
    if region.size > MAX_ARRAY_BYTES:
        raise FormatError(f"{path}: expected at most {MAX_ARRAY_BYTES} bytes, got {region.size}")
    begin, dtype, shape, is_fortran = _parse_header(
        region.read(0, MAX_HEADER_BYTES), region.size, str(path)
    )
    return _shaped(region.read_array(begin, region.size - begin), dtype, shape, is_fortran)


class NpzFile(Mapping[str, Array]):
    """The arrays of a `.npz` file by name; each is read and inflated when it is asked for.

    Raises:
        ConfigError: the file does not exist, cannot be read, or is not a regular file.
        FormatError: the file is not an archive of arrays, or states sizes beyond the limit.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self._where = str(path)
        file = FileBytes.open(path)
        foreign = describe_foreign(file.all.read(0, HEAD_BYTES))
        if file.all.read(0, 4) not in ZIP_BEGINNINGS:
            got = foreign or f"a file of another kind, of {file.size} bytes"
            raise FormatError(f"{path}: expected an .npz archive of arrays, got {got}")
        self._zip = ZipEntries(file.all, self._where, allow_deflate=True)
        entries = self._zip.entries
        if len(entries) > MAX_ARRAYS:
            raise FormatError(f"{path}: expected at most {MAX_ARRAYS} arrays, got {len(entries)}")
        size = sum(entry.size for entry in entries.values())
        most = max(FREE_BYTES, MAX_RATIO * file.size)
        if size > most:
            raise FormatError(
                f"{path}: expected arrays of at most {most} bytes in a file of {file.size} bytes, "
                f"got {size}"
            )
        self._names = {name.removesuffix(".npy"): name for name in entries}

    def __getitem__(self, name: str) -> Array:
        entry = self._names[name]
        where = f"{self._where}: {quote(name)}"
        raw = np.frombuffer(self._zip.read(entry, MAX_ARRAY_BYTES), np.uint8)
        head = raw[:MAX_HEADER_BYTES].tobytes()
        begin, dtype, shape, is_fortran = _parse_header(head, raw.size, where)
        return _shaped(raw[begin:], dtype, shape, is_fortran)

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)


def _parse_header(
    head: bytes, size: int, where: str
) -> tuple[int, np.dtype[Any], tuple[int, ...], bool]:
    """Returns where the values begin, their dtype and shape, and whether columns come first."""
    version = head[6:8]
    width = {b"\1\0": 2, b"\2\0": 4}.get(version, 0)
    begin = 8 + width + int.from_bytes(head[8 : 8 + width], "little")
    if head[:6] != MAGIC:
        got = describe_foreign(head[:HEAD_BYTES]) or "other bytes"
        raise FormatError(f"{where}: expected a .npy array, got {got}")
    if not width or begin > min(size, len(head)):
        cut = f"one that ends in its header, after {size} bytes: it was cut off"
        got = cut if size < MAX_HEADER_BYTES else "one with a damaged header"
        raise FormatError(f"{where}: expected a .npy array, got {got}")
    text = head[8 + width : begin].decode("latin-1")
    match = HEADER.fullmatch(text)
    if match is None:
        raise FormatError(f"{where}: expected a .npy array of numbers, got {_kind_of(text)}")
    dtype = np.dtype(match["dtype"])
    parts = [part.strip() for part in match["shape"].rstrip(", ").split(",")]
    axes = [int(part) for part in parts if part.isdecimal() and len(part) < 16]
    is_shape = len(axes) == len(parts) or parts == [""]
    if not is_shape or len(axes) > MAX_AXES or math.prod(axes) * dtype.itemsize != size - begin:
        raise FormatError(
            f"{where}: expected a .npy array whose values have the {size - begin} bytes behind its "
            f"header, got shape {show(axes)} of {dtype}"
        )
    return begin, dtype, tuple(axes), match["order"] == "True"


def _kind_of(header: str) -> str:
    """What a header tells that is not of an array of numbers."""
    found = re.search(r"'descr':\s*(?:'[<>|=]?([A-Za-z?])\d*|(\[))", header)
    if found is None:
        return f"a header that is not NumPy's: {quote(header)}"
    names = {"O": "of Python objects", "U": "of text", "S": "of bytes", "a": "of bytes"}
    names |= {"M": "of dates", "m": "of times", "V": "of raw bytes"}
    kind = "of records" if found[2] else names.get(found[1], "of another type")
    return f"an array {kind}"


def _shaped(
    raw: NDArray[np.uint8], dtype: np.dtype[Any], shape: tuple[int, ...], is_fortran: bool
) -> Array:
    if raw.ctypes.data % max(dtype.alignment, 1):
        raw = raw.copy()
    values: Array = raw.view(dtype)
    if dtype.kind == "b":
        values = raw != 0
    return values.reshape(shape, order="F" if is_fortran else "C")
