"""Segments of text without Han characters."""

from __future__ import annotations

import pytest

from ttsrt_rt.text.segments import has_han, plain_segments


@pytest.mark.parametrize(
    ("text", "segments"),
    [
        ("(hello", ["(", "hello"]),
        ("50%off", ["50%", "off"]),
        ("a.b-c_d 1.2%", ["a.b-c_d", " ", "1.2%"]),
        ("a+b ##", ["a", "+", "b", " ", "##"]),
        ("C++ c# AT&Tx", ["C++", " ", "c#", " ", "AT&T", "x"]),
        ("_foo_ a..b", ["_", "foo", "_", " ", "a", "..", "b"]),
        ("a\r\n\nb", ["a", "\r\n", "\n", "b"]),
        ("h\u00e9llo \u0915\u093e", ["h", "\u00e9", "llo", " ", "\u0915", "\u093e"]),
        ("", []),
    ],
)
def test_segments(text: str, segments: list[str]) -> None:
    assert list(plain_segments(text)) == segments
    assert "".join(segments) == text


@pytest.mark.parametrize("text", ["\u4e2d", "a\u3007", "\u3400", "\U00020bb6", "\uf900"])
def test_han(text: str) -> None:
    assert has_han(text)


@pytest.mark.parametrize("text", ["abc", "\u3042\u30a2", "\uac00", "\u3105", "\u0915", ""])
def test_other_scripts(text: str) -> None:
    assert not has_han(text)
