"""Renders chat templates: programs in data files, of strangers.

They run in the immutable sandbox of jinja2, without loaders and imports. What that sandbox leaves
open is bounded here: every turn of a loop, call, filter and comparison is counted and looks at the
clock, recursive loops are refused, what is made is taken off a budget (`template_limits`), and
filters and methods are those of a list. A template can't reach the functions that do this: they are
attributes of the environment, which no name of a template leads to.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from ttsrt_rt.errors import ConfigError, FormatError
from ttsrt_rt.llm.template_limits import (
    MAX_OUTPUT,
    Budget,
    Refused,
    check_join,
    check_operator,
    check_replace,
    check_search,
    check_size,
    checked_round,
    size_of,
)
from ttsrt_rt.quoting import shorten, show

__all__ = ["MAX_OUTPUT", "render"]

MAX_SOURCE = 128 << 10

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
    except (jinja2.TemplateError, Refused, RecursionError, MemoryError) as error:
        raise FormatError(f"{where}: {shorten(str(error) or type(error).__name__)}") from error
    except SyntaxError as error:  # of Python's compiler, which has limits of its own
        raise FormatError(
            f"{where}: expected a template that Python can compile, got: {shorten(str(error))}"
        ) from error
    except Exception as error:
        raise FormatError(
            f"{where}: expected a template for these messages, got an error: {shorten(str(error))}"
        ) from error


def _rendered(source: str, variables: Mapping[str, Any]) -> str:
    from jinja2 import Template

    budget = Budget()
    environment = _environment(budget)
    tree = environment.parse(source)
    _bound(tree, environment)
    template = Template.from_code(environment, environment.compile(tree), environment.globals)
    parts: list[str] = []
    size = 0
    for part in template.generate(**variables):
        size += len(part)
        if size > MAX_OUTPUT:
            raise Refused(f"expected a text of at most {MAX_OUTPUT} characters, got more")
        parts.append(part)
    return "".join(parts)


def _bound(tree: Any, environment: Any) -> None:
    """Makes every loop and comparison count its turns, and what grows check its size."""
    from jinja2 import nodes

    for loop in list(tree.find_all(nodes.For)):
        if loop.recursive:
            raise Refused("expected loops without recursion, got a recursive one")
        loop.iter = _call(environment, "bounded_turns", loop.iter)
    for compare in list(tree.find_all(nodes.Compare)):
        compare.expr = _call(environment, "bounded_ticked", compare.expr)
    for kind in (nodes.Import, nodes.FromImport, nodes.Include, nodes.Extends):
        if tree.find(kind) is not None:
            raise Refused("expected one template, got one that reads others")
    _replace_growing(tree, environment)


def _replace_growing(node: Any, environment: Any) -> None:
    """Replaces `a ~ b`, slices, and lists and dicts that are written out, everywhere below a node
    by calls that check them; the innermost first.
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
        return _call(environment, "bounded_joined", *node.nodes)
    is_made = (
        isinstance(node, (nodes.List, nodes.Dict))
        or (isinstance(node, nodes.Tuple) and node.ctx == "load")
        or (isinstance(node, nodes.Getitem) and isinstance(node.arg, nodes.Slice))
    )
    return _call(environment, "bounded_made", node) if is_made else node


def _call(environment: Any, name: str, *arguments: Any) -> Any:
    from jinja2 import nodes

    made = nodes.Call(nodes.EnvironmentAttribute(name), list(arguments), [], None, None)
    made.set_environment(environment)
    return made.set_lineno(arguments[0].lineno if arguments else 1)


def _sandbox(budget: Budget) -> Any:
    from jinja2.ext import Extension, loopcontrols
    from jinja2.runtime import Macro
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    class Generation(Extension):
        """`{% generation %}` marks what an assistant says, which changes no text."""

        tags = {"generation"}  # noqa: RUF012

        def parse(self, parser: Any) -> Any:
            next(parser.stream)
            return parser.parse_statements(("name:endgeneration",), drop_needle=True)

    class Sandbox(ImmutableSandboxedEnvironment):
        """Checks operators, attributes and calls."""

        intercepted_binops = frozenset(("+", "-", "*", "**", "%"))
        bounded_turns = staticmethod(budget.turns_of)
        bounded_ticked = staticmethod(budget.ticked)
        bounded_joined = staticmethod(budget.joined)
        bounded_made = staticmethod(budget.made)
        concat = staticmethod(budget.concat)

        def call_binop(self, context: Any, operator: str, left: Any, right: Any) -> Any:
            budget.tick()
            check_operator(operator, left, right)
            return budget.made(super().call_binop(context, operator, left, right))

        def is_safe_attribute(self, obj: Any, attr: str, value: Any) -> bool:
            for kind, known in METHODS.items():
                if isinstance(obj, kind) and callable(value) and attr not in known:
                    return False
            return super().is_safe_attribute(obj, attr, value)

        def wrap_str_format(self, value: Any) -> Any:
            return None  # so that `format` is an attribute like others, which is not on the list

        def call(self, context: Any, called: Any, *args: Any, **kwargs: Any) -> Any:
            owner = getattr(called, "__self__", None)
            if owner is budget:
                return called(*args)  # jinja2 adds keywords of its own inside loops and blocks
            budget.tick()
            if isinstance(called, Macro):  # it may keep them as `varargs` and `kwargs`
                if called.catch_varargs or called.catch_kwargs:
                    budget.made([args, kwargs])
            elif isinstance(owner, str):
                args = _checked_arguments(owner, called.__name__, args, budget)
            made = super().call(context, called, *args, **kwargs)
            return made if isinstance(owner, Mapping) else budget.made(made)

    return Sandbox(
        trim_blocks=True,
        lstrip_blocks=True,
        extensions=[loopcontrols, Generation],
        cache_size=0,
        finalize=budget.printed,
    )


def _environment(budget: Budget) -> Any:
    """A sandbox with the filters and tests that keep to the budget, and no other ones."""
    environment = _sandbox(budget)
    plain = environment.filters | {
        "indent": budget.indent,
        "join": budget.join,
        "replace": budget.replace,
        "round": checked_round,
        "tojson": budget.to_json,
    }
    environment.filters = {
        name: budget.filter(name, plain[name], of_text=name in TEXT_FILTERS)
        for name in FILTERS
        if name in plain
    }
    environment.tests = {
        name: budget.filter("default", test) for name, test in environment.tests.items()
    }
    environment.globals.update(raise_exception=_raise_exception, strftime_now=_strftime_now)
    for name in ("lipsum", "cycler", "joiner"):
        environment.globals.pop(name, None)
    return environment


def _checked_arguments(
    text: str, name: str, args: tuple[Any, ...], budget: Budget
) -> tuple[Any, ...]:
    """Checks methods of texts that can make long ones of short ones, or take long."""
    check_search(name, (text, *args[:1]))
    if name == "replace" and len(args) >= 2:
        check_replace(text, args[0], args[1])
    elif name == "join" and args:
        parts = list(budget.turns_of(args[0]))
        check_join(text, parts)
        return (parts, *args[1:])
    return args


def _raise_exception(message: Any) -> None:
    check_size(size_of(message, is_printed=True))
    raise ConfigError(shorten(str(message)))


def _strftime_now(layout: str) -> str:
    if not isinstance(layout, str) or len(layout) > 100:
        raise Refused(f"expected a layout of a date, got {show(layout)}")
    return datetime.now().strftime(layout)
