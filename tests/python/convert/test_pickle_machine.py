"""The opcode interpreter names what it refuses, and never executes what it reads."""

from __future__ import annotations

import contextlib
import pickle
import struct
import subprocess
import sys
from collections import OrderedDict
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ttsrt_rt.convert import pickle_machine, pickle_stream
from ttsrt_rt.convert.pickle_machine import read_pickle
from ttsrt_rt.convert.pickle_values import Dict, Placeholder, Sequence, TensorRef
from ttsrt_rt.errors import FormatError

from .builders import Raw, Tensor, encode, named, reduce, stream
from .gadgets import CALLS, call_gadgets, opcode_gadgets

OPCODE_NAMES = tuple(opcode_gadgets(Path("x")))


def places(fragment: bytes) -> dict[str, bytes]:
    """Returns a stream for each place in which a fragment can appear."""
    raw = Raw(fragment)
    return {
        "top": stream(raw),
        "state dict": stream({"state_dict": {"w": raw}}),
        "ignored": stream({"state_dict": {}, "hyper_parameters": {"x": [(raw,)]}}),
        "key": stream(Raw(b"}" + fragment + b"Ns")),
        "dropped": stream(Raw(fragment + b"0N")),
        "placeholder": stream(Raw(named("pathlib", "Path") + encode((raw,)) + b"R")),
        "state": stream(
            Raw(named("omegaconf", "DictConfig") + b")\x81" + encode({"x": raw}) + b"b")
        ),
        "protocol 4": stream({"x": raw}, 4),
    }


@pytest.mark.parametrize("name", CALLS)
def test_a_call_is_refused_by_name(name: str, tmp_path: Path) -> None:
    sentinel = tmp_path / "ran"
    for place, data in places(call_gadgets(sentinel)[name]).items():
        with pytest.raises(FormatError) as caught:
            read_pickle(data, "x.ckpt")
        expected = "latin1" if name == "_codecs.encode" else name
        assert expected in str(caught.value), place
        assert not sentinel.exists(), place


@pytest.mark.parametrize("name", OPCODE_NAMES)
def test_an_opcode_that_could_run_is_refused(name: str, tmp_path: Path) -> None:
    sentinel = tmp_path / "ran"
    fragment, expected = opcode_gadgets(sentinel)[name]
    for place, data in places(fragment).items():
        with pytest.raises(FormatError) as caught:
            read_pickle(data, "x.ckpt")
        assert expected in str(caught.value), place
        assert not sentinel.exists(), place


def test_the_gadgets_would_run_elsewhere(tmp_path: Path) -> None:
    """An ordinary unpickler creates the sentinel, so its absence proves something."""
    for name, data in (
        ("os.system", places(call_gadgets(tmp_path / "ran1")["os.system"])["ignored"]),
        ("eval", places(call_gadgets(tmp_path / "ran2")["builtins.eval"])["top"]),
        ("memoised", places(opcode_gadgets(tmp_path / "ran3")["STACK_GLOBAL memoised"][0])["top"]),
        ("INST", places(opcode_gadgets(tmp_path / "ran4")["INST"][0])["top"]),
    ):
        (tmp_path / "gadget.pkl").write_bytes(data)
        code = "import pickle, sys; pickle.load(open(sys.argv[1], 'rb'))"
        subprocess.run([sys.executable, "-c", code, str(tmp_path / "gadget.pkl")], check=False)
        assert (
            tmp_path / f"ran{('os.system', 'eval', 'memoised', 'INST').index(name) + 1}"
        ).exists()


def plain(value: Any) -> Any:
    """Converts a value of the reader to a Python value."""
    if isinstance(value, Sequence):
        items = [plain(each) for each in value.items]
        return tuple(items) if value.is_tuple else items
    if isinstance(value, Dict):
        return {key: plain(each) for key, each in value.items.items()}
    return value


VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**200), 2**200)
    | st.floats(allow_nan=False)
    | st.text(max_size=20)
    | st.binary(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.text(max_size=5), inner, max_size=4)
        | st.tuples(inner, inner)
        | st.tuples(inner)
    ),
    max_leaves=20,
)


@settings(max_examples=150, deadline=None)
@given(VALUES, st.integers(3, 5))
def test_plain_values_are_read_as_python_wrote_them(value: Any, protocol: int) -> None:
    assert plain(read_pickle(pickle.dumps(value, protocol), "x")) == value


def test_protocol_2_with_an_ordered_dict_and_latin_bytes() -> None:
    value = {"a": OrderedDict([("b", 1), ("c", 2)]), "raw": b"\x00\xff", "set": {1, 2}}
    found = plain(read_pickle(pickle.dumps(value, 2), "x"))
    assert found["a"] == {"b": 1, "c": 2}
    assert found["raw"] == Placeholder("builtins.bytes")
    assert found["set"] == Placeholder("__builtin__.set")


def test_foreign_objects_become_placeholders() -> None:
    value = {
        "config": Raw(
            named("omegaconf.dictconfig", "DictConfig") + b")\x81" + encode({"_content": {}}) + b"b"
        ),
        "path": Raw(reduce("pathlib", "PosixPath", "a", "b")),
        "any": Raw(named("typing", "Any")),
        "counts": Raw(
            reduce("collections", "defaultdict", Raw(named("__builtin__", "int")))
            + encode("k")
            + b"K\x01s"
        ),
        "scalar": Raw(
            reduce(
                "numpy.core.multiarray",
                "scalar",
                Raw(reduce("numpy", "dtype", "f8", False, True)),
                "x",
            )
        ),
        "device": Raw(reduce("torch", "device", "cpu")),
    }
    found = read_pickle(stream(value), "x")
    assert {key: each.name for key, each in found.items.items()} == {
        "config": "omegaconf.dictconfig.DictConfig",
        "path": "pathlib.PosixPath",
        "any": "typing.Any",
        "counts": "collections.defaultdict",
        "scalar": "numpy.core.multiarray.scalar",
        "device": "torch.device",
    }


def test_keys_other_than_text_are_counted_and_dropped() -> None:
    found = read_pickle(pickle.dumps({0: "a", (1, (2,)): "b", "c": "d", None: 1}, 2), "x")
    assert found.items == {"c": "d"}
    assert found.num_others == 3


def test_a_dict_inside_itself_is_read() -> None:
    loop: dict[str, Any] = {"state_dict": {}}
    loop["state_dict"]["self"] = loop
    found = read_pickle(pickle.dumps(loop, 2), "x")
    assert found.items["state_dict"].items["self"] is found
    items: list[Any] = []
    items.append(items)
    found = read_pickle(pickle.dumps(items, 2), "x")
    assert found.items[0] is found


def test_a_tensor_keeps_what_the_stream_states() -> None:
    found = read_pickle(stream(Tensor("5", (2, 3), "int8", 4, (1, 2), 40)), "x")
    assert isinstance(found, TensorRef)
    assert (found.dtype, found.offset, found.shape, found.strides) == ("int8", 4, (2, 3), (1, 2))
    assert (found.storage.key, found.storage.count) == ("5", 40)


def test_every_truncation_is_an_error() -> None:
    data = pickle.dumps({"a": [1, 2.5, "x", (None, True)], "b": OrderedDict(c=2**70)}, 4)
    for protocol_data in (data, stream({"state_dict": {"w": Tensor("0", (2, 3))}})):
        for size in range(len(protocol_data)):
            with pytest.raises(FormatError):
                read_pickle(protocol_data[:size], "x")
        with pytest.raises(FormatError, match="after STOP"):
            read_pickle(protocol_data + b"N", "x")


BROKEN = {
    "empty": (b"", "protocol 2"),
    "no PROTO": (b"N.", "protocol 2"),
    "protocol 0": (b"\x80\x00N.", "protocol 2 to 5, got 0"),
    "protocol 6": (b"\x80\x06N.", "got 6"),
    "nothing left": (b"\x80\x02.", "one value"),
    "two values": (b"\x80\x02NN.", "one value"),
    "open mark": (b"\x80\x02(N.", "one value"),
    "pop of nothing": (b"\x80\x020.", "a value on the stack"),
    "pop below a mark": (b"\x80\x02N(\x85t.", "a value on the stack"),
    "no mark": (b"\x80\x02Nt.", "a mark"),
    "unknown memo": (b"\x80\x02h\x05.", "never stored"),
    "odd items": (b"\x80\x02}(Nu.", "pairs"),
    "items of a list": (b"\x80\x02](NNu.", "pairs"),
    "append to a tuple": (b"\x80\x02)Na.", "a list"),
    "append to a number": (b"\x80\x02K\x01Na.", "a list"),
    "key twice": (b"\x80\x02}(X\x01\0\0\0aNX\x01\0\0\0aNu.", "'a' twice"),
    "bad UTF-8": (b"\x80\x02X\x02\0\0\0\xff\xfe.", "UTF-8"),
    "surrogate": (b"\x80\x02X\x03\0\0\0\xed\xa0\x80.", "UTF-8"),
    "negative LONG4": (b"\x80\x02\x8b\xff\xff\xff\xff.", "an integer"),
    "huge LONG4": (b"\x80\x02\x8b\0\0\0\x7f.", "an integer"),
    "huge text": (b"\x80\x02X\xff\xff\xff\xff.", "bytes of text"),
    "huge text 8": (b"\x80\x04\x8d" + b"\xff" * 8 + b".", "bytes of text"),
    "huge bytes": (b"\x80\x04\x8e" + b"\xff" * 8 + b".", "bytes of text"),
    "endless name": (b"\x80\x02c" + b"a" * 5000 + b"\n\n.", "newline"),
    "tensor of nothing": (
        stream(Raw(reduce("torch._utils", "_rebuild_tensor_v2"))),
        "arguments of a tensor",
    ),
    "size of text": (stream(Raw(reduce("torch", "Size", "x"))), "torch.Size"),
    "parameter of text": (
        stream(Raw(reduce("torch._utils", "_rebuild_parameter", "x", False, Raw(b"}")))),
        "a parameter",
    ),
}


@pytest.mark.parametrize("name", BROKEN)
def test_broken_streams(name: str) -> None:
    data, expected = BROKEN[name]
    with pytest.raises(FormatError, match=expected):
        read_pickle(data, "x")


def test_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    deep = b"\x80\x02)" + b"\x85" * 2000 + b"."
    marks = b"\x80\x02" + b"(" * 2000 + b"t" * 2000 + b"."
    lists = b"\x80\x02" + b"]" * 2000 + b"a" * 1999 + b"."
    dicts = b"\x80\x02" + b"}X\x01\0\0\0a" * 2000 + b"N" + b"s" * 2000 + b"."
    for data in (deep, marks, lists, dicts):
        with pytest.raises(FormatError, match="levels of nesting"):
            read_pickle(data, "x")
    monkeypatch.setattr(pickle_machine, "MAX_STACK", 100)
    with pytest.raises(FormatError, match="on the stack"):
        read_pickle(b"\x80\x02(" + b"N" * 200 + b"t.", "x")
    monkeypatch.setattr(pickle_machine, "MAX_OPCODES", 1000)
    with pytest.raises(FormatError, match="opcodes"):
        read_pickle(b"\x80\x02" + b"N0" * 600 + b"N.", "x")
    monkeypatch.setattr(pickle_machine, "MAX_MEMO", 10)
    with pytest.raises(FormatError, match="memo entries"):
        read_pickle(b"\x80\x04N" + b"\x94" * 20 + b".", "x")
    monkeypatch.setattr(pickle_stream, "MAX_TEXT_BYTES", 3)
    with pytest.raises(FormatError, match="bytes of text"):
        read_pickle(b"\x80\x02X" + struct.pack("<I", 4) + b"abcd.", "x")
    monkeypatch.setattr(pickle_machine, "MAX_STREAM_BYTES", 10)
    with pytest.raises(FormatError, match="bytes of pickle"):
        read_pickle(b"\x80\x02" + b"N" * 20, "x")


def test_containers_and_shared_shapes_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    shape = b"(" + b"K\x01" * 50_000 + b"tq\x00"
    storage = encode(("storage", Raw(named("torch", "FloatStorage")), "0", "cpu", 1)) + b"Q"
    tensor = named("torch._utils", "_rebuild_tensor_v2") + b"(" + storage + b"K\0h\0h\0\x89}tR"
    found = read_pickle(b"\x80\x02" + shape + b"0" + tensor + b".", "x")
    assert len(found.shape) == 17
    monkeypatch.setattr(pickle_machine, "MAX_CONTAINERS", 10)
    for raw in (b"]0" * 20, b"}0" * 20, b")0" * 20, b"ccollections\nOrderedDict\n)R0" * 20):
        with pytest.raises(FormatError, match="at most 10 tuples, lists, dicts and calls"):
            read_pickle(b"\x80\x02" + raw + b"N.", "x")


def test_messages_shorten_long_text_from_the_file() -> None:
    with pytest.raises(FormatError) as caught:
        read_pickle(stream(Raw(named("m" * 900, "n\x1b[31m"))), "x")
    assert len(str(caught.value)) < 300
    assert "\x1b" not in str(caught.value)


@settings(max_examples=150, deadline=None)
@given(st.binary(max_size=60))
def test_random_bytes_end_in_a_value_or_a_format_error(data: bytes) -> None:
    for stream_data in (b"\x80\x02" + data, b"\x80\x04" + data + b"."):
        with contextlib.suppress(FormatError):
            read_pickle(stream_data, "x")


SEED = stream(
    {"state_dict": {"w": Tensor("0", (2, 3))}, "hyper_parameters": {"a": [1, (2.5, "x")]}}
)


@settings(max_examples=100, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, len(SEED) - 1), st.integers(0, 255)), min_size=1, max_size=4)
)
def test_mutations_end_in_a_value_or_a_format_error(changes: list[tuple[int, int]]) -> None:
    data = bytearray(SEED)
    for at, value in changes:
        data[at] = value
    with contextlib.suppress(FormatError):
        read_pickle(bytes(data), "x")
