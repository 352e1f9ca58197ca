"""Words that a stream tells as soon as a step has gone past them."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tests.python.text.test_words import letters
from ttsrt_rt.text.word_stream import WordStream
from ttsrt_rt.text.words import WordClock, word_spans, word_times

TEXT = "ab cde f"


def stream(text: str = TEXT, frames_per_step: int = 1) -> WordStream:
    return WordStream(text, letters(text), frame_rate=10.0, frames_per_step=frames_per_step)


def test_a_word_is_told_when_a_later_one_begins() -> None:
    words = stream()
    assert words.take([0, 1, 2], 0, 3, is_last=False) == ()
    (first,) = words.take([3], 3, 1, is_last=False)
    assert (first.text, first.begin, first.end) == ("ab", 0, 2)
    assert (first.start_seconds, first.end_seconds) == (0.0, 0.2)  # the space is a pause
    second, third = words.take([5, 4, 7, 8], 4, 4, is_last=True)
    assert (second.text, second.start_seconds, second.end_seconds) == ("cde", 0.3, 0.6)
    assert (third.text, third.start_seconds, third.end_seconds) == ("f", 0.6, 0.7)


def test_words_that_were_jumped_over_have_a_share() -> None:
    words = stream()
    found = words.take([0, 0, 7], 0, 3, is_last=True)
    assert [each.text for each in found] == ["ab", "cde", "f"]
    assert [round(each.end_seconds, 6) for each in found] == [0.08, 0.2, 0.3]


def test_words_that_were_never_reached_are_not_told() -> None:
    words = stream()
    assert words.take([0, 3], 0, 2, is_last=False)[0].text == "ab"
    (last,) = words.take([], 2, 0, is_last=True, is_whole=False)
    assert (last.text, last.start_seconds, last.end_seconds) == ("cde", 0.1, 0.2)
    assert stream().take([2], 0, 1, is_last=True, is_whole=False) == ()


def test_steps_of_several_frames_end_with_the_frames() -> None:
    (word,) = stream("a", 4).take([0, 0], 0, 6, is_last=True)
    assert (word.start_seconds, word.end_seconds) == (0.0, 0.6)
    assert stream("").take([], 0, 0, is_last=True) == ()
    assert [each.end_seconds for each in stream().take([], 0, 0, is_last=True)] == [0.0] * 3


def test_words_end_with_their_chunk_and_lie_behind_silence() -> None:
    words = WordStream(
        "ab cd ef gh",
        letters("ab cd ef gh"),
        frame_rate=10.0,
        frames_per_step=2,
        chunks=(6, 6),
        silences=(1.0, 5.0),
    )
    # The last step of the first chunk makes one frame, and attends to the next chunk.
    (first,) = words.take([0, 3, 9], 0, 5, is_last=False, chunks=[(3, 5)])
    assert (first.text, first.start_seconds) == ("ab", 1.0)
    found = words.take([6, 9], 5, 4, is_last=False)
    assert [(each.text, each.start_seconds) for each in found] == [("cd", 1.2), ("ef", 6.5)]
    assert found[0].end_seconds == 1.4
    (last,) = words.take([], 9, 0, is_last=True)
    assert (last.text, last.start_seconds, last.end_seconds) == ("gh", 6.7, 6.9)


def test_words_of_a_chunk_that_was_cut_are_those_that_were_reached() -> None:
    for is_whole, told in ((True, ["ab", "cd", "ef", "gh"]), (False, ["ab"])):
        words = WordStream(
            "ab cd ef gh",
            letters("ab cd ef gh"),
            frame_rate=10.0,
            frames_per_step=1,
            chunks=(6, 6),
        )
        found = words.take([0, 0], 0, 2, is_last=False, chunks=[(2, 2)])
        found += words.take([], 2, 0, is_last=True, is_whole=is_whole)
        assert [each.text for each in found] == told


@given(st.lists(st.integers(0, len(TEXT)), max_size=40), st.integers(1, 7))
def test_every_word_comes_once_and_in_order(positions: list[int], size: int) -> None:
    words = stream()
    found = []
    for first in range(0, len(positions), size):
        part = positions[first : first + size]
        found += words.take(part, first, len(part), is_last=False)
    found += words.take([], len(positions), 0, is_last=True)
    assert [(each.begin, each.end) for each in found] == word_spans(TEXT)
    edges = [edge for each in found for edge in (each.start_seconds, each.end_seconds)]
    assert edges == sorted(edges) and all(0 <= edge <= len(positions) / 10 for edge in edges)


@given(st.lists(st.integers(0, len(TEXT)), min_size=1, max_size=40))
def test_what_only_goes_on_has_the_times_of_the_whole(positions: list[int]) -> None:
    forward = sorted(positions)
    found = stream().take(forward, 0, len(forward), is_last=True)
    whole = word_times(TEXT, letters(TEXT), forward, WordClock(10.0))
    attended = {each for position in forward for each in word_spans(TEXT) if _is_in(position, each)}
    if attended == set(word_spans(TEXT)):
        assert [each.start_seconds for each in found] == [each.start_seconds for each in whole]
        assert [each.end_seconds for each in found] == [each.end_seconds for each in whole]


def _is_in(position: int, span: tuple[int, int]) -> bool:
    return span[0] <= position < span[1]
