"""Writes the small files of an export."""

from __future__ import annotations

import os
from pathlib import Path

from ttsrt_rt.writing import writing

__all__ = ["write_text"]


def write_text(path: Path, text: str, mode: int = 0o666) -> None:
    """Writes a new file in UTF-8; `mode` less the umask is its mode.

    Raises:
        ConfigError: It can't be written.
        CapacityError: The disk is full.
    """
    with writing(path):
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
        with os.fdopen(handle, "wb") as file:
            file.write(text.encode("utf-8"))
