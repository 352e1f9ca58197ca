"""The text tokenizer of a T3: the files that a release has beside the weights go into `text/`."""

from __future__ import annotations

import logging
from pathlib import Path

from ttsrt_rt.convert.t3_model import T3Model
from ttsrt_rt.convert.text_front_end import (
    FRONT_END_FORMAT,
    FRONT_END_NAME,
    Files,
    json_bytes,
)
from ttsrt_rt.errors import ConfigError, NotFoundError
from ttsrt_rt.json_text import parse_json
from ttsrt_rt.regular_file import read_regular

__all__ = ["t3_text_folder"]

LOGGER = logging.getLogger(__name__)

MAX_FILE_BYTES = 16 << 20
# Those that must be there, and those that may.
_ENGLISH = (("tokenizer.json",), ())
_GPT2 = (("vocab.json", "merges.txt"), ("added_tokens.json", "tokenizer_config.json"))
_FILES: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "english": _ENGLISH,
    "flash": _ENGLISH,
    "turbo": _GPT2,
    "nano": _GPT2,
}


def t3_text_folder(source: Path, model: T3Model, front_end: bool | None) -> Files:
    """Returns the files of `text/`, by their names; none where there is no front end.

    Args:
        source: the file of the weights.
        model: the model.
        front_end: False for none; True if a missing one is an error.

    Raises:
        ConfigError: one is asked for, and there is none.
        FormatError: a file is damaged or too large.
    """
    if front_end is False:
        return {}
    if model.variant not in _FILES:
        return _none(
            source,
            f"the text of {model.variant} models needs the dictionaries of their languages",
            front_end,
        )
    needed, optional = _FILES[model.variant]
    found: Files = {}
    for name in (*needed, *optional):
        path = source.parent / name
        try:
            found[name] = read_regular(path, MAX_FILE_BYTES)
        except NotFoundError:
            if name in needed:
                return _none(source, f"{path} is not there", front_end)
            continue
        if path.suffix == ".json":
            parse_json(found[name], str(path))
    description = {
        **FRONT_END_FORMAT,
        "family": "t3",
        "variant": model.variant,
        "files": list(found),
        "languages": {"en": "t3"},
        "default_language": "en",
    }
    return {**found, FRONT_END_NAME: json_bytes(description)}


def _none(source: Path, why: str, front_end: bool | None) -> Files:
    if front_end:
        raise ConfigError(f"front_end: expected a tokenizer with {source.name}, but {why}")
    LOGGER.warning("%s: no text front end, so requests need text_ids: %s", source.name, why)
    return {}
