"""The arrays of callers: their lengths are checked before anything is copied."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from ttsrt_rt.arrays import float_matrix, id_matrix, id_vector
from ttsrt_rt.errors import ConfigError


def test_fitting_arrays_are_not_copied() -> None:
    ids, rows = np.arange(3, dtype=np.int32), np.ones((2, 3), np.float32)
    assert np.shares_memory(id_vector(ids, "x"), ids)
    assert np.shares_memory(float_matrix(rows, "x"), rows)
    assert id_vector([1, 2], "x").tolist() == [1, 2]
    assert id_matrix([[1, 2]], "x").tolist() == [[1, 2]]


@pytest.mark.parametrize(
    "value",
    [
        np.broadcast_to(np.int64(1), (1 << 31,)),
        range(1 << 31),
        range(1 << 70),
        [range(1 << 31)],
        [[[0] * 1000] * 1000] * 100_000,
    ],
)
def test_long_arrays_are_refused_before_a_copy(value: Any) -> None:
    for convert in (id_vector, id_matrix, float_matrix):
        with pytest.raises(ConfigError, match="text_ids: expected"):
            convert(value, "text_ids")


def test_large_broadcast_matrices_are_refused() -> None:
    rows = np.broadcast_to(np.float32(1), (1 << 20, 1 << 14))
    with pytest.raises(ConfigError, match="at most 67108864 numbers, got 17179869184"):
        float_matrix(rows, "context_embeddings")


def test_a_list_inside_itself_is_refused() -> None:
    loop: list[Any] = []
    loop.append(loop)
    with pytest.raises(ConfigError, match="x: expected"):
        id_vector(loop, "x")
