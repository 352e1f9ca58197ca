"""Weights in one file and in shards, as safetensors and as pickles; shards missing and doubled."""

from __future__ import annotations

import json
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import pytest

from ttsrt_rt.convert.lazy_tensor import LazyTensor
from ttsrt_rt.convert.llm_source import open_llm_weights
from ttsrt_rt.errors import Error, FormatError, NotFoundError

from .llm_models import write_model, write_shards

ARRAYS = {name: np.full((2, 3), number, np.float32) for number, name in enumerate("abcde")}


def opened(folder: Path) -> dict[str, LazyTensor]:
    with ExitStack() as files:
        found = open_llm_weights(files, folder)
        for name, tensor in found.items():
            assert np.array_equal(tensor.read(), ARRAYS[name])
        return found


@pytest.mark.parametrize("name", ["model.safetensors", "pytorch_model.bin"])
def test_one_file(tmp_path: Path, name: str) -> None:
    write_model(tmp_path, ARRAYS, name)
    assert set(opened(tmp_path)) == set(ARRAYS)


@pytest.mark.parametrize("ending", ["safetensors", "bin"])
def test_shards(tmp_path: Path, ending: str) -> None:
    write_shards(tmp_path, ARRAYS, 3, ending)
    assert set(opened(tmp_path)) == set(ARRAYS)


def test_pickles_beside_safetensors_are_not_read(tmp_path: Path) -> None:
    write_model(tmp_path, ARRAYS)
    (tmp_path / "pytorch_model.bin").write_bytes(b"damaged")
    assert set(opened(tmp_path)) == set(ARRAYS)


def test_a_folder_without_weights(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match=r"expected model\.safetensors, .* got none of them"):
        opened(tmp_path)


def test_two_sets_of_one_kind(tmp_path: Path) -> None:
    write_shards(tmp_path, ARRAYS, 2, "safetensors")
    write_model(tmp_path, ARRAYS)
    with pytest.raises(FormatError, match="got both"):
        opened(tmp_path)


def test_a_missing_shard_is_named(tmp_path: Path) -> None:
    write_shards(tmp_path, ARRAYS, 3, "safetensors")
    (tmp_path / "model-00002-of-00003.safetensors").unlink()
    with pytest.raises(NotFoundError, match=r"model-00002-of-00003\.safetensors: expected a shard"):
        opened(tmp_path)


def test_a_tensor_in_two_shards_is_named(tmp_path: Path) -> None:
    index = write_shards(tmp_path, ARRAYS, 2, "safetensors")
    write_model(tmp_path, {"b": ARRAYS["b"], "a": ARRAYS["a"]}, "model-00002-of-00002.safetensors")
    placed = json.loads(index.read_text("utf-8"))["weight_map"]
    assert placed["a"] != placed["b"]
    with pytest.raises(FormatError, match="expected no tensor of another shard, got 'a'"):
        opened(tmp_path)


def test_a_tensor_in_another_shard_than_the_index_says(tmp_path: Path) -> None:
    index = write_shards(tmp_path, ARRAYS, 2, "safetensors")
    value = json.loads(index.read_text("utf-8"))
    value["weight_map"]["a"] = value["weight_map"]["b"]
    index.write_text(json.dumps(value), "utf-8")
    with pytest.raises(
        FormatError, match=r"expected 'a', as .*index\.json says, got it in model-0"
    ):
        opened(tmp_path)
    value["weight_map"]["f"] = value["weight_map"]["b"]
    value["weight_map"].pop("a")
    index.write_text(json.dumps(value), "utf-8")
    with pytest.raises(FormatError, match=r"expected 'f', .* got none"):
        opened(tmp_path)


@pytest.mark.parametrize(
    "index",
    [
        "[]",
        "{}",
        '{"weight_map": {}}',
        '{"weight_map": ["a"]}',
        '{"weight_map": {"a": 1}}',
        '{"weight_map": {"a": "../model.safetensors"}}',
        '{"weight_map": {"a": "/etc/passwd"}}',
        '{"weight_map": {"a": ".."}}',
        '{"weight_map": {"a": "x\\u0000"}}',
        '{"weight_map": {"a": "a", "a": "b"}}',
        "{",
    ],
)
def test_hostile_indexes(tmp_path: Path, index: str) -> None:
    (tmp_path / "model.safetensors.index.json").write_text(index, "utf-8")
    with pytest.raises(FormatError, match=r"weight_map|JSON"):
        opened(tmp_path)


def test_too_many_shards(tmp_path: Path) -> None:
    placed = {f"t{number}": f"m{number}.safetensors" for number in range(1001)}
    index = {"weight_map": placed}
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps(index), "utf-8")
    with pytest.raises(FormatError, match="at most 1000 shards, got 1001"):
        opened(tmp_path)


def test_a_file_of_another_kind_than_its_name(tmp_path: Path) -> None:
    write_model(tmp_path, ARRAYS, "pytorch_model.bin")
    (tmp_path / "pytorch_model.bin").rename(tmp_path / "model.safetensors")
    with pytest.raises(FormatError, match="expected a file of kind safetensors"):
        opened(tmp_path)


def test_a_pickle_with_code_is_refused(tmp_path: Path) -> None:
    (tmp_path / "pytorch_model.bin").write_bytes(b"\x80\x02cos\nsystem\n(X\x01\x00\x00\x00xtR.")
    with pytest.raises(Error, match="bare pickle"):
        opened(tmp_path)
