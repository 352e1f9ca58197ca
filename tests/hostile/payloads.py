"""Pickles that would run code in an ordinary unpickler: each must be refused by name.

Every callable of tests/python/convert/gadgets.py is called in each of the ways that a pickle has,
at places of a checkpoint where a value can stand. As a program, this module reads all of them in a
process whose audit hook reports every import and call that a payload could cause:

    python -m tests.hostile.payloads
"""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from tests.python.convert.builders import Raw, encode, make_torch, named, stream
from tests.python.convert.gadgets import CALLS, commands, opcode_gadgets, text
from ttsrt_rt.convert import open_weights
from ttsrt_rt.convert.pickle_machine import read_pickle
from ttsrt_rt.errors import FormatError

__all__ = ["main", "payloads"]

Fragment = Callable[[str, str, tuple[str, ...]], bytes]

FORMS: dict[str, Fragment] = {
    "REDUCE": lambda module, name, words: named(module, name) + encode(words) + b"R",
    "STACK_GLOBAL": lambda module, name, words: (
        text(module) + text(name) + b"\x93" + encode(words) + b"R"
    ),
    "memo": lambda module, name, words: (
        text(module) + b"\x94" + text(name) + b"\x940" + b"0h\0h\1\x93" + encode(words) + b"R"
    ),
    "NEWOBJ": lambda module, name, words: named(module, name) + encode(words) + b"\x81",
    "name alone": lambda module, name, words: named(module, name),
    "BUILD": lambda module, name, words: (
        named(module, name) + encode(words) + b"R" + encode({"x": "y"}) + b"b"
    ),
    "INST": lambda module, name, words: (
        b"(" + b"".join(map(encode, words)) + f"i{module}\n{name}\n".encode()
    ),
    "storage type": lambda module, name, words: (
        encode(("storage", Raw(named(module, name)), "0", "cpu", 1)) + b"Q"
    ),
}
PLACES: dict[str, Callable[[bytes], bytes]] = {
    "top": lambda raw: stream(Raw(raw)),
    "state dict": lambda raw: stream({"state_dict": {"w": Raw(raw)}}),
    "key": lambda raw: stream(Raw(b"}" + raw + b"Ns")),
    "ignored entry": lambda raw: stream({"state_dict": {}, "callbacks": {"x": [(Raw(raw),)]}}),
    "dropped": lambda raw: stream(Raw(raw + b"0N")),
    "argument of a placeholder": lambda raw: stream(
        Raw(named("pathlib", "Path") + encode((Raw(raw),)) + b"R")
    ),
    "state of a placeholder": lambda raw: stream(
        Raw(named("omegaconf", "DictConfig") + b")\x81" + encode({"x": Raw(raw)}) + b"b")
    ),
    "protocol 4": lambda raw: stream({"x": Raw(raw)}, 4),
}
FORBIDDEN = ("import", "exec", "compile", "os.", "subprocess.", "socket.", "shutil.", "ctypes.")
# The audit events of reading the file itself.
ALLOWED = {"os.listdir", "os.scandir"}


def payloads(sentinel: Path) -> Iterator[tuple[str, bytes, str]]:
    """Yields name, pickle, and the text that the refusal must contain.

    Args:
        sentinel: the file that a payload creates if it runs.
    """
    words = commands(sentinel)
    places = list(PLACES.items())
    for index, (path, arguments) in enumerate(CALLS.items()):
        module, _, name = path.rpartition(".")
        values = tuple(words.get(each, each) for each in arguments)
        for shift, (form, fragment) in enumerate(FORMS.items()):
            if path == "_codecs.encode":
                continue  # it makes bytes, and is refused by its arguments: test_pickle_machine.py
            place, wrap = places[(index + shift) % len(places)]
            expected = "INST" if form == "INST" else path
            yield f"{path}, {form}, {place}", wrap(fragment(module, name, values)), expected
    for opcode, (raw, expected) in opcode_gadgets(sentinel).items():
        for place, wrap in places:
            yield f"{opcode}, {place}", wrap(raw), expected


def refusal(name: str, data: bytes) -> str:
    """Reads a pickle alone and inside an archive; returns the refusal.

    Raises:
        AssertionError: it was read.
    """
    try:
        read_pickle(data, "x.ckpt")
    except FormatError as error:
        return str(error)
    raise AssertionError(f"{name}: read as data")


def main() -> int:
    """Reads every payload under an audit hook; returns the number of those that were not refused,
    or that did anything.
    """
    wrong: list[str] = []
    events: list[str] = []
    is_watching = False

    def watch(event: str, arguments: tuple[Any, ...]) -> None:
        if is_watching and event.startswith(FORBIDDEN) and event not in ALLOWED:
            events.append(f"{event} {arguments!r:.200}")

    sys.addaudithook(watch)
    is_watching = True
    compile("0", "x", "eval")  # shows that the hook notices
    is_watching = False
    assert events
    events.clear()
    with tempfile.TemporaryDirectory() as folder:
        sentinel, path = Path(folder) / "ran", Path(folder) / "x.ckpt"
        everything = list(payloads(sentinel))
        modules = set(sys.modules)
        for name, data, expected in everything:
            path.write_bytes(make_torch(data))
            is_watching = True
            try:
                found = refusal(name, data)
                with_archive = ""
                try:
                    open_weights(path)
                except FormatError as error:
                    with_archive = str(error)
            finally:
                is_watching = False
            if expected not in found or expected not in with_archive:
                wrong.append(f"{name}: expected {expected!r}, got {found!r}, {with_archive!r}")
            if events or sentinel.exists():
                wrong.append(f"{name}: {events or 'the sentinel exists'}")
                events.clear()
        left = set(os.listdir(folder)) - {"x.ckpt"}
        wrong += [f"left behind: {left}"] if left else []
        wrong += [f"imported: {each}" for each in sorted(set(sys.modules) - modules)]
    print("\n".join([*wrong, f"{len(everything)} payloads, {len(wrong)} wrong"]))
    return len(wrong)


if __name__ == "__main__":
    raise SystemExit(min(main(), 1))
