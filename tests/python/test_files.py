"""Arrays named on the command line."""

from __future__ import annotations

import json
import os
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ttsrt_rt.cli.files import load_array
from ttsrt_rt.errors import ConfigError, FormatError

ROWS = np.arange(6, dtype=np.float32).reshape(2, 3)


def write_safetensors(path: Path, name: str, dtype: str, values: np.ndarray[Any, Any]) -> None:
    entry = {"dtype": dtype, "shape": list(values.shape), "data_offsets": [0, values.nbytes]}
    header = json.dumps({name: entry}).encode()
    path.write_bytes(struct.pack("<Q", len(header)) + header + values.tobytes())


def test_each_kind(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", ROWS)
    np.savez(tmp_path / "a.npz", rows=ROWS)
    (tmp_path / "a.json").write_text(json.dumps(ROWS.tolist()))
    write_safetensors(tmp_path / "a.safetensors", "rows", "F32", ROWS)
    for name in ("a.npy", "a.npz", "a.npz:rows", "a.json", "a.safetensors:rows"):
        assert load_array(str(tmp_path / name)).tolist() == ROWS.tolist(), name


def test_bfloat16_becomes_float32(tmp_path: Path) -> None:
    bits = (ROWS.view(np.uint32) >> 16).astype(np.uint16)
    write_safetensors(tmp_path / "a.safetensors", "rows", "BF16", bits)
    loaded = load_array(str(tmp_path / "a.safetensors"))
    assert loaded.dtype == np.float32 and loaded.tolist() == ROWS.tolist()


def test_a_missing_key_gives_a_list_of_keys(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", first=ROWS, second=ROWS)
    for asked in ("a.npz", "a.npz:third"):
        with pytest.raises(ConfigError, match="first, second"):
            load_array(str(tmp_path / asked))


def test_files_without_keys(tmp_path: Path) -> None:
    (tmp_path / "list.json").write_text("[1, 2]")
    (tmp_path / "empty.json").write_text("{}")
    with pytest.raises(ConfigError, match=r"expected no key for a file of one list, got 'nokey'"):
        load_array(str(tmp_path / "list.json:nokey"))
    with pytest.raises(FormatError, match="got a file without any"):
        load_array(str(tmp_path / "empty.json"))


def test_endings_of_any_case(tmp_path: Path) -> None:
    (tmp_path / "IDS.JSON").write_text("[1, 2]")
    assert load_array(str(tmp_path / "IDS.JSON")).tolist() == [1, 2]


def test_bad_files(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no such file"):
        load_array(str(tmp_path / "none.npy"))
    with pytest.raises(ConfigError, match="expected a file that ends in"):
        load_array(str(tmp_path / "a.pkl"))
    for name in ("a.npy", "a.npz", "a.json", "a.safetensors"):
        (tmp_path / name).write_bytes(b"\x80\x04nothing of the kind")
        with pytest.raises(FormatError):
            load_array(str(tmp_path / name))


def test_objects_are_refused(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.array([{"a": 1}], dtype=object), allow_pickle=True)
    with pytest.raises(FormatError, match=r"expected a \.npy array"):
        load_array(str(tmp_path / "a.npy"))


def test_pipes_and_devices_are_refused_without_waiting(tmp_path: Path) -> None:
    for ending in (".npy", ".npz", ".json", ".safetensors"):
        os.mkfifo(tmp_path / f"pipe{ending}")
        (tmp_path / f"device{ending}").symlink_to("/dev/zero")
        for name, kind in (("pipe", "a pipe"), ("device", "a device")):
            with pytest.raises(ConfigError, match=f"expected a regular file, got {kind}"):
                load_array(str(tmp_path / f"{name}{ending}"))


def test_json_of_anything_but_numbers_is_refused(tmp_path: Path) -> None:
    """NumPy would give each of the short texts the width of the longest one."""
    for text in (
        '["' + "a" * 100_000 + '"' + ', "b"' * 100_000 + "]",
        "[null]",
        "[[[[1]]]]",
        "[1, true]",
    ):
        (tmp_path / "a.json").write_text(text)
        with pytest.raises(FormatError, match="expected a list of numbers") as caught:
            load_array(str(tmp_path / "a.json"))
        assert len(str(caught.value)) < 400
