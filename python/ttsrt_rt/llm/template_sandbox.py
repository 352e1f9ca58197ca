"""Renders chat templates: programs in data files, of strangers.

They run in the immutable sandbox of jinja2, without loaders and imports. What that sandbox leaves
open is bounded here: every turn of a loop is counted and looks at the clock, recursive loops are
refused, texts, lists and numbers that grow are checked before they are made, and filters and
methods are those of a list.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import datetime
from typing import Any

from ttsrt_rt.errors import ConfigError, FormatError
from ttsrt_rt.quoting import shorten, show

__all__ = ["MAX_OUTPUT", "render"]

MAX_SOURCE = 256 << 10
MAX_OUTPUT = 1 << 20  # characters, of the result and of any text on the way
MAX_TURNS = 1_000_000
MAX_SECONDS = 5.0
MAX_BITS = 256
MAX_FORMAT = 1024

FILTERS = frozenset(
    (
        *("abs", "bool", "capitalize", "count", "d", "default", "dictsort", "e", "escape"),
        *("first", "float", "indent", "int", "items", "join", "last", "length", "list", "lower"),
        *("map", "max", "min", "reject", "rejectattr", "replace", "reverse", "round", "safe"),
        *("select", "selectattr", "sort", "string", "title", "tojson", "trim", "unique"),
        "upper",
    )
)
# Filters that make a text of their first value, whatever it is.
TEXT_FILTERS = ("capitalize", "e", "escape", "lower", "safe", "string", "title", "trim", "upper")
METHODS = {
    str: frozenset(
        (
            *("capitalize", "count", "endswith", "find", "index", "isalnum", "isalpha", "isdigit"),
            *("islower", "isspace", "isupper", "join", "lower", "lstrip", "partition"),
            *("removeprefix", "removesuffix", "replace", "rfind", "rindex", "rpartition", "rsplit"),
            *("rstrip", "split", "splitlines", "startswith", "strip", "title", "upper"),
        )
    ),
    dict: frozenset(("get", "items", "keys", "values")),
    list: frozenset(("count", "index")),
    tuple: frozenset(("count", "index")),
}


class _Refused(Exception):
    """The template asked for something beyond its limits."""


class _Clock:
    """Counts the turns of all loops of one rendering, and looks at the time."""

    def __init__(self) -> None:
        self._turns = 0
        self._end = time.monotonic() + MAX_SECONDS

    def tick(self) -> None:
        self._turns += 1
        if self._turns > MAX_TURNS:
            raise _Refused(f"expected at most {MAX_TURNS} turns of loops and calls, got more")
        if time.monotonic() > self._end:
            raise _Refused(f"expected a template that takes at most {MAX_SECONDS:g} s, got more")

    def turns_of(self, items: Iterable[Any]) -> Iterator[Any]:
        for each in items:
            self.tick()
            yield each


def render(source: str, variables: Mapping[str, Any], where: str) -> str:
    """Returns what a template makes of variables.

    Args:
        source: the template.
        variables: what it reads; nothing in them is changed.
        where: names it in messages.

    Raises:
        ConfigError: the package jinja2 is missing, or the template refuses the variables
            (`raise_exception`).
        FormatError: it is damaged, or asks for more than its limits allow.
    """
    if len(source) > MAX_SOURCE:
        raise FormatError(
            f"{where}: expected a template of at most {MAX_SOURCE} characters, got {len(source)}"
        )
    try:
        import jinja2
    except ImportError as error:
        raise ConfigError(
            "chat: expected the package jinja2, got none; pip install jinja2"
        ) from error
    try:
        return _rendered(source, variables)
    except ConfigError as error:
        raise ConfigError(f"{where}: {error}") from error
    except (jinja2.TemplateError, _Refused, RecursionError, MemoryError) as error:
        raise FormatError(f"{where}: {shorten(str(error) or type(error).__name__)}") from error
    except (TypeError, ValueError, LookupError, AttributeError, ArithmeticError) as error:
        raise FormatError(
            f"{where}: expected a template for these messages, got an error: {shorten(str(error))}"
        ) from error


def _rendered(source: str, variables: Mapping[str, Any]) -> str:
    from jinja2 import Template

    clock = _Clock()
    environment = _environment(clock)
    tree = environment.parse(source)
    _bound(tree, environment)
    ours = {"_turns": clock.turns_of, "_joined": _joined, "_checked": _checked}
    globals_ = {**environment.globals, **ours}
    template = Template.from_code(environment, environment.compile(tree), globals_)
    parts: list[str] = []
    size = 0
    for part in template.generate(**variables):
        size += len(part)
        if size > MAX_OUTPUT:
            raise _Refused(f"expected a text of at most {MAX_OUTPUT} characters, got more")
        parts.append(part)
    return "".join(parts)


def _bound(tree: Any, environment: Any) -> None:
    """Makes every loop count its turns and every joining of texts check its size."""
    from jinja2 import nodes

    for loop in list(tree.find_all(nodes.For)):
        if loop.recursive:
            raise _Refused("expected loops without recursion, got a recursive one")
        loop.iter = _call(environment, "_turns", loop.iter)
    for kind in (nodes.Import, nodes.FromImport, nodes.Include, nodes.Extends):
        if tree.find(kind) is not None:
            raise _Refused("expected one template, got one that reads others")
    _replace_growing(tree, environment)


def _replace_growing(node: Any, environment: Any) -> None:
    """Replaces `a ~ b`, and lists and dicts that are written out, everywhere below a node by calls
    that check them; the innermost first.
    """
    for child in node.iter_child_nodes():
        _replace_growing(child, environment)
    for name, value in list(node.iter_fields()):
        if isinstance(value, list):
            value[:] = [_bounded(each, environment) for each in value]
        else:
            setattr(node, name, _bounded(value, environment))


def _bounded(node: Any, environment: Any) -> Any:
    from jinja2 import nodes

    if isinstance(node, nodes.Concat):
        return _call(environment, "_joined", *node.nodes)
    is_made = isinstance(node, (nodes.List, nodes.Dict)) or (
        isinstance(node, nodes.Tuple) and node.ctx == "load"
    )
    return _call(environment, "_checked", node) if is_made else node


def _call(environment: Any, name: str, *arguments: Any) -> Any:
    from jinja2 import nodes

    made = nodes.Call(nodes.Name(name, "load"), list(arguments), [], None, None)
    made.set_environment(environment)
    return made.set_lineno(arguments[0].lineno if arguments else 1)


def _joined(*parts: Any) -> str:
    return _concat([_text(part) for part in parts])


def _concat(parts: Iterable[str]) -> str:
    texts = list(parts)
    _check_size(sum(len(text) for text in texts))
    return "".join(texts)


def _text(value: Any) -> str:
    """Returns `str(value)`, whose size is checked before."""
    if not isinstance(value, str):
        _check_size(_size_of(value, counts_texts=True))
    return str(value)


def _printed(value: Any) -> Any:
    """What an expression prints, checked before it is made a text."""
    if isinstance(value, (list, tuple, dict)):
        _check_size(_size_of(value, counts_texts=True))
    return value


def _checked(value: Any) -> Any:
    """A list, tuple or dict, whose values all together are not too many."""
    _check_size(_size_of(value, counts_texts=False))
    return value


def _size_of(value: Any, *, counts_texts: bool) -> int:
    """Counts values inside a value, up to the limit; with the letters of texts if asked to."""
    size = 0
    waiting = [value]
    while waiting and size <= MAX_OUTPUT:
        each = waiting.pop()
        size += 1
        if isinstance(each, str) and counts_texts:
            size += len(each)
        elif isinstance(each, Mapping):
            waiting += [*each.keys(), *each.values()]
        elif isinstance(each, (list, tuple)):
            waiting += each
    return size


def _check_size(size: int) -> None:
    if size > MAX_OUTPUT:
        raise _Refused(f"expected texts of at most {MAX_OUTPUT} characters, got {size}")


def _environment(clock: _Clock) -> Any:
    from jinja2.ext import Extension, loopcontrols
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    class Generation(Extension):
        """`{% generation %}` marks what an assistant says, which changes no text."""

        tags = {"generation"}  # noqa: RUF012

        def parse(self, parser: Any) -> Any:
            next(parser.stream)
            return parser.parse_statements(("name:endgeneration",), drop_needle=True)

    class Sandbox(ImmutableSandboxedEnvironment):
        """Checks operators, attributes and calls."""

        intercepted_binops = frozenset(("+", "*", "**", "%"))

        def call_binop(self, context: Any, operator: str, left: Any, right: Any) -> Any:
            _check_operator(operator, left, right)
            return super().call_binop(context, operator, left, right)

        def is_safe_attribute(self, obj: Any, attr: str, value: Any) -> bool:
            for kind, known in METHODS.items():
                if isinstance(obj, kind) and callable(value) and attr not in known:
                    return False
            return super().is_safe_attribute(obj, attr, value)

        def wrap_str_format(self, value: Any) -> Any:
            return None  # so that `format` is an attribute like others, which is not on the list

        def call(self, context: Any, called: Any, *args: Any, **kwargs: Any) -> Any:
            clock.tick()
            _check_method(called, args)
            made = super().call(context, called, *args, **kwargs)
            return _checked(made) if called is dict else made

        concat = staticmethod(_concat)

    environment = Sandbox(
        trim_blocks=True,
        lstrip_blocks=True,
        extensions=[loopcontrols, Generation],
        cache_size=0,
        finalize=_printed,
    )
    plain = environment.filters
    environment.filters = {name: plain[name] for name in FILTERS if name in plain}
    environment.filters |= {name: _of_text(plain[name]) for name in TEXT_FILTERS}
    environment.filters.update(tojson=_tojson, replace=_replace, indent=_indent, join=_join)
    environment.globals.update(raise_exception=_raise_exception, strftime_now=_strftime_now)
    for name in ("lipsum", "cycler", "joiner"):
        environment.globals.pop(name, None)
    return environment


def _of_text(plain: Callable[..., Any]) -> Callable[..., Any]:
    """Returns a filter that checks the size of its first value before it becomes a text."""

    def checked(value: Any, *args: Any, **kwargs: Any) -> Any:
        return plain(_text(value), *args, **kwargs)

    return checked


def _check_operator(operator: str, left: Any, right: Any) -> None:
    """Refuses an operation whose result is too large, before it is made."""
    sized = [each for each in (left, right) if hasattr(each, "__len__")]
    numbers = [each for each in (left, right) if isinstance(each, int)]
    if operator == "+" and len(sized) == 2:
        _check_size(len(left) + len(right))
    elif operator == "*" and sized and numbers:
        _check_size(len(sized[0]) * max(int(numbers[0]), 0))
    elif operator == "%" and isinstance(left, str):
        raise _Refused("expected no formatting by %, got it; join texts with ~ instead")
    elif operator == "**" and len(numbers) == 2:
        _check_bits(left.bit_length() * max(int(right), 1))
    elif operator == "*" and len(numbers) == 2:
        _check_bits(left.bit_length() + right.bit_length())


def _check_bits(bits: int) -> None:
    if bits > MAX_BITS:
        raise _Refused(f"expected integers of at most {MAX_BITS} bits, got {bits}")


def _check_method(called: Any, args: tuple[Any, ...]) -> None:
    """Checks the methods of texts that can make long ones of short ones."""
    text, name = getattr(called, "__self__", None), getattr(called, "__name__", "")
    if isinstance(text, str) and name == "replace" and len(args) >= 2:
        _check_replace(text, args[0], args[1])
    elif isinstance(text, str) and name == "join" and args:
        _check_join(text, args[0])


def _check_replace(text: str, old: Any, new: Any) -> None:
    if isinstance(old, str) and isinstance(new, str):
        _check_size(len(text) + text.count(old) * max(len(new) - len(old), 0))


def _check_join(between: str, parts: Any) -> None:
    if isinstance(parts, (list, tuple)):
        lengths = sum(len(each) for each in parts if isinstance(each, str))
        _check_size(lengths + len(between) * len(parts))


def _tojson(
    value: Any,
    ensure_ascii: bool = False,
    indent: int | None = None,
    separators: tuple[str, str] | None = None,
    sort_keys: bool = False,
) -> str:
    """JSON without escapes of HTML, as transformers gives it to templates."""
    if indent is not None and not 0 <= indent <= 16:
        raise _Refused(f"expected an indent of 0..16, got {show(indent)}")
    if separators is not None:
        _check_size(sum(len(each) for each in separators))
    _check_size(_size_of(value, counts_texts=True))
    return json.dumps(
        value,
        ensure_ascii=ensure_ascii,
        indent=indent,
        separators=separators,
        sort_keys=sort_keys,
    )


def _replace(text: Any, old: str, new: str, count: int | None = None) -> str:
    whole = _text(text)
    _check_replace(whole, old, new)
    return whole.replace(old, new, -1 if count is None else count)


def _join(parts: Iterable[Any], between: str = "", attribute: str | None = None) -> str:
    texts = [_text(each if attribute is None else each[attribute]) for each in parts]
    _check_join(between, texts)
    return between.join(texts)


def _indent(text: Any, width: int | str = 4, first: bool = False, blank: bool = False) -> str:
    margin = width if isinstance(width, str) else " " * min(max(width, 0), MAX_FORMAT)
    lines = _text(text).split("\n")
    _check_size(sum(len(line) for line in lines) + len(margin) * len(lines))
    moved = [line if not line and not blank else margin + line for line in lines]
    return "\n".join(moved if first else [lines[0], *moved[1:]])


def _raise_exception(message: Any) -> None:
    raise ConfigError(shorten(str(message)))


def _strftime_now(layout: str) -> str:
    if not isinstance(layout, str) or len(layout) > 100:
        raise _Refused(f"expected a layout of a date, got {show(layout)}")
    return datetime.now().strftime(layout)
