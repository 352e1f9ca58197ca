"""Reads one block of a configuration and checks the kind and the limits of every value it reads.

The same class reads config.json, where a missing field means a damaged file, and the YAML of the
original checkpoints, where most fields have a default. Messages name the path inside the file:
`model.decoder.heads: expected an integer in 1..256, got -3`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from ttsrt_rt.errors import ConfigError, FormatError
from ttsrt_rt.quoting import shorten, show

REQUIRED: Any = object()
"""Given as a default, it makes the field mandatory."""


class Block:
    """A mapping inside a configuration, with its path. A null field counts as missing, except in
    `optional`.

    `error` is the exception that a wrong value raises: FormatError for our own files, ConfigError
    for files of the user.
    """

    def __init__(
        self, value: Any, path: str, error: type[FormatError] | type[ConfigError] = FormatError
    ) -> None:
        self.error = error
        if not isinstance(value, Mapping):
            raise error(f"{path}: expected a mapping, got {type(value).__name__}")
        self.values: Mapping[str, Any] = value
        self.path = path

    def place(self, name: str) -> str:
        """Returns the path of a field. A path ending in a space is a file name and gets no dot."""
        return (
            self.path + name if self.path.endswith(" ") or not self.path else f"{self.path}.{name}"
        )

    def has(self, name: str) -> bool:
        """Whether the field exists and is not null."""
        return self.values.get(name) is not None

    def fail(self, name: str, expected: str) -> FormatError | ConfigError:
        """Returns the error for a field with a wrong value."""
        return self.error(
            f"{shorten(self.place(name))}: expected {expected}, got {show(self.values.get(name))}"
        )

    def _get(self, name: str, default: Any, expected: str) -> Any:
        value = self.values.get(name)
        if value is not None:
            return value
        if default is REQUIRED:
            raise self.error(f"{self.place(name)}: expected {expected}, got nothing")
        return default

    def integer(self, name: str, low: int, high: int, default: int = REQUIRED) -> int:
        """Returns an integer in low..high; booleans and floats do not count as integers."""
        expected = f"an integer in {low}..{high}"
        value = self._get(name, default, expected)
        if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
            raise self.fail(name, expected)
        return value

    def number(self, name: str, low: float, high: float, default: float = REQUIRED) -> float:
        """Returns a finite number in low..high."""
        expected = f"a number in {low:g}..{high:g}"
        value = self._get(name, default, expected)
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            raise self.fail(name, expected)
        if not low <= value <= high or not math.isfinite(value):
            raise self.fail(name, expected)
        return float(value)

    def flag(self, name: str, default: bool = REQUIRED) -> bool:
        """Returns true or false."""
        value = self._get(name, default, "true or false")
        if not isinstance(value, bool):
            raise self.fail(name, "true or false")
        return value

    def word(self, name: str, known: Sequence[str], default: str = REQUIRED) -> str:
        """Returns one of the known words."""
        expected = "one of " + ", ".join(known)
        value = self._get(name, default, expected)
        if not isinstance(value, str) or value not in known:
            raise self.fail(name, expected)
        return value

    def integers(
        self, name: str, low: int, high: int, default: Sequence[int] = REQUIRED
    ) -> tuple[int, ...]:
        """Returns a list of distinct integers in low..high."""
        expected = f"a list of distinct integers in {low}..{high}"
        value = self._get(name, default, expected)
        good = isinstance(value, (list, tuple)) and all(
            isinstance(item, int) and not isinstance(item, bool) and low <= item <= high
            for item in value
        )
        if not good or len(set(value)) != len(value):
            raise self.fail(name, expected)
        return tuple(value)

    def integers_with_repeats(self, name: str, low: int, high: int) -> tuple[int, ...]:
        """Returns a list of at most 1024 integers in low..high."""
        value = self._get(name, REQUIRED, "a list")
        good = isinstance(value, (list, tuple)) and all(
            isinstance(item, int) and not isinstance(item, bool) and low <= item <= high
            for item in value
        )
        if not good or len(value) > 1024:
            raise self.fail(name, f"a list of integers in {low}..{high}")
        return tuple(value)

    def block(self, name: str) -> Block:
        """Returns a mapping inside this one."""
        return Block(self._get(name, REQUIRED, "a mapping"), self.place(name), self.error)

    def optional(self, name: str) -> Block | None:
        """Returns a mapping inside this one, or None for null. The field itself must exist."""
        if name not in self.values:
            raise self.error(f"{self.place(name)}: expected a mapping or null, got nothing")
        return self.block(name) if self.has(name) else None
