"""Random arguments of requests, without an executor: all must end in a native request or in a
ConfigError (requests.py also submits them).
"""

from __future__ import annotations

import random
from dataclasses import fields
from typing import Any

import numpy as np

from ttsrt_rt.errors import ConfigError
from ttsrt_rt.native_request import to_native
from ttsrt_rt.request import AttentionPrior, BlockDiffusion, MaskGit, Request

__all__ = ["read_request"]


class Hostile:
    """An object whose every conversion fails."""

    def __len__(self) -> int:
        raise RuntimeError("no length")

    def __array__(self, *_: Any, **__: Any) -> Any:
        raise RuntimeError("no array")

    def __float__(self) -> float:
        raise RuntimeError("no number")

    __int__ = __index__ = __bool__ = __len__


LOOP: list[Any] = []
LOOP.append(LOOP)
PLAIN: tuple[Any, ...] = (
    *(None, True, 0, 1, -1, 2**31, 2**63, 2**64, -(2**63), 10**400, 0.5, -0.0, 1e-320, 1e308),
    *(3e38, float("nan"), float("inf"), "", "default", "nemo", "window", "\ud800", "a\0b"),
    *("x" * 10_000, b"", b"\xff", [], [[]], [1, 2, 3], [1.5], ["a"], [None], [[1], [2, 3]], LOOP),
    *((), {}, {"a": 1}, set(), range(5), range(1 << 40), object(), Hostile(), Hostile),
    *(memoryview(b"abc"), 1j, slice(3)),
)
DTYPES = (
    *("i1", "u1", "i4", "i8", "u8", "f2", "f4", "f8", "c8", "?", "O", "U3", "M8[s]", ">i4", ">f4"),
)
SHAPES = ((), (0,), (1,), (7,), (0, 0), (3, 0), (2, 3), (3, 4, 5), (1,) * 20)


def any_array(numbers: random.Random) -> Any:
    """Returns an array of any dtype, shape and layout."""
    dtype = np.dtype(numbers.choice(DTYPES))
    shape = numbers.choice(SHAPES)
    if numbers.random() < 0.1:
        return np.broadcast_to(np.zeros((), dtype), (1 << 31,))
    made = np.zeros(shape, dtype)
    if made.ndim > 1 and numbers.random() < 0.3:
        made = made.T[::-1]
    if dtype.kind in "fc" and made.size and numbers.random() < 0.3:
        made[...] = numbers.choice((np.nan, np.inf, 6e4))
    return made


def any_value(numbers: random.Random) -> Any:
    """Returns any value."""
    kind = numbers.randrange(8)
    if kind < 4:
        return numbers.choice(PLAIN)
    if kind < 7:
        return any_array(numbers)
    made = numbers.choice((AttentionPrior, BlockDiffusion, MaskGit))
    chosen = numbers.sample(fields(made), 2)
    return made(**{field.name: numbers.choice(PLAIN) for field in chosen})


def read_request(numbers: random.Random) -> str:
    """Converts a random request; returns "read" or the error. Other exceptions are passed on."""
    chosen = numbers.sample(fields(Request), numbers.randint(1, 4))
    try:
        to_native(Request(**{field.name: any_value(numbers) for field in chosen}))
    except ConfigError as error:
        return f"ConfigError: {error}"
    return "read"
