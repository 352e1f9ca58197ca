"""The contents of a checkpoint or engine folder, as plain values."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ttsrt_rt.errors import ConfigError, NotFoundError

__all__ = ["Contents", "TensorLine", "inspect_folder"]


@dataclass(frozen=True)
class TensorLine:
    """One stored tensor: `layout` and `sha256` are empty for a checkpoint."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    num_bytes: int
    layout: str = ""
    sha256: str = ""


@dataclass(frozen=True)
class Contents:
    """A folder's contents: `kind` is "checkpoint" or "engine"; `description` its JSON.

    `products`: how this machine's CPU multiplies an engine's matrices; empty for a checkpoint.
    """

    kind: str
    path: str
    description: dict[str, Any]
    tensors: tuple[TensorLine, ...]
    products: str = ""


def inspect_folder(path: str | os.PathLike[str], *, verify: bool = False) -> Contents:
    """Reads the description of a folder and the list of its tensors.

    Args:
        path: A folder that `convert` or `build` wrote.
        verify: Whether to read every weight of an engine and compare it with its recorded hash. A
            checkpoint has no hashes; its names and shapes are always checked against its
            configuration.

    Raises:
        NotFoundError: There is no such folder.
        ConfigError: The folder is neither a checkpoint nor an engine.
        FormatError: It is damaged; the message names the file and the first thing that is wrong.
    """
    folder = Path(path)
    if (folder / "engine.json").is_file():
        return _engine(folder, verify)
    if (folder / "config.json").is_file():
        return _checkpoint(folder)
    told = f"{folder}: expected a folder with engine.json or config.json"
    if not folder.exists():
        raise NotFoundError(f"{told}, got no file or folder of this name")
    raise ConfigError(told)


def _engine(folder: Path, verify: bool) -> Contents:
    from ttsrt_rt import _core

    engine = _core.Engine.open(folder)
    if verify:
        engine.verify()
    tensors = tuple(
        TensorLine(t.name, t.dtype, tuple(t.shape), t.bytes, t.layout, t.sha256)
        for t in engine.tensors()
    )
    description = json.loads(engine.description)
    description.pop("components", None)  # the list of tensors has the same
    products = _core.describe_products(description["dtype"], description["quantization"])
    return Contents("engine", os.fspath(folder), description, tensors, products)


def _checkpoint(folder: Path) -> Contents:
    from ttsrt_rt.convert.checkpoint import open_checkpoint, read_config

    weights = open_checkpoint(folder).weights
    tensors = tuple(TensorLine(t.name, t.dtype, t.shape, t.nbytes) for t in weights.values())
    return Contents("checkpoint", os.fspath(folder), read_config(folder), tensors)
