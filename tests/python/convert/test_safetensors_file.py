"""Safetensors files: round trips, reproducible bytes, and errors for broken files."""

from __future__ import annotations

import io
import math
import os
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ttsrt_rt.convert.archive import open_weights
from ttsrt_rt.convert.lazy_tensor import DTYPES, LazyTensor
from ttsrt_rt.convert.safetensors_file import MAX_HEADER_BYTES, SafetensorsFile
from ttsrt_rt.convert.safetensors_write import tensor_of_array, write_all, write_safetensors
from ttsrt_rt.errors import ClosedError, ConfigError, Error, FormatError

from .builders import entry, make_safetensors, outcome, small_safetensors


def refuse(tmp_path: Path, data: bytes, *words: str) -> None:
    path = tmp_path / "x.safetensors"
    path.write_bytes(data)
    with pytest.raises(FormatError) as caught:
        for each in SafetensorsFile.open(path).tensors.values():
            each.read()
    for word in words:
        assert word in str(caught.value)


# -- Reading -----------------------------------------------------------------------------------


def test_reads_tensors_and_metadata(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(small_safetensors())
    weights = open_weights(tmp_path / "x")
    assert weights.kind == "safetensors"
    assert weights.metadata == {"k": "v"}
    assert weights["b"].dtype == "bfloat16"
    np.testing.assert_array_equal(weights["b"].read(), np.frombuffer(bytes(range(24, 28)), "<u2"))
    found = weights["w"].read()
    assert found.tobytes() == bytes(range(24))
    weights.close()
    assert found.tobytes() == bytes(range(24))
    with pytest.raises(ClosedError):
        weights["w"].read()


def test_offsets_need_not_be_aligned(tmp_path: Path) -> None:
    header = {
        "a": entry("U8", [3], 0, 3),
        "w": entry("F64", [2], 3, 19),
        "s": entry("F32", [], 19, 23),
    }
    header["empty"] = entry("I64", [0, 5], 19, 19)
    values = np.array([1.5, -2.5])
    data = b"\1\2\3" + values.tobytes() + np.float32(7).tobytes()
    (tmp_path / "x").write_bytes(make_safetensors(header, data))
    tensors = SafetensorsFile.open(tmp_path / "x").tensors
    np.testing.assert_array_equal(tensors["w"].read(), values)
    assert tensors["w"].read().flags.aligned
    assert tensors["s"].read() == 7
    assert tensors["empty"].read().shape == (0, 5)


ONE = entry("F32", [1], 0, 4)
BROKEN: dict[str, tuple[bytes, str]] = {
    "no length": (b"\1\2", "a header length"),
    "header past the end": (struct.pack("<Q", 100) + b"{}", "100 bytes of header"),
    "header of 100 MB": (struct.pack("<Q", MAX_HEADER_BYTES + 1) + b"{}", "at most"),
    "header of 2**63": (struct.pack("<Q", 1 << 63) + b"{}", "at most"),
    "no header": (struct.pack("<Q", 0), "a JSON object"),
    "a list": (make_safetensors([]), "a JSON object"),
    "leading space": (make_safetensors(b" {}"), "a JSON object"),
    "not JSON": (make_safetensors(b"{'a': 1}"), "JSON"),
    "two objects": (make_safetensors(b"{}{}"), "JSON"),
    "cut": (make_safetensors(b'{"a":'), "JSON"),
    "not UTF-8": (make_safetensors(b'{"\xff":{}}'), "UTF-8"),
    "UTF-16": (make_safetensors('{"a":1}'.encode("utf-16-le")), "JSON"),
    "lone surrogate": (make_safetensors(b'{"\\ud800":1}'), "lone"),
    "key twice": (make_safetensors(b'{"a":1,"a":2}'), "'a' once"),
    "field twice": (make_safetensors(b'{"a":{"dtype":"F32","dtype":"F32"}}'), "'dtype' once"),
    "escaped key twice": (make_safetensors(b'{"a":1,"\\u0061":2}'), "'a' once"),
    "nested": (make_safetensors(b'{"a":' + b"[" * 4), "levels"),
    "nested deep": (make_safetensors(b'{"a":' + b"[" * 100_000), "levels"),
    "nested behind quotes": (make_safetensors(b'{"a\\"[":' + b"[" * 100_000), "levels"),
    "nested behind a backslash": (make_safetensors(b'{"a\\\\":' + b"[" * 100_000), "levels"),
    "entry not an object": (make_safetensors({"a": 1}), "dtype, shape"),
    "field missing": (make_safetensors({"a": {"dtype": "F32", "shape": []}}), "dtype, shape"),
    "field unknown": (make_safetensors({"a": {**ONE, "x": 1}}, b"1234"), "dtype, shape"),
    "dtype unknown": (make_safetensors({"a": entry("F4", [1], 0, 4)}, b"1234"), "'F4'"),
    "dtype no text": (make_safetensors({"a": {**ONE, "dtype": ["F32"]}}, b"1234"), "list"),
    "shape no list": (make_safetensors({"a": {**ONE, "shape": 1}}, b"1234"), "shape"),
    "negative size": (make_safetensors({"a": entry("F32", [-1], 0, 4)}, b"1234"), ">= 0"),
    "bool size": (make_safetensors({"a": entry("F32", [True], 0, 4)}, b"1234"), "bool"),
    "text size": (make_safetensors({"a": entry("F32", ["1"], 0, 4)}, b"1234"), "str"),
    "null size": (make_safetensors({"a": entry("F32", [None], 0, 4)}, b"1234"), "NoneType"),
    "float size": (make_safetensors({"a": entry("F32", [1.0], 0, 4)}, b"1234"), "integers"),
    "NaN": (make_safetensors({"a": entry("F32", [math.nan], 0, 4)}, b"1234"), "'NaN'"),
    "size of 21 digits": (make_safetensors({"a": entry("F32", [10**20], 0, 4)}, b"1234"), "digits"),
    "size of 5000 digits": (make_safetensors(b'{"a":' + b"9" * 5000 + b"}"), "digits"),
    "product overflows to 4": (
        make_safetensors({"a": entry("F32", [2**32, 2**32 + 1], 0, 4)}, b"1234"),
        "bytes, got more",
    ),
    "product hidden by zero": (
        make_safetensors({"a": entry("F32", [2**62, 2**62, 0], 0, 0)}),
        "bytes, got more",
    ),
    "many dimensions": (make_safetensors({"a": {**ONE, "shape": [1] * 17}}, b"1234"), "dimensions"),
    "size and bytes differ": (make_safetensors({"a": entry("F32", [2], 0, 4)}, b"1234"), "8 bytes"),
    "offsets of one": (make_safetensors({"a": {**ONE, "data_offsets": [0]}}, b"1234"), "begin"),
    "offsets of text": (make_safetensors({"a": {**ONE, "data_offsets": "04"}}, b"1234"), "begin"),
    "offsets of bool": (make_safetensors({"a": entry("F32", [1], False, 4)}, b"1234"), "begin"),
    "offsets backwards": (make_safetensors({"a": entry("F32", [1], 4, 0)}, b"1234"), "begin"),
    "offsets negative": (make_safetensors({"a": entry("F32", [1], -4, 0)}, b"1234"), "begin"),
    "overlap": (
        make_safetensors({"a": entry("F32", [2], 0, 8), "b": entry("F32", [1], 4, 8)}, bytes(8)),
        "overlap",
    ),
    "same bytes": (make_safetensors({"a": ONE, "b": ONE}, bytes(4)), "overlap"),
    "hole": (make_safetensors({"a": ONE, "b": entry("F32", [1], 8, 12)}, bytes(12)), "a hole"),
    "hole at the start": (make_safetensors({"a": entry("F32", [1], 4, 8)}, bytes(8)), "a hole"),
    "past the end": (make_safetensors({"a": ONE}, bytes(3)), "within 3 bytes"),
    "more data": (make_safetensors({"a": ONE}, bytes(5)), "expected 4 bytes of data, got 5"),
    "data without a tensor": (make_safetensors({}, b"x"), "expected 0 bytes"),
    "empty beyond": (
        make_safetensors({"a": ONE, "b": entry("F32", [0], 9, 9)}, bytes(4)),
        "a hole",
    ),
    "metadata no object": (make_safetensors({"__metadata__": []}), "__metadata__"),
    "metadata numbers": (make_safetensors({"__metadata__": {"a": 1}}), "__metadata__"),
    "metadata surrogate": (make_safetensors(b'{"__metadata__":{"a":"\\udfff"}}'), "lone"),
    "bool of 2": (make_safetensors({"a": entry("BOOL", [2], 0, 2)}, b"\1\2"), "0 or 1"),
}  # fmt: skip


@pytest.mark.parametrize("name", BROKEN)
def test_broken_files(name: str, tmp_path: Path) -> None:
    data, expected = BROKEN[name]
    refuse(tmp_path, data, expected)


def test_brackets_in_names_do_not_count(tmp_path: Path) -> None:
    for name in ("a[[[[{{{{", 'q"[[[[', "b\\", 'c\\"[[[[['):
        (tmp_path / "x").write_bytes(make_safetensors({name: ONE}, bytes(4)))
        assert list(SafetensorsFile.open(tmp_path / "x").tensors) == [name]


def test_every_truncation_is_an_error() -> None:
    data = small_safetensors()
    for size in range(len(data)):
        assert isinstance(outcome(data[:size]), Error), size
    assert isinstance(outcome(data + b"\0"), FormatError)


def test_every_flipped_header_byte_is_an_error_or_another_whole_file() -> None:
    """The format has no checksum: a flip may give another name or dtype, read within bounds."""
    data = small_safetensors()
    for at in range(len(data) - 28):
        for flip in (0x01, 0x02, 0x10, 0x20, 0x80, 0xFF):
            broken = bytearray(data)
            broken[at] ^= flip
            found = outcome(bytes(broken))
            if not isinstance(found, Error):
                assert b"".join(sorted(raw for *_, raw in found.values())) in (
                    data[-28:],
                    data[-4:] + data[-28:-4],
                )


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=4),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3)
    ),
    max_leaves=6,
)
ENTRY = st.fixed_dictionaries(
    {
        "dtype": st.sampled_from(["F32", "U8", "BOOL", "I64", "X"]) | JSON,
        "shape": st.lists(st.integers(-1, 9), max_size=3) | JSON,
        "data_offsets": st.lists(st.integers(-1, 40), min_size=2, max_size=2) | JSON,
    }
)


@settings(max_examples=100, deadline=None)
@given(st.dictionaries(st.text(max_size=3), ENTRY | JSON, max_size=3), st.binary(max_size=40))
def test_random_headers_end_in_tensors_or_a_format_error(
    header: dict[str, Any], data: bytes
) -> None:
    found = outcome(make_safetensors(header, data))
    if not isinstance(found, Error):
        assert sum(len(raw) for *_, raw in found.values()) == len(data)


# -- Writing -----------------------------------------------------------------------------------


def test_every_dtype_survives_a_round_trip(tmp_path: Path) -> None:
    made = {}
    for tag, dtype in DTYPES.items():
        values = (np.arange(6) % 2).astype(dtype).reshape(2, 3)
        made[tag] = tensor_of_array(tag, values, tag)
    path = tmp_path / "x.safetensors"
    size = write_safetensors(path, made, {"b": "2", "a": "1"})
    assert size == path.stat().st_size
    found = SafetensorsFile.open(path)
    assert found.metadata == {"a": "1", "b": "2"}
    for tag, tensor in made.items():
        assert (found.tensors[tag].dtype, found.tensors[tag].shape) == (tag, (2, 3))
        np.testing.assert_array_equal(found.tensors[tag].read(), tensor.read())


def test_bytes_do_not_depend_on_order_and_data_is_aligned(tmp_path: Path) -> None:
    tensors = [
        ("b", tensor_of_array("b", np.ones(3, "u1"))),
        ("a", tensor_of_array("a", np.ones(3, "u1"))),
        ("z", tensor_of_array("z", np.ones((2, 2), "f8"))),
        ("empty", ("float32", (0, 4), lambda: b"")),
        ("scalar", ("int32", (), lambda: np.array(5))),
    ]
    tensors[-1] = ("scalar", ("int32", (), lambda: np.array(5, "<i4")))
    write_safetensors(tmp_path / "1", tensors, {"x": "1", "a": "2"})
    write_safetensors(tmp_path / "2", dict(reversed(tensors)), {"a": "2", "x": "1"})
    data = (tmp_path / "1").read_bytes()
    assert data == (tmp_path / "2").read_bytes()
    assert (8 + struct.unpack_from("<Q", data)[0]) % 64 == 0
    assert list(SafetensorsFile.open(tmp_path / "1").tensors) == ["z", "empty", "scalar", "a", "b"]
    write_safetensors(tmp_path / "none", {})
    assert SafetensorsFile.open(tmp_path / "none").tensors == {}


def test_layouts_byte_orders_and_bytes(tmp_path: Path) -> None:
    values = np.arange(6, dtype="<f4").reshape(2, 3)
    made = {
        "transposed": tensor_of_array("transposed", values.T),
        "big": tensor_of_array("big", values.astype(">f4")),
        "bytes": ("float32", [2, 3], values.tobytes),
        "view": ("float32", (2, 3), lambda: memoryview(values)),
    }
    write_safetensors(tmp_path / "x", made)
    found = SafetensorsFile.open(tmp_path / "x").tensors
    np.testing.assert_array_equal(found["transposed"].read(), values.T)
    for name in ("big", "bytes", "view"):
        np.testing.assert_array_equal(found[name].read(), values)


def fails() -> np.ndarray[Any, Any]:
    raise RuntimeError("the source failed")


BAD_SOURCES: dict[str, tuple[Any, type[Exception], str]] = {
    "unknown dtype": ({"a": ("f32", (1,), lambda: b"1234")}, ConfigError, "'f32'"),
    "too few bytes": ({"a": ("float32", (2,), lambda: b"1234")}, ConfigError, "8 contiguous bytes"),
    "other shape": (
        {"a": ("float32", (2,), lambda: np.ones((1, 2), "f4"))},
        ConfigError,
        r"\[1, 2\]",
    ),
    "other dtype": ({"a": ("float32", (2,), lambda: np.ones(2, "i4"))}, ConfigError, "int32"),
    "negative": ({"a": ("float32", (-2,), lambda: b"")}, ConfigError, ">= 0"),
    "reserved": ({"__metadata__": ("float32", (), lambda: b"1234")}, ConfigError, "reserved"),
    "twice": ([("a", ("uint8", (), lambda: b"1"))] * 2, ConfigError, "twice"),
    "surrogate": ({"\ud800": ("uint8", (), lambda: b"1")}, ConfigError, "surrogate"),
    "source fails": ({"a": ("uint8", (), fails)}, RuntimeError, "the source failed"),
}


@pytest.mark.parametrize("name", BAD_SOURCES)
def test_a_failed_write_leaves_the_old_file(name: str, tmp_path: Path) -> None:
    tensors, kind, expected = BAD_SOURCES[name]
    path = tmp_path / "x.safetensors"
    path.write_bytes(b"old")
    with pytest.raises(kind, match=expected):
        write_safetensors(path, tensors)
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["x.safetensors"]


def test_arrays_without_a_tag_are_refused() -> None:
    with pytest.raises(ConfigError, match="complex64"):
        tensor_of_array("a", np.ones(1, "complex64"))
    with pytest.raises(ConfigError, match="uint16 values for bfloat16, got float32"):
        tensor_of_array("a", np.ones(1, "f4"), "bfloat16")


@settings(max_examples=50, deadline=None)
@given(
    st.dictionaries(
        st.text(st.characters(exclude_categories=["Cs"]), max_size=8),
        st.tuples(
            st.sampled_from(["float32", "uint8", "int64"]), st.lists(st.integers(0, 3), max_size=3)
        ),
        max_size=5,
    )
)
def test_what_is_written_is_read(
    tmp_path_factory: pytest.TempPathFactory, plan: dict[str, Any]
) -> None:
    made: dict[str, LazyTensor] = {}
    for name, (tag, shape) in plan.items():
        count = math.prod(shape)
        made[name] = tensor_of_array(name, np.arange(count).astype(DTYPES[tag]).reshape(shape))
    path = tmp_path_factory.getbasetemp() / "round.safetensors"
    write_safetensors(path, made)
    found = SafetensorsFile.open(path).tensors
    assert set(found) == set(made)
    for name, tensor in made.items():
        assert found[name].dtype == tensor.dtype
        np.testing.assert_array_equal(found[name].read(), tensor.read())


def test_large_tensors_are_written_by_small_calls(tmp_path: Path) -> None:
    """A signal handler waits for one call of the system at most."""
    sizes: list[int] = []

    class Counting(io.RawIOBase):
        def write(self, data: Any, /) -> int:
            sizes.append(memoryview(data).nbytes)
            return sizes[-1]

    write_all(Counting(), memoryview(bytearray(40 << 20)), tmp_path / "x")
    assert sum(sizes) == 40 << 20 and max(sizes) <= 16 << 20
