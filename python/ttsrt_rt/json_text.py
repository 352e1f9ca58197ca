"""Parses JSON that others wrote; its size and the number of its values are checked first.

A parsed value takes many times the memory of its text, so commas and brackets are counted before
the parser runs. Those inside strings count too: the limits leave room for them.
"""

from __future__ import annotations

import json
import os
from collections import Counter
from pathlib import Path
from typing import Any

from ttsrt_rt.errors import FormatError
from ttsrt_rt.foreign_file import HEAD_BYTES, describe_foreign
from ttsrt_rt.quoting import quote, shorten
from ttsrt_rt.regular_file import read_regular

__all__ = ["parse_json", "read_json"]

MAX_BYTES = 16 << 20
MAX_VALUES = 500_000
MAX_PAIRS = 200_000


def parse_json(
    raw: bytes, where: str, *, max_values: int = MAX_VALUES, max_pairs: int = MAX_PAIRS
) -> Any:
    """Parses one JSON text in UTF-8.

    Args:
        raw: the text.
        where: the name of the text in errors.
        max_values: limit on all values together.
        max_pairs: limit on the keys of all objects together, and on arrays inside arrays.

    Raises:
        FormatError: the text is not JSON, or exceeds a limit.
    """
    num_nested = max(raw.count(b":"), raw.count(b"[") + raw.count(b"{"))
    if raw.count(b",") >= max_values or num_nested > max_pairs:
        raise FormatError(
            f"{where}: expected JSON of at most {max_values} values and {max_pairs} keys or lists, "
            "got more"
        )
    try:
        return json.loads(raw.decode("utf-8-sig"), object_pairs_hook=_unique)
    except UnicodeDecodeError as error:
        raise FormatError(
            f"{where}: expected JSON in UTF-8, got other bytes at {error.start}"
        ) from error
    except (ValueError, RecursionError) as error:
        foreign = describe_foreign(raw[:HEAD_BYTES]) if raw[:1] not in b"[{" else None
        got = foreign or f"an error: {shorten(str(error))}"
        raise FormatError(f"{where}: expected JSON, got {got}") from error


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object, whose keys must differ: of two values, nobody can say which one is meant."""
    made = dict(pairs)
    if len(made) < len(pairs):
        twice = Counter(name for name, _ in pairs).most_common(1)[0][0]
        raise ValueError(f"the key {quote(twice)} stands twice in one object")
    return made


def read_json(
    path: str | os.PathLike[str],
    *,
    max_bytes: int = MAX_BYTES,
    max_values: int = MAX_VALUES,
    max_pairs: int = MAX_PAIRS,
) -> Any:
    """Reads a JSON file, as `parse_json`.

    Raises:
        ConfigError: the file does not exist, cannot be read, or is not a regular file.
        FormatError: the file is not JSON, or exceeds a limit.
    """
    raw = read_regular(path, max_bytes)
    return parse_json(raw, str(Path(path)), max_values=max_values, max_pairs=max_pairs)
