"""The forms of `generate`, `submit` and `stream`: what they mean, and which are refused."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import ttsrt_rt as rt
from ttsrt_rt.request_forms import one_request, requests_of

Ids = NDArray[np.int32]


def fields_of(requests: rt.Request | list[rt.Request]) -> list[dict[str, Any]]:
    """What requests hold; they are not compared by it."""
    return [vars(each) for each in (requests if isinstance(requests, list) else [requests])]


def test_fields_alone_make_a_request() -> None:
    made = requests_of(None, {"voice": 0, "seed": 3}, "generate")
    assert fields_of(made) == fields_of(rt.Request(voice=0, seed=3))


def test_fields_replace_those_of_a_request() -> None:
    request = rt.Request(text_ids=[1, 2], voice=0, seed=1, max_frames=9)
    changed = requests_of(request, {"seed": 3, "voice": None}, "generate")
    expected = rt.Request(text_ids=[1, 2], voice=None, seed=3, max_frames=9)
    assert fields_of(changed) == fields_of(expected)
    assert one_request(request, {}, "submit") is request
    assert request.seed == 1


@pytest.mark.parametrize("kind", [list, tuple, iter], ids=["list", "tuple", "iterator"])
def test_fields_apply_to_each_of_several(kind: Any) -> None:
    requests = [rt.Request(text_ids=[1]), rt.Request(text_ids=[2], seed=5)]
    expected = [rt.Request(text_ids=[1], voice=1), rt.Request(text_ids=[2], seed=5, voice=1)]
    changed = requests_of(kind(requests), {"voice": 1}, "generate")
    assert fields_of(changed) == fields_of(expected)
    texts = requests_of(kind([[1, 2], (3,), range(4)]), {"voice": 1, "seed": 2}, "generate")
    assert isinstance(texts, list)
    assert [list(each.text_ids) for each in texts] == [[1, 2], [3], [0, 1, 2, 3]]
    assert all((each.voice, each.seed) == (1, 2) for each in texts)


def test_arrays_of_ids() -> None:
    for given in (np.array([[1, 2], [3, 4]]), [np.array([1, 2]), np.array([3, 4])]):
        texts = requests_of(given, {"voice": 0}, "generate")
        assert isinstance(texts, list)
        assert [each.text_ids.tolist() for each in texts] == [[1, 2], [3, 4]]


def test_none_of_several_is_none() -> None:
    assert requests_of([], {}, "generate") == []
    assert requests_of((), {"voice": 0}, "generate") == []


REQUEST = rt.Request(text_ids=[1])


@pytest.mark.parametrize(
    ("given", "fields", "message"),
    [
        ([5, 6, 7], {"voice": 0}, r"text_ids=ids, and for a list of one write \[ids\]"),
        (np.array([5, 6, 7]), {}, "text_ids=ids"),
        ([[1, 2], 3], {}, "text_ids=ids"),
        ([[1, 2]], {"text_ids": [3]}, "lists of ids and text_ids"),
        ([[1, 2]], {"encoder_output": [[1.0]]}, "lists of ids and encoder_output"),
        ("hello", {}, "got text"),
        (["hello", "world"], {"voice": 0}, "got text"),
        ({"text_ids": [1]}, {}, "got dict"),
        ([{"text_ids": [1]}], {}, "got list of dict"),
        ([None], {}, "got list of NoneType"),
        (7, {}, "got int"),
        ([REQUEST, [5, 6, 7]], {}, "got both in one list"),
        ([[5, 6, 7], REQUEST], {"voice": 0}, "got both in one list"),
        ([REQUEST, "hello"], {}, "got both in one list"),
        (REQUEST, {"sed": 3}, "sed"),
        (None, {"sed": 3}, "sed"),
        ([REQUEST], {"sed": 3}, "sed"),
        ([[1, 2]], {"sed": 3}, "sed"),
    ],
)
def test_ambiguous_forms_are_refused(given: Any, fields: dict[str, Any], message: str) -> None:
    with pytest.raises(rt.ConfigError, match=f"generate: .*{message}"):
        requests_of(given, fields, "generate")


def test_one_request_takes_no_list() -> None:
    with pytest.raises(rt.ConfigError, match="submit: expected a Request or fields, got list"):
        one_request([REQUEST], {}, "submit")  # type: ignore[arg-type]


def test_the_executor_takes_all_forms(executor: rt.Executor, text_ids: Ids) -> None:
    shared: dict[str, Any] = {"voice": 0, "max_frames": 6, "min_frames": 6}
    request = rt.Request(text_ids=text_ids, seed=3, **shared)
    codes = executor.generate(request).codes.tolist()
    assert executor.generate(text_ids=text_ids, seed=3, **shared).codes.tolist() == codes
    other = rt.Request(text_ids=text_ids, seed=4, **shared)
    assert executor.generate(other).codes.tolist() != codes
    assert executor.generate(other, seed=3).codes.tolist() == codes
    assert [each.codes.tolist() for each in executor.generate([other, request], seed=3)] == [
        codes,
        codes,
    ]
    both = executor.generate([text_ids, text_ids[:9]], seed=3, **shared)
    assert both[0].codes.tolist() == codes
    assert (
        both[1].codes.tolist() == executor.generate(request, text_ids=text_ids[:9]).codes.tolist()
    )
    assert executor.submit(other, seed=3).result().codes.tolist() == codes
    streamed = [row for event in executor.stream(other, seed=3) for row in event.codes.tolist()]
    assert streamed == codes


def test_an_error_of_the_iterator_is_told() -> None:
    with pytest.raises(
        rt.ConfigError, match="whose iterator raised ZeroDivisionError: by zero"
    ) as caught:
        requests_of(Raising(), {}, "generate")
    assert isinstance(caught.value.__cause__, ZeroDivisionError)


class Raising:
    """An iterable whose iterator can't be had."""

    def __iter__(self) -> Iterator[object]:
        raise ZeroDivisionError("by zero")


@pytest.mark.parametrize(
    "given",
    [
        itertools.count(),
        itertools.repeat("text"),
        range(10**12),
        np.broadcast_to(np.int32(1), (1 << 31,)),
        np.broadcast_to(np.int32(1), (1 << 31, 8)),
        Raising(),
    ],
)
def test_endless_iterables_are_refused(given: object) -> None:
    with pytest.raises(rt.ConfigError, match="generate: expected"):
        requests_of(given, {"voice": 0}, "generate")
