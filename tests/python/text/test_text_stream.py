"""Stop strings in text that comes in parts: found, cut, held back, and independent of the parts."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as some

from ttsrt_rt.errors import ConfigError
from ttsrt_rt.text.text_stream import StopStrings, check_stops


def run(
    stops: tuple[str, ...], parts: list[str], *, include: bool = False
) -> tuple[str, list[str]]:
    """Returns the whole text and what each part showed."""
    matcher = StopStrings(stops, include=include)
    shown = []
    for part in parts:
        shown.append(matcher.feed(part))
        if matcher.found is not None:
            return "".join(shown), shown
    shown.append(matcher.finish())
    return "".join(shown), shown


def test_a_stop_string_across_parts_is_cut() -> None:
    assert run(("END",), ["aE", "N", "D", "b"]) == ("a", ["a", "", ""])
    assert run(("END",), ["aE", "N", "D", "b"], include=True)[0] == "aEND"


def test_only_what_may_begin_one_is_held_back() -> None:
    assert run(("END",), ["abE", "Nx", "EN"])[1] == ["ab", "ENx", "", "EN"]
    assert run((), ["abE"])[1] == ["abE", ""]


def test_a_stop_string_inside_a_part() -> None:
    matcher = StopStrings(("\n\n", "User:"))
    assert matcher.feed("one\n\ntwo User:") == "one"
    assert matcher.found == "\n\n"
    assert matcher.feed("more") == ""


def test_of_those_that_end_together_the_longest_counts() -> None:
    matcher = StopStrings(("c", "abc"))
    assert matcher.feed("xabc") == "x"
    assert matcher.found == "abc"


@given(
    some.text("ab", max_size=30),
    some.lists(some.text("ab", min_size=1, max_size=4), min_size=1, max_size=3),
    some.lists(some.integers(1, 4), min_size=30, max_size=30),
)
def test_the_parts_change_nothing(text: str, stops: list[str], sizes: list[int]) -> None:
    parts, begin = [], 0
    for size in sizes:
        parts.append(text[begin : begin + size])
        begin += size
    whole = run(tuple(stops), [text])[0]
    assert run(tuple(stops), parts)[0] == whole
    assert run(tuple(stops), list(text))[0] == whole
    assert not any(stop in whole for stop in stops)


def test_limits() -> None:
    assert check_stops(None) == ()
    assert check_stops("a") == ("a",)
    for wrong in ([""], ["a" * 257], [5], ["\u20ac" * 86]):
        with pytest.raises(ConfigError, match="stop: expected texts of 1 to 256 bytes"):
            check_stops(wrong)  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="stop: expected at most 16 texts, got 17"):
        check_stops(["a"] * 17)
