"""Views that are not contiguous are gathered block by block."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ttsrt_rt.convert import strided_read
from ttsrt_rt.convert.strided_read import is_contiguous, read_strided, span_of

from .builders import region

STORED = np.arange(4000, dtype="<i4")
SIZES = st.lists(st.tuples(st.integers(1, 6), st.integers(0, 90)), max_size=4)


@settings(max_examples=200, deadline=None)
@given(SIZES, st.integers(0, 50), st.sampled_from([4, 64, 1000, 1 << 20]))
def test_blocks_give_what_numpy_gives(axes: Any, offset: int, limit: int) -> None:
    shape, strides = tuple(size for size, _ in axes), tuple(stride for _, stride in axes)
    assert offset + span_of(shape, strides) <= len(STORED)
    steps = tuple(4 * stride for stride in strides)
    expected = np.lib.stride_tricks.as_strided(STORED[offset:], shape, steps)
    found = np.empty(shape, "<i4")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(strided_read, "MAX_SPAN_BYTES", limit)
        read_strided(region(STORED.tobytes()), found, offset, strides)
    np.testing.assert_array_equal(found, expected)


def test_contiguous_layouts() -> None:
    assert is_contiguous((2, 3), (3, 1))
    assert is_contiguous((1, 3), (77, 1))
    assert is_contiguous((0, 3), (5, 9))
    assert is_contiguous((), ())
    assert not is_contiguous((2, 3), (1, 2))
