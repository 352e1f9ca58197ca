"""Torch archives: stored values are returned, reads are lazy, and bounds are checked."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ttsrt_rt.convert import pickle_machine
from ttsrt_rt.convert.archive import open_weights
from ttsrt_rt.convert.lazy_tensor import DTYPES
from ttsrt_rt.errors import ClosedError, ConfigError, Error, FormatError

from .builders import (
    STORAGES,
    Entry,
    Raw,
    Tensor,
    encode,
    make_torch,
    make_zip,
    named,
    outcome,
    reduce,
    refuse,
    small_torch,
    stream,
    torch_entries,
    write,
)

FLOATS = np.arange(12, dtype="<f4")


# -- Tensors -----------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", STORAGES)
def test_every_storage_type(dtype: str, tmp_path: Path) -> None:
    values = np.array([[0, 1, 1], [1, 0, 1]]).astype(STORAGES[dtype][1])
    path = write(tmp_path, make_torch({"w": Tensor("0", (2, 3), dtype)}, {"0": values.tobytes()}))
    with open_weights(path) as weights:
        tensor = weights["w"]
        assert (tensor.dtype, tensor.shape, tensor.nbytes) == (dtype, (2, 3), values.nbytes)
        assert tensor.read().dtype == DTYPES[dtype]
        assert not tensor.read().flags.writeable
        np.testing.assert_array_equal(tensor.read(), values)


def test_views_share_a_storage(tmp_path: Path) -> None:
    state = {
        "whole": Tensor("0", (3, 4), count=12),
        "rows": Tensor("0", (2, 4), offset=4, count=12),
        "transposed": Tensor("0", (4, 3), strides=(1, 4), count=12),
        "steps": Tensor("0", (3,), offset=1, strides=(4,), count=12),
        "windows": Tensor("0", (5, 4), strides=(2, 1), count=12),
        "expanded": Tensor("0", (4, 2, 3), offset=3, strides=(0, 1, 0), count=12),
        "scalar": Tensor("0", (), offset=11, count=12),
        "empty": Tensor("0", (0, 3), offset=12, count=12),
        "empty strided": Tensor("0", (3, 0), strides=(7, 7), count=12),
        "ones": Tensor("0", (1, 3, 1), strides=(99, 1, 99), count=12),
    }
    table = FLOATS.reshape(3, 4)
    expected = {
        "whole": table,
        "rows": table[1:],
        "transposed": table.T,
        "steps": table[:, 1],
        "windows": np.stack([FLOATS[2 * i : 2 * i + 4] for i in range(5)]),
        "expanded": np.broadcast_to(FLOATS[3:5, None], (4, 2, 3)),
        "scalar": FLOATS[11],
        "empty": np.empty((0, 3)),
        "empty strided": np.empty((3, 0)),
        "ones": FLOATS[:3].reshape(1, 3, 1),
    }
    with open_weights(write(tmp_path, make_torch(state, {"0": FLOATS.tobytes()}))) as weights:
        assert list(weights) == list(state)
        for name, values in expected.items():
            found = weights[name].read()
            assert found.flags.c_contiguous
            assert found.shape == weights[name].shape
            np.testing.assert_array_equal(found, values)


def test_untyped_storages_parameters_and_sizes(tmp_path: Path) -> None:
    hooks = Raw(reduce("collections", "OrderedDict"))
    untyped = Raw(
        encode(("storage", Raw(named("torch.storage", "UntypedStorage")), "0", "cuda:1", 6)) + b"Q"
    )
    size = Raw(reduce("torch", "Size", (2,)))
    dtype = Raw(named("torch", "uint16"))
    state = {
        "v3": Raw(
            reduce(
                "torch._utils", "_rebuild_tensor_v3", untyped, 1, size, (1,), False, hooks, dtype
            )
        ),
        "parameter": Raw(
            reduce("torch._utils", "_rebuild_parameter", Tensor("1", (1,)), True, hooks)
        ),
    }
    storages = {"0": np.array([1, 2, 3], "<u2").tobytes(), "1": FLOATS[5:6].tobytes()}
    with open_weights(write(tmp_path, make_torch(state, storages))) as weights:
        assert weights["v3"].dtype == "uint16"
        np.testing.assert_array_equal(weights["v3"].read(), [2, 3])
        np.testing.assert_array_equal(weights["parameter"].read(), [5])


BAD_TENSORS: dict[str, tuple[Any, str]] = {
    "view past the end": (Tensor("0", (12,), offset=1, count=12), "element 12"),
    "strides past the end": (Tensor("0", (3, 4), strides=(5, 1), count=12), "element 13"),
    "offset past the end": (Tensor("0", (0,), offset=13, count=12), "13"),
    "negative offset": (Tensor("0", (1,), offset=-1, count=12), ">= 0"),
    "negative stride": (Tensor("0", (2,), offset=3, strides=(-1,), count=12), ">= 0"),
    "negative size": (Tensor("0", (-1,), strides=(1,), count=12), ">= 0"),
    "size of text": (Tensor("0", ("3",), strides=(1,), count=12), "got str"),
    "size of bool": (Tensor("0", (True,), strides=(1,), count=12), "got bool"),
    "stride of float": (Tensor("0", (2,), strides=(1.0,), count=12), "float"),
    "fewer strides": (Tensor("0", (2, 2), strides=(1,), count=12), "2 strides"),
    "product beyond 64 bits": (
        Tensor("0", (2**33, 2**33), strides=(0, 0), count=12),
        "bytes, got more",
    ),
    "product hidden by zero": (Tensor("0", (0, 2**62, 8), strides=(0, 0, 0), count=12), "got more"),
    "huge size": (Tensor("0", (2**900,), strides=(0,), count=12), "got more"),
    "expanded without measure": (Tensor("0", (2**30,), strides=(0,), count=12), "expanded"),
    "many dimensions": (Tensor("0", (1,) * 17, count=12), "dimensions"),
    "storage smaller": (Tensor("0", (12,), count=13), "expected 52 bytes, got 48"),
    "storage larger": (Tensor("0", (3,), count=3), "expected 12 bytes, got 48"),
    "storage absent": (Tensor("7", (12,)), "data/7"),
    "no tensor": (3, "got a value of type int"),
    "a dict": ({"a": 1}, "got a dict"),
    "placeholder": (Raw(reduce("pathlib", "PosixPath", "/x")), "pathlib.PosixPath"),
    "placeholder parameter": (
        Raw(
            reduce(
                "torch._utils", "_rebuild_parameter", Raw(named("typing", "Any")), True,
                Raw(reduce("collections", "OrderedDict")),
            )
        ),
        "typing.Any",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD_TENSORS)
def test_an_invalid_tensor_is_refused_by_name(name: str, tmp_path: Path) -> None:
    value, expected = BAD_TENSORS[name]
    state = {"good": Tensor("0", (12,)), "the bad one": value}
    data = make_torch({"state_dict": state}, {"0": FLOATS.tobytes()})
    refuse(tmp_path, data, "'the bad one'", expected)


def test_bool_bytes_must_be_zero_or_one(tmp_path: Path) -> None:
    for strides in ((1,), (2,)):
        state = {"mask": Tensor("0", (2,), "bool", strides=strides, count=3)}
        refuse(tmp_path, make_torch(state, {"0": b"\1\2\3"}), "mask", "0 or 1")


# -- Structure ---------------------------------------------------------------------------------


def test_the_state_dict_is_found(tmp_path: Path) -> None:
    tensor, storages = Tensor("0", (12,)), {"0": FLOATS.tobytes()}
    for value, root in (
        ({"w": tensor}, None),
        ({"state_dict": {"w": tensor}, "extra": tensor, "epoch": 1}, None),
        ({"ema": {"w": tensor}, "step": 1}, "ema"),
        ({"model": {"w": tensor}}, None),
        ({"model": [{"w": tensor}]}, None),
        ({"model": [{"w": tensor}], "step": 1}, "model"),
    ):
        with open_weights(write(tmp_path, make_torch(value, storages)), root=root) as weights:
            assert list(weights) == ["w"]
    refuse(tmp_path, make_torch({"ema": {"w": tensor}, "step": 1}, storages), "'ema'", "'step'")
    refuse(tmp_path, make_torch({"state_dict": [tensor]}, storages), "a list")
    refuse(tmp_path, make_torch({"model": [{"w": tensor}, {}]}, storages), "'model'", "a list")
    refuse(tmp_path, make_torch({"model": [{"w": tensor}], "step": 1}, storages), "'state_dict'")
    refuse(tmp_path, make_torch([tensor], storages), "a list")
    refuse(tmp_path, make_torch({"w": tensor}, storages), "'ema'", root="ema")
    state = Raw(b"}(" + encode("w") + encode(tensor) + encode(3) + encode(tensor) + b"u")
    refuse(tmp_path, make_torch({"state_dict": state}, storages), "text keys")


def test_metadata_of_a_state_dict_is_ignored(tmp_path: Path) -> None:
    ordered = reduce("collections", "OrderedDict") + encode("w") + encode(Tensor("0", (12,))) + b"s"
    state = Raw(ordered + encode({"_metadata": {"": {"version": 1}}}) + b"b")
    with open_weights(write(tmp_path, make_torch(state, {"0": FLOATS.tobytes()}))) as weights:
        assert list(weights) == ["w"]


def test_a_state_dict_inside_itself_is_refused(tmp_path: Path) -> None:
    loop = Raw(b"}q\0(" + encode("state_dict") + b"h\0u")
    refuse(tmp_path, make_torch(loop), "a dict")


def test_byteorder_and_other_containers(tmp_path: Path) -> None:
    entries = torch_entries(stream({"w": Tensor("0", (12,))}), {"0": FLOATS.tobytes()})
    big = [Entry(each.name, b"big" if "byteorder" in each.name else each.data) for each in entries]
    refuse(tmp_path, make_zip(big), "byteorder", "big")
    without = [each for each in entries if "byteorder" not in each.name]
    with open_weights(write(tmp_path, make_zip(without))) as weights:
        np.testing.assert_array_equal(weights["w"].read(), FLOATS)
    refuse(tmp_path, make_zip([*entries, Entry("model/constants.pkl", b"x")]), "TorchScript")
    refuse(tmp_path, make_zip([*entries, Entry("other/data.pkl", b"x")]), "data.pkl", "got 2")
    refuse(tmp_path, make_zip([Entry("readme", b"x")]), "data.pkl", "got 0")
    legacy = b"\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19.\x80\x02M\xe9\x03."
    refuse(tmp_path, legacy, "bare pickle", "torch.save")


def test_tensors_are_read_lazily(tmp_path: Path) -> None:
    """A damaged tensor causes no error unless it is read."""
    entries = torch_entries(
        stream({"w": Tensor("0", (12,)), "mask": Tensor("1", (4,))}),
        {"0": FLOATS.tobytes(), "1": bytes(16)},
    )
    entries[3].crc = 1
    with open_weights(write(tmp_path, make_zip(entries))) as weights:
        np.testing.assert_array_equal(weights["w"].read(), FLOATS)
        with pytest.raises(FormatError, match=r"data/1.*CRC-32 00000001"):
            weights["mask"].read()


def test_arrays_outlive_their_file(tmp_path: Path) -> None:
    weights = open_weights(write(tmp_path, small_torch()))
    tensor = weights["w"]
    found = tensor.read()
    weights.close()
    weights.close()
    np.testing.assert_array_equal(found.ravel(), np.arange(6))
    with pytest.raises(ClosedError, match="read after close"):
        tensor.read()


SEED = stream(
    {"state_dict": {"w": Tensor("0", (3, 4)), "n": Tensor("1", (), "int64")}, "x": [1, (2.5,)]}
)


@settings(max_examples=100, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, len(SEED) - 1), st.integers(0, 255)), min_size=1, max_size=3)
)
def test_mutated_pickles_end_in_tensors_or_our_error(
    changes: list[tuple[int, int]],
) -> None:
    data = bytearray(SEED)
    for at, value in changes:
        data[at] = value
    storages = {"0": FLOATS.tobytes(), "1": bytes(8)}
    found = outcome(make_torch(bytes(data), storages))
    if not isinstance(found, Error):
        for dtype, shape, nbytes, raw in found.values():
            assert len(raw) == nbytes == math.prod(shape) * DTYPES[dtype].itemsize


def test_limits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pickle_machine, "MAX_STREAM_BYTES", 20)
    refuse(tmp_path, small_torch(), "bytes of pickle")


def test_root_is_for_torch_archives(tmp_path: Path) -> None:
    from .builders import small_nemo, small_safetensors

    for data in (small_nemo(), small_safetensors()):
        with pytest.raises(ConfigError, match="root"):
            open_weights(write(tmp_path, data), root="x")
