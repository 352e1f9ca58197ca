"""Random changes of bytes and of text; everything follows from the given generator of numbers."""

from __future__ import annotations

import random
import re
from collections.abc import Callable

__all__ = ["mutate", "mutate_text"]

NUMBERS = (
    0,
    1,
    7,
    0x7F,
    0x80,
    0xFF,
    0x7FFF,
    0xFFFF,
    0x7FFFFFFF,
    0xFFFFFFFF,
    1 << 62,
    (1 << 64) - 1,
)
WORDS = (
    *("", "null", "true", "-1", "0", "1e999", "nan", "9" * 30, "9" * 5000, "[]", "{}", '""'),
    *("'", "\\", "${a}", "${decoder}", "${.x}", "&x ", "*x", "<<: ", "!!python/name:os.system "),
    *("? ", "- " * 50, "[" * 70, "{" * 70, "\ud7ff", "\u0000", "\u2028", "a" * 300, ".."),
    *("/etc/passwd", "F32", "BOOL"),
)


def flip(data: bytearray, numbers: random.Random) -> None:
    """Flips one to four bits."""
    for _ in range(numbers.randint(1, 4)):
        data[numbers.randrange(len(data))] ^= 1 << numbers.randrange(8)


def cut(data: bytearray, numbers: random.Random) -> None:
    """Removes the end."""
    del data[numbers.randrange(len(data)) :]


def remove(data: bytearray, numbers: random.Random) -> None:
    """Removes a piece."""
    begin = numbers.randrange(len(data))
    del data[begin : begin + numbers.choice((1, 2, 8, 64, 512, 4096))]


def repeat(data: bytearray, numbers: random.Random) -> None:
    """Inserts a copy of a piece, next to it or somewhere else."""
    begin = numbers.randrange(len(data))
    piece = data[begin : begin + numbers.choice((1, 2, 8, 64, 512))]
    at = numbers.choice((begin, numbers.randrange(len(data))))
    data[at:at] = piece * numbers.choice((1, 1, 2, 100))


def splice(data: bytearray, numbers: random.Random) -> None:
    """Overwrites a piece with another one."""
    size = numbers.choice((1, 4, 16, 256))
    begin, at = numbers.randrange(len(data)), numbers.randrange(len(data))
    data[at : at + size] = data[begin : begin + size]


def zero(data: bytearray, numbers: random.Random) -> None:
    """Zeroes a piece."""
    begin = numbers.randrange(len(data))
    end = min(begin + numbers.choice((1, 4, 16, 256)), len(data))
    data[begin:end] = bytes(end - begin)


def state_number(data: bytearray, numbers: random.Random) -> None:
    """Writes a number that is on the border of some type, such as a length field might hold."""
    width = numbers.choice((1, 2, 4, 8))
    at = numbers.randrange(len(data))
    value = (numbers.choice(NUMBERS) + numbers.choice((0, 0, 1, -1))) % (1 << 8 * width)
    data[at : at + width] = value.to_bytes(width, numbers.choice(("little", "big")))


def insert(data: bytearray, numbers: random.Random) -> None:
    """Inserts random bytes."""
    at = numbers.randrange(len(data) + 1)
    data[at:at] = numbers.randbytes(numbers.randint(1, 16))


CHANGES: tuple[Callable[[bytearray, random.Random], None], ...] = (
    *(flip, flip, cut, remove, repeat, splice, zero, state_number, state_number, insert),
)


def mutate(data: bytes, numbers: random.Random) -> bytes:
    """Returns the bytes after one to three changes; not one of them is certain to matter."""
    made = bytearray(data)
    for _ in range(numbers.choice((1, 1, 1, 2, 3))):
        if made:
            numbers.choice(CHANGES)(made, numbers)
    return bytes(made)


def mutate_text(data: bytes, numbers: random.Random) -> bytes:
    """Returns YAML or JSON after changes of whole words and lines, or of bytes."""
    if numbers.random() < 0.3:
        return mutate(data, numbers)
    text = data.decode("utf-8", "replace")
    for _ in range(numbers.choice((1, 1, 2))):
        parts = re.split(r"([\s,:\[\]{}]+)", text)
        at = numbers.randrange(len(parts))
        kind = numbers.randrange(4)
        if kind == 0:
            parts[at] = numbers.choice(WORDS)
        elif kind == 1:
            parts[at] = parts[numbers.randrange(len(parts))]
        elif kind == 2:
            parts[at] = parts[at] * numbers.choice((0, 2, 50))
        else:
            lines = text.splitlines(keepends=True) or [""]
            lines.insert(numbers.randrange(len(lines)), numbers.choice(lines))
            parts = lines
        text = "".join(parts)
    return text.encode("utf-8", "surrogatepass")
