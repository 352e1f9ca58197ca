"""Quotes foreign text in error messages: escaped, on one line, at most 200 characters long."""

from __future__ import annotations

import reprlib
from collections.abc import Iterable

__all__ = ["MAX_QUOTED", "list_names", "quote", "shorten", "show"]

MAX_QUOTED = 200
MAX_NAMES = 20


def quote(text: str) -> str:
    """Returns a name from a file in quotes, with escapes; a long one loses its end."""
    shown = repr(text[:120] + "..." if len(text) > 120 else text)
    return shorten(shown)


def shorten(text: str, most: int = MAX_QUOTED) -> str:
    """Returns text on one line of at most `most` characters, without control characters."""
    line = " ".join(text[: 4 * most].split())
    line = "".join(letter if letter.isprintable() else "?" for letter in line)
    return line if len(line) <= most else line[: most - 3] + "..."


def show(value: object) -> str:
    """Returns any value from a file in the form of `repr`; the work is bounded like the result."""
    short = reprlib.Repr()
    short.maxlevel, short.maxdict, short.maxlist, short.maxtuple = 2, 6, 10, 10
    short.maxstring, short.maxother, short.maxlong = 120, 120, 60
    if isinstance(value, int) and abs(value).bit_length() > 4096:
        return f"an integer of {abs(value).bit_length()} bits"
    try:
        return shorten(short.repr(value))
    except ValueError:  # integers of thousands of digits have no text
        return f"a value of type {type(value).__name__}"


def list_names(names: Iterable[str], none: str = "none", *, is_quoted: bool = False) -> str:
    """Returns names from a file, separated by commas: the first ones, as many as fit.

    Args:
        names: the names; only the first of them are read.
        none: what an empty list is called.
        is_quoted: whether all names are in quotes, and not only those that need escapes.
    """
    parts: list[str] = []
    room = MAX_QUOTED - 5
    for count, name in enumerate(names):
        is_plain = not is_quoted and len(name) <= 120 and name.isprintable()
        shown = name if is_plain else quote(name)
        if count == MAX_NAMES or len(shown) > room:
            parts.append("...")
            break
        parts.append(shown)
        room -= len(shown) + 2
    return ", ".join(parts) or none
