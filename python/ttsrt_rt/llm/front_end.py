"""What an engine of a language model carries for text: the files of its tokenizer, and the ids that
end a text.

`convert` writes them and `build` copies them (docs/format.md); the library does not look at them,
so they are checked here.
"""

from __future__ import annotations

import base64
import binascii
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ttsrt_rt.errors import ConfigError, FormatError
from ttsrt_rt.quoting import quote, show
from ttsrt_rt.text.llm_tokenizer import LlmTokenizer

__all__ = ["LlmFrontEnd", "read_llm_front_end"]

MAX_FILES, MAX_FILE_BYTES = 16, 32 << 20
MAX_STOP_IDS = 1024


@dataclass(frozen=True)
class LlmFrontEnd:
    """The front end of an engine.

    Attributes:
        stop_ids: ids that end a text.
        files: the files of the tokenizer, by name; may be empty.
    """

    stop_ids: tuple[int, ...]
    files: Mapping[str, bytes]

    def tokenizer(self, where: str) -> LlmTokenizer | None:
        """Returns the tokenizer; None if the model was converted without one.

        Raises:
            ConfigError: the package `tokenizers` is missing.
            FormatError: a file is damaged.
        """
        return LlmTokenizer(self.files, where) if self.files else None


def read_llm_front_end(description: Mapping[str, Any], where: str) -> LlmFrontEnd:
    """Returns the front end that engine.json describes.

    Args:
        description: the contents of engine.json.
        where: names the engine in messages.

    Raises:
        ConfigError: it is an engine of another family.
        FormatError: a value is of another kind, or a file is damaged or too large.
    """
    if description.get("family") != "llm":
        raise ConfigError(f"{where}: family: expected llm, got {show(description.get('family'))}")
    block = description.get("front_end")
    if block is None:
        block = {}
    if not isinstance(block, Mapping):
        raise FormatError(f"{where}: front_end: expected an object, got {show(block)}")
    model = description["model"]
    return LlmFrontEnd(_stop_ids(block, model, where), _files(block, where))


def _stop_ids(block: Mapping[str, Any], model: Mapping[str, Any], where: str) -> tuple[int, ...]:
    found = block.get("stop_ids", [])
    good = isinstance(found, list) and all(
        type(each) is int and 0 <= each < model["vocab"] for each in found
    )
    if not good or len(found) > MAX_STOP_IDS:
        raise FormatError(
            f"{where}: front_end.stop_ids: expected ids of the model, got {show(found)}"
        )
    return tuple(dict.fromkeys((model["eos"], *found)))


def _files(block: Mapping[str, Any], where: str) -> dict[str, bytes]:
    found = block.get("files", {})
    if not isinstance(found, Mapping) or len(found) > MAX_FILES:
        raise FormatError(f"{where}: front_end.files: expected an object, got {show(found)}")
    return {
        name: _unpacked(text, f"{where}: front_end.files.{quote(name)}")
        for name, text in found.items()
    }


def _unpacked(text: Any, where: str) -> bytes:
    if not isinstance(text, str):
        raise FormatError(f"{where}: expected a text in base64, got {show(text)}")
    try:
        packed = base64.b64decode(text, validate=True)
        inflater = zlib.decompressobj()
        data = inflater.decompress(packed, MAX_FILE_BYTES + 1)
    except (binascii.Error, ValueError, zlib.error) as error:
        raise FormatError(f"{where}: expected a compressed file, got: {error}") from error
    if len(data) > MAX_FILE_BYTES:
        raise FormatError(f"{where}: expected at most {MAX_FILE_BYTES} bytes, got more")
    if not inflater.eof or inflater.unused_data:
        raise FormatError(f"{where}: expected a whole compressed file, got a part of one or more")
    return data
