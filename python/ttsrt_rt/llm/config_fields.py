"""Checks the values of configuration files against dataclasses: kinds, bounds, unknown names.

A field of such a dataclass is made by `number`, `real`, `flag`, `word`, `name` or one of the lists,
which say what it may be. A null in a file stands for the default.
"""

from __future__ import annotations

import difflib
import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import MISSING, field, fields
from typing import Any, TypeVar

from ttsrt_rt.errors import ConfigError
from ttsrt_rt.quoting import show

__all__ = [
    "flag",
    "made_of",
    "name",
    "names",
    "number",
    "numbers",
    "real",
    "refuse_unknown",
    "word",
]

Made = TypeVar("Made")
Check = Callable[[Any, str], Any]

MAX_TEXT = 4096
MAX_LIST = 64


def number(default: int | None, low: int, high: int, *, others: Iterable[int] = ()) -> Any:
    """An integer of low..high, or one of others."""
    extra = tuple(others)
    told = f"an integer of {low}..{high}" + "".join(f", or {each}" for each in extra)

    def check(value: Any, where: str) -> int:
        if type(value) is not int or not (low <= value <= high or value in extra):
            raise ConfigError(f"{where}: expected {told}, got {show(value)}")
        return value

    return field(default=default, metadata={"check": check})


def real(default: float | None, low: float, high: float, *, or_zero: bool = False) -> Any:
    """A finite number of low..high, or 0 if that counts too."""
    told = f"a number of {low:g}..{high:g}" + (", or 0" if or_zero else "")

    def check(value: Any, where: str) -> float:
        is_number = type(value) in (int, float) and math.isfinite(value)
        if not is_number or not (low <= value <= high or (or_zero and value == 0)):
            raise ConfigError(f"{where}: expected {told}, got {show(value)}")
        return float(value)

    return field(default=default, metadata={"check": check})


def flag(default: bool) -> Any:
    """True or false; 0 and 1 do not count."""

    def check(value: Any, where: str) -> bool:
        if not isinstance(value, bool):
            raise ConfigError(f"{where}: expected true or false, got {show(value)}")
        return value

    return field(default=default, metadata={"check": check})


def word(default: str, choices: Iterable[str]) -> Any:
    """One of some words."""
    known = tuple(choices)

    def check(value: Any, where: str) -> str:
        if not isinstance(value, str) or value not in known:
            near = difflib.get_close_matches(str(value)[:64], known, 1)
            hint = f"; is {near[0]} meant?" if near else ""
            raise ConfigError(
                f"{where}: expected one of {', '.join(known)}, got {show(value)}{hint}"
            )
        return value

    return field(default=default, metadata={"check": check})


def name(default: str | None = None) -> Any:
    """A text of at most 4096 letters."""
    return field(default=default, metadata={"check": _text})


def names(check: Callable[[tuple[str, ...]], object] | None = None) -> Any:
    """A list of texts, or a text for a list of one; none by default. `check` raises ConfigError for
    lists that are wrong as a whole.
    """

    def checked(value: Any, where: str) -> tuple[str, ...]:
        found = _list(value, where, _text)
        if check is not None:
            try:
                check(found)
            except ConfigError as error:
                raise ConfigError(f"{where}: {error}") from error
        return found

    return field(default=(), metadata={"check": checked})


def numbers(default: tuple[int, ...], low: int, high: int) -> Any:
    """A list of integers of low..high."""

    def each(value: Any, where: str) -> int:
        if type(value) is not int or not low <= value <= high:
            raise ConfigError(f"{where}: expected integers of {low}..{high}, got {show(value)}")
        return value

    def check(value: Any, where: str) -> tuple[int, ...]:
        found = _list(value, where, each)
        if not found:
            raise ConfigError(f"{where}: expected at least one integer, got none")
        return found

    return field(default=default, metadata={"check": check})


def made_of(kind: type[Made], values: Any, where: str, path: str = "") -> Made:
    """Makes a dataclass of the values of a section.

    Args:
        kind: a frozen dataclass, whose fields have checks.
        values: what stands in the file; None for an empty section.
        where: the name of the file.
        path: of the section, with a dot behind it; empty for the top.

    Raises:
        ConfigError: a name is unknown, or a value is of another kind or out of its bounds.
    """
    if values is None:
        values = {}
    if not isinstance(values, Mapping):
        told = path.removesuffix(".") or "the file"
        raise ConfigError(f"{where}: {told}: expected names and values, got {show(values)}")
    known = [each.name for each in fields(kind)]  # type: ignore[arg-type]
    refuse_unknown(values, known, where, path)
    checked: dict[str, Any] = {}
    for each in fields(kind):  # type: ignore[arg-type]
        value = values.get(each.name)
        if value is not None:
            checked[each.name] = each.metadata["check"](value, f"{where}: {path}{each.name}")
        elif each.default is MISSING:
            raise ConfigError(f"{where}: {path}{each.name}: expected a value, got nothing")
    return kind(**checked)


def refuse_unknown(values: Mapping[Any, Any], known: Iterable[str], where: str, path: str) -> None:
    """Refuses a name that is not known, with the nearest one that is.

    Raises:
        ConfigError: there is one.
    """
    names_ = list(known)
    for key in values:
        if key not in names_:
            near = difflib.get_close_matches(str(key)[:64], names_, 1, 0.5)
            hint = f"; is {near[0]} meant?" if near else ""
            told = path.removesuffix(".") or "the top"
            raise ConfigError(
                f"{where}: {told}: expected the names {', '.join(names_)}, got {show(key)}{hint}"
            )


def _text(value: Any, where: str) -> str:
    if not isinstance(value, str) or not 0 < len(value) <= MAX_TEXT or "\0" in value:
        raise ConfigError(f"{where}: expected a text, got {show(value)}")
    return value


def _list(value: Any, where: str, each: Check) -> tuple[Any, ...]:
    items = [value] if isinstance(value, (str, int)) else value
    if not isinstance(items, (list, tuple)) or len(items) > MAX_LIST:
        raise ConfigError(f"{where}: expected a list of at most {MAX_LIST}, got {show(value)}")
    return tuple(each(item, f"{where}[{at}]") for at, item in enumerate(items))
