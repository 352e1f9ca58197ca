"""Standard input of `ttsrt say`, by sentences."""

from __future__ import annotations

import io

import pytest

from ttsrt_rt.cli.say_texts import sentences_of
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
        ("...\n!\n", []),
        ("", []),
    ],
)
def test_sentences(given: str, sentences: list[str]) -> None:
    assert list(sentences_of(io.BytesIO(given.encode()))) == sentences


def test_hostile_input() -> None:
    with pytest.raises(ConfigError, match="expected text in UTF-8, got other bytes at 1"):
        list(sentences_of(io.BytesIO(b"a\xff\n")))
    with pytest.raises(ConfigError, match="lines of at most"):
        list(sentences_of(io.BytesIO(b"a" * (3 << 20))))
