"""Ids of texts: characters, unknown ones, bytes, and Han characters without what reads them."""

from __future__ import annotations

import sys

import pytest

from tests.needs_extras import needed
from ttsrt_rt.errors import ConfigError
from ttsrt_rt.text import F5Tokenizer
from ttsrt_rt.text.f5_tokenizer import to_tokens

VOCAB = (" ", "a", "b", "(", "zhong1", ",", '"', "\u0915", "\u093e", "2")


@pytest.mark.parametrize(
    ("text", "tokens"),
    [
        ('"(ab', ['"', "(", " ", "a", "b"]),
        ("a;b", ["a", ",", "b"]),
        ("\u201ca\u201d", ['"', "a", '"']),
        ("\u0915\u093e22", ["\u0915", "\u093e", " ", "2", "2"]),
        ("ab ab", ["a", "b", " ", "a", "b"]),
    ],
)
def test_tokens_and_ids(text: str, tokens: list[str]) -> None:
    assert to_tokens(text) == tokens
    assert F5Tokenizer(VOCAB).encode(text) == [VOCAB.index(token) for token in tokens]


def test_unknown_tokens_are_id_0() -> None:
    tokenizer = F5Tokenizer(VOCAB)
    assert tokenizer.encode("axa\u00e9") == [1, 0, 1, 0]
    assert tokenizer.unknown("axa\u00e9x") == ["x", "\u00e9"]


def test_other_kinds() -> None:
    assert F5Tokenizer((), "byte").encode("a\u00e9") == [97, 0xC3, 0xA9]
    assert F5Tokenizer((), "byte").unknown("\u00e9") == []
    assert F5Tokenizer(VOCAB, "char").encode("\u201ca;\u4e2d") == [0, 1, 0, 0]
    assert F5Tokenizer(("a", "b", "a")).encode("ab") == [2, 1]


def test_syllables_are_whole_tokens() -> None:
    needed("rjieba", "f5")
    needed("pypinyin", "f5")
    assert F5Tokenizer(VOCAB).encode("a\u4e2d") == [1, 0, 4]


@pytest.mark.parametrize("name", ["rjieba", "pypinyin"])
def test_han_without_its_reader_is_refused(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    import types

    stand_in = types.ModuleType("rjieba")
    stand_in.cut = list  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "rjieba", stand_in)
    monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(ConfigError, match=rf"got no {name}: pip install rjieba pypinyin"):
        to_tokens("\u4e2d")
    assert to_tokens("ab") == ["a", "b"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (5, "text: expected text, got 5"),
        ("\ud800", "lone surrogate at 0"),
        ("a" * (2**20 + 1), "at most 1048576 characters"),
    ],
)
def test_what_is_no_text_is_refused(text: object, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        F5Tokenizer(VOCAB).encode(text)  # type: ignore[arg-type]


def test_wrong_vocabularies_are_refused() -> None:
    with pytest.raises(ConfigError, match="tokenizer: expected one of pinyin, char, byte"):
        F5Tokenizer(VOCAB, "words")  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="vocab: expected tokens"):
        F5Tokenizer(())
