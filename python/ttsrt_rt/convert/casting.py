"""Casts between the floating-point dtypes of checkpoints in NumPy; bfloat16 is held as uint16 bits.

Casts round to nearest even. A finite value that would become infinite is an error that names the
tensor, so a checkpoint of finite values stays finite. A cast works slice by slice, so it needs
little memory beyond its result.
"""

from __future__ import annotations

from typing import cast as typed

import numpy as np
import numpy.typing as npt

from ttsrt_rt.convert.lazy_tensor import DTYPES, Array
from ttsrt_rt.errors import FormatError

SLICE = 1 << 20  # signal handlers run between two slices


def check_finite(name: str, values: Array, dtype: str) -> None:
    """Checks that no value is NaN or infinite.

    Args:
        name: the tensor's name, for the error.
        values: the values as the reader returns them.
        dtype: their dtype tag.

    Raises:
        FormatError: a value is not finite; the message gives the index of the first one.
    """
    flat = values.reshape(-1)
    for begin in range(0, flat.size, SLICE):
        piece = flat[begin : begin + SLICE]
        finite = (piece & 0x7F80) != 0x7F80 if dtype == "bfloat16" else np.isfinite(piece)
        if not finite.all():
            at = begin + int(np.argmin(finite))
            raise FormatError(
                f"{name}: expected finite values, got NaN or infinity at element {at}"
            )


def bits_to_float32(bits: npt.NDArray[np.uint16]) -> npt.NDArray[np.float32]:
    """Converts bfloat16 bits to float32, exactly."""
    return typed("npt.NDArray[np.float32]", (bits.astype(np.uint32) << 16).view(np.float32))


def float32_to_bits(values: npt.NDArray[np.float32]) -> npt.NDArray[np.uint16]:
    """Rounds finite float32 to bfloat16 bits, to nearest even; overflow becomes infinity."""
    bits = values.view(np.uint32)
    return ((bits + (0x7FFF + ((bits >> 16) & 1))) >> 16).astype(np.uint16)


def cast(name: str, values: Array, dtype: str, target: str) -> Array:
    """Casts finite values of tag `dtype` to tag `target`; equal tags return the same array.

    Raises:
        FormatError: a value is too large for the target.
    """
    if dtype == target:
        return values
    result = np.empty(values.shape, DTYPES[target])
    source, out = values.reshape(-1), result.reshape(-1)
    for begin in range(0, source.size, SLICE):
        piece = source[begin : begin + SLICE]
        floats = bits_to_float32(piece) if dtype == "bfloat16" else piece
        with np.errstate(over="ignore"):
            if target == "bfloat16":
                made: Array = float32_to_bits(np.ascontiguousarray(floats, np.float32))
            else:
                made = floats.astype(DTYPES[target])
        out[begin : begin + SLICE] = made
    try:
        check_finite(name, result, target)
    except FormatError as error:
        raise FormatError(f"{name}: has values too large for {target}") from error
    return result
