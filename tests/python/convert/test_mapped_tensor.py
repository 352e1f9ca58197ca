"""Mapped tensors: the dtype that is written, values that are checked, tensors read one by one."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from ttsrt_rt.convert.mapped_tensor import MappedTensor, read_as, target_dtype, write_mapped
from ttsrt_rt.convert.safetensors_file import SafetensorsFile
from ttsrt_rt.convert.safetensors_write import tensor_of_array, write_safetensors
from ttsrt_rt.errors import FormatError


def test_the_dtype_that_is_written() -> None:
    assert target_dtype("float16", None) == "float16"
    assert target_dtype("float64", None) == "float32"
    assert target_dtype("float64", "bfloat16") == "bfloat16"


def test_values_are_checked_and_cast(tmp_path: Path) -> None:
    path = tmp_path / "source.safetensors"
    arrays = {"fine": np.array([1.5, -2.0]), "bad": np.array([0.0, np.nan])}
    write_safetensors(path, {name: tensor_of_array(name, each) for name, each in arrays.items()})
    tensors = SafetensorsFile.open(path).tensors
    assert read_as(tensors["fine"], "float16").tolist() == [1.5, -2.0]
    with pytest.raises(FormatError, match="bad"):
        read_as(tensors["bad"], "float32")


def test_tensors_are_read_in_order_and_reported(tmp_path: Path) -> None:
    told: list[tuple[int, int, str]] = []
    mapped = {
        name: MappedTensor(name, "float32", (2,), lambda value=value: np.full(2, value, np.float32))
        for name, value in (("a", 1.0), ("b", 2.0))
    }
    write_mapped(tmp_path / "made.safetensors", mapped, lambda *args: told.append(args))
    assert told == [(1, 2, "a"), (2, 2, "b")]
    made = SafetensorsFile.open(tmp_path / "made.safetensors").tensors
    assert made["b"].read().tolist() == [2.0, 2.0]
