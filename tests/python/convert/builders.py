"""Writes small checkpoint files without torch, either valid or broken on purpose.

`encode` writes pickles of the few values that a checkpoint has; `make_zip`, `make_tar` and
`make_safetensors` write the containers byte by byte, so that a test can falsify any single field.
"""

from __future__ import annotations

import json
import os
import struct
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ttsrt_rt.convert.archive import open_weights
from ttsrt_rt.convert.file_bytes import FileBytes, Region
from ttsrt_rt.errors import Error, FormatError

STORAGES = {
    "float64": ("DoubleStorage", "<f8"),
    "float32": ("FloatStorage", "<f4"),
    "float16": ("HalfStorage", "<f2"),
    "bfloat16": ("BFloat16Storage", "<u2"),
    "int64": ("LongStorage", "<i8"),
    "int32": ("IntStorage", "<i4"),
    "int16": ("ShortStorage", "<i2"),
    "int8": ("CharStorage", "i1"),
    "uint8": ("ByteStorage", "u1"),
    "bool": ("BoolStorage", "?"),
}

CONFIG = b"model_type: decoder_ce\nencoder:\n  n_layers: 2\nspeaker_map: nemo:0123_speakers.json\n"
SPEAKERS = b'{"Aria": 0}'

# -- Pickle ------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Raw:
    """Opcodes that are copied into a stream; they must leave one value on the stack."""

    data: bytes


@dataclass(frozen=True)
class Tensor:
    """A tensor of the storage `data/<key>`; strides and count default to a contiguous layout."""

    key: str
    shape: tuple[Any, ...]
    dtype: str = "float32"
    offset: int = 0
    strides: tuple[Any, ...] | None = None
    count: int | None = None
    hooks: Any = field(default_factory=lambda: Raw(reduce("collections", "OrderedDict")))


def named(module: str, name: str) -> bytes:
    """Returns a GLOBAL opcode."""
    return f"c{module}\n{name}\n".encode()


def reduce(module: str, name: str, *arguments: Any) -> bytes:
    """Returns GLOBAL, arguments, REDUCE."""
    return named(module, name) + encode(tuple(arguments)) + b"R"


def plain_strides(shape: tuple[int, ...]) -> tuple[int, ...]:
    """Returns row-major strides in elements."""
    return tuple(int(np.prod(shape[axis + 1 :], dtype=np.int64)) for axis in range(len(shape)))


def encode(value: Any) -> bytes:
    """Returns opcodes that leave `value` on the stack."""
    if isinstance(value, Raw):
        return value.data
    if value is None:
        return b"N"
    if isinstance(value, bool):
        return b"\x88" if value else b"\x89"
    if isinstance(value, int):
        data = value.to_bytes(value.bit_length() // 8 + 1, "little", signed=True)
        return b"\x8a" + bytes([len(data)]) + data
    if isinstance(value, float):
        return b"G" + struct.pack(">d", value)
    if isinstance(value, str):
        raw = value.encode()
        return b"X" + struct.pack("<I", len(raw)) + raw
    if isinstance(value, tuple):
        return b"(" + b"".join(map(encode, value)) + b"t"
    if isinstance(value, list):
        return b"](" + b"".join(map(encode, value)) + b"e"
    if isinstance(value, dict):
        return b"}(" + b"".join(encode(key) + encode(each) for key, each in value.items()) + b"u"
    if isinstance(value, Tensor):
        count = int(np.prod(value.shape, dtype=np.int64)) if value.count is None else value.count
        strides = plain_strides(value.shape) if value.strides is None else value.strides
        storage = Raw(named("torch", STORAGES[value.dtype][0]))
        pid = Raw(encode(("storage", storage, value.key, "cpu", count)) + b"Q")
        arguments = (pid, value.offset, value.shape, strides, False, value.hooks)
        return reduce("torch._utils", "_rebuild_tensor_v2", *arguments)
    raise TypeError(type(value))


def stream(value: Any, protocol: int = 2) -> bytes:
    """Returns a complete pickle."""
    return b"\x80" + bytes([protocol]) + encode(value) + b"."


# -- Zip ---------------------------------------------------------------------------------------


@dataclass
class Entry:
    """One zip entry; a field that is None gets its correct value."""

    name: str
    data: bytes
    crc: int | None = None
    flags: int = 0x0808
    local_flags: int | None = None
    method: int = 0
    size: int | None = None
    packed: int | None = None
    offset: int | None = None
    local_name: str | None = None
    extra: bytes = b""


def make_zip(
    entries: Iterable[Entry],
    *,
    zip64: bool = True,
    end64: Mapping[str, int] | None = None,
    end: Mapping[str, int] | None = None,
    comment: bytes = b"",
) -> bytes:
    """Returns a zip archive in torch's layout; `end` and `end64` replace end record fields."""
    body = bytearray()
    directory = bytearray()
    num = 0
    for entry in entries:
        num += 1
        offset = len(body)
        raw = entry.name.encode()
        local_name = raw if entry.local_name is None else entry.local_name.encode()
        crc = zlib.crc32(entry.data) if entry.crc is None else entry.crc
        size = len(entry.data) if entry.size is None else entry.size
        packed = size if entry.packed is None else entry.packed
        flags = entry.flags if entry.local_flags is None else entry.local_flags
        stated = (0, 0, 0) if flags & 8 else (crc, packed, size)
        pad = -(offset + 30 + len(local_name) + 4) % 64
        local_extra = b"FB" + struct.pack("<H", pad) + b"Z" * pad
        body += struct.pack(
            "<4s5HIIIHH",
            b"PK\3\4",
            0,
            flags,
            entry.method,
            0,
            0,
            *stated,
            len(local_name),
            len(local_extra),
        )
        body += local_name + local_extra + entry.data
        if flags & 8:
            body += struct.pack("<4sIQQ", b"PK\7\10", crc, packed, size)
        at = offset if entry.offset is None else entry.offset
        directory += struct.pack(
            "<4s6HIIIHHHHHII", b"PK\1\2", 0, 0, entry.flags, entry.method, 0, 0, crc, packed, size,
            len(raw), len(entry.extra), 0, 0, 0, 0, at,
        )  # fmt: skip
        directory += raw + entry.extra
    begin = len(body)
    body += directory
    if zip64:
        wide = {"disks": num, "count": num, "size": len(directory), "begin": begin, "length": 44}
        wide.update(end64 or {})
        record_at = len(body)
        body += struct.pack(
            "<4sQHHIIQQQQ", b"PK\6\6", wide["length"], 0, 0, 0, 0, wide["disks"], wide["count"],
            wide["size"], wide["begin"],
        )  # fmt: skip
        body += struct.pack("<4sIQI", b"PK\6\7", 0, record_at, 1)
    last = {"disk": 0, "count": num, "size": len(directory), "begin": begin, **(end or {})}
    body += struct.pack(
        "<4sHHHHIIH", b"PK\5\6", last["disk"], 0, last["count"], last["count"], last["size"],
        last["begin"], len(comment),
    )  # fmt: skip
    return bytes(body) + comment


def torch_entries(
    pickle: bytes, storages: Mapping[str, bytes], folder: str = "model"
) -> list[Entry]:
    """Returns the entries of a torch archive."""
    found = [
        Entry(f"{folder}/data.pkl", pickle),
        Entry(f"{folder}/byteorder", b"little"),
        *(Entry(f"{folder}/data/{key}", data) for key, data in storages.items()),
        Entry(f"{folder}/version", b"3\n"),
    ]
    return found


def make_torch(value: Any, storages: Mapping[str, bytes] | None = None) -> bytes:
    """Returns a torch archive of a value or of a finished pickle stream."""
    pickle = value if isinstance(value, bytes) else stream(value)
    return make_zip(torch_entries(pickle, storages or {}))


def small_torch() -> bytes:
    """Returns an archive of two tensors with a storage each, and a step counter."""
    state = {"w": Tensor("0", (2, 3)), "n": Tensor("1", (), "int64")}
    storages = {"0": np.arange(6, dtype="<f4").tobytes(), "1": np.array(7, "<i8").tobytes()}
    return make_torch({"state_dict": state, "epoch": 3}, storages)


# -- Tar ---------------------------------------------------------------------------------------


def tar_header(name: str, size: int, kind: bytes = b"0", **fields: bytes) -> bytes:
    """Returns one ustar block with a correct checksum; `fields` replace linkname, prefix,
    size_field, magic.
    """
    block = bytearray(512)
    block[:100] = name.encode().ljust(100, b"\0")
    block[100:108] = b"0000644\0"
    block[108:124] = b"0000000\0" * 2
    block[124:136] = fields.get("size_field", f"{size:011o}\0".encode())
    block[136:148] = b"00000000000\0"
    block[156:157] = kind
    block[157:257] = fields.get("linkname", b"").ljust(100, b"\0")
    block[257:265] = fields.get("magic", b"ustar\x0000")
    block[345:500] = fields.get("prefix", b"").ljust(155, b"\0")
    block[148:156] = b" " * 8
    block[148:156] = f"{sum(block):06o}\0 ".encode()
    return bytes(block)


def tar_member(name: str, data: bytes, kind: bytes = b"0", **fields: bytes) -> bytes:
    """Returns header, data and padding of one member."""
    return tar_header(name, len(data), kind, **fields) + data + b"\0" * (-len(data) % 512)


def pax(**records: str) -> bytes:
    """Returns an extended header for the next member; `_` in a key stands for a dot."""
    body = b""
    for key, value in records.items():
        text = f" {key.replace('_', '.')}={value}\n".encode()
        size = len(text) + 1
        while len(str(size)) + len(text) != size:
            size += 1
        body += str(size).encode() + text
    return tar_member("././@PaxHeader", body, b"x")


def make_tar(*members: bytes) -> bytes:
    """Returns an archive of these members with its end blocks."""
    return b"".join(members) + b"\0" * 1024


def small_nemo(*more: bytes) -> bytes:
    """Returns a `.nemo` of the small torch archive, a configuration and an artifact."""
    return make_tar(
        tar_member("./", b"", b"5"),
        tar_member("./model_config.yaml", CONFIG),
        pax(mtime="1700000000.5"),
        tar_member("./model_weights.ckpt", small_torch()),
        tar_member("./0123_speakers.json", SPEAKERS),
        *more,
    )


# -- Safetensors -------------------------------------------------------------------------------


def make_safetensors(header: Any, data: bytes = b"") -> bytes:
    """Returns length, header (JSON of a value, or unchanged bytes) and data."""
    raw = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(raw)) + raw + data


def entry(dtype: str, shape: list[Any], begin: Any, end: Any) -> dict[str, Any]:
    """Returns one header entry."""
    return {"dtype": dtype, "shape": shape, "data_offsets": [begin, end]}


def small_safetensors() -> bytes:
    """Returns a file of two tensors and some metadata."""
    header = {
        "__metadata__": {"k": "v"},
        "w": entry("F32", [2, 3], 0, 24),
        "b": entry("BF16", [2], 24, 28),
    }
    return make_safetensors(header, bytes(range(28)))


# -- Reading files back ------------------------------------------------------------------------


def region(data: bytes) -> Region:
    """Returns bytes as the region of an open file that is in memory."""
    handle = os.memfd_create("region")
    os.write(handle, data)
    return FileBytes(handle, "x").all


def outcome(data: bytes) -> Any:
    """Reads names, dtypes, shapes and values of a file with these bytes, or returns our error.

    The file is in memory, because property tests call this thousands of times.
    """
    handle = os.memfd_create("checkpoint")
    try:
        os.write(handle, data)
        with open_weights(f"/proc/self/fd/{handle}") as weights:
            found = {
                name: (each.dtype, each.shape, each.nbytes, each.read().tobytes())
                for name, each in weights.items()
            }
            if weights.kind != "nemo":
                return found
            artifacts = {name: weights.artifact(name) for name in weights.artifacts}
            return found, dict(weights.config), artifacts
    except Error as error:
        return error
    finally:
        os.close(handle)


def write(tmp_path: Path, data: bytes) -> Path:
    path = tmp_path / "x.ckpt"
    path.write_bytes(data)
    return path


def refuse(tmp_path: Path, data: bytes, *words: str, root: str | None = None) -> None:
    """Opens and reads everything; expects a FormatError whose message contains all words."""
    with (
        pytest.raises(FormatError) as caught,
        open_weights(write(tmp_path, data), root=root) as weights,
    ):
        for each in weights.values():
            each.read()
    for word in words:
        assert word in str(caught.value)
