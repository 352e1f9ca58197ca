"""Parses YAML text into plain values, with PyYAML's scanner and parser and our own constructors.

The result consists of dicts with text, number or null keys, lists, text, numbers, booleans and
null; any other tag is an error, so no constructor of PyYAML runs. The differences from PyYAML's
safe loader follow OmegaConf, which writes these files: `1e-5` is a number, and `1:30` and dates are
text. Repeated keys and merge keys (`<<`) are errors. Size, depth, the number of values and the
expansion of aliases are limited, because the scanner takes microseconds per character; a model's
configuration has some hundred values.
"""

from __future__ import annotations

import math
import re
from typing import Any

import yaml
from yaml.composer import Composer
from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode
from yaml.parser import Parser
from yaml.reader import Reader
from yaml.resolver import BaseResolver
from yaml.scanner import Scanner

from ttsrt_rt.errors import FormatError
from ttsrt_rt.quoting import quote, shorten

__all__ = ["parse_yaml"]

MAX_BYTES = 512 << 10
MAX_DEPTH = 64
MAX_NODES = 20_000
MAX_INTEGER_DIGITS = 40

TAG = "tag:yaml.org,2002:"
NULL = re.compile(r"(?:~|null|Null|NULL|)\Z")
BOOL = re.compile(
    r"(?:true|True|TRUE|yes|Yes|YES|on|On|ON|false|False|FALSE|no|No|NO|off|Off|OFF)\Z"
)
INTEGER = re.compile(r"[-+]?(?:0x[0-9a-fA-F_]+|0b[01_]+|0o?[0-7_]+|0|[1-9][0-9_]*)\Z")
FLOAT = re.compile(
    r"[-+]?(?:(?:[0-9][0-9_]*\.[0-9_]*|\.[0-9][0-9_]*)(?:[eE][-+]?[0-9]+)?|[0-9][0-9_]*[eE][-+]?[0-9]+"
    r"|\.(?:inf|Inf|INF))\Z|\.(?:nan|NaN|NAN)\Z"
)


class Resolver(BaseResolver):
    """Assigns types to plain scalars."""


for _kind, _pattern, _first in (
    ("null", NULL, ["~", "n", "N", ""]),
    ("bool", BOOL, list("yYnNtTfFoO")),
    ("int", INTEGER, list("-+0123456789")),
    ("float", FLOAT, list("-+0123456789.")),
):
    Resolver.add_implicit_resolver(TAG + _kind, _pattern, _first)


class Loader(Reader, Scanner, Parser, Composer, Resolver):
    """PyYAML's pipeline up to nodes, without constructors; it counts nodes against the limits."""

    def __init__(self, text: str, where: str) -> None:
        Reader.__init__(self, text)
        Scanner.__init__(self)
        Parser.__init__(self)
        Composer.__init__(self)
        Resolver.__init__(self)
        self.where = where
        self.depth = 0
        self.num_nodes = 0
        self.weights: dict[int, int] = {}

    def compose_node(self, parent: Node | None, index: int) -> Node | None:
        """Composes one node; an alias counts as all the nodes that it expands to."""
        is_alias = self.check_event(yaml.AliasEvent)
        before = self.num_nodes
        self.depth += 1
        if self.depth > MAX_DEPTH:
            raise FormatError(f"{self.where}: expected at most {MAX_DEPTH} levels, got more")
        node: Node | None = super().compose_node(parent, index)
        self.depth -= 1
        if is_alias:
            if id(node) not in self.weights:
                raise FormatError(
                    f"{self.where}: expected values, got an alias inside the value it refers to"
                )
            self.num_nodes += self.weights[id(node)]
        else:
            self.num_nodes += 1
            self.weights[id(node)] = self.num_nodes - before
        if self.num_nodes > MAX_NODES:
            raise FormatError(
                f"{self.where}: expected at most {MAX_NODES} values, got more (aliases?)"
            )
        return node


def parse_yaml(raw: bytes, where: str) -> Any:
    """Parses one YAML document.

    Args:
        raw: UTF-8 text.
        where: the name of the document in errors.

    Returns:
        Dicts, lists, str, int, float, bool, None; None for an empty document.

    Raises:
        FormatError: the text is not UTF-8 or YAML, has a tag or a key that is not plain, or exceeds
            a limit.
    """
    if len(raw) > MAX_BYTES:
        raise FormatError(f"{where}: expected at most {MAX_BYTES} bytes of YAML, got {len(raw)}")
    try:
        loader = Loader(raw.decode(), where)
        node = loader.get_single_node()
    except UnicodeDecodeError as error:
        raise FormatError(f"{where}: expected UTF-8, got other bytes at {error.start}") from error
    except yaml.YAMLError as error:
        reason = shorten(str(error))
        raise FormatError(f"{where}: expected YAML, got an error: {reason}") from error
    except FormatError:
        raise
    except (ValueError, OverflowError, IndexError, RecursionError) as error:
        # Escapes beyond Unicode and version numbers of thousands of digits raise this in PyYAML.
        raise FormatError(
            f"{where}: expected YAML, got text that its parser cannot read"
        ) from error
    return None if node is None else to_value(node, where)


def to_value(node: Node, where: str) -> Any:
    """Converts a node to a plain value; its depth was limited when it was composed."""
    if isinstance(node, ScalarNode):
        return to_scalar(node, where)
    kind = node.tag.removeprefix(TAG)
    if isinstance(node, SequenceNode) and kind in ("seq", "!"):
        return [to_value(each, where) for each in node.value]
    if isinstance(node, MappingNode) and kind in ("map", "!"):
        found: dict[Any, Any] = {}
        for key_node, value_node in node.value:
            key = to_key(key_node, where)
            if key in found:
                raise FormatError(
                    f"{place(key_node, where)}: expected key {quote(str(key))} once, got it twice"
                )
            found[key] = to_value(value_node, where)
        return found
    raise FormatError(f"{place(node, where)}: expected plain values, got tag {quote(node.tag)}")


def to_key(node: Node, where: str) -> Any:
    """Converts a mapping key, which must be a scalar and not a merge key."""
    if not isinstance(node, ScalarNode):
        raise FormatError(f"{place(node, where)}: expected a plain key, got a list or a mapping")
    key = to_scalar(node, where)
    if key == "<<" and node.style is None:
        raise FormatError(f"{place(node, where)}: expected plain keys, got the merge key '<<'")
    if isinstance(key, float) and math.isnan(key):
        raise FormatError(f"{place(node, where)}: expected a plain key, got nan")
    return key


def to_scalar(node: ScalarNode, where: str) -> Any:
    """Converts a scalar according to its tag and text."""
    text = node.value
    kind = node.tag.removeprefix(TAG)
    if kind in ("str", "!"):
        try:
            text.encode()
        except UnicodeEncodeError as error:
            raise FormatError(
                f"{place(node, where)}: expected Unicode, got a lone surrogate"
            ) from error
        return text
    if kind == "null" and NULL.match(text):
        return None
    if kind == "bool" and BOOL.match(text):
        return text.lower() in ("true", "yes", "on")
    plain = text.replace("_", "").lower()
    if kind == "int" and INTEGER.match(text) and len(plain) <= MAX_INTEGER_DIGITS:
        return to_integer(plain, node, where)
    if kind == "float" and (FLOAT.match(text) or INTEGER.match(text)) and len(plain) <= 400:
        return float(plain.replace(".inf", "inf").replace(".nan", "nan"))
    raise FormatError(
        f"{place(node, where)}: expected a plain value, got {quote(text)} as {quote(node.tag)}"
    )


def to_integer(text: str, node: Node, where: str) -> int:
    """Converts an integer of any base; a leading zero means octal, as in YAML 1.1."""
    sign = -1 if text[0] == "-" else 1
    digits = text.lstrip("+-")
    base = {"0x": 16, "0b": 2, "0o": 8}.get(digits[:2], 8 if digits[0] == "0" else 10)
    try:
        return sign * int(digits, base)
    except ValueError as error:
        raise FormatError(
            f"{place(node, where)}: expected an integer, got {quote(text)}"
        ) from error


def place(node: Node, where: str) -> str:
    """Returns file and line of a node, for errors."""
    return f"{where}: line {node.start_mark.line + 1}"
