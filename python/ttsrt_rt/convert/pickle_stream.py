"""Reads numbers, text and names from the bytes of a pickle stream, each within a limit."""

from __future__ import annotations

import struct
from typing import Any, NoReturn

from ttsrt_rt.errors import FormatError

__all__ = ["F8_BIG", "I4", "U1", "U2", "U4", "U8", "Stream"]

MAX_TEXT_BYTES = 4 << 20
MAX_INTEGER_BYTES = 1_024
MAX_LINE_BYTES = 1_024

U1, U2, U4, U8 = (struct.Struct(f"<{code}") for code in "BHIQ")
I4 = struct.Struct("<i")
F8_BIG = struct.Struct(">d")


class Stream:
    """A position in a stream. `opcode_at` is the offset of the current opcode, for errors."""

    def __init__(self, data: bytes, where: str) -> None:
        self.data = data
        self.where = where
        self.at = 0
        self.opcode_at = 0

    def fail(self, expected: str, got: str) -> NoReturn:
        """Raises an error for the current opcode."""
        raise FormatError(f"{self.where}: byte {self.opcode_at}: expected {expected}, got {got}")

    def take(self, count: int) -> bytes:
        """Returns the next bytes."""
        if count > len(self.data) - self.at:
            self.fail(f"{count} more bytes", f"{len(self.data) - self.at} (stream truncated)")
        self.at += count
        return self.data[self.at - count : self.at]

    def number(self, layout: struct.Struct) -> Any:
        """Returns the next number."""
        return layout.unpack(self.take(layout.size))[0]

    def text_bytes(self, layout: struct.Struct) -> bytes:
        """Returns the next bytes, which are preceded by their length."""
        size = self.number(layout)
        if size > MAX_TEXT_BYTES:
            self.fail(f"at most {MAX_TEXT_BYTES} bytes of text", str(size))
        return self.take(size)

    def line(self) -> str:
        """Returns the next line; GLOBAL stores names as lines."""
        end = self.data.find(b"\n", self.at, self.at + MAX_LINE_BYTES)
        if end < 0:
            self.fail("a name that ends in a newline", f"none within {MAX_LINE_BYTES} bytes")
        return self.decode(self.take(end + 1 - self.at)[:-1])

    def decode(self, raw: bytes) -> str:
        """Decodes UTF-8; lone surrogates are an error."""
        try:
            return raw.decode()
        except UnicodeDecodeError:
            self.fail("UTF-8 text", "other bytes")

    def integer(self, size: int) -> int:
        """Returns the next signed integer of `size` bytes."""
        if not 0 <= size <= MAX_INTEGER_BYTES:
            self.fail(f"an integer of at most {MAX_INTEGER_BYTES} bytes", f"{size} bytes")
        return int.from_bytes(self.take(size), "little", signed=True)
