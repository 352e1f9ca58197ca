"""What a text may be."""

from __future__ import annotations

import pytest

from ttsrt_rt.errors import ConfigError
from ttsrt_rt.text.checks import MAX_TEXT_BYTES, check_text


def test_texts() -> None:
    for text in ("", "a", "\u00e9\U0001f600", "a" * MAX_TEXT_BYTES):
        assert check_text(text, "text") is text
    assert check_text("abc", "text", 3) == "abc"


@pytest.mark.parametrize(
    ("text", "most", "told"),
    [
        (3, None, "text: expected text, got 3"),
        (b"a", None, "text: expected text, got b'a'"),
        ("abcd", 3, "text: expected at most 3 characters, got 4"),
        ("a\ud800", None, "text: expected Unicode text, got a lone surrogate at 1"),
        ("a" * (MAX_TEXT_BYTES + 1), None, "at most 16777216 bytes of UTF-8, got 16777217"),
        ("\u00e9" * (MAX_TEXT_BYTES // 2 + 1), None, "16777216 bytes of UTF-8, got 16777218"),
    ],
    ids=range(6),
)
def test_what_is_no_text(text: object, most: int | None, told: str) -> None:
    with pytest.raises(ConfigError, match=told):
        check_text(text, "text", most)
