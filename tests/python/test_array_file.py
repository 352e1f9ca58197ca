"""NumPy files: what NumPy writes is read, and no stated size is trusted."""

from __future__ import annotations

import io
import os
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as numpy_strategies

from ttsrt_rt.array_file import NpzFile, read_npy
from ttsrt_rt.errors import ConfigError, FormatError

ROWS = np.arange(12, dtype=np.float32).reshape(3, 4)


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_archives_of_numpy_are_read(save: Callable[..., None], tmp_path: Path) -> None:
    arrays: dict[str, Any] = {
        "rows": ROWS,
        "columns": np.asfortranarray(ROWS),
        "ids": np.arange(5),
        "flag": np.array(True),
        "none": np.zeros((0, 3), np.int8),
        "big": ROWS.astype(">f8"),
    }
    save(tmp_path / "a.npz", **arrays)
    found = NpzFile(tmp_path / "a.npz")
    assert list(found) == list(arrays)
    assert len(found) == len(arrays)
    for name, values in arrays.items():
        np.testing.assert_array_equal(found[name], values)
        assert found[name].dtype == values.dtype


@settings(max_examples=50, deadline=None)
@given(
    numpy_strategies.arrays(
        numpy_strategies.integer_dtypes() | numpy_strategies.floating_dtypes(sizes=(32, 64)),
        numpy_strategies.array_shapes(min_dims=0, max_dims=3, min_side=0),
    ),
    st.booleans(),
)
def test_arrays_of_numpy_are_read(
    tmp_path_factory: pytest.TempPathFactory, values: Any, is_fortran: bool
) -> None:
    path = tmp_path_factory.getbasetemp() / "round.npy"
    np.save(path, np.asfortranarray(values) if is_fortran and values.ndim else values)
    np.testing.assert_array_equal(read_npy(path), values)


def npy(header: str, data: bytes = b"") -> bytes:
    raw = header.encode()
    return b"\x93NUMPY\1\0" + len(raw).to_bytes(2, "little") + raw + data


def described(shape: str, descr: str = "'<f4'") -> str:
    return f"{{'descr': {descr}, 'fortran_order': False, 'shape': {shape}, }}\n"


BROKEN: dict[str, bytes] = {
    "other bytes": b"hello",
    "cut": npy(described("(1,)"))[:20],
    "no values": npy(described("(2,)")),
    "more values": npy(described("(1,)"), b"12345678"),
    "huge": npy(described("(1099511627776,)"), b"1234"),
    "huge product": npy(described("(4294967296, 4294967296)"), b"1234"),
    "negative": npy(described("(-1,)"), b"1234"),
    "objects": npy(described("(1,)", "'|O'"), b"12345678"),
    "text": npy(described("(1,)", "'<U1'"), b"1234"),
    "fields": npy(described("(1,)", "[('a', '<f4')]"), b"1234"),
    "many axes": npy(described("(" + "1," * 40 + ")"), b"1234"),
    "code": npy("__import__('os').system('false')\n"),
    "deep": npy("(" * 2000 + "\n"),
    "version": b"\x93NUMPY\x09\0" + bytes(100),
}


@pytest.mark.parametrize("name", BROKEN)
def test_broken_arrays_are_refused(name: str, tmp_path: Path) -> None:
    (tmp_path / "a.npy").write_bytes(BROKEN[name])
    with zipfile.ZipFile(tmp_path / "a.npz", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.npy", BROKEN[name])
    with pytest.raises(FormatError, match=r"a\.npy: expected a \.npy array"):
        read_npy(tmp_path / "a.npy")
    with pytest.raises(FormatError, match=r"a\.npz: 'a': expected a \.npy array"):
        NpzFile(tmp_path / "a.npz")["a"]


def zeros(count: int) -> bytes:
    stream = io.BytesIO()
    np.save(stream, np.zeros(count, np.uint8))
    return stream.getvalue()


def test_an_archive_that_unpacks_to_far_more_than_its_size_is_refused(tmp_path: Path) -> None:
    data = zeros(80 << 20)
    with zipfile.ZipFile(tmp_path / "a.npz", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.npy", data)
    assert (tmp_path / "a.npz").stat().st_size < 1 << 20
    with pytest.raises(FormatError, match="expected arrays of at most 67108864 bytes"):
        NpzFile(tmp_path / "a.npz")


def test_an_entry_that_inflates_to_another_size_is_refused(tmp_path: Path) -> None:
    """The directory states the size of a small array; the deflated bytes give a large one."""
    small, large = zeros(100), zeros(4 << 20)
    path = tmp_path / "a.npz"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.npy", large)
    raw = bytearray(path.read_bytes())
    for signature, at in ((b"PK\3\4", 14), (b"PK\1\2", 16)):
        begin = raw.index(signature) + at
        raw[begin : begin + 4] = zlib.crc32(small).to_bytes(4, "little")
        raw[begin + 8 : begin + 12] = len(small).to_bytes(4, "little")
    path.write_bytes(raw)
    with pytest.raises(FormatError, match="bytes of deflated data"):
        NpzFile(path)["a"]


def test_other_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="No such file"):
        read_npy(tmp_path / "nope.npy")
    os.mkfifo(tmp_path / "pipe.npz")
    with pytest.raises(ConfigError, match="got a pipe"):
        NpzFile(tmp_path / "pipe.npz")
    with (tmp_path / "sparse.npy").open("wb") as file:
        file.truncate(1 << 40)
    with pytest.raises(FormatError, match="at most"):
        read_npy(tmp_path / "sparse.npy")


def test_files_that_are_no_arrays_of_numbers_are_called_what_they_are(tmp_path: Path) -> None:
    path = tmp_path / "a.npy"
    np.save(path, np.arange(5))
    path.write_bytes(path.read_bytes()[:40])
    with pytest.raises(FormatError, match="got one that ends in its header, after 40 bytes"):
        read_npy(path)
    records = np.zeros(2, [("x", "<f4")])
    for values, kind in (
        (np.array([{}], dtype=object), "an array of Python objects"),
        (np.array(["text"]), "an array of text"),
        (np.array([b"text"]), "an array of bytes"),
        (np.array(["2020-01-01"], "datetime64[D]"), "an array of dates"),
        (records, "an array of records"),
    ):
        np.save(path, values, allow_pickle=True)
        with pytest.raises(FormatError, match=f"expected a .npy array of numbers, got {kind}"):
            read_npy(path)
    (tmp_path / "a.npz").write_bytes(b"\0" * 700)
    with pytest.raises(FormatError, match=r"a\.npz: expected an \.npz archive of arrays, got"):
        NpzFile(tmp_path / "a.npz")
