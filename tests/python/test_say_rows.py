"""Rows of a file of texts: lines that are too long, and what follows them."""

from __future__ import annotations

from pathlib import Path

import pytest

from ttsrt_rt.cli.say_rows import MAX_LINE, ROW_FORMATS, Row, read_rows
from ttsrt_rt.errors import ConfigError


def rows(path: Path, data: bytes) -> list[Row]:
    path.write_bytes(data)
    return list(read_rows(str(path)))


@pytest.mark.parametrize("end", [b"\n", b"\r\n"])
@pytest.mark.parametrize("name", ["rows.csv", "rows.tsv"])
def test_a_line_of_a_table_that_is_too_long_is_one_error(
    tmp_path: Path, name: str, end: bytes
) -> None:
    comma = b"," if name.endswith("csv") else b"\t"
    tail = b"one" + comma + b"two"  # would be a row of its own
    long = b"x" * (MAX_LINE + 7) + b"\t,more " * 300_000 + tail
    data = end.join([b"id" + comma + b"text", long, b"a" + comma + b"Hello.", b""])
    found = rows(tmp_path / name, data)
    assert [each.line for each in found] == [2, 3]
    assert found[0].error == f"table: expected a line of at most {MAX_LINE} characters, got more"
    assert found[1] == Row(3, "a", "Hello.")


def test_errors_of_rows_say_it_once(tmp_path: Path) -> None:
    data = b'[1]\n{"text": "\\ud800"}\n'
    first, second = rows(tmp_path / "rows.jsonl", data)
    assert first.error == "expected a JSON object, got a list: [1]"
    assert second.error == "text: expected Unicode text, got a lone surrogate at 0"


def test_a_long_line_in_quotes(tmp_path: Path) -> None:
    data = b'id,text\na,"first\n' + b"y" * (2 * MAX_LINE) + b'"\nb,Hello.\n'
    found = rows(tmp_path / "rows.csv", data)
    assert [each.line for each in found] == [3, 4]
    assert found[0].error is not None and found[1] == Row(4, "b", "Hello.")


def test_a_long_line_at_the_end(tmp_path: Path) -> None:
    (only,) = rows(tmp_path / "rows.csv", b"id,text\n" + b"z" * (3 * MAX_LINE))
    assert only.line == 2 and only.error is not None


def test_long_fields_are_errors_of_their_rows(tmp_path: Path) -> None:
    found = rows(tmp_path / "rows.csv", b"text\n" + b"z" * 200_000 + b"\nHello.\n")
    assert [each.error is None for each in found] == [False, True]
    assert found[1].line == 3


def test_blank_lines_count(tmp_path: Path) -> None:
    assert rows(tmp_path / "a.txt", b"\xef\xbb\xbfone\n\n two \n") == [
        Row(1, "000001", "one"),
        Row(3, "000003", "two"),
    ]
    assert [each.line for each in rows(tmp_path / "a.csv", b"text\n\none\n\ntwo\n")] == [3, 5]
    with pytest.raises(ConfigError, match=", ".join(ROW_FORMATS)):
        rows(tmp_path / "a.doc", b"one")
