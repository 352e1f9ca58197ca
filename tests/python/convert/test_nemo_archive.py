"""`.nemo` archives are read in place or unpacked; invalid tar and gzip files are refused."""

from __future__ import annotations

import gzip
import io
import tarfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ttsrt_rt.convert import nemo_archive, tar_entries
from ttsrt_rt.convert.archive import open_weights
from ttsrt_rt.convert.tar_entries import read_tar
from ttsrt_rt.errors import ConfigError, Error, FormatError

from .builders import (
    CONFIG,
    SPEAKERS,
    make_tar,
    outcome,
    pax,
    region,
    small_nemo,
    small_torch,
    tar_header,
    tar_member,
)


def write(tmp_path: Path, data: bytes) -> Path:
    path = tmp_path / "x.nemo"
    path.write_bytes(data)
    return path


def check(path: Path) -> None:
    """Checks the complete contents of the small archive."""
    with open_weights(path) as weights:
        assert weights.kind == "nemo"
        np.testing.assert_array_equal(weights["w"].read(), np.arange(6, dtype="f4").reshape(2, 3))
        assert weights["n"].read() == 7
        assert weights.config.get_int("encoder.n_layers") == 2
        assert weights.artifacts == ("0123_speakers.json",)
        assert weights.artifact(weights.config.get_str("speaker_map")) == SPEAKERS
        assert weights.artifact("0123_speakers.json") == SPEAKERS


def test_plain(tmp_path: Path) -> None:
    check(write(tmp_path, small_nemo()))


def test_unpacking_a_gzip_reports_progress(tmp_path: Path) -> None:
    path = write(tmp_path, gzip.compress(small_nemo()))
    calls: list[tuple[int, int]] = []
    with open_weights(path, progress=lambda done, size: calls.append((done, size))) as weights:
        assert weights["n"].read() == 7
    assert calls[-1] == (path.stat().st_size,) * 2
    check(path)


@pytest.mark.parametrize("layout", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
@pytest.mark.parametrize("prefix", ["./", ""])
def test_archives_that_tarfile_writes(layout: int, prefix: str, tmp_path: Path) -> None:
    path = tmp_path / "x.nemo"
    long_name = "0123_" + "x" * 120 + ".txt"
    with tarfile.open(path, "w", format=layout) as made:
        for name, data in (
            ("model_config.yaml", CONFIG),
            ("model_weights.ckpt", small_torch()),
            ("0123_speakers.json", SPEAKERS),
            ("deep/" * 20 + "name.txt", b"abc"),
            *([(long_name, b"long")] if layout != tarfile.USTAR_FORMAT else []),
        ):
            info = tarfile.TarInfo(prefix + name)
            info.size = len(data)
            info.mtime = 1.5 if layout == tarfile.PAX_FORMAT else 1
            made.addfile(info, io.BytesIO(data))
    with open_weights(path) as weights:
        assert weights["n"].read() == 7
        assert weights.artifact("deep/" * 20 + "name.txt") == b"abc"
        if layout != tarfile.USTAR_FORMAT:
            assert weights.artifact(long_name) == b"long"


def test_sizes_may_be_binary_or_in_pax(tmp_path: Path) -> None:
    binary = b"\x80" + len(SPEAKERS).to_bytes(11, "big")
    for member in (
        tar_member("a.json", SPEAKERS, size_field=binary),
        pax(size=str(len(SPEAKERS))) + tar_header("a.json", 0) + SPEAKERS.ljust(512, b"\0"),
        tar_member("long", b"a.json\0", b"L") + tar_member("short", SPEAKERS),
        pax(path="./a.json") + tar_member("short", SPEAKERS),
        tar_member("a.json", SPEAKERS, b"\0"),
    ):
        with open_weights(write(tmp_path, small_nemo(member))) as weights:
            assert weights.artifact("nemo:a.json") == SPEAKERS


TRICKS: dict[str, tuple[bytes, str]] = {
    "duplicate": (tar_member("model_config.yaml", CONFIG), "twice"),
    "duplicate with ./": (tar_member("././0123_speakers.json", b""), "twice"),
    "duplicate with //": (tar_member("x//a", b"") + tar_member("x/a", b""), "twice"),
    "duplicate through pax": (pax(path="model_config.yaml") + tar_member("x", CONFIG), "twice"),
    "hard link": (tar_member("x", b"", b"1", linkname=b"/etc/passwd"), "a hard link"),
    "symbolic link": (tar_member("x", b"", b"2", linkname=b"/etc/passwd"), "a symbolic link"),
    "character device": (tar_member("x", b"", b"3"), "a character device"),
    "block device": (tar_member("x", b"", b"4"), "a block device"),
    "pipe": (tar_member("x", b"", b"6"), "a pipe"),
    "contiguous": (tar_member("x", b"", b"7"), "type b'7'"),
    "sparse": (tar_member("x", b"", b"S"), "a sparse file"),
    "pax sparse": (pax(GNU_sparse_major="1") + tar_member("x", b""), "GNU.sparse"),
    "pax charset": (pax(hdrcharset="BINARY") + tar_member("x", b""), "hdrcharset"),
    "several volumes": (tar_member("x", b"", b"M"), "volumes"),
    "absolute": (tar_member("/etc/passwd", b""), "inside the archive"),
    "absolute prefix": (tar_member("passwd", b"", prefix=b"/etc"), "inside the archive"),
    "parent": (tar_member("../x", b""), "inside the archive"),
    "parent inside": (tar_member("a/../../x", b""), "inside the archive"),
    "parent through pax": (pax(path="../x") + tar_member("x", b""), "inside the archive"),
    "parent through a long name": (
        tar_member("l", b"../x\0", b"L") + tar_member("x", b""),
        "inside",
    ),
    "backslash": (tar_member("..\\x", b""), "inside the archive"),
    "no name": (tar_member("", b""), "inside the archive"),
    "two long names": (
        tar_member("l", b"a\0", b"L") + pax(path="b") + tar_member("x", b""),
        "one long name",
    ),
    "long name twice": (tar_member("l", b"a\0", b"L") * 2 + tar_member("x", b""), "one long name"),
    "pax twice": (pax(path="a") + pax(path="b") + tar_member("x", b""), "one extended header"),
    "pax without a member": (pax(path="a"), "an extension announced"),
    "pax not a record": (tar_member("p", b"hello", b"x") + tar_member("x", b""), "a pax record"),
    "pax short": (tar_member("p", b"3 a", b"x") + tar_member("x", b""), "a pax record"),
    "pax long": (tar_member("p", b"99 a=b\n", b"x") + tar_member("x", b""), "a pax record"),
    "pax zero": (tar_member("p", b"0 a=b\n", b"x") + tar_member("x", b""), "a pax record"),
    "pax key twice": (tar_member("p", b"6 a=b\n6 a=c\n", b"x") + tar_member("x", b""), "twice"),
    "pax size": (pax(size="-1") + tar_member("x", b""), "a decimal number"),
    "pax size huge": (pax(size="9" * 19) + tar_member("x", b""), "bytes of data"),
    "global path": (tar_member("p", b"10 path=x\n", b"g"), "for all members"),
    "size beyond": (tar_header("x", 1 << 30), "bytes of data"),
    "size binary beyond": (tar_header("x", 0, size_field=b"\x80" + b"\xff" * 11), "bytes of data"),
    "size negative": (tar_header("x", 0, size_field=b"\xff" * 12), "an octal number"),
    "size no number": (tar_header("x", 0, size_field=b"0000000000x\0"), "an octal number"),
    "folder with data": (tar_member("x/", b"data", b"5"), "a folder without data"),
    "old magic": (tar_member("x", b"", magic=b"\0" * 8), "a ustar header"),
    "name of bytes": (tar_member("l", b"\xff\xfe\0", b"L") + tar_member("x", b""), "UTF-8"),
}


@pytest.mark.parametrize("name", TRICKS)
def test_an_invalid_tar_is_refused(name: str, tmp_path: Path) -> None:
    member, expected = TRICKS[name]
    with pytest.raises(FormatError) as caught:
        open_weights(write(tmp_path, small_nemo(member)))
    assert expected in str(caught.value)


def test_missing_members_are_refused(tmp_path: Path) -> None:
    weights = tar_member("model_weights.ckpt", small_torch())
    config = tar_member("model_config.yaml", CONFIG)
    for data, expected in (
        (make_tar(weights), "model_config.yaml"),
        (make_tar(config), "model_weights.ckpt"),
        (make_tar(config, tar_member("model_weights.ckpt", b"\x80\x02N.")), "bare pickle"),
        (make_tar(config, tar_member("model_weights.ckpt", b"")), "zip"),
        (make_tar(tar_member("model_config.yaml", b"- 1"), weights), "a mapping"),
    ):
        with pytest.raises(FormatError, match=expected):
            open_weights(write(tmp_path, data))


def test_the_end_of_the_archive(tmp_path: Path) -> None:
    data = small_nemo()
    for broken, expected in (
        (data[:-512], "two end blocks"),
        (data[:-1024], "expected 512 bytes"),
        (data + b"x" * 512, "zeros after the end"),
        (data + tar_member("x", b""), "zeros after the end"),
        (data + b"\0", "two end blocks"),
    ):
        with pytest.raises(FormatError, match=expected):
            open_weights(write(tmp_path, broken))
    check(write(tmp_path, data + bytes(10240)))


def test_missing_artifacts_are_refused(tmp_path: Path) -> None:
    nemo = open_weights(write(tmp_path, small_nemo()))
    with nemo, pytest.raises(ConfigError, match=r"0123_speakers\.json.*'nope'"):
        nemo.artifact("nemo:nope")
    (tmp_path / "x.ckpt").write_bytes(small_torch())
    with open_weights(tmp_path / "x.ckpt") as weights:
        assert weights.artifacts == ()
        with pytest.raises(ConfigError, match="torch file"):
            weights.artifact("x")
        with pytest.raises(ConfigError, match="torch file"):
            weights.config  # noqa: B018


def test_a_gzip_bomb_stops_at_its_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bomb = gzip.compress(small_nemo() + bytes(20 << 20))
    monkeypatch.setattr(nemo_archive, "FREE_UNPACKED_BYTES", 1 << 20)
    with pytest.raises(FormatError, match="20 times"):
        open_weights(write(tmp_path, bomb))
    packed = nemo_archive.FileBytes.open(write(tmp_path, gzip.compress(small_nemo())))
    with pytest.raises(FormatError, match="at most 100 bytes"):
        nemo_archive.unpack_gzip(packed, max_bytes=100)


def test_damaged_gzip() -> None:
    data = gzip.compress(small_nemo())
    for size in (2, 5, 11, 30, len(data) // 2, len(data) - 9, len(data) - 1):
        assert isinstance(outcome(data[:size]), FormatError), size
    good = outcome(data)
    for at in range(0, len(data), 7):
        broken = bytearray(data)
        broken[at] ^= 0xFF
        found = outcome(bytes(broken))
        assert isinstance(found, Error) or found == good, at
    assert isinstance(outcome(data + b"junk"), FormatError)
    nested = gzip.compress(data)
    assert isinstance(outcome(nested), FormatError)


def test_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    data = region(make_tar(*(tar_member(f"a{index}", b"") for index in range(20))))
    monkeypatch.setattr(tar_entries, "MAX_HEADERS", 10)
    with pytest.raises(FormatError, match="10 headers"):
        read_tar(data, "x")
    monkeypatch.setattr(tar_entries, "MAX_EXTENSION_BYTES", 3)
    with pytest.raises(FormatError, match="bytes of extension"):
        read_tar(region(make_tar(pax(path="a"), tar_member("x", b""))), "x")


def test_every_truncation_is_an_error() -> None:
    data = small_nemo()
    for size in [*range(0, len(data), 41), *range(0, len(data), 512)]:
        assert isinstance(outcome(data[:size]), Error), size


def test_every_flipped_header_byte_is_an_error_or_does_not_matter() -> None:
    data = small_nemo()
    good: Any = outcome(data)
    headers = [at for at in range(0, len(data), 512) if data[at + 257 : at + 262] == b"ustar"]
    assert len(headers) == 5
    for header in headers:
        for at in range(header, header + 512):
            broken = bytearray(data)
            broken[at] ^= 0x01 if at % 2 else 0xFF
            found = outcome(bytes(broken))
            assert isinstance(found, Error) or found == good, at


@settings(max_examples=100, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 2047), st.integers(0, 255)), min_size=1, max_size=4),
    st.booleans(),
)
def test_mutations_end_in_members_or_a_format_error(
    changes: list[tuple[int, int]], is_resummed: bool
) -> None:
    """Half of the headers get a correct checksum, so that mutations reach the code after it."""
    data = bytearray(
        make_tar(pax(path="abc", size="3"), tar_member("x", b"xyz"), tar_member("y", b""))
    )
    for at, value in changes:
        data[at] = value
    if is_resummed:
        for at in range(0, 2048, 512):
            data[at + 148 : at + 156] = b" " * 8
            data[at + 148 : at + 156] = f"{sum(data[at : at + 512]):06o}\0 ".encode()
    try:
        for member in read_tar(region(bytes(data)), "x").values():
            assert 0 <= member.offset <= member.offset + member.size <= len(data)
    except FormatError:
        pass
