"""Reads the configuration that comes with a checkpoint, with typed access to its values.

A `Config` is a read-only mapping over one file: `model_config.yaml`, `hparams.yaml`. Text of the
form `${a.b.c}` refers to another key of the same file and is resolved when the value is read, so a
reference that is never read may point anywhere. A reference that is read must name an existing key;
an error names cycles, resolvers such as `${oc.env:HOME}`, relative references and references inside
longer text. The values that references may produce are counted per file, so that reading is linear
even where references lead to references.

The typed accessors treat null as absent, as these files do.
"""

from __future__ import annotations

import math
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeVar

from ttsrt_rt.convert.yaml_values import MAX_BYTES, parse_yaml
from ttsrt_rt.errors import ConfigError, FormatError
from ttsrt_rt.foreign_file import HEAD_BYTES, describe_foreign
from ttsrt_rt.quoting import quote, shorten
from ttsrt_rt.regular_file import read_regular

__all__ = ["REQUIRED", "Config"]

MAX_REFERENCES = 32
MAX_PARTS = 64
MAX_LEVELS = 200
MAX_REFERENCED = 100_000
REFERENCE = re.compile(r"\$\{([A-Za-z0-9_-]+(?:\.[A-Za-z0-9_-]+)*)\}\Z")

T = TypeVar("T")


class Required:
    """The type of `REQUIRED`."""

    def __repr__(self) -> str:
        return "REQUIRED"


REQUIRED: Final = Required()
"""Given as a default, it makes the key mandatory."""


@dataclass
class Root:
    """The top of one file, and how many values its references have produced so far."""

    values: dict[str, Any]
    num_referenced: int = 0


class Config(Mapping[str, Any]):
    """The mapping of one configuration file, or of a section of it.

    `config[key]` and `.values()` return plain values with references resolved; an inner mapping is
    returned as a `Config`. Keys that are not text are converted to text. The accessors `get_*` take
    a dotted path ("decoder.n_layers"), check kind and limits, and raise a `ConfigError` that names
    file, path, what was expected and what was found.
    """

    def __init__(
        self,
        values: dict[str, Any],
        where: str,
        path: str = "",
        root: Root | None = None,
        depth: int = 0,
    ) -> None:
        self._values = values
        self._root = Root(values) if root is None else root
        self._depth = depth
        self.where = where
        self.path = path

    @classmethod
    def parse(cls, raw: bytes | str, where: str) -> Config:
        """Parses YAML text.

        Raises:
            FormatError: the text is not YAML, is not a mapping, or exceeds a limit.
        """
        try:
            data = raw.encode() if isinstance(raw, str) else raw
        except UnicodeEncodeError as error:
            raise FormatError(f"{where}: expected Unicode text, got a lone surrogate") from error
        foreign = describe_foreign(data[:HEAD_BYTES])
        if foreign is not None and not foreign.startswith(("a text", "a JSON")):
            raise FormatError(f"{where}: expected YAML, got {foreign}")
        values = parse_yaml(data, where)
        if not isinstance(values, dict):
            raise FormatError(f"{where}: expected a mapping, got {kind_of(values)}")
        return cls(with_text_keys(values), where)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Config:
        """Reads a YAML file.

        Raises:
            ConfigError: the file does not exist.
            FormatError: as for `parse`.
        """
        return cls.parse(read_regular(path, MAX_BYTES), Path(path).name)

    # The interface of Mapping.

    def __getitem__(self, key: str) -> Any:
        place = f"{self.path}.{key}" if self.path else key
        return self._resolve(self._values[key], place, ())

    def __contains__(self, key: object) -> bool:
        return key in self._values

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def __repr__(self) -> str:
        return f"Config({self.where!r}, {self.path!r}, {len(self)} keys)"

    # Typed access.

    def has(self, path: str) -> bool:
        """Whether a key exists and is not null."""
        return self._find(path) is not None

    def section(self, path: str, *, is_root: bool = False) -> Config:
        """Returns an inner mapping.

        Args:
            path: its dotted path, which must exist.
            is_root: whether references inside the section start at the section instead of the top
                of the file.
        """
        found = self._find(path)
        if found is None:
            raise ConfigError(f"{self._place(path)}: expected a mapping, got nothing")
        if not isinstance(found, Config):
            raise self._error(path, "a mapping", found)
        if not is_root:
            return found
        return Config(found._values, found.where, found.path)

    def get_int(
        self,
        path: str,
        *,
        minimum: int | None = None,
        maximum: int | None = None,
        default: T | Required = REQUIRED,
    ) -> int | T:
        """Returns an integer; true and 2.0 do not count. `default` is returned unchecked."""
        expected = "an integer" + limits(minimum, maximum)
        value = self._find(path)
        if value is None:
            return self._default(path, default, expected)
        if type(value) is not int or not within(value, minimum, maximum):
            raise self._error(path, expected, value)
        return value

    def get_float(
        self,
        path: str,
        *,
        minimum: float | None = None,
        maximum: float | None = None,
        default: T | Required = REQUIRED,
    ) -> float | T:
        """Returns a finite number, which may be an integer. `default` is returned unchecked."""
        expected = "a finite number" + limits(minimum, maximum)
        value = self._find(path)
        if value is None:
            return self._default(path, default, expected)
        if not is_finite_number(value) or not within(value, minimum, maximum):
            raise self._error(path, expected, value)
        return float(value)

    def get_bool(self, path: str, *, default: T | Required = REQUIRED) -> bool | T:
        """Returns true or false; 0 and 1 do not count. `default` is returned unchecked."""
        value = self._find(path)
        if value is None:
            return self._default(path, default, "true or false")
        if not isinstance(value, bool):
            raise self._error(path, "true or false", value)
        return value

    def get_str(
        self,
        path: str,
        *,
        choices: Sequence[str] | None = None,
        max_length: int = 65_536,
        default: T | Required = REQUIRED,
    ) -> str | T:
        """Returns text, one of `choices` if given. `default` is returned unchecked."""
        expected = f"text of at most {max_length} characters"
        if choices is not None:
            expected = "one of " + ", ".join(map(repr, choices))
        value = self._find(path)
        if value is None:
            return self._default(path, default, expected)
        is_known = choices is None or value in choices
        if not isinstance(value, str) or len(value) > max_length or not is_known:
            raise self._error(path, expected, value)
        return value

    def get_list(
        self, path: str, *, max_length: int = 65_536, default: T | Required = REQUIRED
    ) -> list[Any] | T:
        """Returns a list of plain values and `Config`s. `default` is returned unchecked."""
        expected = f"a list of at most {max_length} values"
        value = self._find(path)
        if value is None:
            return self._default(path, default, expected)
        if not isinstance(value, list) or len(value) > max_length:
            raise self._error(path, expected, value)
        return value

    def get_ints(
        self,
        path: str,
        *,
        minimum: int | None = None,
        maximum: int | None = None,
        max_length: int = 65_536,
        default: T | Required = REQUIRED,
    ) -> list[int] | T:
        """Returns a list of integers. `default` is returned unchecked."""
        expected = f"a list of at most {max_length} integers" + limits(minimum, maximum)
        value = self._find(path)
        if value is None:
            return self._default(path, default, expected)
        if not isinstance(value, list) or len(value) > max_length:
            raise self._error(path, expected, value)
        for each in value:
            if type(each) is not int or not within(each, minimum, maximum):
                raise self._error(path, expected, each)
        return value

    # Lookup of keys and references.

    def _default(self, path: str, default: T | Required, expected: str) -> T:
        """Returns the default of an absent key, or raises if the key is mandatory."""
        if isinstance(default, Required):
            raise ConfigError(f"{self._place(path)}: expected {expected}, got nothing")
        return default

    def _error(self, path: str, expected: str, got: object) -> ConfigError:
        return ConfigError(f"{self._place(path)}: expected {expected}, got {show(got)}")

    def _place(self, path: str) -> str:
        return f"{self.where}: {self.path}.{path}" if self.path else f"{self.where}: {path}"

    def _find(self, path: str) -> Any:
        """Returns the resolved value at a dotted path; None if any key of the path is absent."""
        here = self
        *sections, last = path.split(".")
        for index, part in enumerate(sections):
            value = here.get(part)
            if value is None:
                return None
            if not isinstance(value, Config):
                raise self._error(".".join(sections[: index + 1]), "a mapping", value)
            here = value
        return here.get(last)

    def _resolve(self, value: Any, place: str, chain: tuple[str, ...]) -> Any:
        """Follows references until a value is plain.

        Args:
            value: the value as parsed.
            place: its path, for errors.
            chain: the references followed so far, to detect cycles.
        """
        if chain:
            self._root.num_referenced += 1
            if self._root.num_referenced > MAX_REFERENCED:
                raise ConfigError(
                    f"{self.where}: {place}: expected at most {MAX_REFERENCED} values from "
                    "references, got more"
                )
        if isinstance(value, dict):
            if self._depth >= MAX_LEVELS:
                raise ConfigError(
                    f"{self.where}: {shorten(place)}: expected at most {MAX_LEVELS} levels, got "
                    "more (a cycle of references?)"
                )
            return Config(value, self.where, place, self._root, self._depth + 1)
        if isinstance(value, list):
            return [
                self._resolve(each, f"{place}.{index}", chain) for index, each in enumerate(value)
            ]
        if not isinstance(value, str) or "${" not in value:
            return value
        match = REFERENCE.match(value)
        if match is None:
            raise ConfigError(
                f"{self.where}: {place}: expected plain text or a reference to a key of this "
                f"file, got {quote(value)}"
            )
        target = match.group(1)
        if target.count(".") >= MAX_PARTS:
            raise ConfigError(
                f"{self.where}: {place}: expected a reference of at most {MAX_PARTS} parts, got "
                f"{target.count('.') + 1}"
            )
        if target in chain or len(chain) >= MAX_REFERENCES:
            path = shorten(" -> ".join((*chain, target)[-8:]))
            raise ConfigError(
                f"{self.where}: {place}: expected a value, got a cycle of references: {path}"
            )
        return self._follow(target, place, (*chain, target))

    def _follow(self, target: str, place: str, chain: tuple[str, ...]) -> Any:
        """Returns the resolved value of a reference's key."""
        here: Any = Config(self._root.values, self.where, root=self._root, depth=self._depth)
        at: list[str] = []
        for part in target.split("."):
            at.append(part)
            if isinstance(here, Config) and part in here._values:
                raw = here._values[part]
                here = self._resolve(raw, ".".join(at), chain)
            elif isinstance(here, list) and part.isdecimal() and int(part) < len(here):
                here = here[int(part)]
            else:
                raise ConfigError(
                    f"{self.where}: {place}: expected a key {quote(target)} in the same file, got "
                    "none at "
                    f"{quote('.'.join(at))}"
                )
        return here


def with_text_keys(value: Any) -> Any:
    """Returns parsed values with text in place of keys that are numbers or null."""
    if isinstance(value, dict):
        return {
            key if isinstance(key, str) else str(key): with_text_keys(each)
            for key, each in value.items()
        }
    return [with_text_keys(each) for each in value] if isinstance(value, list) else value


def within(value: float, minimum: float | None, maximum: float | None) -> bool:
    """Whether a number is inside its limits; None means no limit."""
    return (minimum is None or value >= minimum) and (maximum is None or value <= maximum)


def limits(minimum: float | None, maximum: float | None) -> str:
    """Formats limits for an error message."""
    if minimum is not None and maximum is not None:
        return f" in {minimum}..{maximum}"
    if minimum is not None:
        return f" >= {minimum}"
    return "" if maximum is None else f" <= {maximum}"


def is_finite_number(value: object) -> bool:
    """Whether a value is an int or a float that a float can represent; bool does not count."""
    if type(value) is int:
        return abs(value) < 1 << 1000
    return type(value) is float and math.isfinite(value)


def kind_of(value: object) -> str:
    """Returns the name of the kind of a YAML value."""
    names = {dict: "a mapping", Config: "a mapping", list: "a list", type(None): "null"}
    return names.get(type(value), type(value).__name__)


def show(value: object) -> str:
    """Formats a wrong value for an error message, and shortens a long one."""
    if isinstance(value, (bool, int, float)):
        return repr(value)
    return quote(value) if isinstance(value, str) else kind_of(value)
