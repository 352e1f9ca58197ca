"""Checks and converts the arrays that callers pass. Arrays that already fit are not copied."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ttsrt_rt.errors import ConfigError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ttsrt_rt.request import ArrayInput

__all__ = ["float_matrix", "id_matrix", "id_vector"]

_INT32 = np.iinfo(np.int32)
# No model takes more; lengths are checked before a conversion would make a copy.
MAX_IDS = 1 << 24
MAX_FLOATS = 1 << 26
MAX_AXES = 3


def id_vector(value: ArrayInput, where: str) -> NDArray[np.int32]:
    """Integers of one axis as int32 [n].

    Args:
        value: Anything that numpy can read as an array.
        where: The argument's name, for messages.

    Raises:
        ConfigError: It is not an array of integers, has another number of axes, is empty, or has a
            number outside int32.
    """
    return _ids(_array(value, where), where, axes=1)


def id_matrix(value: ArrayInput, where: str) -> NDArray[np.int32]:
    """As `id_vector`, for two axes."""
    return _ids(_array(value, where), where, axes=2)


def float_matrix(value: ArrayInput, where: str) -> NDArray[np.float32]:
    """Floats of two axes as dense float32 [rows, columns]; not copied if they already are that.

    Args:
        value: Anything that numpy can read as an array.
        where: The argument's name, for messages.

    Raises:
        ConfigError: It is not an array of floats, has another number of axes, or is empty.
    """
    array = _array(value, where)
    if array.dtype.kind != "f":
        raise ConfigError(f"{where}: expected floating-point numbers, got {array.dtype}")
    _check_axes(array, where, axes=2)
    _check_size(array.size, where, MAX_FLOATS)
    # A number that overflows becomes infinite, and the library refuses what is not finite.
    with np.errstate(over="ignore"):
        return np.ascontiguousarray(array, dtype=np.float32)


def _array(value: Any, where: str) -> NDArray[Any]:
    _check_sequence(value, where)
    try:
        if hasattr(value, "__dlpack__") and not hasattr(value, "__array__"):
            return np.from_dlpack(value)
        return np.asarray(value)
    except Exception as error:  # of any kind: each library has its own for what it cannot convert
        raise ConfigError(
            f"{where}: expected an array, got {type(value).__name__}: {error}"
        ) from error


def _ids(array: NDArray[Any], where: str, axes: int) -> NDArray[np.int32]:
    if array.dtype.kind not in "iu" and array.size:
        raise ConfigError(f"{where}: expected integers, got {array.dtype}")
    _check_axes(array, where, axes)
    _check_size(array.size, where, MAX_IDS)
    low, high = int(array.min()), int(array.max())
    if low < _INT32.min or high > _INT32.max:
        raise ConfigError(f"{where}: expected int32 numbers, got {low} to {high}")
    return np.ascontiguousarray(array, dtype=np.int32)


def _check_sequence(value: Any, where: str) -> None:
    """Checks the lengths of nested sequences before NumPy makes an array of them."""
    count = 1
    for _ in range(MAX_AXES):
        if not isinstance(value, Sequence) or isinstance(value, (str, bytes, bytearray)):
            return
        try:
            count *= len(value)
        except OverflowError:  # a range of 2**63 numbers and more
            count = sys.maxsize
        _check_size(count, where, MAX_FLOATS)
        if not count:
            return
        value = value[0]


def _check_size(size: int, where: str, most: int) -> None:
    if size > most:
        raise ConfigError(f"{where}: expected at most {most} numbers, got {size}")


def _check_axes(array: NDArray[Any], where: str, axes: int) -> None:
    names = {1: "[n]", 2: "[rows, columns]"}
    if array.ndim != axes or array.size == 0:
        raise ConfigError(f"{where}: expected {names[axes]}, not empty, got {list(array.shape)}")
