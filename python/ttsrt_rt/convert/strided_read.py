"""Reads a tensor whose values are not contiguous in its storage, such as a transposed one.

Only parts of the storage are in memory at a time: the axis of the largest stride is divided into
blocks, so that a narrow slice of a large storage needs little memory.
"""

from __future__ import annotations

import numpy as np

from ttsrt_rt.convert.file_bytes import Region
from ttsrt_rt.convert.lazy_tensor import Array

__all__ = ["is_contiguous", "read_strided", "span_of"]

MAX_SPAN_BYTES = 16 << 20


def is_contiguous(shape: tuple[int, ...], strides: tuple[int, ...]) -> bool:
    """Whether the elements are contiguous in row-major order."""
    if 0 in shape:
        return True
    expected = 1
    for size, stride in zip(reversed(shape), reversed(strides), strict=True):
        if size != 1 and stride != expected:
            return False
        expected *= size
    return True


def span_of(shape: tuple[int, ...], strides: tuple[int, ...]) -> int:
    """Returns the elements from the first to the last one of a view that is not empty."""
    return 1 + sum((size - 1) * stride for size, stride in zip(shape, strides, strict=True))


def read_strided(storage: Region, target: Array, offset: int, strides: tuple[int, ...]) -> None:
    """Fills `target` with a view of `storage`, in elements of the dtype of `target`.

    Args:
        storage: the bytes of the storage; the view is inside.
        target: [shape], not empty.
        offset: the first element.
        strides: the elements between neighbours along each axis, none negative.
    """
    itemsize = target.dtype.itemsize
    span = span_of(target.shape, strides)
    axes = [axis for axis, stride in enumerate(strides) if stride and target.shape[axis] > 1]
    if span * itemsize <= MAX_SPAN_BYTES or not axes:
        raw = storage.read_array(offset * itemsize, span * itemsize).view(target.dtype)
        steps = tuple(stride * itemsize for stride in strides)
        target[...] = np.lib.stride_tricks.as_strided(raw, target.shape, steps)
        return
    axis = max(axes, key=lambda each: strides[each])
    # At most half of the axis, so that every level makes the span shorter.
    block = max(min(MAX_SPAN_BYTES // (strides[axis] * itemsize), target.shape[axis] // 2), 1)
    for begin in range(0, target.shape[axis], block):
        part = target[(slice(None),) * axis + (slice(begin, begin + block),)]
        read_strided(storage, part, offset + begin * strides[axis], strides)
