"""How much longer the steps of a `tokenizer.json` can make a text, before any of them runs.

The package that runs these steps keeps some 16 bytes for each byte of a normalized text, and a
process that has no memory left for it is aborted. So what a file of a stranger may ask for is
bounded by these factors.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterator, Mapping
from typing import Any

from ttsrt_rt.errors import FormatError

__all__ = ["decoder_growth", "normalizer_growth"]

MAX_NORMALIZER, MAX_DECODER = 1024, 64
MAX_STEPS = 64
MAX_DEPTH = 8
# Bytes that one byte may become. A letter of three bytes (U+FDFA) has a compatible form of 33.
FORMS = {"NFKC": 11, "NFKD": 11, "NFC": 3, "NFD": 3, "BertNormalizer": 3, "ByteLevel": 2}


def normalizer_growth(block: Any, where: str) -> int:
    """Returns the most bytes that the normalizers may make of each byte of a text.

    Args:
        block: the field "normalizer".
        where: names the file in messages.

    Raises:
        FormatError: it is more than 1024, there are more than 64 steps, or one is damaged.
    """
    return _product(block, "normalizer", where, MAX_NORMALIZER)


def decoder_growth(block: Any, where: str) -> int:
    """Returns the most bytes that the decoders may make of each byte of a token.

    Args:
        block: the field "decoder".
        where: names the file in messages.

    Raises:
        FormatError: it is more than 64, there are more than 64 steps, or one is damaged.
    """
    return _product(block, "decoder", where, MAX_DECODER)


def _product(block: Any, name: str, where: str, most: int) -> int:
    growth = 1
    for number, step in enumerate(_steps(block, f"{name}s", MAX_DEPTH)):
        if number == MAX_STEPS:
            raise FormatError(f"{where}: {name}: expected at most {MAX_STEPS} steps, got more")
        growth *= _factor(step, where)
        if growth > most:
            raise FormatError(
                f"{where}: {name}: expected steps that make at most {most} bytes of one, got more "
                f"at step {number}, {step.get('type')}"
            )
    return growth


def _steps(block: Any, inner: str, depth: int) -> Iterator[Mapping[str, Any]]:
    """The steps of a block, those of sequences one by one."""
    if not isinstance(block, Mapping) or depth == 0:
        return
    parts = block.get(inner)
    if block.get("type") != "Sequence" or not isinstance(parts, list):
        yield block
        return
    for each in parts:
        yield from _steps(each, inner, depth - 1)


def _factor(step: Mapping[str, Any], where: str) -> int:
    kind = step.get("type")
    if kind == "Replace":
        return _of_replace(step)
    if kind == "Prepend":  # in front of each part between added tokens
        size = len(str(step.get("prepend", "")).encode("utf-8", "replace"))
        return 1 if size <= len(b"\xe2\x96\x81") else 1 + size
    if kind == "Precompiled":
        return _of_charsmap(step.get("precompiled_charsmap"), where)
    return FORMS.get(str(kind), 1)


def _of_replace(step: Mapping[str, Any]) -> int:
    size = len(str(step.get("content", "")).encode("utf-8", "replace"))
    pattern = step.get("pattern")
    text = pattern.get("String") if isinstance(pattern, Mapping) else None
    if isinstance(text, str) and text:
        least = len(text.encode("utf-8", "replace"))
        return max(1, -(-size // least))
    return 1 + size  # a pattern may be found between any two bytes


def _of_charsmap(map_: Any, where: str) -> int:
    """The longest text that a map of SentencePiece has for a letter: behind a trie, whose size is
    the first word, its texts end with zeros.
    """
    if not isinstance(map_, str):
        return 1
    try:
        data = base64.b64decode(map_, validate=True)
    except (binascii.Error, ValueError) as error:
        raise FormatError(
            f"{where}: precompiled_charsmap: expected base64, got: {error}"
        ) from error
    begin = 4 + int.from_bytes(data[:4], "little")
    return max(1, max(len(text) for text in data[begin:].split(b"\0")))
