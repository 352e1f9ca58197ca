"""JSON of others: parsed within limits on bytes, values and nesting."""

from __future__ import annotations

from pathlib import Path

import pytest

from ttsrt_rt.errors import ConfigError, FormatError
from ttsrt_rt.json_text import parse_json, read_json


def test_values_are_read(tmp_path: Path) -> None:
    (tmp_path / "x.json").write_bytes(b'\xef\xbb\xbf{"a": [1, 2.5, null, "\xc3\xa9"]}')
    assert read_json(tmp_path / "x.json") == {"a": [1, 2.5, None, "é"]}


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        (b"", "expected JSON"),
        (b"{'a': 1}", "expected JSON"),
        (b"\xff", "UTF-8"),
        (b"[" * 100_000, "expected JSON"),
        (b"9" * 5000, "expected JSON"),
        (b"[" + b"1," * 600_000 + b"1]", "at most 500000 values"),
        (b"[" + b"[]," * 300_000 + b"1]", "200000 keys or lists"),
        (b"{" + b'"a":1,' * 300_000 + b'"b":1}', "200000 keys or lists"),
    ],
)
def test_broken_and_large_text_is_refused(raw: bytes, expected: str) -> None:
    with pytest.raises(FormatError, match=f"speakers.json: .*{expected}"):
        parse_json(raw, "speakers.json")


def test_large_and_missing_files_are_refused(tmp_path: Path) -> None:
    (tmp_path / "x.json").write_bytes(b"[1, 2]")
    with pytest.raises(FormatError, match="at most 5 bytes, got 6"):
        read_json(tmp_path / "x.json", max_bytes=5)
    with pytest.raises(ConfigError, match="No such file"):
        read_json(tmp_path / "nope.json")


def test_a_key_that_stands_twice_is_refused() -> None:
    assert parse_json(b'{"a": {"b": 1}, "b": 2}', "x") == {"a": {"b": 1}, "b": 2}
    for text in (b'{"a": 1, "a": 2}', b'[{"b": 0, "a": 1, "a": 1}]'):
        with pytest.raises(FormatError, match=r"x: .*the key 'a' stands twice in one object"):
            parse_json(text, "x")
