"""The text files of a language model's folder, as a checkpoint and an engine carry them: in the
block `front_end` of config.json, which `build` copies into engine.json (docs/format.md).

A tokenizer takes megabytes as text, so each file is compressed (zlib) and written in base64. Files
are data: nothing here parses more of them than the ids that end a text.
"""

from __future__ import annotations

import base64
import zlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from ttsrt_rt.errors import FormatError
from ttsrt_rt.json_text import parse_json
from ttsrt_rt.regular_file import read_regular
from ttsrt_rt.tokenizer_json import FALLBACK_FILES, special_text, tokenizer_json_of

__all__ = [
    "TOKENIZER_FILES",
    "eos_of_tokenizer",
    "front_end_of",
    "num_tokens_of",
    "read_text_files",
]

TOKENIZER, TOKENIZER_CONFIG = "tokenizer.json", "tokenizer_config.json"
SPECIAL_MAP = "special_tokens_map.json"
TOKENIZER_FILES = (
    *(TOKENIZER, TOKENIZER_CONFIG, SPECIAL_MAP, "chat_template.jinja"),
    "chat_template.json",
    *FALLBACK_FILES,
)
MAX_FILE_BYTES = 32 << 20
MAX_BLOCK_BYTES = 12 << 20  # of config.json, which may have 16 MiB
MAX_VALUES, MAX_PAIRS = 1_000_000, 500_000


def read_text_files(folder: Path) -> dict[str, bytes]:
    """Returns the files with a folder's tokenizer and chat template, by name. Beside a
    `tokenizer.json`, the files of slower tokenizers are left out; without one, it is made of them.

    Raises:
        FormatError: a file exceeds 32 MiB, or one of a slower tokenizer is damaged.
    """
    has_fast = (folder / TOKENIZER).is_file()
    names = [name for name in TOKENIZER_FILES if not (has_fast and name in FALLBACK_FILES)]
    files = {
        name: read_regular(folder / name, MAX_FILE_BYTES)
        for name in names
        if (folder / name).is_file()
    }
    made = None if has_fast else tokenizer_json_of(files, str(folder))
    if made is not None:
        files = {name: data for name, data in files.items() if name not in FALLBACK_FILES}
        files[TOKENIZER] = made
    return files


def front_end_of(files: dict[str, bytes], stop_ids: Iterable[int], where: str) -> dict[str, Any]:
    """Returns the block `front_end`.

    Args:
        files: what `read_text_files` returned.
        stop_ids: ids that end a text.
        where: names the folder in messages.

    Raises:
        FormatError: the files are too large even when they are compressed.
    """
    packed = {
        name: base64.b64encode(zlib.compress(data, 9)).decode("ascii")
        for name, data in files.items()
    }
    size = sum(len(text) for text in packed.values())
    if size > MAX_BLOCK_BYTES:
        raise FormatError(
            f"{where}: expected files of the tokenizer of at most {MAX_BLOCK_BYTES} bytes when "
            f"compressed, got {size}: {', '.join(packed)}"
        )
    return {"stop_ids": list(stop_ids), "files": packed}


def eos_of_tokenizer(files: dict[str, bytes], where: str) -> int | None:
    """Returns the id of the token that a tokenizer's configuration or its map of special tokens
    says ends a text, if they do.

    Raises:
        FormatError: a file is not JSON.
    """
    config, older = (_object(files, name, where) for name in (TOKENIZER_CONFIG, SPECIAL_MAP))
    text = special_text("eos_token", config, older)
    if text is None:
        return None
    tokenizer = _object(files, TOKENIZER, where)
    added = tokenizer.get("added_tokens")
    for each in added if isinstance(added, list) else ():
        if isinstance(each, dict) and each.get("content") == text:
            return _id(each.get("id"))
    model = tokenizer.get("model")
    vocab = model.get("vocab") if isinstance(model, dict) else None
    return _id(vocab.get(text)) if isinstance(vocab, dict) else None


def num_tokens_of(files: dict[str, bytes], where: str) -> int | None:
    """Returns how many ids a tokenizer has, its largest and all below; None if its files do not
    tell. The table of a model may have more rows, which pad it.

    Raises:
        FormatError: a file is not JSON.
    """
    tokenizer = _object(files, TOKENIZER, where)
    model = tokenizer.get("model")
    vocab = model.get("vocab") if isinstance(model, dict) else None
    ids = [_id(value) for value in vocab.values()] if isinstance(vocab, dict) else []
    if isinstance(vocab, list):  # of a unigram model, a list of pieces
        ids = [len(vocab) - 1]
    added = tokenizer.get("added_tokens")
    for each in added if isinstance(added, list) else ():
        ids.append(_id(each.get("id")) if isinstance(each, dict) else None)
    known = [each for each in ids if each is not None]
    return max(known) + 1 if known else None


def _object(files: dict[str, bytes], name: str, where: str) -> dict[str, Any]:
    if name not in files:
        return {}
    value = parse_json(files[name], f"{where}/{name}", max_values=MAX_VALUES, max_pairs=MAX_PAIRS)
    if not isinstance(value, dict):
        raise FormatError(f"{where}/{name}: expected an object, got {type(value).__name__}")
    return value


def _id(value: Any) -> int | None:
    return value if type(value) is int and 0 <= value < 1 << 31 else None
