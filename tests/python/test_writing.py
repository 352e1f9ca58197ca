"""Files appear when they are complete, and failures name the whole path."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from ttsrt_rt.errors import CapacityError, ConfigError, DeviceError, Error
from ttsrt_rt.writing import LateFile, replacing, writing


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        (errno.ENOSPC, CapacityError),
        (errno.EDQUOT, CapacityError),
        (errno.EIO, DeviceError),
        (errno.EACCES, ConfigError),
        (errno.EROFS, ConfigError),
    ],
)
def test_kinds_of_errors(code: int, kind: type[Error], tmp_path: Path) -> None:
    with pytest.raises(kind) as raised, writing(tmp_path / "a"):
        raise OSError(code, os.strerror(code))
    assert str(raised.value) == f"{tmp_path / 'a'}: can't be written: {os.strerror(code)}"


def test_a_file_appears_whole(tmp_path: Path) -> None:
    path = tmp_path / "a"
    for text in (b"one", b"two"):
        with replacing(path) as file:
            file.write(text)
            assert not path.exists() or path.read_bytes() != text
        assert path.read_bytes() == text
    with pytest.raises(RuntimeError), replacing(path) as file:
        file.write(b"three")
        raise RuntimeError
    assert path.read_bytes() == b"two" and os.listdir(tmp_path) == ["a"]


def test_permissions_and_links_stay(tmp_path: Path) -> None:
    (tmp_path / "real").write_bytes(b"one")
    (tmp_path / "real").chmod(0o640)
    (tmp_path / "link").symlink_to("real")
    with replacing(tmp_path / "link") as file:
        file.write(b"two")
    assert (tmp_path / "link").is_symlink() and (tmp_path / "real").read_bytes() == b"two"
    assert (tmp_path / "real").stat().st_mode & 0o777 == 0o640


def test_devices_are_written_in_place() -> None:
    with replacing("/dev/null") as file:
        file.write(b"one")
    assert Path("/dev/null").is_char_device()
    with pytest.raises(CapacityError, match="/dev/full"), replacing("/dev/full") as file:
        file.write(b"one")


def test_a_late_file_replaces_nothing_before_its_first_write(tmp_path: Path) -> None:
    path = tmp_path / "lines"
    path.write_text("old")
    with pytest.raises(ZeroDivisionError), LateFile(path):
        raise ZeroDivisionError
    assert path.read_text() == "old"
    with pytest.raises(ZeroDivisionError), LateFile(path) as file:
        file.write(b"new")
        raise ZeroDivisionError
    assert path.read_text() == "new"
    with LateFile(path):
        pass
    assert path.read_text() == ""
    with pytest.raises(ConfigError, match="can't be written"), LateFile(tmp_path) as file:
        file.write(b"x")
