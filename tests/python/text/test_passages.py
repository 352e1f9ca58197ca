"""Preparing texts: sentences for normalizers, full stops, parts of markup."""

from __future__ import annotations

import pytest

from ttsrt_rt.errors import ConfigError
from ttsrt_rt.text import normalize as normalize_module
from ttsrt_rt.text.normalize import Normalized
from ttsrt_rt.text.passages import MAX_NORMALIZED, ended, normalized, prepare
from ttsrt_rt.text.traced import Traced
from ttsrt_rt.text_options import TextOptions


@pytest.fixture
def pieces(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What a normalizer gets that changes nothing."""
    given: list[str] = []

    def keep(text: str, how: str, language: str, *, where: str) -> Normalized:
        given.append(text)
        return Normalized(text, how)

    monkeypatch.setattr(normalize_module, "normalize", keep)
    return given


@pytest.mark.parametrize(
    ("end", "is_cut"),
    [
        (". ", True),
        ("! ", True),
        ("\u2026 ", True),
        ("\u3002", True),
        ("\u0964", True),
        (".", False),
        ("\u2026", False),
        ("3.14", False),
        (",", False),
    ],
)
def test_sentences_end_at_white_space_or_full_width_stops(
    end: str, is_cut: bool, pieces: list[str]
) -> None:
    head = "a" * 100 + end + "b" * (MAX_NORMALIZED - 200)
    text = head + "c" * 200
    assert normalized(text, "en", TextOptions(normalize="numbers")) == text
    assert pieces[0] == ("a" * 100 + end if is_cut else text[:MAX_NORMALIZED])
    assert "".join(pieces) == text and max(map(len, pieces)) <= MAX_NORMALIZED


def test_without_sentences_words_are_cut_and_without_words_letters(pieces: list[str]) -> None:
    words = "word " * 2000
    normalized(words, "en", TextOptions(normalize="numbers"))
    assert "".join(pieces) == words and all(each.endswith(" ") for each in pieces)
    pieces.clear()
    normalized("w" * 5000, "en", TextOptions(normalize="numbers"))
    assert [*map(len, pieces)] == [MAX_NORMALIZED, 5000 - MAX_NORMALIZED]


@pytest.mark.parametrize(
    ("text", "language", "expected"),
    [
        *(
            ("a", "en", "a."),
            ("a  ", "en", "a."),
            ("a!", "en", "a!"),
            ("a \u2026", "en", "a \u2026"),
        ),
        *(("a", "zh-CN", "a\u3002"), ("a", "hi", "a\u0964"), ("a", "ja_JP", "a\u3002")),
        *((" ", "en", " "), ("", "en", ""), ("a\u061f", "ar", "a\u061f")),
    ],
)
def test_full_stops(text: str, language: str, expected: str) -> None:
    made = ended(Traced(text), language)
    assert made.text == expected
    if expected != text:
        at = len(text.rstrip())
        assert made.span_of(at, at + 1) == (at, at)


def test_a_plain_text_is_one_passage() -> None:
    plain = prepare("1 a", "en", TextOptions())
    assert plain.text == "1 a" and plain.normalized_text is None and len(plain.passages) == 1
    assert plain.passages[0].is_plain and plain.language == ""
    dotted = prepare("a", "en", TextOptions(terminal_punctuation=True))
    assert dotted.passages[0].parts[0].text.text == "a."


def test_passages_of_markup() -> None:
    options = TextOptions(markup="ssml", terminal_punctuation=True)
    inside = 'a<break time="1s"/><voice name="v">b</voice><phoneme ph="p">c</phoneme>'
    text = f'<speak xml:lang="de">{inside}</speak>'
    made = prepare(text, "en", options)
    assert [each.pause_before for each in made.passages] == [0, 1000, 0]
    assert [each.voice for each in made.passages] == [None, "v", None]
    assert made.language == "de" and made.text == "a b c"
    last = made.passages[-1].parts
    assert [(each.text.text, each.is_phonemes, each.language) for each in last] == [
        *(("p", True, "de"), (".", False, "de")),
    ]
    assert last[-1].text.spans == [(5, 5)]


def test_what_is_refused() -> None:
    with pytest.raises(ConfigError, match="normalize: expected off with markup"):
        prepare("<speak>a</speak>", "en", TextOptions(markup="ssml", normalize="numbers"))

    def unknown(language: str) -> None:
        raise ConfigError(f"language: expected en, got {language}")

    with pytest.raises(ConfigError, match="line 1, column 1: xml:lang: language: expected en"):
        prepare('<speak xml:lang="xx">a</speak>', "en", TextOptions(markup="ssml"), unknown)
