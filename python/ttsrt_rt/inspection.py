"""The contents of a checkpoint or engine folder, as plain values."""

from __future__ import annotations

import json
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ttsrt_rt.errors import ConfigError, FormatError, NotFoundError
from ttsrt_rt.options import path_of

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
    `voice_files`: names of the voices that are files in the folder, as those of Chatterbox are.
    """

    kind: str
    path: str
    description: dict[str, Any]
    tensors: tuple[TensorLine, ...]
    products: str = ""
    voice_files: tuple[str, ...] = ()


def inspect_folder(path: str | os.PathLike[str], *, verify: bool = False) -> Contents:
    """Reads the description of a folder and the list of its tensors.

    Args:
        path: A folder that `convert` or `build` wrote.
        verify: Whether to read every weight of an engine and compare it with its recorded hash,
            and to read every voice file and check its values. A checkpoint has no hashes; its names
            and shapes are always checked against its configuration.

    Raises:
        NotFoundError: There is no such folder.
        ConfigError: The folder is neither a checkpoint nor an engine, or a voice file was made for
            another variant.
        FormatError: It, or a voice file, is damaged; the message names the file and the first
            thing that is wrong.
    """
    from ttsrt_rt import _core

    folder = path_of(path, "folder")
    try:
        if (folder / "engine.json").is_file():
            return _engine(folder, verify)
        if (folder / "config.json").is_file():
            return _checkpoint(folder, verify)
    except PermissionError as error:
        raise ConfigError(f"{error.filename or folder}: can't be read: no permission") from error
    try:
        _core.Engine.open(folder)  # says what is there, and which command comes next
    except NotFoundError as error:
        raise NotFoundError(_for_both(str(error))) from error
    except (ConfigError, FormatError) as error:
        raise ConfigError(_for_both(str(error))) from error
    raise ConfigError(f"{folder}: expected a checkpoint or an engine, got neither")


def _for_both(message: str) -> str:
    both = "expected a folder with engine.json or config.json, an engine or a checkpoint"
    return re.sub(r"expected an engine(?: folder \([^()]*\))?", both, message, count=1)


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
    voices = _voice_files(folder, description, verify)
    return Contents("engine", os.fspath(folder), description, tensors, products, voices)


def _checkpoint(folder: Path, verify: bool) -> Contents:
    from ttsrt_rt.convert.checkpoint import open_checkpoint, open_tensors, read_config

    config = read_config(folder)
    if config.get("family") == "magpie":
        weights = open_checkpoint(folder).weights
    else:
        weights = open_tensors(folder, config)
    tensors = tuple(TensorLine(t.name, t.dtype, t.shape, t.nbytes) for t in weights.values())
    voices = _voice_files(folder, config, verify)
    return Contents("checkpoint", os.fspath(folder), config, tensors, voice_files=voices)


def _voice_files(folder: Path, description: dict[str, Any], verify: bool) -> tuple[str, ...]:
    from ttsrt_rt.stored_voices import read_stored_voices, stored_voice_files

    if description["family"] != "t3":
        return ()
    if verify:
        read_stored_voices(folder, description["model"])
    return tuple(path.stem for path in stored_voice_files(folder))
