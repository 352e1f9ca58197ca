"""Opens the weights of a Hugging Face folder: one file, or shards with an index that lists them.
Those of TensorRT-LLM are opened by `llm_ranks`.

The index says which shard has which tensor. Each shard must exist and have the tensors that the
index puts there, and no name may be in two shards. The sizes in an index are not used. Where a
folder has safetensors and pickles, the safetensors are read.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from ttsrt_rt.convert.archive import Weights
from ttsrt_rt.convert.file_bytes import FileBytes
from ttsrt_rt.convert.lazy_tensor import LazyTensor
from ttsrt_rt.convert.llm_names import PICKLES, PICKLES_INDEX, RANK_0, TENSORS, TENSORS_INDEX
from ttsrt_rt.convert.llm_ranks import open_ranks
from ttsrt_rt.errors import FormatError, NotFoundError
from ttsrt_rt.json_text import read_json
from ttsrt_rt.quoting import list_names, quote, show

__all__ = ["open_llm_weights"]

MAX_SHARDS = 1000
SHARD_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*")
LAYOUTS = ((TENSORS, TENSORS_INDEX, "safetensors"), (PICKLES, PICKLES_INDEX, "torch"))


def open_llm_weights(files: ExitStack, folder: Path) -> dict[str, LazyTensor]:
    """Opens all weights of a folder and returns them by name.

    Args:
        files: what closes the files.
        folder: the folder.

    Raises:
        NotFoundError: there are no weights, or a shard does not exist.
        FormatError: a file is damaged or of another kind, a shard lacks a tensor that the index
            puts there, or two shards have the same tensor.
    """
    if (folder / RANK_0).is_file():
        return open_ranks(files, folder)
    for single, index, kind in LAYOUTS:
        if (folder / single).is_file() and (folder / index).is_file():
            raise FormatError(
                f"{folder}: expected {single} or the shards of {index}, got both; move the set "
                "that is not meant to another folder"
            )
        if (folder / single).is_file():
            return dict(_open(files, folder / single, kind))
        if (folder / index).is_file():
            return _open_shards(files, folder / index, kind)
    raise NotFoundError(
        f"{folder}: expected {', '.join((TENSORS, TENSORS_INDEX, PICKLES, PICKLES_INDEX))}, got "
        "none of them"
    )


def _open(files: ExitStack, path: Path, kind: str) -> Mapping[str, LazyTensor]:
    weights = files.enter_context(Weights(FileBytes.open(path)))
    if weights.kind != kind:
        raise FormatError(f"{path}: expected a file of kind {kind}, got one of kind {weights.kind}")
    return weights


def _open_shards(files: ExitStack, index: Path, kind: str) -> dict[str, LazyTensor]:
    placed = _read_index(index)
    shards = sorted(set(placed.values()))
    if len(shards) > MAX_SHARDS:
        raise FormatError(f"{index}: expected at most {MAX_SHARDS} shards, got {len(shards)}")
    tensors: dict[str, LazyTensor] = {}
    home: dict[str, str] = {}
    for shard in shards:
        if not (index.parent / shard).is_file():
            raise NotFoundError(
                f"{index.parent / shard}: expected a shard that {index.name} names, got no file of "
                "this name"
            )
        for name, tensor in _open(files, index.parent / shard, kind).items():
            if name in tensors:
                raise FormatError(
                    f"{index.parent / shard}: expected no tensor of another shard, got "
                    f"{quote(name)}, which is in {home[name]} too"
                )
            tensors[name], home[name] = tensor, shard
    lost = [name for name, shard in placed.items() if home.get(name) != shard]
    if lost:
        shard = placed[lost[0]]
        where = home.get(lost[0])
        raise FormatError(
            f"{index.parent / shard}: expected {quote(lost[0])}, as {index.name} says, got "
            f"{'none' if where is None else f'it in {where}'}; of {len(lost)} such tensors: "
            f"{list_names(lost)}"
        )
    return tensors


def _read_index(path: Path) -> dict[str, str]:
    """Returns the file name of each tensor's shard."""
    value: Any = read_json(path)
    placed = value.get("weight_map") if isinstance(value, dict) else None
    if not isinstance(placed, dict) or not placed:
        raise FormatError(
            f"{path}: weight_map: expected an object of tensors with their files, got "
            f"{show(placed)}"
        )
    for name, shard in placed.items():
        if not isinstance(shard, str) or SHARD_NAME.fullmatch(shard) is None:
            raise FormatError(
                f"{path}: weight_map: {quote(name)}: expected the name of a file in this folder, "
                f"got {show(shard)}"
            )
    return placed
