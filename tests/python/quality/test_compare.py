"""Distances of probabilities, windows of long texts, and prefixes, worked by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest

import ttsrt_rt as rt
from ttsrt_rt.quality.compare import Forcing, nll_of, prefix_share, windows_of
from ttsrt_rt.quality.measure import gate_of


def logits_of(rows: list[list[float]]) -> np.ndarray:
    return np.log(np.array(rows)).astype(np.float32)


def test_distances() -> None:
    """KL of (1/2, 1/2) and (3/4, 1/4) is log(2/sqrt(3)); the second row is equal."""
    forcing = Forcing()
    forcing.add(
        logits_of([[0.5, 0.5], [0.2, 0.8]]),
        logits_of([[0.75, 0.25], [0.2, 0.8]]),
    )
    found = forcing.result()
    expected = math.log(2 / math.sqrt(3))
    assert found.positions == 2
    assert found.kl_mean == pytest.approx(expected / 2, rel=1e-6)
    assert found.kl_p99 == pytest.approx(0.99 * expected, rel=1e-6)
    assert found.top1 == 1.0
    assert found.logits == pytest.approx(math.log(2) / math.log(5), rel=1e-6)


def test_top1_counts_positions_of_all_texts() -> None:
    forcing = Forcing()
    forcing.add(logits_of([[0.9, 0.1]] * 300), logits_of([[0.1, 0.9]] * 100 + [[0.8, 0.2]] * 200))
    forcing.add(logits_of([[0.9, 0.1]]), logits_of([[0.1, 0.9]]))
    assert forcing.result().top1 == pytest.approx(200 / 301)


def test_what_cannot_be_compared() -> None:
    with pytest.raises(rt.ConfigError, match="expected 2 positions"):
        Forcing().add(logits_of([[0.5, 0.5]] * 2), logits_of([[0.5, 0.5]]))
    with pytest.raises(rt.ConfigError, match="expected at least one text"):
        Forcing().result()


def test_ids_without_a_token_count_for_neither() -> None:
    forcing = Forcing()
    forcing.add(logits_of([[0.5, 0.5]]), np.array([[0.0, 0.0, 90.0]], np.float32))
    assert forcing.result().kl_mean == pytest.approx(0.0, abs=1e-9)


def test_scores_of_ids() -> None:
    logits = logits_of([[0.25, 0.75], [0.9, 0.1]])
    assert nll_of(logits, [0, 1, 0]) == pytest.approx([-math.log(0.75), -math.log(0.9)], rel=1e-6)


@pytest.mark.parametrize(
    ("ids", "reference", "share"),
    [
        ([1, 2, 3], [1, 2, 3], 1.0),
        ([1, 2, 9], [1, 2, 3, 4], 0.5),
        ([1, 2], [1, 2, 3, 4], 0.5),
        ([1, 2, 3], [1, 2], 1.0),
        ([], [], 1.0),
        ([9], [1], 0.0),
    ],
)
def test_the_equal_beginning(ids: list[int], reference: list[int], share: float) -> None:
    assert prefix_share(ids, reference) == share


@pytest.mark.parametrize("length", [2, 7, 8, 9, 20, 33])
@pytest.mark.parametrize(("max_len", "stride"), [(8, 7), (8, 3), (8, 1), (64, 63)])
@pytest.mark.parametrize("bos", [None, 99])
def test_windows_score_each_id_once(
    length: int, max_len: int, stride: int, bos: int | None
) -> None:
    ids = list(range(length))
    scored: list[int] = []
    for window, count in windows_of(ids, max_len, stride, bos):
        assert len(window) <= max_len
        assert count < len(window)
        assert (window[0] == bos) or bos is None
        scored += window[-count:]
    room = max_len - (bos is not None)
    without_context = set() if bos is not None else {0}
    if bos is None and stride == room:  # windows that don't overlap begin without context
        without_context = {0, *range(room, length, stride)}
    assert scored == [each for each in ids if each not in without_context]


def test_windows_without_room() -> None:
    for max_len, stride in ((1, 1), (8, 0), (8, 9)):
        with pytest.raises(rt.ConfigError, match="stride: expected 1"):
            windows_of([1, 2, 3], max_len, stride, None)


@pytest.mark.parametrize(
    ("quantization", "gate"),
    [
        ("float32", None),
        ("w8a16", 0.005),
        ("bfloat16, int8 cache", 0.003),
        ("w8a16, int8 cache", 0.005),
        ("w4a16", None),
        ("w4a16, int8 cache", None),
        ("w4a16, awq", 0.08),
        ("w4a16, large awq, int8 cache", 0.04),
    ],
)
def test_gates_of_perplexity(quantization: str, gate: float | None) -> None:
    assert gate_of(quantization) == gate
