"""Reads and writes the checkpoint folder: `config.json`, `model.safetensors`, `voices` where the
model brings voice files, `text` where it brings what makes ids of a text, and `sound` where it
brings what makes sound of its codes: a checkpoint, too.

A checkpoint is written into a temporary folder and takes its name at the end, so an incomplete
checkpoint never has the final name (ttsrt/publish.h of the library, which `build` uses too). An
existing folder is replaced only if the caller asks for it and the folder is a checkpoint; nothing
else is ever deleted.
"""

from __future__ import annotations

import json
import logging
import os
import re
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
from ttsrt_rt.convert.s3gen_manifest import FAMILY as S3GEN
from ttsrt_rt.convert.s3gen_manifest import declared_s3gen
from ttsrt_rt.errors import ConfigError, FormatError, NotFoundError
from ttsrt_rt.json_text import read_json
from ttsrt_rt.options import path_of
from ttsrt_rt.quoting import show
from ttsrt_rt.writing import writing

_LOG = logging.getLogger(__name__)

FORMAT = "ttsrt.checkpoint"
FORMAT_VERSION = 1
CONFIG_NAME = "config.json"
WEIGHTS_NAME = "model.safetensors"
VOICES_NAME = "voices"
TEXT_NAME = "text"
SOUND_NAME = "sound"  # a checkpoint of what makes sound of the model's codes
MAX_CONFIG_BYTES = 16 << 20
_FILLER = re.compile(r"pad\.\d+")  # what the library's writer aligns tensors with


@dataclass(frozen=True)
class Checkpoint:
    """A Magpie checkpoint: its configuration, and its tensors by name with values still unread."""

    model: MagpieModel
    defaults: RequestDefaults
    weights: Mapping[str, LazyTensor]


def config_of(family: str, source: Mapping[str, Any], blocks: Mapping[str, Any]) -> dict[str, Any]:
    """Returns config.json of a checkpoint.

    Args:
        family: the kind of model.
        source: what people may want to know of the source.
        blocks: "model", "defaults" and what else the family has.
    """
    head = {"format": FORMAT, "format_version": FORMAT_VERSION, "family": family}
    return {**head, "source": dict(source), **blocks}


def read_config(folder: str | os.PathLike[str]) -> dict[str, Any]:
    """Reads config.json of a checkpoint folder as plain values and checks format and version.

    Raises:
        FormatError: the file does not exist, is not JSON, or is not a checkpoint of a supported
            version.
    """
    path = Path(folder) / CONFIG_NAME
    try:
        config = read_json(path, max_bytes=MAX_CONFIG_BYTES)
    except ConfigError as error:
        raise FormatError(str(error)) from error
    if not isinstance(config, dict) or config.get("format") != FORMAT:
        raise FormatError(f"{path}: format: expected {FORMAT!r}")
    if config.get("format_version") != FORMAT_VERSION:
        raise FormatError(
            f"{path}: format_version: expected {FORMAT_VERSION}, "
            f"got {show(config.get('format_version'))}"
        )
    return config


def check_checkpoint(path: str | os.PathLike[str]) -> Path:
    """Returns the folder of a checkpoint that `convert` wrote.

    Raises:
        NotFoundError: there is no such folder.
        ConfigError: it is something else; the message says what comes next.
        FormatError: it is a checkpoint of another version, or damaged.
    """
    folder = path_of(path, "checkpoint")
    told = f"{folder}: expected a checkpoint, which ttsrt convert writes"
    if not folder.exists():
        raise NotFoundError(f"{told}, got no file or folder of this name")
    if (folder / "engine.json").is_file():
        raise ConfigError(f"{told}, got an engine; pass the checkpoint that it was built from")
    if not (folder / CONFIG_NAME).is_file():
        kind = "a folder without config.json" if folder.is_dir() else "a file"
        raise ConfigError(
            f"{told}, got {kind}; a checkpoint of another program becomes one by: "
            f"ttsrt convert {folder} CHECKPOINT"
        )
    read_config(folder)
    return folder


def open_checkpoint(folder: str | os.PathLike[str]) -> Checkpoint:
    """Opens a Magpie checkpoint and checks every field, name and shape; no values are read.

    Raises:
        FormatError: as for `read_config`; or a field is out of its limits, or a tensor is missing,
            unexpected or of a wrong shape.
    """
    config = read_config(folder)
    if config.get("family") != "magpie":
        raise FormatError(f"{folder}: family: expected 'magpie', got {show(config.get('family'))}")
    model = read_model(Block(config.get("model"), "model"))
    defaults = read_defaults(Block(config.get("defaults"), "defaults"), model)
    return Checkpoint(model, defaults, open_tensors(folder, config))


def open_tensors(
    folder: str | os.PathLike[str], config: Mapping[str, Any]
) -> Mapping[str, LazyTensor]:
    """Opens the tensors of a checkpoint of any family and checks every name and shape; no values
    are read.

    Args:
        folder: the checkpoint.
        config: its configuration, as `read_config` returns it.

    Raises:
        FormatError: the configuration is refused, or a tensor is missing, unexpected or
            of a wrong shape.
    """
    weights = open_weights(Path(folder) / WEIGHTS_NAME)
    is_s3gen = config.get("family") == S3GEN
    try:
        check_tensors(
            declared_s3gen(config) if is_s3gen else declared_tensors(config),
            {
                name: (tensor.dtype, tensor.shape)
                for name, tensor in weights.items()
                if not _FILLER.fullmatch(name)
            },
        )
    except FormatError as error:
        raise FormatError(f"{folder}: {error}") from error
    return weights


def write_config(path: Path, config: Mapping[str, Any]) -> None:
    """Writes the contents of config.json.

    Raises:
        ConfigError: it cannot be written.
        CapacityError: the disk is full.
    """
    text = json.dumps(config, indent=2) + "\n"
    with writing(path), path.open("wb") as file:
        file.write(text.encode("utf-8"))


class CheckpointWriter:
    """Writes a checkpoint folder that appears only when it is complete; a context manager.

    Entering it decides everything that can be decided before the work: it follows links, refuses a
    target that cannot be written, locks it against other writers, removes what killed writers left,
    and makes a temporary folder. What was not published is removed at the end.
    """

    def __init__(self, output_dir: str | os.PathLike[str], *, overwrite: bool = False) -> None:
        """Chooses the target; nothing is written yet."""
        self._output_dir = output_dir
        self._overwrite = overwrite

    def __enter__(self) -> CheckpointWriter:
        """Opens the target.

        Raises:
            ConfigError: The target cannot be written, another writer works on it, or it exists and
                is not a checkpoint, or is one and `overwrite` is false.
            CapacityError: The disk is full.
        """
        from ttsrt_rt import _core

        self._native = _core.FolderWriter(
            os.fsencode(self._output_dir),
            noun="checkpoint",
            format=FORMAT,
            description=CONFIG_NAME,
            others=[WEIGHTS_NAME],
            folders=[VOICES_NAME, TEXT_NAME, SOUND_NAME],
            overwrite=self._overwrite,
        )
        _LOG.info("writing %s in %s", self._native.target, self._native.folder)
        return self

    def __exit__(self, *_error: object) -> None:
        self._native.close()

    def write(
        self,
        config: Mapping[str, Any],
        write_weights: Callable[[Path], object],
        others: Mapping[str, Callable[[Path], object]] | None = None,
    ) -> None:
        """Writes all files and publishes them.

        Args:
            config: the contents of config.json.
            write_weights: writes model.safetensors at the given path.
            others: what writes other files, by their names below the folder.

        Raises:
            ConfigError: Something appeared at the target meanwhile.
            CapacityError: The disk is full.
        """
        folder = Path(self._native.folder)
        write_weights(folder / WEIGHTS_NAME)
        write_config(folder / CONFIG_NAME, config)
        for name, write_file in (others or {}).items():
            path = folder / name
            with writing(path):
                path.parent.mkdir(exist_ok=True)
            write_file(path)
        self._native.publish()
