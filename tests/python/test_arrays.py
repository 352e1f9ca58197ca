"""The arrays of callers: their lengths are checked before anything is copied."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
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
    with pytest.raises(ConfigError, match="at most 16777216 numbers, got 17179869184"):
        float_matrix(rows, "context_embeddings")


class Liar(list[int]):
    """A sequence that has more items than it says."""

    def __iter__(self) -> Iterator[int]:
        return itertools.repeat(1)

    def __len__(self) -> int:
        return 3


class Textless(Exception):
    """An error without a text."""

    def __str__(self) -> str:
        raise RuntimeError

    def __array__(self, *args: object, **kwargs: object) -> Any:
        raise self


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ([np.broadcast_to(np.int64(1), (1 << 23,))] * 5, "at most 16777216 numbers"),
        ([[1], range(1 << 31)], "at most 16777216 numbers"),
        ("12", "expected an array of numbers, got text: '12'"),
        (["x" * 1_000_000] * 1000, "expected an array of numbers, got text"),
        ([b"12"], "expected an array of numbers, got text"),
        (Textless(), "expected an array, got Textless: Textless"),
    ],
)
def test_what_numpy_would_take_long_for_is_refused(value: Any, message: str) -> None:
    for convert in (id_vector, id_matrix, float_matrix):
        with pytest.raises(ConfigError, match=message):
            convert(value, "text_ids")


def test_no_more_items_are_read_than_a_sequence_says_it_has() -> None:
    assert id_vector(Liar(), "x").tolist() == [1, 1, 1]


def test_lists_of_rows_and_of_lists_become_the_same() -> None:
    rows = [[1.5, 2], (3, np.float32(4))]
    expected = [[1.5, 2.0], [3.0, 4.0]]
    assert float_matrix(rows, "x").tolist() == expected
    assert float_matrix([np.array(rows[0]), np.array(rows[1])], "x").tolist() == expected
    assert float_matrix(tuple(rows), "x", 4).tolist() == expected
    with pytest.raises(ConfigError, match="x: expected at most 3 numbers, got 4"):
        float_matrix(rows, "x", 3)


def test_a_list_inside_itself_is_refused() -> None:
    loop: list[Any] = []
    loop.append(loop)
    with pytest.raises(ConfigError, match="x: expected"):
        id_vector(loop, "x")


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (
            [[1], [1, 2]],
            "rows of unequal length: 1 numbers in row 0, 2 numbers in row 1",
        ),
        ([[1, 2], 3], "got list of rows of unequal length: 2 numbers in row 0, a number in row 1"),
        ([True, 6], "expected numbers, got a bool among them"),
        ([[3, 4], [False, 5]], "expected numbers, got a bool among them"),
        ([True, False], "expected integers, got bool"),
        (b"hello", "expected an array of numbers, got text"),
    ],
)
def test_lists_that_are_no_arrays(value: Any, message: str) -> None:
    for convert in (id_vector, id_matrix):
        with pytest.raises(ConfigError, match=message):
            convert(value, "context_codes")


@pytest.mark.parametrize("where", ["text_ids", "context_text_ids"])
def test_a_text_gets_help(where: str) -> None:
    words = (
        f"{where}: .*A text needs a front end: .*T3Tokenizer.*docs/chatterbox.md.*docs/bridge.md"
    )
    with pytest.raises(ConfigError, match=words):
        id_vector("hello", where)
