"""Shared by the tests of the project's rules: the list of our files."""

from __future__ import annotations

import os
from collections.abc import Iterator
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]

NOT_OURS = {"build", "dist", "engines", "carry", "out", "shared", "__pycache__"}


def is_ours(folder: str) -> bool:
    return folder not in NOT_OURS and (folder == ".ci" or not folder.startswith("."))


@cache
def all_files() -> tuple[Path, ...]:
    """Returns our files; folders that are not ours are not read."""
    found: list[Path] = []
    for parent, folders, names in os.walk(ROOT):
        folders[:] = [folder for folder in folders if is_ours(folder)]
        found += [Path(parent, name) for name in names]
    return tuple(sorted(path for path in found if path.is_file()))


def files(*suffixes: str) -> Iterator[Path]:
    """Yields our files with one of the suffixes, or all of them if none is given."""
    return (path for path in all_files() if not suffixes or path.suffix in suffixes)


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()
