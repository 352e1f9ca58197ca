"""What one rendering of a chat template may use: turns of loops, seconds, and letters of all texts,
lists and numbers that it makes together.

The rules that make every operation short:
- No list, tuple or dict that a template makes stands for more than `MAX_OUTPUT` values and letters,
  where those that occur several times count each time. So comparing, sorting, hashing and printing
  one is bounded, too.
- Each operation looks at the clock first, and what it made is taken off the budget.
- Methods of texts whose time is a product of two lengths have that product bounded.
"""

from __future__ import annotations

import functools
import json
import time
from collections.abc import Callable, ItemsView, Iterable, Iterator, KeysView, Mapping, ValuesView
from typing import Any

from ttsrt_rt.quoting import show

__all__ = ["MAX_OUTPUT", "Budget", "Refused"]

MAX_OUTPUT = 1 << 20  # characters, of the result and of any text on the way
MAX_MADE = 64 << 20  # of everything that is made, in letters of 4 bytes
ENTRY_LETTERS = 16  # bytes of an entry of a list, in letters
MAX_TURNS = 1_000_000
MAX_SECONDS = 5.0
MAX_BITS = 256
MAX_INDENT, MAX_SEPARATOR = 16, 16
MAX_WIDTH = 1024
MAX_DIGITS = 20
MAX_SEARCH = 1 << 28

SLOW_METHODS = frozenset(
    ("lstrip", "rfind", "rindex", "rpartition", "rsplit", "rstrip", "strip", "trim")
)
# Filters that read all of their first value, which may be an iterator, before they return.
EAGER_FILTERS = frozenset(
    ("dictsort", "join", "last", "list", "max", "min", "reverse", "sort", "unique")
)
PICKING_FILTERS = frozenset(("d", "default", "first"))  # give what was there before


class Refused(Exception):
    """The template asked for something beyond its limits."""


class Budget:
    """What is left to one rendering."""

    def __init__(self) -> None:
        """Starts the clock."""
        self._turns = 0
        self._made = 0
        self._end = time.monotonic() + MAX_SECONDS

    def tick(self) -> None:
        """Counts a turn of a loop, a call or a filter, and looks at the clock."""
        self._turns += 1
        if self._turns > MAX_TURNS:
            raise Refused(f"expected at most {MAX_TURNS} turns of loops and calls, got more")
        if time.monotonic() > self._end:
            raise Refused(f"expected a template that takes at most {MAX_SECONDS:g} s, got more")

    def charge(self, letters: int) -> None:
        """Takes what is made off the budget."""
        self._made += letters
        if self._made > MAX_MADE:
            raise Refused(
                f"expected texts and lists of at most {MAX_MADE} characters together, got more"
            )

    def turns_of(self, items: Iterable[Any]) -> Iterator[Any]:
        """Yields items, each of which is a turn."""
        for each in items:
            self.tick()
            yield each

    def ticked(self, value: Any) -> Any:
        """Returns a value that is compared."""
        self.tick()
        return value

    def made(self, value: Any) -> Any:
        """Returns a value that was just made, if it isn't too large."""
        if isinstance(value, str):
            check_size(len(value))
            self.charge(len(value))
        elif isinstance(value, (list, tuple, dict)):
            check_size(size_of(value))
            self.charge(ENTRY_LETTERS * len(value))
        elif isinstance(value, int):
            check_bits(value.bit_length())
        elif isinstance(value, Iterator):
            return self.turns_of(value)
        return value

    def text(self, value: Any) -> str:
        """Returns `str(value)`, whose size is checked before."""
        if not isinstance(value, str):
            self._charge_printed(value)
        return str(value)

    def printed(self, value: Any) -> Any:
        """Returns what an expression prints, checked before it becomes a text."""
        if type(value) is not str:
            self._charge_printed(value)
        return value

    def concat(self, parts: Iterable[Any]) -> str:
        """Joins texts."""
        texts = list(parts)
        size = sum(len(text) for text in texts)
        check_size(size)
        self.charge(size)
        return "".join(texts)

    def joined(self, *parts: Any) -> str:
        """Returns `a ~ b`."""
        return self.concat([self.text(part) for part in parts])

    def filter(
        self, name: str, plain: Callable[..., Any], *, of_text: bool = False
    ) -> Callable[..., Any]:
        """Returns a filter, or a test, that keeps to the budget.

        Args:
            name: its own.
            plain: the filter of jinja2.
            of_text: whether it makes a text of its first value, whatever that is.
        """
        place = 1 if hasattr(plain, "jinja_pass_arg") else 0

        @functools.wraps(plain)
        def checked(*args: Any, **kwargs: Any) -> Any:
            self.tick()
            values = list(args)
            if len(values) > place:
                value = values[place]
                if of_text:
                    value = self.text(value)
                elif isinstance(value, Iterator) and name in EAGER_FILTERS:
                    value = self.made(list(value))
                values[place] = value
            check_search(name, values[place : place + 2])
            result = plain(*values, **kwargs)
            return result if name in PICKING_FILTERS else self.made(result)

        return checked

    def to_json(
        self,
        value: Any,
        ensure_ascii: bool = False,
        indent: int | None = None,
        separators: tuple[str, str] | None = None,
        sort_keys: bool = False,
    ) -> str:
        """JSON without escapes of HTML, as transformers gives it to templates."""
        if indent is not None and not (type(indent) is int and 0 <= indent <= MAX_INDENT):
            raise Refused(f"expected an indent of 0..{MAX_INDENT}, got {show(indent)}")
        if separators is not None and sum(len(each) for each in separators) > MAX_SEPARATOR:
            raise Refused(f"expected separators of at most {MAX_SEPARATOR} letters, got more")
        check_size(size_of(value, is_printed=True))
        encoder = json.JSONEncoder(
            ensure_ascii=ensure_ascii,
            indent=indent,
            separators=separators,
            sort_keys=sort_keys,
        )
        parts: list[str] = []
        size = 0
        for part in encoder.iterencode(value):
            self.tick()
            size += len(part)
            check_size(size)
            parts.append(part)
        return "".join(parts)

    def replace(self, text: Any, old: str, new: str, count: int | None = None) -> str:
        """The filter of this name."""
        whole = self.text(text)
        check_replace(whole, old, new)
        return whole.replace(old, new, -1 if count is None else count)

    def join(self, parts: Iterable[Any], between: str = "", attribute: str | None = None) -> str:
        """The filter of this name."""
        texts = [self.text(each if attribute is None else each[attribute]) for each in parts]
        check_join(between, texts)
        return between.join(texts)

    def indent(
        self, text: Any, width: int | str = 4, first: bool = False, blank: bool = False
    ) -> str:
        """The filter of this name."""
        margin = width if isinstance(width, str) else " " * min(max(width, 0), MAX_WIDTH)
        lines = self.text(text).split("\n")
        check_size(sum(len(line) for line in lines) + len(margin) * len(lines))
        moved = [line if not line and not blank else margin + line for line in lines]
        return "\n".join(moved if first else [lines[0], *moved[1:]])

    def _charge_printed(self, value: Any) -> None:
        size = size_of(value, is_printed=True)
        check_size(size)
        self.charge(size)


def size_of(value: Any, *, is_printed: bool = False) -> int:
    """Counts values inside a value and letters of texts, up to the limit.

    Args:
        value: what is counted.
        is_printed: whether it becomes a text, which namespaces must not.
    """
    from jinja2.utils import Namespace

    size = 0
    waiting = [value]
    while waiting and size <= MAX_OUTPUT:
        each = waiting.pop()
        size += 1
        if isinstance(each, str):
            size += len(each)
        elif isinstance(each, Mapping):
            waiting += [*each.keys(), *each.values()]
        elif isinstance(each, (list, tuple, KeysView, ValuesView, ItemsView)):
            waiting += each
        elif is_printed and isinstance(each, Namespace):
            raise Refused("expected a text, a number or a list to print, got a namespace")
    return size


def check_size(size: int) -> None:
    """Refuses what has too many letters."""
    if size > MAX_OUTPUT:
        raise Refused(f"expected texts of at most {MAX_OUTPUT} characters, got {size}")


def check_bits(bits: int) -> None:
    """Refuses integers that are too large."""
    if bits > MAX_BITS:
        raise Refused(f"expected integers of at most {MAX_BITS} bits, got {bits}")


def check_operator(operator: str, left: Any, right: Any) -> None:
    """Refuses an operation whose result is too large, before it is made."""
    sized = [each for each in (left, right) if hasattr(each, "__len__")]
    numbers = [each for each in (left, right) if isinstance(each, int)]
    if operator == "+" and len(sized) == 2:
        check_size(len(left) + len(right))
    elif operator == "*" and sized and numbers:
        check_size(len(sized[0]) * max(int(numbers[0]), 0))
    elif operator == "%" and isinstance(left, str):
        raise Refused("expected no formatting by %, got it; join texts with ~ instead")
    elif operator == "**" and len(numbers) == 2:
        check_bits(left.bit_length() * max(int(right), 1))
    elif operator == "*" and len(numbers) == 2:
        check_bits(left.bit_length() + right.bit_length())


def check_search(name: str, values: Iterable[Any]) -> None:
    """Refuses a method or filter of a text whose time would be the product of two long texts."""
    texts = [len(each) for each in values if isinstance(each, str)]
    if name in SLOW_METHODS and len(texts) == 2 and texts[0] * texts[1] > MAX_SEARCH:
        raise Refused(
            f"{name}: expected a text and an argument whose lengths have a product of at most "
            f"{MAX_SEARCH}, got {texts[0]} and {texts[1]}"
        )


def check_replace(text: str, old: Any, new: Any) -> None:
    """Refuses a replacement that makes too long a text."""
    if isinstance(old, str) and isinstance(new, str):
        check_size(len(text) + text.count(old) * max(len(new) - len(old), 0))


def check_join(between: Any, parts: list[Any]) -> None:
    """Refuses to join texts that are too long together."""
    if isinstance(between, str):
        lengths = sum(len(each) for each in parts if isinstance(each, str))
        check_size(lengths + len(between) * len(parts))


def checked_round(value: float, precision: int = 0, method: Any = "common") -> float:
    """The filter `round`, whose power of ten is bounded."""
    from jinja2.filters import do_round

    if type(precision) is not int or abs(precision) > MAX_DIGITS:
        raise Refused(f"round: expected at most {MAX_DIGITS} digits, got {show(precision)}")
    rounded: float = do_round(value, precision, method)
    return rounded
