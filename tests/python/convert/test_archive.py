"""`open_weights` chooses the reader by content, and rejects other files with a clear message."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from ttsrt_rt.convert.archive import open_weights
from ttsrt_rt.convert.safetensors_write import write_safetensors
from ttsrt_rt.errors import ConfigError, FormatError

from .builders import small_nemo, small_safetensors, small_torch


def test_the_reader_is_chosen_by_content_and_not_by_name(tmp_path: Path) -> None:
    path = tmp_path / "weights.txt"
    for data, kind in (
        (small_torch(), "torch"),
        (small_nemo(), "nemo"),
        (small_safetensors(), "safetensors"),
    ):
        path.write_bytes(data)
        with open_weights(path) as weights:
            assert weights.kind == kind
            assert set(weights.keys()) == set(weights)
            assert repr(weights) == f"Weights('weights.txt', '{kind}', 2 tensors)"
            assert "no such" not in weights
            with pytest.raises(KeyError):
                weights["no such"]


def test_every_kind_converts_to_safetensors(tmp_path: Path) -> None:
    path = tmp_path / "x"
    for data in (small_torch(), small_nemo(), small_safetensors()):
        path.write_bytes(data)
        with open_weights(path) as weights:
            write_safetensors(tmp_path / "out.safetensors", weights)
            with open_weights(tmp_path / "out.safetensors") as written:
                assert set(written) == set(weights)
                for name, tensor in weights.items():
                    assert written[name].dtype == tensor.dtype
                    np.testing.assert_array_equal(written[name].read(), tensor.read())


def test_other_files_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "x"
    for data, expected in (
        (b"", "an empty file"),
        (b"x", "starts with b'x'"),
        (b"GGUF" + bytes(100), "GGUF"),
        (b"\x80\x04N.", "bare pickle"),
        (bytes(1000), "expected a torch archive"),
        (b"PK\3\4", "zip"),
        (b"\x1f\x8b", "gzip"),
    ):
        path.write_bytes(data)
        with pytest.raises(FormatError, match=expected):
            open_weights(path)


def test_paths_that_are_not_regular_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="got a folder"):
        open_weights(tmp_path)
    with pytest.raises(ConfigError, match="No such file"):
        open_weights(tmp_path / "nope")
    with pytest.raises(ConfigError, match="readable file"):
        open_weights("a\0b")
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(ConfigError, match="a regular file, got a pipe"):
        open_weights(tmp_path / "pipe")
