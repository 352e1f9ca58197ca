"""Reads `.safetensors` strictly: eight bytes of header length, a JSON header, the tensors.

The reader rejects a header that is larger than 16 MB or has more than 65,536 tensors, is nested
deeper than the format needs, repeats a key, or has unknown fields or dtypes. It also rejects
tensors that overlap, leave gaps, or do not end where the file ends. The header is checked first,
its size, depth and number of values before it is parsed; tensor data is accessed only by `read()`.
"""

from __future__ import annotations

import json
import math
import os
import re
import struct
from typing import Any, NoReturn

from ttsrt_rt.convert.file_bytes import FileBytes
from ttsrt_rt.convert.lazy_tensor import DTYPES, Array, LazyTensor, array_from_bytes, check_shape
from ttsrt_rt.errors import FormatError
from ttsrt_rt.quoting import quote

__all__ = ["DTYPE_CODES", "SafetensorsFile", "looks_like_safetensors"]

MAX_HEADER_BYTES = 16_000_000
MAX_HEADER_DEPTH = 3
MAX_TENSORS = 65_536
# An entry has two commas between its fields, one between its offsets, one before the next entry,
# and one between dimensions. Text is counted too, so the limit leaves room for commas in names.
MAX_HEADER_COMMAS = 12 * MAX_TENSORS
MAX_HEADER_QUOTES = 16 * MAX_TENSORS
MAX_HEADER_ESCAPES = 1_000_000

# Our dtype tag -> the code that the format uses.
DTYPE_CODES: dict[str, str] = {
    "float64": "F64",
    "float32": "F32",
    "float16": "F16",
    "bfloat16": "BF16",
    "float8_e4m3fn": "F8_E4M3",
    "float8_e5m2": "F8_E5M2",
    "int64": "I64",
    "int32": "I32",
    "int16": "I16",
    "int8": "I8",
    "uint64": "U64",
    "uint32": "U32",
    "uint16": "U16",
    "uint8": "U8",
    "bool": "BOOL",
}
TAGS = {code: tag for tag, code in DTYPE_CODES.items()}
ESCAPE = re.compile(rb"\\.", re.DOTALL)
NOT_MARKS = bytes(set(range(256)) - set(b'"[]{}'))


def looks_like_safetensors(head: bytes) -> bool:
    """Whether a file can begin with these bytes: a length, then a JSON object."""
    return len(head) >= 10 and head[8:9] == b"{" and head[5:8] == b"\0\0\0"


class SafetensorsFile:
    """The tensors of one file.

    Args:
        file: the open file.

    Attributes:
        tensors: name -> tensor, in the order of their data.
        metadata: the free text that the writer stored; may be empty.

    Raises:
        FormatError: the file breaks a rule of the format.
    """

    def __init__(self, file: FileBytes) -> None:
        self._data = data = file.all
        self._where = where = file.name
        if data.size < 8:
            raise FormatError(f"{where}: expected a header length, got {data.size} bytes")
        (size,) = struct.unpack("<Q", data.read(0, 8))
        if size > MAX_HEADER_BYTES:
            raise FormatError(
                f"{where}: expected a header of at most {MAX_HEADER_BYTES} bytes, got {size}"
            )
        if size > data.size - 8:
            raise FormatError(f"{where}: expected {size} bytes of header, got {data.size - 8}")
        self._begin = 8 + size
        header = parse_header(data.read(8, size), where)
        self.metadata = check_metadata(header.pop("__metadata__", {}), where)
        self.tensors = self._make_tensors(header, data.size - self._begin)

    @classmethod
    def open(cls, path: str | os.PathLike[str]) -> SafetensorsFile:
        """Opens and checks the file at `path`.

        Raises:
            ConfigError: the file does not exist.
            FormatError: the file breaks a rule of the format.
        """
        return cls(FileBytes.open(path))

    def _make_tensors(self, header: dict[str, Any], size: int) -> dict[str, LazyTensor]:
        """Checks all entries, and checks that together they cover the data exactly."""
        entries = [
            (*parse_entry(entry, f"{self._where}: {quote(name)}"), name)
            for name, entry in header.items()
        ]
        entries.sort(key=lambda entry: entry[:2])
        tensors: dict[str, LazyTensor] = {}
        covered = 0
        for begin, end, dtype, shape, name in entries:
            where = f"{self._where}: {quote(name)}"
            if begin != covered:
                kind = "an overlap" if begin < covered else "a hole"
                raise FormatError(
                    f"{where}: expected data from {covered}, got {kind}: from {begin}"
                )
            if end > size:
                raise FormatError(f"{where}: expected data within {size} bytes, got {end}")
            covered = end
            tensors[name] = self._make_tensor(name, dtype, shape, (begin, end), where)
        if covered != size:
            raise FormatError(f"{self._where}: expected {covered} bytes of data, got {size}")
        return tensors

    def _make_tensor(
        self, name: str, dtype: str, shape: tuple[int, ...], span: tuple[int, int], where: str
    ) -> LazyTensor:
        """Creates the lazy tensor of one checked entry."""
        begin, size = self._begin + span[0], span[1] - span[0]

        def read() -> Array:
            return array_from_bytes(where, self._data.read_array(begin, size), dtype, shape)

        return LazyTensor(name, dtype, shape, size, read)


def parse_header(raw: bytes, where: str) -> dict[str, Any]:
    """Parses the JSON header: an object whose keys are unique and whose numbers are integers.

    Raises:
        FormatError: the JSON is broken or breaks one of these rules.
    """
    where = f"{where}: header"
    if raw[:1] != b"{":
        raise FormatError(f"{where}: expected a JSON object, got {raw[:1]!r}")
    if raw.count(b",") > MAX_HEADER_COMMAS or raw.count(b"\\") > MAX_HEADER_ESCAPES:
        raise FormatError(f"{where}: expected at most {MAX_TENSORS} tensors, got more values")
    check_depth(raw, where)

    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) != len(pairs):
            seen: set[str] = set()
            for key, _ in pairs:
                if key in seen:
                    raise FormatError(f"{where}: expected {quote(key)} once, got it twice")
                seen.add(key)
        return found

    def integer(text: str) -> int:
        if len(text) > 20:
            raise FormatError(f"{where}: expected integers below 2**64, got {len(text)} digits")
        return int(text)

    def refuse(text: str) -> NoReturn:
        raise FormatError(f"{where}: expected integers, got {quote(text)}")

    try:
        text = raw.decode()
        header = json.loads(
            text,
            object_pairs_hook=unique,
            parse_int=integer,
            parse_float=refuse,
            parse_constant=refuse,
        )
    except UnicodeDecodeError as error:
        raise FormatError(f"{where}: expected UTF-8, got other bytes at {error.start}") from error
    except json.JSONDecodeError as error:
        raise FormatError(f"{where}: expected JSON, got an error: {error}") from error
    if not isinstance(header, dict):
        raise FormatError(f"{where}: expected a JSON object, got {type(header).__name__}")
    if len(header) > MAX_TENSORS + 1:
        raise FormatError(f"{where}: expected at most {MAX_TENSORS} tensors, got {len(header)}")
    for name in header:
        check_text(name, where)
    return header


def check_depth(raw: bytes, where: str) -> None:
    """Limits the nesting of brackets outside strings, because the JSON parser is recursive.

    Pairs of brackets with nothing inside are removed level by level, so the work is linear.
    """
    if b"\\" in raw:
        raw = ESCAPE.sub(b"", raw)  # so that every quote begins or ends a string
    marks = raw.translate(None, delete=NOT_MARKS)
    if marks.count(b'"') > MAX_HEADER_QUOTES:
        raise FormatError(f"{where}: expected at most {MAX_TENSORS} tensors, got more values")
    brackets = b"".join(marks.split(b'"')[::2])
    for _ in range(MAX_HEADER_DEPTH):
        brackets = brackets.replace(b"[]", b"").replace(b"{}", b"")
    if len(brackets) > MAX_HEADER_DEPTH:
        raise FormatError(f"{where}: expected at most {MAX_HEADER_DEPTH} levels, got more")


def check_text(text: str, where: str) -> str:
    """Rejects text with lone surrogates: JSON can escape them, but they cannot be encoded."""
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise FormatError(f"{where}: expected Unicode text, got a lone surrogate") from error
    return text


def check_metadata(value: object, where: str) -> dict[str, str]:
    """Checks that `__metadata__` maps strings to strings."""
    if not isinstance(value, dict) or not all(isinstance(each, str) for each in value.values()):
        raise FormatError(f"{where}: __metadata__: expected an object of strings, got other values")
    return {check_text(key, where): check_text(each, where) for key, each in value.items()}


def parse_entry(entry: object, where: str) -> tuple[int, int, str, tuple[int, ...]]:
    """Returns begin, end, dtype tag and shape of one header entry.

    Raises:
        FormatError: the fields or the dtype are unknown, or the size does not follow from dtype
            and shape.
    """
    if not isinstance(entry, dict) or set(entry) != {"dtype", "shape", "data_offsets"}:
        raise FormatError(f"{where}: expected dtype, shape and data_offsets, got other fields")
    code, shape, offsets = entry["dtype"], entry["shape"], entry["data_offsets"]
    if not isinstance(code, str) or code not in TAGS:
        got = quote(code) if isinstance(code, str) else type(code).__name__
        raise FormatError(f"{where}: dtype: expected one of {', '.join(TAGS)}, got {got}")
    if not isinstance(shape, list):
        raise FormatError(f"{where}: shape: expected a list, got {type(shape).__name__}")
    itemsize = DTYPES[TAGS[code]].itemsize
    sizes = check_shape(where, shape, itemsize)
    is_pair = (
        isinstance(offsets, list)
        and len(offsets) == 2
        and all(type(each) is int for each in offsets)
    )
    if not is_pair or not 0 <= offsets[0] <= offsets[1]:
        raise FormatError(f"{where}: data_offsets: expected 0 <= begin <= end, got other values")
    nbytes = math.prod(sizes) * itemsize
    if offsets[1] - offsets[0] != nbytes:
        raise FormatError(
            f"{where}: expected {nbytes} bytes for {code} {list(sizes)}, got "
            f"{offsets[1] - offsets[0]}"
        )
    return offsets[0], offsets[1], TAGS[code], sizes
