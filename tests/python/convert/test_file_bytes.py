"""Files are read into memory of a bounded size; a file that changes meanwhile is named."""

from __future__ import annotations

import os
import subprocess
import sys
import zlib
from pathlib import Path

import numpy as np
import pytest

from ttsrt_rt.convert.archive import open_weights
from ttsrt_rt.convert.file_bytes import FileBytes
from ttsrt_rt.errors import ClosedError, ConfigError, FormatError

from .builders import small_nemo, small_safetensors, small_torch


def test_regions_of_a_file(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"0123456789")
    file = FileBytes.open(tmp_path / "x")
    assert file.all.read() == b"0123456789"
    assert file.all.read(8, 5) == b"89"
    assert file.all.read(20, 5) == b""
    part = file.all.part(2, 6).part(1, 3)
    assert (part.size, part.read(), part.read(1, 1)) == (3, b"345", b"4")
    assert part.read_array(1, 2).tolist() == [0x34, 0x35]
    assert file.all.crc32() == zlib.crc32(b"0123456789")


def test_reads_after_close_are_refused_and_arrays_stay(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"abc")
    file = FileBytes.open(tmp_path / "x")
    values = file.all.read_array(0, 3)
    file.close()
    file.close()
    assert values.tobytes() == b"abc"
    assert file.is_closed
    with pytest.raises(ClosedError, match="x: read after close"):
        file.all.read()


def test_the_descriptor_is_closed_with_the_last_reference(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"abc")
    before = len(os.listdir("/proc/self/fd"))
    region = FileBytes.open(tmp_path / "x").all
    assert region.read() == b"abc"
    del region
    assert len(os.listdir("/proc/self/fd")) == before


@pytest.mark.parametrize("data", [small_torch(), small_nemo(), small_safetensors()])
@pytest.mark.parametrize("change", ["truncated", "emptied", "overwritten", "extended"])
def test_a_file_that_changes_while_it_is_read_is_named(
    data: bytes, change: str, tmp_path: Path
) -> None:
    """A mapped file would end the process with SIGBUS, or give other values."""
    path = tmp_path / "model.ckpt"
    path.write_bytes(data)
    os.utime(path, ns=(1, 1))  # the clock of a file system may not move between two writes
    with open_weights(path) as weights:
        if change == "truncated":
            os.truncate(path, len(data) // 2)
        elif change == "emptied":
            os.truncate(path, 0)
        elif change == "overwritten":
            path.write_bytes(bytes(len(data)))
        else:
            path.write_bytes(data + b"x")
        with pytest.raises(FormatError, match=r"model\.ckpt: .*changed while it was read"):
            weights["w"].read()


def test_a_file_that_is_replaced_is_read_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "model.ckpt"
    path.write_bytes(small_torch())
    with open_weights(path) as weights:
        (tmp_path / "new").write_bytes(b"something else")
        os.replace(tmp_path / "new", path)
        assert weights["n"].read() == 7


def test_what_is_not_a_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="got a folder"):
        FileBytes.open(tmp_path)
    with pytest.raises(ConfigError, match="got a device"):
        FileBytes.open("/dev/zero")
    (tmp_path / "x").write_bytes(b"")
    with pytest.raises(FormatError, match="an empty file"):
        FileBytes.open(tmp_path / "x")


CONVERT = """
import resource, sys
from ttsrt_rt.convert import open_weights
from ttsrt_rt.convert.safetensors_write import write_safetensors

def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

with open_weights(sys.argv[1]) as weights:
    before = peak()
    write_safetensors(sys.argv[2], weights)
    print(peak() - before)
"""


def test_memory_stays_near_the_largest_tensor(tmp_path: Path) -> None:
    from ttsrt_rt.synth.torch_writer import SynthTensor, write_torch_archive

    each = 8 << 20
    tensors = {
        f"t{index}": SynthTensor("float32", (each // 4,), lambda: np.ones(each // 4, "f4"))
        for index in range(8)
    }
    with (tmp_path / "x.ckpt").open("w+b") as file:
        write_torch_archive(file, tensors)
    command = [sys.executable, "-c", CONVERT, str(tmp_path / "x.ckpt"), str(tmp_path / "out")]
    grown = int(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    assert grown << 10 < 3 * each


def test_large_reads_are_made_of_small_ones(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A signal handler waits for one call of the system at most."""
    with (tmp_path / "large").open("wb") as file:
        file.truncate(40 << 20)
    sizes: list[int] = []
    real = os.preadv

    def preadv(handle: int, parts: list[memoryview], at: int) -> int:
        sizes.append(sum(part.nbytes for part in parts))
        return real(handle, parts, at)

    monkeypatch.setattr(os, "preadv", preadv)
    opened = FileBytes.open(tmp_path / "large")
    assert opened.all.read_array(0, opened.size).nbytes == 40 << 20
    assert sum(sizes) == 40 << 20 and max(sizes) <= 16 << 20
