"""What a checkpoint's pickle can hold once it is read as data.

Plain values stay Python's own: None, bool, int, float, str, bytes. Everything else is one of the
inert types below; none of them can do anything. Decided: a dict keeps its text keys only. Other
keys (optimizer state has integers) are never read here, and leaving them out spares us hashing what
a stranger chose.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

__all__ = [
    "Dict",
    "DtypeName",
    "Placeholder",
    "Sequence",
    "StorageClass",
    "StorageRef",
    "TensorRef",
    "depth_of",
    "describe",
    "quote",
]


@dataclass(frozen=True, slots=True)
class StorageClass:
    """A storage type by name; `dtype` is a tag, or "" for untyped bytes."""

    dtype: str


@dataclass(frozen=True, slots=True)
class DtypeName:
    """A `torch.dtype` by name; `tag` is "" where no tensor here may have it."""

    name: str
    tag: str


@dataclass(frozen=True, slots=True)
class StorageRef:
    """The entry `data/<key>`: `count` elements of `dtype`, or bytes where `dtype` is ""."""

    dtype: str
    key: str
    count: int


@dataclass(frozen=True, slots=True)
class TensorRef:
    """A view of a storage, in elements, as stated: offset, shape and strides are unchecked."""

    storage: StorageRef
    dtype: str
    offset: object
    shape: tuple[object, ...]
    strides: tuple[object, ...]


@dataclass(frozen=True, slots=True)
class Placeholder:
    """Stands for a foreign object; takes whatever the stream does to it and keeps nothing."""

    name: str


class Sequence:
    """A tuple or a list. `depth` counts its levels as of when it was last added to."""

    __slots__ = ("depth", "is_tuple", "items")

    def __init__(self, items: list[Any], is_tuple: bool) -> None:
        self.items = items
        self.is_tuple = is_tuple
        self.depth = 1 + max(map(depth_of, items), default=0)


class Dict:
    """A dict or an OrderedDict: its text keys. `num_others` counts the entries left out."""

    __slots__ = ("depth", "items", "num_others")

    def __init__(self) -> None:
        self.items: dict[str, Any] = {}
        self.num_others = 0
        self.depth = 1

    @property
    def is_empty(self) -> bool:
        """Whether nothing was ever put in."""
        return not self.items and not self.num_others


def depth_of(value: object) -> int:
    """Levels of containers in a value, as far as they were known when it was built."""
    return value.depth if isinstance(value, (Sequence, Dict)) else 0


def describe(value: object) -> str:
    """Names the kind of a value for an error message, without its content."""
    if isinstance(value, Placeholder):
        return f"a placeholder for {quote(value.name)}"
    if isinstance(value, Sequence):
        return "a tuple" if value.is_tuple else "a list"
    names = {
        Dict: "a dict",
        DtypeName: "a dtype",
        StorageClass: "a storage type",
        StorageRef: "a storage",
        TensorRef: "a tensor",
    }
    return names.get(type(value), f"a value of type {type(value).__name__}")


def quote(text: str) -> str:
    """Shows a name from a file: escaped, and cut where it is long."""
    return repr(text if len(text) <= 120 else text[:117] + "...")
