"""Lexicons in our text and in W3C PLS."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ttsrt_rt.errors import ConfigError, FormatError, NotFoundError
from ttsrt_rt.text.lexicon import Lexicon, LexiconEntry, lexicon_of, parse_lexicon, read_lexicon

PLS = """<?xml version="1.0" encoding="UTF-8"?>
<lexicon version="1.0" xmlns="http://www.w3.org/2005/01/pronunciation-lexicon" alphabet="ipa"
         xml:lang="en-US">
  <!-- names -->
  <lexeme><grapheme>NASA</grapheme><phoneme>n \u02c8\u00e6 s \u0259</phoneme></lexeme>
  <lexeme case="exact">
    <grapheme>Polish</grapheme> <phoneme>p\u02c8o\u028al</phoneme>
  </lexeme>
</lexicon>
"""


def pls(inside: str, attributes: str = 'alphabet="ipa"') -> str:
    return f"<lexicon {attributes}>{inside}</lexicon>"


def entries(text: str) -> list[tuple[str, str, bool]]:
    return [(each.word, each.symbols, each.is_exact) for each in parse_lexicon(text)]


def test_our_text() -> None:
    text = ";;; names\nNASA  n \u02c8\u00e6 s \u0259\n\n"
    text += 'Polish\tp\u02c8o\u028a  case="exact"\nc\u0327a s c\u0327\n'
    assert entries(text) == [
        ("NASA", "n\u02c8\u00e6s\u0259", False),
        ("Polish", "p\u02c8o\u028a", True),
        ("\u00e7a", "s\u00e7", False),
    ]


def test_pls() -> None:
    lexicon = parse_lexicon(PLS)
    assert lexicon.language == "en-US" and len(lexicon) == 2
    assert list(lexicon) == [
        LexiconEntry("NASA", "n\u02c8\u00e6s\u0259"),
        LexiconEntry("Polish", "p\u02c8o\u028al", True),
    ]


def test_comments_inside_of_elements() -> None:
    text = pls(
        "<lexeme><grapheme>NA<!-- a -->SA<!-- b --></grapheme>"
        "<phoneme><!-- c -->n<!-- d --> \u02c8\u00e6</phoneme></lexeme>"
    )
    assert entries(text) == [("NASA", "n\u02c8\u00e6", False)]


def test_the_mark_of_capitals() -> None:
    for mark in ("case=exact", 'case="exact"', "case='exact'"):
        assert entries(f"Polish p \u02c8o  {mark}") == [("Polish", "p\u02c8o", True)]
        assert entries(f"Polish\tp\t{mark}\t") == [("Polish", "p", True)]
    assert entries("Polish p case='exact\"") == [("Polish", "pcase='exact\"", False)]
    with pytest.raises(ConfigError, match="got no pronunciation"):
        parse_lexicon("Polish case=exact")


def test_runs_of_spaces_take_linear_time() -> None:
    text = "a" + " " * 60_000 + "x"
    begin = time.process_time()
    assert entries(text) == [("a", "x", False)]
    assert time.process_time() - begin < 1


def test_words_of_a_lexeme_share_its_phonemes() -> None:
    text = pls(
        "<lexeme><grapheme>colour</grapheme><grapheme>color</grapheme><phoneme>k</phoneme></lexeme>"
    )
    assert entries(text) == [("colour", "k", False), ("color", "k", False)]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("NASA", "line 1: expected a word and its pronunciation, got no pronunciation"),
        ("a x\nNASA x\nnasa y", "line 3: expected each word once, got 'nasa'.* line 2, too"),
        ("12 x", "line 1: expected one word, got '12'"),
        ("a" * 200 + " x", "a word of at most 128 characters"),
        ("a " + "x" * 600, "512 symbols"),
        ("a \udc80", "line 1: expected Unicode text, got a lone surrogate"),
        ("a x\n" * 20_000, "at most 65536 bytes"),
        ("\n".join(f"{chr(97 + i // 676)}{chr(97 + i // 26 % 26)}{chr(97 + i % 26)} x"
                   for i in range(1001)), "line 1001: expected at most 1000 entries"),
        (PLS.replace("</lexicon>", "</lexeme>"), "line 9, column 1: expected </lexicon>"),
        (pls("<lexeme><alias>x</alias></lexeme>"), "an element among lexicon, lexeme, grapheme"),
        (pls("<grapheme>x</grapheme>"), "<grapheme> in <lexeme>"),
        (pls("<lexeme><phoneme>x</phoneme></lexeme>"), "a <grapheme> in <lexeme>, got none"),
        (pls("<lexeme><grapheme>x</grapheme></lexeme>"), "got no pronunciation"),
        (pls("<lexeme>x</lexeme>"), "no text in <lexeme>, got 'x'"),
        (pls("<lexeme><grapheme>a b</grapheme><phoneme>x</phoneme></lexeme>"), "got 'a b'"),
        (pls("<lexeme><grapheme>a</grapheme><phoneme>x</phoneme><phoneme>y</phoneme></lexeme>"),
         "one <phoneme> in a <lexeme>"),
        (pls("<lexeme><grapheme>a</grapheme><phoneme>x</phoneme></lexeme>", ""),
         'alphabet="ipa" of <phoneme> or <lexicon>, got none'),
        (pls("<lexeme role='x'/>"), "attributes of <lexeme> among xml:id, case, got role"),
        (pls("<lexeme case='no'/>"), 'case="exact" or "any"'),
        ("<!DOCTYPE lexicon [<!ENTITY a 'b'>]><lexicon/>", "no declaration"),
        ("<lexeme/>", "<lexeme> in <lexicon>"),
    ],
    ids=range(21),
)  # fmt: skip
def test_mistakes_say_where(text: str, told: str) -> None:
    with pytest.raises(ConfigError, match=told):
        parse_lexicon(text)


def test_files(tmp_path: Path) -> None:
    path = tmp_path / "names.txt"
    path.write_bytes("\ufeffNASA x y\r\n".encode())
    assert list(read_lexicon(path)) == [LexiconEntry("NASA", "xy")]
    path.write_bytes(b"NASA \xff")
    with pytest.raises(FormatError, match=r"names.txt: expected UTF-8, got other bytes at 5"):
        read_lexicon(path)
    path.write_text("NASA")
    with pytest.raises(FormatError, match=r"names.txt: line 1: expected a word"):
        read_lexicon(path)
    path.write_bytes(b"a x\n" * 30_000)
    with pytest.raises(FormatError, match="at most 65536 bytes"):
        read_lexicon(path)
    with pytest.raises(NotFoundError):
        read_lexicon(tmp_path / "none.txt")
    with pytest.raises(ConfigError, match="a regular file"):
        read_lexicon(tmp_path)


def test_mappings() -> None:
    assert list(lexicon_of({"NASA": "n \u00e6"})) == [LexiconEntry("NASA", "n\u00e6")]
    given_lexicon = Lexicon(())
    assert lexicon_of(given_lexicon) is given_lexicon
    for value, told in (
        ("text", "expected a lexicon, or words"),
        ({"a": 1}, "expected texts"),
        ({"a b": "x"}, "one word"),
        ({str(each): "x" for each in range(1001)}, "at most 1000"),
    ):
        with pytest.raises(ConfigError, match=told):
            lexicon_of(value)


@given(st.text(st.sampled_from("<>/ab'\"=lexicon \n;\t\ud800"), max_size=60))
def test_any_text_is_an_error_or_a_lexicon(text: str) -> None:
    try:
        parse_lexicon(text)
    except ConfigError as error:
        assert str(error).startswith("lexicon: ")
