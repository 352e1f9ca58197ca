"""Exports of random checkpoints, and ways to damage a copy of one."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from tests.python.export.t3_random import write_t3, write_voice
from ttsrt_rt.convert.lazy_tensor import LazyTensor
from ttsrt_rt.convert.safetensors_file import SafetensorsFile
from ttsrt_rt.convert.safetensors_write import tensor_of_array, write_safetensors
from ttsrt_rt.export import export_trtllm

Damage = Callable[[Path], object]


def write_export(folder: Path, variant: str, dtype: str) -> tuple[Path, Path]:
    """Writes a checkpoint and its export with two voices; returns both folders."""
    checkpoint = write_t3(folder / "checkpoint", variant)
    voices = [
        write_voice(folder / "anna.safetensors", variant, seed=1, tokens=9),
        write_voice(folder / "ben.safetensors", variant, seed=2, tokens=0),
    ]
    return checkpoint, export_trtllm(checkpoint, folder / "export", voices=voices, dtype=dtype)


def damaged(export: Path, folder: Path, damage: Damage) -> Path:
    """Copies an export to a new folder and damages the copy."""
    shutil.copytree(export, folder)
    damage(folder)
    return folder


def tensors_of(path: Path) -> dict[str, LazyTensor]:
    """Reads a file's tensors into memory, so that it can be written again."""
    found = SafetensorsFile.open(path).tensors
    return {
        name: tensor_of_array(name, np.array(tensor.read()), tensor.dtype)
        for name, tensor in found.items()
    }


def with_tensor(file: str, name: str, change: Callable[[Any], Any]) -> Damage:
    """Changes one tensor; `change` gets its values and returns others."""

    def damage(folder: Path) -> None:
        tensors = tensors_of(folder / file)
        dtype = tensors[name].dtype
        tensors[name] = tensor_of_array(name, change(np.array(tensors[name].read())), dtype)
        write_safetensors(folder / file, tensors)

    return damage


def without_tensor(file: str, name: str) -> Damage:
    """Drops one tensor."""

    def damage(folder: Path) -> None:
        tensors = tensors_of(folder / file)
        del tensors[name]
        write_safetensors(folder / file, tensors)

    return damage


def swapped(file: str, first: str, second: str) -> Damage:
    """Exchanges the values of two tensors."""

    def damage(folder: Path) -> None:
        tensors = tensors_of(folder / file)
        tensors[first], tensors[second] = tensors[second], tensors[first]
        write_safetensors(folder / file, tensors)

    return damage


def with_field(file: str, path: str, value: Any) -> Damage:
    """Sets one field of a JSON file: "ids.bos", or "prompt.voices.0.hash"."""

    def damage(folder: Path) -> None:
        whole = json.loads((folder / file).read_text("utf-8"))
        *parents, last = path.split(".")
        at = whole
        for part in parents:
            at = at[int(part)] if isinstance(at, list) else at[part]
        at[last] = value
        (folder / file).write_text(json.dumps(whole), "utf-8")

    return damage


def with_arrays(**changes: Callable[[Any], Any] | None) -> Damage:
    """Changes arrays of the prompt table; None drops one."""

    def damage(folder: Path) -> None:
        with np.load(folder / "prompt_table.npz") as arrays:
            kept = {name: arrays[name] for name in arrays}
        for name, change in changes.items():
            if change is None:
                del kept[name]
            else:
                kept[name] = change(kept[name])
        np.savez(folder / "prompt_table.npz", **kept)

    return damage


def put(at: Any, value: float) -> Callable[[Any], Any]:
    """Returns a change that sets one element."""

    def change(values: Any) -> Any:
        values[at] = value
        return values

    return change
