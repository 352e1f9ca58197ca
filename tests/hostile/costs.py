"""Files that once cost their reader far more than their size, for test_costs.py.

Run as a program, this module reads the files that it is told to, and prints for each the outcome,
the CPU seconds and the megabytes by which a process grew.
"""

from __future__ import annotations

import gzip
import io
import json
import os
import struct
import sys
import time
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from tests.python.convert.builders import make_tar, tar_member
from ttsrt_rt.cli.files import load_array
from ttsrt_rt.convert import open_weights
from ttsrt_rt.convert.yaml_config import Config
from ttsrt_rt.errors import Error

MB = 1 << 20


def safetensors(header: bytes) -> bytes:
    """Returns a file without data."""
    return struct.pack("<Q", len(header)) + header


def entries(count: int) -> bytes:
    """Returns a header of so many scalars."""
    each = '"t%d":{"dtype":"U8","shape":[1],"data_offsets":[%d,%d]}'
    return ("{" + ",".join(each % (n, n, n + 1) for n in range(count)) + "}").encode()


def zipped(name: str, data: bytes) -> bytes:
    """Returns a deflated archive of one file."""
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(name, data)
    return made.getvalue()


def torch_zip(stream: bytes) -> bytes:
    """Returns a torch archive of a pickle."""
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as archive:
        archive.writestr("x/data.pkl", stream)
        archive.writestr("x/byteorder", "little")
    return made.getvalue()


def many_entries(count: int) -> bytes:
    """Returns an archive of so many empty entries."""
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as archive:
        for index in range(count):
            archive.writestr(str(index), b"")
    return made.getvalue()


def npy_zeros(count: int) -> bytes:
    """Returns a `.npy` of zero bytes."""
    made = io.BytesIO()
    np.save(made, np.zeros(count, np.uint8))
    return made.getvalue()


def one_tensor_many_times(count: int) -> bytes:
    """Returns a pickle in which a shape of a million numbers serves many tensors."""
    shape = b"(" + b"K\x01" * 200_000 + b"tq\x00"
    tensor = b"ctorch._utils\n_rebuild_tensor_v2\nq\x01"
    storage = b"((X\x07\0\0\0storagectorch\nFloatStorage\nX\x01\0\0\0" + b"0X\x03\0\0\0cpuK\x01tQ"
    call = b"h\x01" + storage + b"K\0h\0h\0\x89}tR0"
    return b"\x80\x02" + shape + b"0" + tensor + b"0" + call * count + b"}."


def tar_of_extensions(count: int) -> bytes:
    """Returns an archive of global extended headers only."""
    return make_tar(tar_member("g", b"6 a=b\n", b"g") * count)


CASES: dict[str, tuple[str, Callable[[], bytes]]] = {
    "safetensors: 400,000 tensors": ("weights", lambda: safetensors(entries(400_000))),
    "safetensors: a name twice": (
        "weights",
        lambda: safetensors(entries(16_000)[:-1] + b"," + entries(16_000)[1:]),
    ),
    "safetensors: a backslash": ("weights", lambda: safetensors(b'{"\\n' + b"a" * (15 * MB))),
    "safetensors: backslashes": (
        "weights",
        lambda: safetensors(b'{"' + b"\\n" * (7 * MB) + b'":1}'),
    ),
    "safetensors: quotes": ("weights", lambda: safetensors(b"{" + b'""' * (7 * MB) + b"}")),
    "safetensors: numbers": (
        "weights",
        lambda: safetensors(b'{"a":[' + b"1000," * 780_000 + b"1]}"),
    ),
    "safetensors: 95 MB": ("weights", lambda: safetensors(b'{"\\' + b" " * (95 * MB) + b'":1}')),
    "YAML: references": (
        "yaml",
        lambda: (
            b"r: ["
            + b",".join(b"'${b.c}'" for _ in range(9_000))
            + b"]\nb: {c: 1}\n"
            + b"".join(b"k%d: 1\n" % n for n in range(1000))
        ),
    ),
    "YAML: references to references": (
        "yaml",
        lambda: (
            b"r: ['${a15}']\na0: [1, 1]\n"
            + b"".join(b"a%d: ['${a%d}', '${a%d}']\n" % (n, n - 1, n - 1) for n in range(1, 16))
        ),
    ),
    "YAML: a long reference": ("yaml", lambda: b"r: ${" + b"a." * 200_000 + b"a}\na: {a: 1}\n"),
    "YAML: a flow list": ("yaml", lambda: b"r: [" + b"1," * 200_000 + b"1]"),
    "YAML: 1 MB": ("yaml", lambda: b"r: [" + b"1," * 500_000 + b"1]"),
    "YAML: escapes": ("yaml", lambda: b'r: "' + b"\\n" * 250_000 + b'"'),
    "YAML: deep": ("yaml", lambda: b"r: " + b"[" * 500_000),
    "JSON: lists": ("json", lambda: b"[" + b"[]," * (5 * MB) + b"1]"),
    "JSON: keys": (
        "json",
        lambda: json.dumps({f"s{n}": n for n in range(600_000)}).encode(),
    ),
    "JSON: text": ("json", lambda: b'["' + b"a" * (8 * MB) + b'",' + b'"",' * 400_000 + b"1]"),
    "npz: a thousand times its size": ("array.npz", lambda: zipped("a.npy", npy_zeros(100 * MB))),
    "npz: entries": ("array.npz", lambda: many_entries(20_000)),
    "npy: a huge shape": (
        "array.npy",
        lambda: (
            npy_zeros(100)
            .replace(b"(100,)", b"(100000000000,)")
            .replace(b"                    ", b"           ", 1)
        ),
    ),
    "gzip: zeros": ("weights", lambda: gzip.compress(bytes(100 * MB), 1)),
    "tar: extensions": ("weights", lambda: tar_of_extensions(60_000)),
    "zip: entries": ("weights", lambda: many_entries(101_000)),
    "pickle: one shape for many tensors": (
        "weights",
        lambda: torch_zip(one_tensor_many_times(2_000)),
    ),
    "pickle: lists": ("weights", lambda: torch_zip(b"\x80\x02(" + b"]" * (8 * MB) + b"l.")),
    "pickle: nothing": ("weights", lambda: torch_zip(b"\x80\x02" + b"N0" * (8 * MB) + b"N.")),
    "pickle: one tensor under many names": (
        "weights",
        lambda: torch_zip(
            b"\x80\x02}(" + b"".join(b"X\x05\0\0\0%05dN" % n for n in range(90_000)) + b"u."
        ),
    ),
}


def read(kind: str, path: Path) -> Any:
    """Reads a file as the command line does."""
    if kind == "weights":
        return open_weights(path)
    if kind == "yaml":
        return Config.load(path).get_list("r")
    return load_array(str(path))


def peak_kilobytes() -> int:
    """Returns the most memory that this program had; `ru_maxrss` would include its parent's."""
    status = Path("/proc/self/status").read_text("ascii")
    return int(next(line.split()[1] for line in status.splitlines() if line.startswith("VmHWM")))


def measure(kind: str, path: Path) -> str:
    """Returns the outcome, CPU seconds and megabytes of reading one file, as JSON."""
    before = peak_kilobytes()
    begin = time.process_time()
    try:
        read(kind, path)
        outcome = "read"
    except Error as error:
        outcome = f"{type(error).__name__}: {error}"
    seconds = time.process_time() - begin
    return json.dumps([outcome, seconds, (peak_kilobytes() - before) / 1024])


def main() -> None:
    """Reads lines of KIND and PATH, and prints one line for each. Every file is read in a fork, so
    that memory is measured from the same beginning.
    """
    for line in sys.stdin:
        kind, path = line.split()
        child = os.fork()
        if child == 0:
            print(measure(kind, Path(path)), flush=True)
            os._exit(0)
        _, status = os.waitpid(child, 0)
        if status:
            print(json.dumps([f"died with status {status}", 0, 0]), flush=True)


if __name__ == "__main__":
    main()
