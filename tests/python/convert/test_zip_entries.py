"""The zip container of a torch archive: allowed variants are read, and invalid ones are refused."""

from __future__ import annotations

import struct
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ttsrt_rt.convert.archive import open_weights
from ttsrt_rt.convert.zip_entries import ZipEntries
from ttsrt_rt.errors import Error, FormatError

from .builders import (
    Entry,
    Tensor,
    make_zip,
    outcome,
    refuse,
    region,
    small_torch,
    stream,
    torch_entries,
    write,
)

FLOATS = np.arange(12, dtype="<f4")


def test_the_builder_writes_what_zipfile_reads(tmp_path: Path) -> None:
    with zipfile.ZipFile(write(tmp_path, small_torch())) as found:
        assert found.testzip() is None


def test_archives_that_zipfile_writes_are_read(tmp_path: Path) -> None:
    path = tmp_path / "y.pt"
    for force in (False, True):
        with zipfile.ZipFile(path, "w") as made:
            for each in torch_entries(stream({"w": Tensor("0", (12,))}), {"0": FLOATS.tobytes()}):
                with made.open(zipfile.ZipInfo(each.name), "w", force_zip64=force) as file:
                    file.write(each.data)
        with open_weights(path) as weights:
            np.testing.assert_array_equal(weights["w"].read(), FLOATS)


def tricks() -> dict[str, tuple[bytes, str]]:
    """Returns archives with one wrong field each."""
    pickle = stream({"w": Tensor("0", (12,))})
    data = FLOATS.tobytes()
    last = 0xFFFFFFFF

    def zipped(index: int = 2, more: tuple[Entry, ...] = (), **change: Any) -> list[Entry]:
        entries = torch_entries(pickle, {"0": data})
        for key, value in change.items():
            setattr(entries[index], key, value)
        return [*entries, *more]

    def wide(*values: int) -> bytes:
        return struct.pack(f"<HH{len(values)}Q", 1, 8 * len(values), *values)

    good = make_zip(zipped())
    return {
        "duplicate": (make_zip(zipped(more=(Entry("model/data/0", data),))), "twice"),
        "CRC of the pickle": (make_zip(zipped(0, crc=5)), "CRC-32"),
        "CRC of a storage": (make_zip(zipped(crc=5)), "CRC-32"),
        "encrypted": (make_zip(zipped(flags=0x0809)), "encrypted"),
        "strongly encrypted": (make_zip(zipped(flags=0x0848)), "encrypted"),
        "hidden headers": (make_zip(zipped(flags=0x2808)), "encrypted"),
        "patch data": (make_zip(zipped(flags=0x0828)), "flags"),
        "compressed": (make_zip(zipped(method=8)), "'model/data/0': expected stored data"),
        "packed size": (make_zip(zipped(packed=40)), "stored bytes"),
        "size beyond": (make_zip(zipped(size=1 << 20)), "at most"),
        "size over the next": (make_zip(zipped(size=52)), "expected"),
        "local name": (make_zip(zipped(local_name="model/data/1")), "a different one"),
        "local flags": (make_zip(zipped(local_flags=0x0800)), "a different one"),
        "local size": (make_zip(zipped(flags=0x0800, local_flags=0x0808)), "a different one"),
        "offset into data": (make_zip(zipped(offset=200)), "expected"),
        "offset of another": (make_zip(zipped(offset=0)), "expected"),
        "offset beyond": (make_zip(zipped(offset=1 << 30)), "at most"),
        "zip64 missing": (make_zip(zipped(size=last, packed=last)), "zip64"),
        "zip64 not asked for": (make_zip(zipped(extra=wide(48))), "zip64"),
        "zip64 too long": (make_zip(zipped(offset=last, extra=wide(0, 0))), "zip64"),
        "zip64 huge size": (
            make_zip(zipped(size=last, packed=last, extra=wide(1 << 62, 1 << 62))),
            "at most",
        ),
        "zip64 huge offset": (make_zip(zipped(offset=last, extra=wide(1 << 63))), "at most"),
        "extra broken": (make_zip(zipped(extra=b"\1\0\xff\xff")), "extra"),
        "extra cut": (make_zip(zipped(extra=b"\1\0")), "extra"),
        "end64 count": (make_zip(zipped(), end64={"count": 3}), "several"),
        "end64 counts": (make_zip(zipped(), end64={"count": 3, "disks": 3}), "zip64 entries"),
        "end64 offset": (make_zip(zipped(), end64={"begin": 5}), "zip64 directory offset"),
        "end64 length": (make_zip(zipped(), end64={"length": 99}), "zip64 end record"),
        "end and end64 offset": (
            make_zip(zipped(), end64={"begin": 1 << 62}, end={"begin": last}),
            "end at",
        ),
        "end count": (make_zip(zipped(), zip64=False, end={"count": 3}), "end at"),
        "end count more": (make_zip(zipped(), zip64=False, end={"count": 5}), "expected an entry"),
        "end saturated": (make_zip(zipped(), zip64=False, end={"begin": last}), "zip64"),
        "end disk": (make_zip(zipped(), end={"disk": 1}), "several"),
        "end size": (make_zip(zipped(), zip64=False, end={"size": 46}), "end at"),
        "comment": (make_zip(zipped(), comment=b"hello"), "end record"),
        "appended": (good + b"x", "end record"),
        "prepended": (b"PK\3\4" + good, "end"),
        "no name": (make_zip(zipped(more=(Entry("", b""),))), "expected an entry"),
    }


@pytest.mark.parametrize("name", tricks())
def test_an_invalid_zip_is_refused(name: str, tmp_path: Path) -> None:
    data, expected = tricks()[name]
    refuse(tmp_path, data, expected)


def test_entries_without_a_descriptor_are_read(tmp_path: Path) -> None:
    entries = torch_entries(stream({"w": Tensor("0", (12,))}), {"0": FLOATS.tobytes()})
    for each in entries:
        each.flags = 0
    for zip64 in (False, True):
        with open_weights(write(tmp_path, make_zip(entries, zip64=zip64))) as weights:
            np.testing.assert_array_equal(weights["w"].read(), FLOATS)


def test_overlapping_entries_are_refused(tmp_path: Path) -> None:
    entries = torch_entries(
        stream({"w": Tensor("0", (12,))}), {"0": FLOATS.tobytes(), "1": b"x" * 48}
    )
    entries[3].offset = make_zip(entries).index(b"model/data/0") - 30
    refuse(tmp_path, make_zip(entries), "at most")


def test_saturated_directory_offsets_are_read_from_zip64(tmp_path: Path) -> None:
    entries = torch_entries(stream({"w": Tensor("0", (12,))}), {"0": FLOATS.tobytes()})
    at = make_zip(entries).index(b"model/data/0") - 30
    entries[2].offset = 0xFFFFFFFF
    entries[2].extra = b"\x99\x99\2\0ab" + struct.pack("<HHQ", 1, 8, at)
    data = make_zip(entries, end={"count": 0xFFFF, "size": 0xFFFFFFFF, "begin": 0xFFFFFFFF})
    with open_weights(write(tmp_path, data)) as weights:
        np.testing.assert_array_equal(weights["w"].read(), FLOATS)


def test_every_truncation_is_an_error() -> None:
    data = small_torch()
    for size in range(len(data)):
        assert isinstance(outcome(data[:size]), Error), size


def test_every_flipped_byte_is_an_error_or_does_not_matter() -> None:
    data = small_torch()
    good = outcome(data)
    directory = data.index(b"PK\1\2")
    for at in range(len(data)):
        for flip in (0x01, 0x10, 0xFF) if at >= directory else (0xFF,):
            broken = bytearray(data)
            broken[at] ^= flip
            found = outcome(bytes(broken))
            assert isinstance(found, Error) or found == good, (at, flip)


def test_too_many_entries_are_refused() -> None:
    with pytest.raises(FormatError, match="100001 entries"):
        many = {"count": 100_001, "disks": 100_001}
        ZipEntries(region(make_zip([], end64=many, end={"count": 0xFFFF})), "x")
