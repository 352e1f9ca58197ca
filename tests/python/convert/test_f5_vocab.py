"""Reads vocab.txt: lines whole, line ends of Windows, sizes, damage."""

from __future__ import annotations

from pathlib import Path

import pytest

from ttsrt_rt.convert.f5_vocab import check_vocab, read_vocab
from ttsrt_rt.errors import ConfigError, FormatError


def written(folder: Path, data: bytes) -> Path:
    path = folder / "vocab.txt"
    path.write_bytes(data)
    return path


@pytest.mark.parametrize(
    ("data", "tokens"),
    [
        (b" \n!\nzhong1\n", (" ", "!", "zhong1")),
        (b" \n!\nlast", (" ", "!", "last")),
        (b" \r\n!\r\n", (" ", "!")),
        (b" \n\r\n!\n", (" ", "\r", "!")),  # a carriage return may be a token
        (b" \r\n!\n", (" \r", "!")),
        (b" \n\n!\n", (" ", "", "!")),
        ("\u00a0\n\u2028\n\u0964\n".encode(), ("\u00a0", "\u2028", "\u0964")),
    ],
)
def test_a_line_is_a_token(data: bytes, tokens: tuple[str, ...], tmp_path: Path) -> None:
    assert read_vocab(written(tmp_path, data)) == tokens


def test_damaged_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(FormatError, match="UTF-8, got other bytes at 2"):
        read_vocab(written(tmp_path, b"a\n\xff\n"))
    with pytest.raises(FormatError, match="expected 1 to"):
        read_vocab(written(tmp_path, b""))
    with pytest.raises(FormatError, match="expected 1 to"):
        read_vocab(written(tmp_path, b"a\n" * 200_001))
    with pytest.raises(ConfigError):
        read_vocab(tmp_path / "none.txt")


def test_rows_are_lines_and_one() -> None:
    check_vocab(("a", "b"), 3, "vocab.txt")
    with pytest.raises(FormatError, match=r"vocab.txt: expected 4 lines.*got 2"):
        check_vocab(("a", "b"), 5, "vocab.txt")
