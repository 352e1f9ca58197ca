"""When words are spoken: arithmetic over arrays."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ttsrt_rt.errors import ConfigError
from ttsrt_rt.text.words import Silence, WordClock, word_spans, word_times

CLOCK = WordClock(10.0)


def letters(text: str) -> list[list[int]]:
    """An id for each character, and one for the end."""
    return [[each, each + 1] for each in range(len(text))] + [[len(text), len(text)]]


def times(
    text: str, positions: list[int], clock: WordClock = CLOCK
) -> list[tuple[str, float, float]]:
    words = word_times(text, letters(text), positions, clock)
    return [(w.text, round(w.start_seconds, 6), round(w.end_seconds, 6)) for w in words]


def test_words_of_a_text() -> None:
    def found(text: str) -> list[str]:
        return [text[begin:end] for begin, end in word_spans(text)]

    assert found('"Hello," she said - (twice) don\'t.') == [
        "Hello",
        "she",
        "said",
        "twice",
        "don't",
    ]
    assert found("\u4f60\u597d, ok\u3002") == ["\u4f60", "\u597d", "ok"]
    assert found("\u0928\u092e\u0938\u094d\u0924\u0947 \u0964") == [
        "\u0928\u092e\u0938\u094d\u0924\u0947"
    ]
    assert found("\u0928\u092e\u0938\u094d\u0924\u0947\u0964") == [
        "\u0928\u092e\u0938\u094d\u0924\u0947"
    ]
    arabic, hebrew = "\u0645\u0631\u062d\u0628\u064b", "\u05e9\u05c1\u05b8\u05dc\u05d5\u05b9"
    assert found(f"{arabic}, {hebrew}.") == [arabic, hebrew]
    assert found("e\u0301 \U0001f600 ...") == ["e\u0301"]
    assert found("") == []


def test_each_word_has_its_steps() -> None:
    assert times("ab cd", [0, 0, 1, 3, 4, 5]) == [("ab", 0.0, 0.3), ("cd", 0.3, 0.5)]


def test_a_pause_belongs_to_no_word() -> None:
    assert times("ab, cd", [0, 1, 2, 2, 4, 5]) == [("ab", 0.0, 0.2), ("cd", 0.4, 0.6)]


def test_what_goes_back_goes_on() -> None:
    assert times("ab cd", [0, 4, 0, 1, 3, 4, 0, 4]) == [("ab", 0.0, 0.4), ("cd", 0.4, 0.8)]


def test_words_without_steps_get_a_share() -> None:
    assert times("aa bb cc", [0, 0, 0, 0, 7, 7]) == [
        ("aa", 0.0, 0.2), ("bb", 0.2, 0.4), ("cc", 0.4, 0.6),
    ]  # fmt: skip
    assert times("aa bb", [4, 4, 4, 4]) == [("aa", 0.0, 0.2), ("bb", 0.2, 0.4)]
    assert times("aa bbbb", [0] * 6) == [("aa", 0.0, 0.2), ("bbbb", 0.2, 0.6)]
    assert times("aa bb", []) == [("aa", 0.0, 0.0), ("bb", 0.0, 0.0)]
    assert times("aa bb", [5, 5]) == [("aa", 0.0, 0.1), ("bb", 0.1, 0.2)]


def test_frames_of_a_step_and_the_end_of_the_sound() -> None:
    clock = WordClock(20.0, 2, ((4, 7),))
    assert times("ab cd", [0, 1, 3, 4], clock) == [("ab", 0.0, 0.2), ("cd", 0.2, 0.35)]


def test_chunks_whose_last_step_makes_less() -> None:
    clock = WordClock(20.0, 2, ((2, 3), (2, 4)))
    assert times("ab cd", [0, 1, 3, 4], clock) == [("ab", 0.0, 0.15), ("cd", 0.15, 0.35)]
    empty = WordClock(20.0, 2, ((2, 3), (0, 0), (2, 4)))
    assert times("ab cd", [0, 1, 3, 4], empty) == [("ab", 0.0, 0.15), ("cd", 0.15, 0.35)]


def test_silences_move_what_follows() -> None:
    clock = WordClock(10.0, silences=(Silence(0.0, 1.0), Silence(0.2, 0.5)))
    assert times("ab cd", [0, 1, 3, 4], clock) == [("ab", 1.0, 1.2), ("cd", 1.7, 1.9)]


def test_steps_belong_to_their_chunk() -> None:
    text = "ab cd. ef gh."
    clock = WordClock(10.0, 1, ((2, 2), (3, 3)))
    # The first step of the second chunk still attends to the end of the first.
    words = word_times(text, letters(text), [0, 3, 4, 7, 10], clock, chunks=(6, 8))
    assert [(w.text, round(w.start_seconds, 6), round(w.end_seconds, 6)) for w in words] == [
        ("ab", 0.0, 0.1), ("cd", 0.1, 0.2), ("ef", 0.3, 0.4), ("gh", 0.4, 0.5),
    ]  # fmt: skip
    early = WordClock(10.0, 1, ((2, 2),))  # a limit ended it in the first chunk
    words = word_times(text, letters(text), [0, 3], early, chunks=(6, 8))
    assert [(w.start_seconds, w.end_seconds) for w in words[2:]] == [(0.2, 0.2)] * 2
    with pytest.raises(ConfigError, match="chunks of 14 ids in all, got 13"):
        word_times(text, letters(text), [0], clock, chunks=(6, 7))


def heard(text: str, positions: list[int], **options: Any) -> list[str]:
    words = word_times(text, letters(text), positions, CLOCK, is_whole=False, **options)
    return [word.text for word in words]


def test_words_that_were_never_reached_are_left_out() -> None:
    assert heard("aa bb cc", [0, 1, 3]) == ["aa", "bb"]
    assert heard("aa bb cc", [4, 4]) == ["aa", "bb"]
    assert heard("aa bb cc", []) == []
    assert heard("aa bb cc", [2, 5]) == []
    clock = WordClock(10.0, 1, ((2, 2), (2, 2)))
    words = word_times(
        "ab cd. ef gh.",
        letters("ab cd. ef gh."),
        [0, 3, 7, 7],
        clock,
        chunks=(6, 8),
        is_whole=False,
    )
    assert [word.text for word in words] == ["ab", "cd", "ef"]
    early = WordClock(10.0, 1, ((2, 2),))
    text = "ab cd. ef gh."
    words = word_times(text, letters(text), [0, 3], early, chunks=(6, 8), is_whole=False)
    assert [word.text for word in words] == ["ab", "cd"]


def test_a_part_of_the_text() -> None:
    text = "ab cd ef"
    words = word_times(text, letters(text)[3:6], [0, 1], CLOCK, within=(3, 6))
    assert [(word.text, word.begin, word.end) for word in words] == [("cd", 3, 5)]


@pytest.mark.parametrize(
    ("spans", "positions", "told"),
    [
        ([[0, 1], [1, 9]], [0], "spans in a text of 5 characters, got 0 to 9"),
        ([[-1, 1]], [0], "got -1 to 1"),
        ([[0, 1]], [1], "positions of 1 ids, got 1 to 1"),
        ([[0, 1]], [-1], "positions of 1 ids"),
        ([0, 1], [0], r"integers \[ids, 2\], got int64 \[2\]"),
        ([[0, 1, 2]], [0], r"integers \[ids, 2\]"),
        ([[0.0, 1.0]], [0], "got float64"),
        ([[0, 1]], [[0]], r"integers \[steps\]"),
    ],
)
def test_wrong_arrays(spans: object, positions: object, told: str) -> None:
    with pytest.raises(ConfigError, match=told):
        word_times("ab cd", spans, positions, CLOCK)  # type: ignore[arg-type]


def test_wrong_clocks() -> None:
    for rate, frames in ((0.0, 1), (-1.0, 1), (1.0, 0), (float("nan"), 1)):
        with pytest.raises(ConfigError, match="frames per second above 0"):
            WordClock(rate, frames)


@given(
    st.text(st.sampled_from("ab ,\u4f60"), max_size=30),
    st.lists(st.integers(0, 1000), max_size=60),
    st.lists(st.tuples(st.integers(0, 60), st.integers(0, 5)), max_size=3),
)
def test_times_never_go_back(text: str, drawn: list[int], silences: list[tuple[int, int]]) -> None:
    positions = [each % (len(text) + 1) for each in drawn]
    put = tuple(Silence(at / 10, length / 10) for at, length in sorted(silences))
    words = word_times(text, letters(text), positions, WordClock(10.0, silences=put))
    assert [(word.begin, word.end) for word in words] == word_spans(text)
    at = 0.0
    for word in words:
        assert word.start_seconds >= at - 1e-9
        assert word.end_seconds >= word.start_seconds
        at = word.end_seconds
    total = len(positions) / 10 + sum(each.seconds for each in put)
    assert at <= total + 1e-9


def test_long_texts_take_linear_time() -> None:
    text = "word. " * 10_000
    positions = np.linspace(0, len(text) - 1, 20_000).astype(np.int32)
    chunks = [6] * 9_999 + [7]
    clock = WordClock(10.0, 1, ((2, 2),) * 10_000)
    begin = time.process_time()
    assert len(word_times(text, letters(text), positions, clock, chunks=chunks)) == 10_000
    assert time.process_time() - begin < 5
