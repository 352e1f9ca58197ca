"""How `<say-as>` reads letters, digits and numbers."""

from __future__ import annotations

import sys
import types

import pytest

from ttsrt_rt.errors import ConfigError
from ttsrt_rt.text.say_as import DIGITS, INTERPRETATIONS, PLUS, digit_words, spoken_as


@pytest.fixture
def numbers(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, str]]:
    """What num2words is asked for; it answers with the number in brackets."""
    asked: list[tuple[int, str]] = []

    def num2words(number: int, lang: str, to: str) -> str:
        assert lang == "en"
        asked.append((number, to))
        return f"<{number}>"

    fake = types.ModuleType("num2words")
    fake.num2words = num2words  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "num2words", fake)
    return asked


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("35", 35),
        ("-7", -7),
        ("1,234", 1234),
        ("12,345,678", 12_345_678),
        ("1 234", 1234),
        ("1\u00a0234\u00a0567", 1_234_567),
        ("1\u202f234", 1234),
        ("\u0663", 3),
    ],
)
def test_whole_numbers(numbers: list[tuple[int, str]], text: str, number: int) -> None:
    assert spoken_as("cardinal", text, "en") == f"<{number}>"
    assert numbers == [(number, "cardinal")]


@pytest.mark.parametrize(
    "text",
    ["3,5", "3.5", "1,23", "1,2345", "1234,567", ",123", "1,234 567", "3 5", "--1", "1a", "-"],
)
def test_what_is_no_whole_number(numbers: list[tuple[int, str]], text: str) -> None:
    for kind in ("cardinal", "ordinal"):
        with pytest.raises(ConfigError, match=r"^say-as: expected a whole number, got '"):
            spoken_as(kind, text, "en")
    assert numbers == []


def test_ordinals(numbers: list[tuple[int, str]]) -> None:
    assert spoken_as("ordinal", "1,000", "en") == "<1000>"
    assert numbers == [(1000, "ordinal")]
    with pytest.raises(ConfigError, match="whole number, got '-1'"):
        spoken_as("ordinal", "-1", "en")


def test_long_numbers_are_read_digit_by_digit(numbers: list[tuple[int, str]]) -> None:
    assert spoken_as("cardinal", "1" * 16, "en") == " ".join(["<1>"] * 16)


def test_digits_and_telephones() -> None:
    assert spoken_as("digits", "4-2", "de-DE") == "vier zwei"
    assert spoken_as("telephone", "+1 23", "en") == "plus one, two three"
    for kind, text in (("digits", "1a"), ("telephone", "12b"), ("telephone", "-")):
        with pytest.raises(ConfigError, match=r"^say-as: expected digits, got '"):
            spoken_as(kind, text, "en")


def test_characters() -> None:
    assert spoken_as("characters", "a1 e\u0301", "en") == "a one \u00e9"
    assert spoken_as("spell-out", "\u0928\u0940", "hi") == "\u0928\u0940"


def test_tables() -> None:
    assert PLUS.keys() == DIGITS.keys()
    for language in DIGITS:
        assert len(digit_words(language)) == 10
    with pytest.raises(ConfigError, match=r"^say-as: expected a language among en, .*got 'sw'"):
        digit_words("sw")


def test_each_kind_is_listed_once() -> None:
    assert {"characters", "digits", "cardinal", "date"} <= INTERPRETATIONS.keys()
