"""The values that a checkpoint's pickle can hold once it is read as data.

Plain values stay Python values: None, bool, int, float, str, bytes. Everything else is one of the
inert types below, which have no behaviour. A dict keeps only its text keys. Other keys (optimizer
state has integers) are never read here, and leaving them out means that no key of an untrusted type
is ever hashed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ttsrt_rt.quoting import quote

__all__ = [
    "Dict",
    "DtypeName",
    "Placeholder",
    "Sequence",
    "StorageClass",
    "StorageRef",
    "TensorRef",
    "deepest",
    "depth_of",
    "describe",
]


@dataclass(frozen=True, slots=True)
class StorageClass:
    """The name of a storage type; `dtype` is a tag, or "" for untyped bytes."""

    dtype: str


@dataclass(frozen=True, slots=True)
class DtypeName:
    """The name of a `torch.dtype`; `tag` is "" if the dtype is not supported."""

    name: str
    tag: str


@dataclass(frozen=True, slots=True)
class StorageRef:
    """The entry `data/<key>`: `count` elements of `dtype`, or bytes if `dtype` is ""."""

    dtype: str
    key: str
    count: int


@dataclass(frozen=True, slots=True)
class TensorRef:
    """A view of a storage, in elements, as the file states it; nothing is checked yet."""

    storage: StorageRef
    dtype: str
    offset: object
    shape: tuple[object, ...]
    strides: tuple[object, ...]


@dataclass(frozen=True, slots=True)
class Placeholder:
    """Stands for a foreign object; it accepts every operation of the stream and stores nothing."""

    name: str


class Sequence:
    """A tuple or a list. `depth` counts its levels of nesting when it was last changed."""

    __slots__ = ("depth", "is_tuple", "items")

    def __init__(self, items: list[Any], is_tuple: bool) -> None:
        self.items = items
        self.is_tuple = is_tuple
        self.depth = 1 + deepest(items)


class Dict:
    """The text keys of a dict or an OrderedDict; `num_others` counts the entries left out."""

    __slots__ = ("depth", "items", "num_others")

    def __init__(self) -> None:
        self.items: dict[str, Any] = {}
        self.num_others = 0
        self.depth = 1

    @property
    def is_empty(self) -> bool:
        """Whether the dict never got an entry."""
        return not self.items and not self.num_others


def depth_of(value: object) -> int:
    """Returns the levels of containers in a value, as known when it was built."""
    return value.depth if isinstance(value, (Sequence, Dict)) else 0


def deepest(values: list[Any]) -> int:
    """Returns the largest `depth_of` of the values; 0 if there are none."""
    most = 0
    for value in values:
        if isinstance(value, (Sequence, Dict)) and value.depth > most:
            most = value.depth
    return most


def describe(value: object) -> str:
    """Describes the kind of a value for an error message, without its content."""
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
