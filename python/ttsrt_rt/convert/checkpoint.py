"""Reads and writes the checkpoint folder: `config.json` and `model.safetensors`.

A checkpoint is written into a temporary sibling folder and renamed at the end, so an incomplete
checkpoint never has the final name. An existing folder is replaced only if the caller asks for it
and the folder is a checkpoint; nothing else is ever deleted.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ttsrt_rt.convert.archive import open_weights
from ttsrt_rt.convert.fields import Block
from ttsrt_rt.convert.lazy_tensor import LazyTensor
from ttsrt_rt.convert.magpie_json import read_defaults, read_model
from ttsrt_rt.convert.magpie_model import MagpieModel, RequestDefaults
from ttsrt_rt.convert.manifest import check_tensors, declared_tensors
from ttsrt_rt.errors import ConfigError, FormatError

FORMAT = "ttsrt.checkpoint"
FORMAT_VERSION = 1
CONFIG_NAME = "config.json"
WEIGHTS_NAME = "model.safetensors"
MAX_CONFIG_BYTES = 16 << 20


@dataclass(frozen=True)
class Checkpoint:
    """A Magpie checkpoint: its configuration, and its tensors by name with values still unread."""

    model: MagpieModel
    defaults: RequestDefaults
    weights: Mapping[str, LazyTensor]


def read_config(folder: str | os.PathLike[str]) -> dict[str, Any]:
    """Reads config.json of a checkpoint folder as plain values and checks format and version.

    Raises:
        FormatError: the file does not exist, is not JSON, or is not a checkpoint of a supported
            version.
    """
    path = Path(folder) / CONFIG_NAME
    try:
        if path.stat().st_size > MAX_CONFIG_BYTES:
            raise FormatError(f"{path}: expected at most {MAX_CONFIG_BYTES} bytes")
        config = json.loads(path.read_bytes())
    except OSError as error:
        raise FormatError(f"{path}: cannot be read ({error.strerror})") from error
    except (ValueError, RecursionError) as error:
        raise FormatError(f"{path}: expected JSON, got {error}") from error
    if not isinstance(config, dict) or config.get("format") != FORMAT:
        raise FormatError(f"{path}: format: expected {FORMAT!r}")
    if config.get("format_version") != FORMAT_VERSION:
        raise FormatError(
            f"{path}: format_version: expected {FORMAT_VERSION}, "
            f"got {config.get('format_version')!r}"
        )
    return config


def open_checkpoint(folder: str | os.PathLike[str]) -> Checkpoint:
    """Opens a Magpie checkpoint and checks every field, name and shape; no values are read.

    Raises:
        FormatError: as for `read_config`; or a field is out of its limits, or a tensor is missing,
            unexpected or of a wrong shape.
    """
    config = read_config(folder)
    if config.get("family") != "magpie":
        raise FormatError(f"{folder}: family: expected 'magpie', got {config.get('family')!r}")
    model = read_model(Block(config.get("model"), "model"))
    defaults = read_defaults(Block(config.get("defaults"), "defaults"), model)
    weights = open_weights(Path(folder) / WEIGHTS_NAME)
    try:
        check_tensors(
            declared_tensors(config),
            {name: (tensor.dtype, tensor.shape) for name, tensor in weights.items()},
        )
    except FormatError as error:
        raise FormatError(f"{folder}: {error}") from error
    return Checkpoint(model, defaults, weights)


def check_target(target: Path, overwrite: bool) -> None:
    """Checks that `target` may be written: it is absent, empty, or a checkpoint to replace.

    Raises:
        ConfigError: `target` may not be written.
    """
    if target.is_symlink():
        raise ConfigError(f"{target}: expected a folder, got a link")
    if not target.exists():
        return
    if not target.is_dir():
        raise ConfigError(f"{target}: expected a folder, got a file")
    if not any(target.iterdir()):
        return
    others = {entry.name for entry in target.iterdir()} - {CONFIG_NAME, WEIGHTS_NAME}
    try:
        read_config(target)
    except FormatError:
        others.add(CONFIG_NAME)
    if others:
        raise ConfigError(f"{target}: exists and is not a checkpoint; choose another folder")
    if not overwrite:
        raise ConfigError(
            f"{target}: already holds a checkpoint; pass overwrite=True to replace it"
        )


def write_folder(
    target: str | os.PathLike[str],
    config: Mapping[str, Any],
    write_weights: Callable[[Path], None],
    *,
    overwrite: bool = False,
) -> Path:
    """Writes a whole checkpoint folder; `write_weights` writes the weights file at the given path.

    Raises:
        ConfigError: the folder exists and is not a checkpoint, or is one and `overwrite` is false.
    """
    target = Path(target)
    check_target(target, overwrite)
    target.parent.mkdir(parents=True, exist_ok=True)
    made = target.parent / f".{target.name}.{secrets.token_hex(6)}.tmp"
    made.mkdir()
    try:
        write_weights(made / WEIGHTS_NAME)
        (made / CONFIG_NAME).write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")
        _replace(made, target)
    except BaseException:
        shutil.rmtree(made, ignore_errors=True)
        raise
    return target


def _replace(made: Path, target: Path) -> None:
    """Moves `made` to `target`; the old folder is deleted only after the new one is in place."""
    if not target.exists():
        made.rename(target)
        return
    old = made.with_suffix(".old")
    target.rename(old)
    try:
        made.rename(target)
    except BaseException:
        with contextlib.suppress(OSError):
            old.rename(target)
        raise
    shutil.rmtree(old, ignore_errors=True)
