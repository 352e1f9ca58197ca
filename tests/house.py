"""What the tests of the house's rules share: which files are ours."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]

NOT_OURS = {"build", "dist", "engines", "carry", "out", "shared", "__pycache__"}


def is_ours(folder: str) -> bool:
    return folder not in NOT_OURS and (folder == ".ci" or not folder.startswith("."))


def files(*suffixes: str) -> Iterator[Path]:
    for path in sorted(ROOT.rglob("*")):
        parts = path.relative_to(ROOT).parts
        if path.suffix in suffixes and path.is_file() and all(is_ours(part) for part in parts[:-1]):
            yield path


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()
