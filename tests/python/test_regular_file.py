"""Only regular files are opened, and a file that is too large is not read."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from ttsrt_rt.errors import ConfigError, FormatError
from ttsrt_rt.regular_file import open_regular, read_regular


def test_a_file_is_read(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"abc")
    assert read_regular(tmp_path / "x", 3) == b"abc"
    with pytest.raises(FormatError, match="x: expected at most 2 bytes, got 3"):
        read_regular(tmp_path / "x", 2)


def test_what_is_not_a_regular_file_is_refused_without_waiting(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "link").symlink_to(tmp_path / "pipe")
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(tmp_path / "socket"))
    for path, kind in (
        (tmp_path, "a folder"),
        (tmp_path / "pipe", "a pipe"),
        (tmp_path / "link", "a pipe"),
        (tmp_path / "socket", "a socket"),
        (Path("/dev/zero"), "a device"),
    ):
        with pytest.raises(ConfigError, match=f"{path}: expected a regular file, got {kind}"):
            open_regular(path)
    listener.close()


def test_names_that_no_file_can_have(tmp_path: Path) -> None:
    for name in ("a\0b", "a\ud800b", "x" * 5000, str(tmp_path / "nope")):
        with pytest.raises(ConfigError, match="a readable file"):
            open_regular(name)
