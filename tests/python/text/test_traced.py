"""Texts that are rewritten: what they become is as with `str`, and their characters keep places."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from ttsrt_rt.text.punctuation import RULES, clean_punctuation, clean_traced
from ttsrt_rt.text.traced import Traced

TEXTS = st.text("aB .,-:;\u2026\u2014\u201c\n\t\u00df\u3002", max_size=40)


def check(made: Traced, text: str) -> None:
    """Every character has a place in the text, and places don't go back."""
    assert len(made.spans) == len(made.text)
    begins = [begin for begin, _ in made.spans]
    assert begins == sorted(begins)
    assert all(0 <= begin <= end <= len(text) for begin, end in made.spans)


@given(text=TEXTS, old=st.sampled_from([old for old, _ in RULES]), new=st.text("x, ", max_size=3))
def test_replacing_is_that_of_str(text: str, old: str, new: str) -> None:
    made = Traced(text).replace(old, new)
    assert made.text == text.replace(old, new)
    check(made, text)


@given(text=TEXTS)
def test_collapsing_is_that_of_split_and_join(text: str) -> None:
    made = Traced(text).collapsed()
    assert made.text == " ".join(text.split())
    check(made, text)


@given(text=TEXTS.filter(bool), variant=st.sampled_from(["english", "turbo", "multilingual"]))
def test_cleaning_keeps_places(text: str, variant: str) -> None:
    made = clean_traced(Traced(text), variant)
    assert made.text == clean_punctuation(text, variant)
    check(made, text)
    # What was not rewritten stands where it stood.
    for letter, (begin, end) in zip(made.text, made.spans, strict=True):
        if letter == "a":
            assert text[begin:end].lower() == "a"


def test_spans_of_parts() -> None:
    made = Traced("a...b").replace("...", ", ")
    assert made.text == "a, b" and made.span_of(1, 3) == (1, 4)
    assert made.span_of(1, 1) == (1, 1) and made.span_of(4, 4) == (5, 5)
    assert Traced("").span_of(0, 0) == (0, 0) and Traced("abc").end == 3
    assert Traced("ab").with_first("XY").spans == [(0, 1), (0, 1), (1, 2)]
    assert (Traced("a") + Traced("!", [(1, 1)])).end == 1
