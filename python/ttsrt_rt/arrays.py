"""Checks and converts the arrays that callers pass. Arrays that already fit are not copied."""

from __future__ import annotations

import array
import itertools
import sys
from collections.abc import Mapping
from numbers import Real
from typing import TYPE_CHECKING, Any

import numpy as np

from ttsrt_rt.errors import ConfigError
from ttsrt_rt.quoting import shorten, show

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ttsrt_rt import _core
    from ttsrt_rt.request import ArrayInput

__all__ = [
    "MAX_NUMBERS",
    "NEEDS_FRONT_END",
    "flag_vector",
    "float_matrix",
    "id_matrix",
    "id_vector",
    "most_numbers",
    "place_of",
    "text_of",
]

NEEDS_FRONT_END = (
    'A text needs a front end: text="..." takes one where the engine carries it (docs/text.md). '
    "Otherwise text_ids takes ids of the model's own tokenizer. For Chatterbox, "
    "ttsrt_rt.text.T3Tokenizer makes them (docs/chatterbox.md): "
    "text_ids=T3Tokenizer.open(folder, variant).encode(text). For MagpieTTS, docs/bridge.md gets "
    "them from NeMo: "
    "text_ids=tokenizer.encode(text, tokenizer_name=...) + [engine.info.special_ids['text_eos']]"
)
_INT32 = np.iinfo(np.int32)
# Lengths are checked before a conversion makes a copy. An executor passes what its engine takes.
MAX_NUMBERS = 1 << 24
MAX_AXES = 3
_BUFFERS = (bytearray, memoryview, array.array)
_DLPACK_GPUS = (2, 13)  # kDLCUDA, kDLCUDAManaged


def most_numbers(info: _core.EngineInfo) -> int:
    """How many numbers an array for this engine can have, or more. The library checks shapes."""
    rows = max(info.max_encoder_input_len, info.max_input_len, info.max_seq_len)
    columns = max(
        info.dim, info.codebooks * info.frame_stacking, info.mel_bins, info.samples_per_frame
    )
    return max(1 << 16, rows * columns)


def id_vector(value: ArrayInput, where: str, most: int = MAX_NUMBERS) -> NDArray[np.int32]:
    """Integers of one axis as int32 [n].

    Args:
        value: Anything that numpy can read as an array.
        where: The argument's name, for messages.
        most: How many numbers it may have.

    Raises:
        ConfigError: It is not an array of integers, has another number of axes, is empty or too
            long, or has a number outside int32.
    """
    return _ids(_array(value, where, most), where, axes=1)


def flag_vector(value: ArrayInput, where: str, most: int = MAX_NUMBERS) -> NDArray[np.int32]:
    """As `id_vector`, of truth values or of integers, which the library checks."""
    array = _array(value, where, most)
    return _ids(array.astype(np.int32) if array.dtype.kind == "b" else array, where, axes=1)


def id_matrix(value: ArrayInput, where: str, most: int = MAX_NUMBERS) -> NDArray[np.int32]:
    """As `id_vector`, for two axes."""
    return _ids(_array(value, where, most), where, axes=2)


def id_row(
    value: ArrayInput, where: str, most: int = MAX_NUMBERS, *, may_be_empty: bool = False
) -> NDArray[np.int32]:
    """As `id_vector`, for [n] or [1, n]; n may be 0 if the caller says so."""
    array = _row_of(_array(value, where, most))
    if may_be_empty and array.shape == (0,):
        return np.zeros(0, np.int32)
    return _ids(array, where, axes=1)


def float_row(value: ArrayInput, where: str, most: int = MAX_NUMBERS) -> NDArray[np.float32]:
    """Floats as dense float32 [n], of an array [n] or [1, n].

    Raises:
        ConfigError: It is not an array of floats, has other axes, or is empty or too long.
    """
    rows = float_matrix(np.atleast_2d(_row_of(_array(value, where, most))), where, most)
    return rows.reshape(-1) if len(rows) == 1 else _refuse_rows(rows, where)


def float_matrix(value: ArrayInput, where: str, most: int = MAX_NUMBERS) -> NDArray[np.float32]:
    """Floats of two axes as dense float32 [rows, columns]; not copied if they already are that.

    Args:
        value: Anything that numpy can read as an array.
        where: The argument's name, for messages.
        most: How many numbers it may have.

    Raises:
        ConfigError: It is not an array of floats, has another number of axes, or is empty or too
            long.
    """
    array = _array(value, where, most)
    if array.dtype.kind != "f":
        raise ConfigError(f"{where}: expected floating-point numbers, got {array.dtype}")
    _check_axes(array, where, axes=2)
    # A number that overflows becomes infinite, and the library refuses what is not finite.
    with np.errstate(over="ignore"):
        return np.ascontiguousarray(array, dtype=np.float32)


def place_of(value: Any) -> str:
    """Where the numbers of an array are that is not in the memory of the host.

    Returns:
        "cuda:0" or "a GPU", or an empty text for everything that NumPy may read.
    """
    if isinstance(value, (np.ndarray, list, tuple, *_BUFFERS)):
        return ""
    try:
        if hasattr(value, "__dlpack_device__"):
            kind, index = value.__dlpack_device__()
            return f"cuda:{int(index)}" if int(kind) in _DLPACK_GPUS else ""
        return "a GPU" if hasattr(value, "__cuda_array_interface__") else ""
    except Exception:  # of any kind: the conversion says what is wrong with it
        return ""


def _array(value: Any, where: str, most: int) -> NDArray[Any]:
    if place := place_of(value):
        raise ConfigError(
            f"{where}: expected an array in the memory of the host, got one in that of {place}; "
            "copy it first"
        )
    try:
        if hasattr(value, "__dlpack__") and not hasattr(value, "__array__"):
            array = np.from_dlpack(value)
        else:
            array = np.asarray(_bounded(value, where, most, MAX_AXES)[0])
    except ConfigError:
        raise
    except Exception as error:  # of any kind: each library has its own for what it cannot convert
        raise ConfigError(
            f"{where}: expected an array, got {type(value).__name__}: {text_of(error)}"
        ) from error
    _check_size(array.size, where, most)
    return array


def _refuse_rows(rows: NDArray[np.float32], where: str) -> NDArray[np.float32]:
    raise ConfigError(f"{where}: expected [n] or [1, n], got {list(rows.shape)}")


def _row_of(array: NDArray[Any]) -> NDArray[Any]:
    """The row of [1, n]; other arrays as they are."""
    return array[0] if array.ndim == 2 and array.shape[0] == 1 else array


def text_of(error: Exception) -> str:
    """The text of any error, on one line."""
    try:
        return shorten(str(error))
    except Exception:  # an error of the caller's that has no text
        return type(error).__name__


def _ids(array: NDArray[Any], where: str, axes: int) -> NDArray[np.int32]:
    if array.dtype.kind not in "iu" and array.size:
        raise ConfigError(f"{where}: expected integers, got {array.dtype}")
    _check_axes(array, where, axes)
    low, high = int(array.min()), int(array.max())
    if low < _INT32.min or high > _INT32.max:
        raise ConfigError(f"{where}: expected int32 numbers, got {low} to {high}")
    return np.ascontiguousarray(array, dtype=np.int32)


def _bounded(value: Any, where: str, most: int, axes: int) -> tuple[Any, int]:
    """Returns a value that NumPy converts in bounded time and memory, and how many numbers it has.

    NumPy reads every item of a sequence before it knows how many there are. Sequences become lists
    here, of which no more items are read than they say they have. What holds an array is kept.
    """
    if isinstance(value, (str, bytes)):  # NumPy gives every text of a list the room of the longest
        is_speech = isinstance(value, str) and where in ("text_ids", "context_text_ids")
        raise ConfigError(
            f"{where}: expected an array of numbers, got text: {show(value)}"
            f"{f'. {NEEDS_FRONT_END}' if is_speech else ''}"
        )
    if isinstance(value, (np.ndarray, *_BUFFERS)):
        count = value.size if isinstance(value, np.ndarray) else len(value)
        _check_size(count, where, most)
        return value, count
    if axes == 0 or hasattr(value, "__array__"):
        return value, 1
    if isinstance(value, Mapping) or not _is_sequence(value):
        return value, 1  # NumPy makes one object of it
    try:
        count = len(value)
    except OverflowError:  # a range of 2**63 numbers and more
        count = sys.maxsize
    _check_size(count, where, most)
    if isinstance(value, range):
        return value, count
    read = list(itertools.islice(iter(value), count))
    kinds = set(map(type, read))
    if bool in kinds and len(kinds) > 1:
        raise ConfigError(f"{where}: expected numbers, got a bool among them: {show(read)}")
    if kinds <= {int, float, bool}:
        return read, len(read)
    items, total = [], 0
    for item in read:
        bounded, size = _bounded(item, where, most, axes - 1)
        items.append(bounded)
        total += size
        _check_size(total, where, most)
    _check_rows(read, where)
    return items, total


def _check_rows(items: list[Any], where: str) -> None:
    """Refuses rows of unequal length, of which NumPy makes no array."""
    sizes = [len(item) if isinstance(item, (list, tuple, range)) else -1 for item in items]
    for index, size in enumerate(sizes):
        if size != sizes[0]:
            names = ["a number" if of < 0 else f"{of} numbers" for of in (sizes[0], size)]
            if min(sizes[0], size) < 0 and not all(
                isinstance(items[at], (list, tuple, range, Real)) for at in (0, index)
            ):
                return  # of other kinds: the conversion says what is wrong
            raise ConfigError(
                f"{where}: expected an array, got list of rows of unequal length: {names[0]} in "
                f"row 0, {names[1]} in row {index}"
            )


def _is_sequence(value: Any) -> bool:
    kind = type(value)
    return hasattr(kind, "__len__") and hasattr(kind, "__getitem__")


def _check_size(size: int, where: str, most: int) -> None:
    if size > most:
        raise ConfigError(f"{where}: expected at most {most} numbers, got {size}")


def _check_axes(array: NDArray[Any], where: str, axes: int) -> None:
    names = {1: "[n]", 2: "[rows, columns]"}
    if array.ndim != axes or array.size == 0:
        raise ConfigError(f"{where}: expected {names[axes]}, not empty, got {list(array.shape)}")
