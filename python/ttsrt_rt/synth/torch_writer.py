"""Writes tensors in the layout of `torch.save` without torch: an uncompressed zip with a pickle.

This module serves only synthetic checkpoints, so that demos and tests need neither a download nor
torch. It holds one tensor in memory at a time. As in torch's files, zip entries have correct
checksums and their data is aligned to 64 bytes. It does not write zip64, so an archive must be
smaller than 4 GiB.
"""

from __future__ import annotations

import math
import struct
import zlib
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, BinaryIO, TypeAlias

import numpy as np
import numpy.typing as npt

from ttsrt_rt.errors import ConfigError

Array = npt.NDArray[Any]

STORAGES = {
    "float32": "FloatStorage",
    "float16": "HalfStorage",
    "int32": "IntStorage",
    "int64": "LongStorage",
}
ALIGNMENT = 64
DOS_DATE = (1980 - 1980) << 9 | 1 << 5 | 1


@dataclass(frozen=True)
class SynthTensor:
    """A tensor to be written: NumPy dtype name, shape, and a function that generates its values
    when they are written.
    """

    dtype: str
    shape: tuple[int, ...]
    make: Callable[[], Array]


def normal_tensor(
    shape: tuple[int, ...], seed: list[int], spread: tuple[float, float]
) -> SynthTensor:
    """Returns a float32 tensor of normal numbers; `spread` is their mean and deviation."""
    mean, deviation = spread

    def make() -> npt.NDArray[np.float32]:
        generator = np.random.Generator(np.random.SFC64(seed))
        values = generator.standard_normal(shape, np.float32)
        values *= np.float32(deviation)
        if mean:
            values += np.float32(mean)
        return values

    return SynthTensor("float32", shape, make)


# Without a recursive type: the values of a mapping or a list are trees again.
Tree: TypeAlias = "SynthTensor | Mapping[str, Any] | list[Any] | str | int | None"


def _text(value: str) -> bytes:
    raw = value.encode()
    return b"X" + struct.pack("<I", len(raw)) + raw


def _integer(value: int) -> bytes:
    if 0 <= value < 256:
        return b"K" + bytes([value])
    if 0 <= value < 1 << 31:
        return b"J" + struct.pack("<i", value)
    raw = value.to_bytes(value.bit_length() // 8 + 1, "little", signed=True)
    return b"\x8a" + bytes([len(raw)]) + raw


def _tuple(values: Iterable[int]) -> bytes:
    return b"(" + b"".join(map(_integer, values)) + b"t"


def _tensor(key: int, tensor: SynthTensor) -> bytes:
    """Returns the pickle of one tensor: `_rebuild_tensor_v2` on the storage `data/<key>`."""
    count = math.prod(tensor.shape)
    strides = [math.prod(tensor.shape[axis + 1 :]) for axis in range(len(tensor.shape))]
    storage = _text("storage") + b"ctorch\n" + STORAGES[tensor.dtype].encode() + b"\n"
    storage += _text(str(key)) + _text("cpu") + _integer(count)
    arguments = b"(" + storage + b"tQ" + _integer(0) + _tuple(tensor.shape) + _tuple(strides)
    arguments += b"\x89" + b"ccollections\nOrderedDict\n)R"
    return b"ctorch._utils\n_rebuild_tensor_v2\n(" + arguments + b"tR"


class _Pickle:
    """Encodes a tree of plain values and tensors, and collects the tensors in their order."""

    def __init__(self) -> None:
        self.tensors: list[tuple[str, SynthTensor]] = []

    def encode(self, value: Tree, name: str = "") -> bytes:
        """Returns the opcodes of a value; `name` is its path, for errors."""
        if isinstance(value, SynthTensor):
            self.tensors.append((name, value))
            return _tensor(len(self.tensors) - 1, value)
        if value is None:
            return b"N"
        if isinstance(value, str):
            return _text(value)
        if isinstance(value, int):
            return _integer(value)
        if isinstance(value, list):
            return b"](" + b"".join(self.encode(each, name) for each in value) + b"e"
        made = b"ccollections\nOrderedDict\n)R(" if isinstance(value, OrderedDict) else b"}("
        for key, each in value.items():
            made += _text(key) + self.encode(each, key)
        return made + b"u"


class StoredZip:
    """Writes a zip of uncompressed entries to a file, from its current position."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._base = file.tell()
        self._directory: list[bytes] = []

    def add(self, name: str, data: bytes | memoryview) -> None:
        """Appends one entry.

        Raises:
            ConfigError: the archive would be 4 GiB or larger.
        """
        raw, size = name.encode(), memoryview(data).nbytes
        offset = self._file.tell() - self._base
        if offset + size >= (1 << 32) - (1 << 20):
            raise ConfigError(f"{name}: expected an archive below 4 GiB")
        padding = -(offset + 30 + len(raw) + 4) % ALIGNMENT
        extra = struct.pack("<2sH", b"FB", padding) + b"Z" * padding
        common = struct.pack("<HHHHIII", 0, 0, 0, DOS_DATE, zlib.crc32(data), size, size)
        local = (
            b"PK\x03\x04"
            + struct.pack("<H", 20)
            + common
            + struct.pack("<HH", len(raw), len(extra))
        )
        self._file.write(local + raw + extra)
        self._file.write(data)
        fields = struct.pack("<HHHHHII", len(raw), 0, 0, 0, 0, 0, offset)
        self._directory.append(b"PK\x01\x02" + struct.pack("<HH", 20, 20) + common + fields + raw)

    def close(self) -> None:
        """Appends the directory; the file stays open."""
        begin = self._file.tell() - self._base
        directory = b"".join(self._directory)
        count = len(self._directory)
        end = struct.pack("<HHHHIIH", 0, 0, count, count, len(directory), begin, 0)
        self._file.write(directory + b"PK\x05\x06" + end)


def write_torch_archive(
    file: BinaryIO,
    tensors: Mapping[str, SynthTensor],
    *,
    folder: str = "archive",
    entries: Mapping[str, int | str] | None = None,
) -> None:
    """Appends a torch archive of a state dict to an open file.

    Args:
        file: a file that is open for writing and supports `tell`.
        tensors: the state dict, written in its order.
        folder: the name of the archive's only folder.
        entries: other entries of the top-level dict, as Lightning writes them before `state_dict`;
            None makes the state dict the top level.

    Raises:
        ConfigError: as for `write_torch_tree`.
    """
    state: OrderedDict[str, Tree] = OrderedDict(tensors)
    tree: Tree = state if entries is None else {**entries, "state_dict": state}
    write_torch_tree(file, tree, folder=folder)


def write_torch_tree(file: BinaryIO, tree: Tree, *, folder: str = "archive") -> None:
    """Appends a torch archive of dicts, lists, plain values and tensors to an open file.

    Args:
        file: a file that is open for writing and supports `tell`.
        tree: what `torch.save` would have been given; an OrderedDict stays one.
        folder: the name of the archive's only folder.

    Raises:
        ConfigError: generated values are not of the stated dtype and shape, or the archive would be
            4 GiB or larger.
    """
    pickle = _Pickle()
    archive = StoredZip(file)
    archive.add(f"{folder}/data.pkl", b"\x80\x02" + pickle.encode(tree) + b".")
    archive.add(f"{folder}/byteorder", b"little")
    for key, (name, tensor) in enumerate(pickle.tensors):
        values = tensor.make()
        if values.shape != tensor.shape or values.dtype.name != tensor.dtype:
            raise ConfigError(
                f"{name}: expected {tensor.dtype} {tensor.shape}, got {values.dtype} {values.shape}"
            )
        flat = np.ascontiguousarray(values, values.dtype.newbyteorder("<")).reshape(-1)
        archive.add(f"{folder}/data/{key}", flat.view(np.uint8).data)
    archive.add(f"{folder}/version", b"3\n")
    archive.close()
