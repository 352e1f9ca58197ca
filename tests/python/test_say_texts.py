"""Standard input of `ttsrt say`, by sentences."""

from __future__ import annotations

import io
import time

import pytest

from ttsrt_rt.cli.say_texts import sentences_of, spaced
from ttsrt_rt.errors import ConfigError


@pytest.mark.parametrize(
    ("given", "sentences"),
    [
        ("One. Two!\n", ["One.", "Two!"]),
        ("One. Two", ["One.", "Two"]),
        ("One\ntwo.\n", ["One two."]),
        ("Title\n\nText.\n", ["Title", "Text."]),
        (
            "3.5 m. \u4f60\u597d\u3002\u518d\u89c1\u3002",
            ["3.5 m.", "\u4f60\u597d\u3002", "\u518d\u89c1\u3002"],
        ),
        ('"Yes." No.', ['"Yes."', "No."]),
        ("I met Dr. Who and\nMrs.\nSmith. Hi.", ["I met Dr. Who and Mrs. Smith.", "Hi."]),
        ("CAPT. A; xdr. B.", ["CAPT. A; xdr.", "B."]),
        ("Is it Dr? Yes", ["Is it Dr?", "Yes"]),
        (
            '\u0928\u092e\u0964\u0939\u093e\u0901\u0965"\u0928',
            ["\u0928\u092e\u0964", '\u0939\u093e\u0901\u0965"', "\u0928"],
        ),
        ("...\n!\n", []),
        ("", []),
    ],
)
def test_sentences(given: str, sentences: list[str]) -> None:
    assert list(sentences_of(io.BytesIO(given.encode()))) == sentences


@pytest.mark.parametrize(
    ("given", "text"),
    [
        ("word\nword\n", "word word"),
        ("a\r\nb\tc\u00a0d", "a b c d"),
        ("One.\n\n  Two.\n", "One. Two."),
        ("\u4f60\n\u597d\u3002\r\n\u518d\u89c1\n", "\u4f60\u597d\u3002\u518d\u89c1"),
        ("\u4f60 \u597d\nhello\n\u518d", "\u4f60 \u597d hello \u518d"),
    ],
)
def test_white_space_is_one_space(given: str, text: str) -> None:
    assert spaced(given) == text


def test_short_lines_without_an_end_take_linear_time() -> None:
    given = b"a b\n" * 100_000 + b"end.\nlast"
    begin = time.process_time()
    first, last = sentences_of(io.BytesIO(given))
    assert time.process_time() - begin < 5
    assert first.startswith("a b a b") and first.endswith("b end.") and last == "last"
    assert len(first.split()) == 200_001


def test_hostile_input() -> None:
    with pytest.raises(ConfigError, match="expected text in UTF-8, got other bytes at 1"):
        list(sentences_of(io.BytesIO(b"a\xff\n")))
    with pytest.raises(ConfigError, match="lines of at most"):
        list(sentences_of(io.BytesIO(b"a" * (3 << 20))))
