"""Messages quote at most 200 characters of foreign text, on one line."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from ttsrt_rt.quoting import MAX_QUOTED, list_names, quote, shorten, show

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@settings(max_examples=100, deadline=None)
@given(VALUES, st.text(), st.lists(st.text(min_size=1)))
def test_quotes_are_short_and_on_one_line(value: Any, text: str, names: list[str]) -> None:
    for shown in (show(value), quote(text), shorten(text), list_names(names)):
        assert len(shown) <= MAX_QUOTED
        assert shown.isprintable()


def test_long_text_loses_its_end() -> None:
    assert quote("a" * 5000) == repr("a" * 120 + "...")
    assert quote("\x1b[31m") == "'\\x1b[31m'"
    assert len(quote("\x00" * 5000)) == MAX_QUOTED
    assert shorten("a\n  b\x1bc") == "a b?c"
    assert list_names(str(n) for n in range(100)).endswith("18, 19, ...")
    assert list_names(["a", "b\n"], is_quoted=True) == r"'a', 'b\n'"
    assert list_names([]) == "none"


def test_values_are_shown_with_bounded_work() -> None:
    nested: Any = [1]
    for _ in range(60):
        nested = [nested, nested]  # 2**60 values if it were written out
    assert len(show(nested)) <= MAX_QUOTED
    assert show(10**6000) == "an integer of 19932 bits"
    assert show({"a": [1, "b"]}) == "{'a': [1, 'b']}"
