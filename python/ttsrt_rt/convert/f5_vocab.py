"""Reads `vocab.txt` of F5-TTS: a token per line, whose number is its id.

A line is taken whole, so the first one is usually a single space. A carriage return is removed only
if all lines have one: then the file was saved on Windows, and the carriage return is no part of the
tokens.
"""

from __future__ import annotations

import os
from pathlib import Path

from ttsrt_rt.errors import FormatError
from ttsrt_rt.regular_file import read_regular

__all__ = ["check_vocab", "read_vocab"]

MAX_BYTES = 4 << 20
MAX_TOKENS = 200_000


def read_vocab(path: str | os.PathLike[str]) -> tuple[str, ...]:
    """Returns the tokens by id.

    Raises:
        ConfigError: the file does not exist or cannot be read.
        FormatError: it is not UTF-8, is empty or exceeds a limit.
    """
    where = str(Path(path))
    raw = read_regular(path, MAX_BYTES)
    try:
        lines = raw.decode("utf-8").split("\n")
    except UnicodeDecodeError as error:
        raise FormatError(
            f"{where}: expected text in UTF-8, got other bytes at {error.start}"
        ) from error
    if lines[-1] == "":  # behind the last end of a line
        lines.pop()
    if not lines or len(lines) > MAX_TOKENS:
        raise FormatError(f"{where}: expected 1 to {MAX_TOKENS} lines, got {len(lines)}")
    if all(line.endswith("\r") for line in lines):
        lines = [line[:-1] for line in lines]
    return tuple(lines)


def check_vocab(tokens: tuple[str, ...], rows: int, where: str) -> None:
    """Checks that a vocabulary belongs to an embedding table: one row per token, and the filler.

    Raises:
        FormatError: it has another number of lines.
    """
    if len(tokens) + 1 != rows:
        raise FormatError(
            f"{where}: expected {rows - 1} lines, as the text table has {rows} rows, one of them "
            f"for the filler, got {len(tokens)}; it is the vocabulary of another model"
        )
