"""Reads a pickle stream as data, with an interpreter of its opcodes that cannot execute code.

A pickle is a program for a small stack machine. This machine has only values: a global name becomes
an entry of `pickle_globals` or an error, and a call is a lookup in a table of makers. It supports
the opcodes that Python writes for protocols 2 to 5; an error names text protocols, instances of old
classes, extension codes and out-of-band buffers. Every size is bounded and nothing recurses, so
neither deep nesting nor cycles cost more than their bytes.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ttsrt_rt.convert.pickle_globals import DTYPE_NAMES, MAKERS, STORAGES, Maker, is_harmless
from ttsrt_rt.convert.pickle_makers import make
from ttsrt_rt.convert.pickle_stream import F8_BIG, I4, U1, U2, U4, U8, Stream
from ttsrt_rt.convert.pickle_values import (
    Dict,
    DtypeName,
    Placeholder,
    Sequence,
    StorageClass,
    StorageRef,
    deepest,
    depth_of,
    describe,
)
from ttsrt_rt.errors import FormatError
from ttsrt_rt.quoting import quote

__all__ = ["read_pickle"]

MAX_STREAM_BYTES = 32 << 20
MAX_OPCODES = 1_500_000
MAX_CONTAINERS = 500_000
MAX_STACK = 250_000
MAX_MEMO = 500_000
MAX_NESTING = 1_000


def read_pickle(data: bytes, where: str) -> Any:
    """Reads one pickle stream.

    Args:
        data: the whole stream.
        where: the name of the stream in errors.

    Returns:
        None, bool, int, float, str, bytes, or a value of `pickle_values`.

    Raises:
        FormatError: the stream is broken, has a name or an opcode that is not supported, or exceeds
            a limit.
    """
    if len(data) > MAX_STREAM_BYTES:
        raise FormatError(
            f"{where}: expected at most {MAX_STREAM_BYTES} bytes of pickle, got {len(data)}"
        )
    return Machine(data, where).run()


class Machine(Stream):
    """The state of reading one stream: stack, marks and memo."""

    def __init__(self, data: bytes, where: str) -> None:
        super().__init__(data, where)
        self.stack: list[Any] = []
        self.marks: list[int] = []
        self.memo: dict[int, Any] = {}
        self.num_containers = 0

    def run(self) -> Any:
        """Interprets the stream up to STOP and returns the value left on the stack."""
        if self.data[:1] != b"\x80":
            self.fail("a pickle of protocol 2 to 5", "other bytes")
        num_opcodes = 0
        while True:
            self.opcode_at = self.at
            code = self.take(1)[0]
            if code == STOP:
                return self.finish()
            operation = OPERATIONS.get(code)
            if operation is None:
                self.fail("an opcode of plain data", REFUSED.get(code, f"unknown {code:#04x}"))
            operation(self)
            num_opcodes += 1
            if num_opcodes > MAX_OPCODES or len(self.stack) > MAX_STACK:
                self.fail(f"at most {MAX_OPCODES} opcodes, {MAX_STACK} values on the stack", "more")

    def finish(self) -> Any:
        """Checks that a complete stream left one value, and returns it."""
        if len(self.stack) != 1 or self.marks:
            self.fail("one value at the end", f"{len(self.stack)}, {len(self.marks)} open marks")
        if self.at != len(self.data):
            self.fail("the end of the stream after STOP", f"{len(self.data) - self.at} more bytes")
        return self.stack[0]

    # Operations on the stack.

    def pop(self) -> Any:
        """Removes and returns the top value, which must be above the last mark."""
        if len(self.stack) <= (self.marks[-1] if self.marks else 0):
            self.fail("a value on the stack", "none")
        return self.stack.pop()

    def top(self) -> Any:
        """Returns the top value without removing it."""
        value = self.pop()
        self.stack.append(value)
        return value

    def pop_to_mark(self) -> list[Any]:
        """Removes the last mark and all values above it, and returns the values."""
        if not self.marks:
            self.fail("a mark on the stack", "none")
        begin = self.marks.pop()
        items = self.stack[begin:]
        del self.stack[begin:]
        return items

    def push_sequence(self, items: list[Any], is_tuple: bool) -> None:
        """Pushes a tuple or a list."""
        self.count_container()
        value = Sequence(items, is_tuple)
        self.check_depth(value.depth)
        self.stack.append(value)

    def push_dict(self) -> None:
        """Pushes an empty dict."""
        self.count_container()
        self.stack.append(Dict())

    def count_container(self) -> None:
        """Counts a tuple, a list, a dict or a call against their limit."""
        self.num_containers += 1
        if self.num_containers > MAX_CONTAINERS:
            self.fail(f"at most {MAX_CONTAINERS} tuples, lists, dicts and calls", "more")

    def check_depth(self, depth: int) -> None:
        """Rejects containers nested beyond the limit."""
        if depth > MAX_NESTING:
            self.fail(f"at most {MAX_NESTING} levels of nesting", "more")

    # Opcodes that need more than one line.

    def mark(self) -> None:
        """MARK: marks the current top of the stack."""
        self.marks.append(len(self.stack))
        self.check_depth(len(self.marks))

    def discard(self) -> None:
        """POP: removes the top value, or the mark if it is on top."""
        if self.marks and self.marks[-1] == len(self.stack):
            self.marks.pop()
        else:
            self.pop()

    def check_protocol(self) -> None:
        """PROTO: accepts protocols 2 to 5."""
        protocol = self.number(U1)
        if not 2 <= protocol <= 5:
            self.fail("pickle protocol 2 to 5", str(protocol))

    def put(self, index: int) -> None:
        """Stores the top value in the memo."""
        if len(self.memo) >= MAX_MEMO and index not in self.memo:
            self.fail(f"at most {MAX_MEMO} memo entries", "more")
        self.memo[index] = self.top()

    def get(self, index: int) -> None:
        """Pushes a value from the memo."""
        if index not in self.memo:
            self.fail("a memo entry", f"number {index}, which was never stored")
        self.stack.append(self.memo[index])

    def tuple_of(self, count: int) -> None:
        """Replaces the top `count` values by a tuple of them."""
        items = [self.pop() for _ in range(count)]
        self.push_sequence(items[::-1], True)

    def append(self, items: list[Any]) -> None:
        """Adds values to the list, set or placeholder on top."""
        target = self.top()
        if isinstance(target, Placeholder):
            return
        if not isinstance(target, Sequence) or target.is_tuple:
            self.fail("a list to append to", describe(target))
        target.items.extend(items)
        target.depth = max(target.depth, 1 + deepest(items))
        self.check_depth(target.depth)

    def set_items(self, items: list[Any]) -> None:
        """Adds alternating keys and values to the dict or placeholder on top."""
        target = self.top()
        if isinstance(target, Placeholder):
            return
        if not isinstance(target, Dict) or len(items) % 2:
            self.fail("a dict and pairs for it", f"{describe(target)} and {len(items)} values")
        for key, value in zip(items[::2], items[1::2], strict=True):
            target.depth = max(target.depth, 1 + depth_of(value))
            if not isinstance(key, str):
                target.num_others += 1
            elif key in target.items:
                self.fail("each key of a dict once", f"{quote(key)} twice")
            else:
                target.items[key] = value
        self.check_depth(target.depth)

    def set_item(self) -> None:
        """SETITEM: adds one key and value."""
        value = self.pop()
        self.set_items([self.pop(), value])

    def dict_of_mark(self) -> None:
        """DICT: makes a dict of the pairs above the mark."""
        items = self.pop_to_mark()
        self.push_dict()
        self.set_items(items)

    def named(self, module: object, name: object) -> None:
        """Looks up a global name and pushes the value that replaces it; nothing is imported."""
        if not isinstance(module, str) or not isinstance(name, str):
            self.fail("a module and a name", f"{describe(module)} and {describe(name)}")
        key = (module, name)
        value: object
        if key in MAKERS:
            value = MAKERS[key]
        elif key in STORAGES:
            value = StorageClass(STORAGES[key])
        elif module == "torch" and name in DTYPE_NAMES:
            value = DtypeName(name, DTYPE_NAMES[name])
        elif is_harmless(module, name):
            value = Placeholder(f"{module}.{name}")
        else:
            self.fail("names of tensors, dicts and plain values only", quote(f"{module}.{name}"))
        self.stack.append(value)

    def stack_named(self) -> None:
        """STACK_GLOBAL: takes module and name from the stack."""
        name = self.pop()
        self.named(self.pop(), name)

    def reduce(self) -> None:
        """REDUCE: replaces a call by a value of a known kind; a placeholder stays a placeholder."""
        arguments = self.pop()
        function = self.pop()
        if not isinstance(arguments, Sequence) or not arguments.is_tuple:
            self.fail("a tuple of arguments", describe(arguments))
        if isinstance(function, Placeholder):
            self.stack.append(function)
        elif isinstance(function, Maker):
            self.count_container()
            where = f"{self.where}: byte {self.opcode_at}"
            self.stack.append(make(function, arguments.items, where))
        else:
            self.fail("a name that makes a value", describe(function))

    def new_object(self) -> None:
        """NEWOBJ: does the same as REDUCE, for placeholders only."""
        arguments = self.pop()
        if not isinstance(self.top(), Placeholder):
            self.fail("NEWOBJ of a harmless foreign class", describe(self.top()))
        self.stack.append(arguments)
        self.reduce()

    def build(self) -> None:
        """BUILD: ignores the state of a placeholder and the `_metadata` of a state dict."""
        state = self.pop()
        target = self.top()
        if isinstance(target, Placeholder):
            return
        if not isinstance(target, Dict) or not isinstance(state, Dict) or state.num_others:
            self.fail("BUILD of a state dict", f"{describe(state)} for {describe(target)}")
        for key in state.items:
            if key != "_metadata":
                self.fail("only '_metadata' beside the items of a dict", quote(key))

    def persistent(self) -> None:
        """BINPERSID: reads a reference to a storage: ('storage', type, key, device, count)."""
        pid = self.pop()
        items = pid.items if isinstance(pid, Sequence) and pid.is_tuple else []
        if len(items) != 5 or items[0] != "storage" or not isinstance(items[1], StorageClass):
            self.fail("a storage: ('storage', type, key, device, count)", describe(pid))
        key, device, count = items[2:]
        if not isinstance(key, str) or not isinstance(device, str):
            self.fail("a storage key and device as text", f"{describe(key)}, {describe(device)}")
        if not (key.isascii() and key.isdigit() and len(key) <= 20):
            self.fail("a storage key of digits", quote(key))
        if type(count) is not int or not 0 <= count < 1 << 62:
            self.fail("a storage size >= 0", describe(count))
        self.stack.append(StorageRef(items[1].dtype, key, count))


STOP = ord(".")


def push(read: Callable[[Machine], object]) -> Callable[[Machine], None]:
    """Returns an operation that pushes the value that `read` returns."""
    return lambda machine: machine.stack.append(read(machine))


OPERATIONS: dict[int, Callable[[Machine], object]] = {
    0x80: Machine.check_protocol,  # PROTO
    0x95: lambda m: m.take(8) and None,  # FRAME: a hint for buffering, ignored
    ord("("): Machine.mark,  # MARK
    ord("0"): Machine.discard,  # POP
    ord("1"): Machine.pop_to_mark,  # POP_MARK
    ord("2"): push(Machine.top),  # DUP
    ord("N"): push(lambda m: None),  # NONE
    0x88: push(lambda m: True),  # NEWTRUE
    0x89: push(lambda m: False),  # NEWFALSE
    ord("J"): push(lambda m: m.number(I4)),  # BININT
    ord("K"): push(lambda m: m.number(U1)),  # BININT1
    ord("M"): push(lambda m: m.number(U2)),  # BININT2
    0x8A: push(lambda m: m.integer(m.number(U1))),  # LONG1
    0x8B: push(lambda m: m.integer(m.number(I4))),  # LONG4
    ord("G"): push(lambda m: m.number(F8_BIG)),  # BINFLOAT
    0x8C: push(lambda m: m.decode(m.text_bytes(U1))),  # SHORT_BINUNICODE
    ord("X"): push(lambda m: m.decode(m.text_bytes(U4))),  # BINUNICODE
    0x8D: push(lambda m: m.decode(m.text_bytes(U8))),  # BINUNICODE8
    ord("C"): push(lambda m: m.text_bytes(U1)),  # SHORT_BINBYTES
    ord("B"): push(lambda m: m.text_bytes(U4)),  # BINBYTES
    0x8E: push(lambda m: m.text_bytes(U8)),  # BINBYTES8
    0x96: push(lambda m: m.text_bytes(U8)),  # BYTEARRAY8
    ord(")"): lambda m: m.tuple_of(0),  # EMPTY_TUPLE
    0x85: lambda m: m.tuple_of(1),  # TUPLE1
    0x86: lambda m: m.tuple_of(2),  # TUPLE2
    0x87: lambda m: m.tuple_of(3),  # TUPLE3
    ord("t"): lambda m: m.push_sequence(m.pop_to_mark(), True),  # TUPLE
    ord("]"): lambda m: m.push_sequence([], False),  # EMPTY_LIST
    ord("l"): lambda m: m.push_sequence(m.pop_to_mark(), False),  # LIST
    ord("a"): lambda m: m.append([m.pop()]),  # APPEND
    ord("e"): lambda m: m.append(m.pop_to_mark()),  # APPENDS
    0x8F: lambda m: m.push_sequence([], False),  # EMPTY_SET: read as a list
    0x90: lambda m: m.append(m.pop_to_mark()),  # ADDITEMS
    0x91: lambda m: m.push_sequence(m.pop_to_mark(), False),  # FROZENSET
    ord("}"): Machine.push_dict,  # EMPTY_DICT
    ord("d"): Machine.dict_of_mark,  # DICT
    ord("s"): Machine.set_item,  # SETITEM
    ord("u"): lambda m: m.set_items(m.pop_to_mark()),  # SETITEMS
    ord("q"): lambda m: m.put(m.number(U1)),  # BINPUT
    ord("r"): lambda m: m.put(m.number(U4)),  # LONG_BINPUT
    0x94: lambda m: m.put(len(m.memo)),  # MEMOIZE
    ord("h"): lambda m: m.get(m.number(U1)),  # BINGET
    ord("j"): lambda m: m.get(m.number(U4)),  # LONG_BINGET
    ord("c"): lambda m: m.named(m.line(), m.line()),  # GLOBAL
    0x93: Machine.stack_named,  # STACK_GLOBAL
    ord("R"): Machine.reduce,  # REDUCE
    0x81: Machine.new_object,  # NEWOBJ
    ord("b"): Machine.build,  # BUILD
    ord("Q"): Machine.persistent,  # BINPERSID
}

REFUSED: dict[int, str] = {
    ord("i"): "INST",
    ord("o"): "OBJ",
    0x92: "NEWOBJ_EX",
    0x82: "EXT1",
    0x83: "EXT2",
    0x84: "EXT4",
    ord("P"): "PERSID",
    0x97: "NEXT_BUFFER",
    0x98: "READONLY_BUFFER",
    ord("I"): "INT (text protocol)",
    ord("L"): "LONG (text protocol)",
    ord("F"): "FLOAT (text protocol)",
    ord("S"): "STRING (text protocol)",
    ord("V"): "UNICODE (text protocol)",
    ord("p"): "PUT (text protocol)",
    ord("g"): "GET (text protocol)",
    ord("U"): "SHORT_BINSTRING (Python 2)",
    ord("T"): "BINSTRING (Python 2)",
}
