"""Publishes a small tree of text files under a name, whole or not at all.

`FolderWriter` of the library publishes folders of files; a model repository has folders inside. The
rules are the same: the tree is written beside the target and renamed, a target that exists is
replaced only when asked, and only if it holds nothing but what an earlier call wrote there.
"""

from __future__ import annotations

import json
import os
import secrets
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path

from ttsrt_rt.errors import ConfigError, FormatError
from ttsrt_rt.json_text import read_json
from ttsrt_rt.writing import writing

__all__ = ["write_tree"]

_CACHES = "__pycache__"  # of the interpreter that ran a file of the tree


def write_tree(
    target: Path,
    files: Mapping[str, bytes],
    *,
    noun: str,
    format: str,
    description: str,
    overwrite: bool,
) -> Path:
    """Writes the files and returns the target, absolute, links followed.

    Args:
        target: The folder.
        files: Contents by path inside the folder, with `/` between folders.
        noun: What the folder is, for messages: "a model repository".
        format: The field "format" of the description.
        description: The name of the JSON file, which is added, that lists what was written.
        overwrite: Whether an earlier tree of the same format is replaced.

    Raises:
        ConfigError: The target holds something else, or an earlier tree and `overwrite` is false;
            or it can't be written.
        CapacityError: The disk is full.
    """
    path = Path(os.path.realpath(target))
    is_replaced = _check_target(path, noun, format, description, overwrite)
    told = {"format": format, "format_version": 1, "files": sorted(files)}
    whole = {**files, description: (json.dumps(told, indent=2) + "\n").encode()}
    stem = path.with_name(f".{path.name}.ttsrt-{secrets.token_hex(6)}")
    made, old = stem.with_suffix(".tmp"), stem.with_suffix(".old")
    try:
        for name, contents in whole.items():
            file = made / name
            with writing(file):
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_bytes(contents)
        with writing(path):
            if is_replaced:
                path.rename(old)
            try:
                made.rename(path)
            except OSError:
                if is_replaced:
                    old.rename(path)
                raise
    finally:
        shutil.rmtree(made, ignore_errors=True)
        shutil.rmtree(old, ignore_errors=True)
    return path


def _check_target(path: Path, noun: str, format: str, description: str, overwrite: bool) -> bool:
    """Returns whether there is an earlier tree to replace."""
    where = f"output_dir: {path}"
    if not path.exists():
        return False
    if not path.is_dir():
        raise ConfigError(f"{where} exists and isn't a folder")
    found = set(_files_in(path))
    if not found and not any(path.iterdir()):
        return False
    try:
        told = read_json(path / description)
        is_ours = isinstance(told, dict) and told.get("format") == format
    except (ConfigError, FormatError):
        is_ours = False
    others = found - {description, *(told.get("files", []) if is_ours else [])}
    if not is_ours or others:
        holds = f": it holds {min(others)}" if others else ""
        raise ConfigError(
            f"{where} exists and isn't {noun} alone{holds}; what is not {noun} is never replaced"
        )
    if not overwrite:
        raise ConfigError(f"{where} holds {noun} already; pass overwrite to replace it")
    return True


def _files_in(folder: Path) -> Iterator[str]:
    for parent, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if name != _CACHES]
        yield from ((Path(parent, name)).relative_to(folder).as_posix() for name in names)
