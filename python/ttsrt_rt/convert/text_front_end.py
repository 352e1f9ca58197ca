"""Makes a checkpoint's `text/` of the text tokenizers that a Magpie configuration describes.

The folder has `front_end.json`, with every option resolved, and the dictionaries as they were. The
vocabularies, one after the other in the order of the configuration, must add up to the rows of the
table of text embeddings; this is checked here, because every id would be another symbol otherwise.
"""

from __future__ import annotations

import functools
import json
import os
import re
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from ttsrt_rt.convert.archive import Weights
from ttsrt_rt.convert.checkpoint import TEXT_NAME
from ttsrt_rt.convert.fields import Block
from ttsrt_rt.convert.text_files import TextFiles
from ttsrt_rt.convert.text_kinds import describe_tokenizer
from ttsrt_rt.convert.text_languages import default_language, languages_of
from ttsrt_rt.convert.text_versions import VERSIONED_FIELDS
from ttsrt_rt.errors import ConfigError, FormatError
from ttsrt_rt.options import path_of
from ttsrt_rt.quoting import list_names, show
from ttsrt_rt.writing import writing

__all__ = [
    "FRONT_END_FORMAT",
    "FRONT_END_NAME",
    "TEXT_FOLDER",
    "TextSources",
    "file_writers",
    "json_bytes",
    "read_text_folder",
]

TEXT_FOLDER = TEXT_NAME
FRONT_END_NAME = "front_end.json"
FRONT_END_FORMAT = {"format": "ttsrt.front_end", "format_version": 1}
MAX_TOKENIZERS = 256
MAX_NAME = 128
MAX_ID = (1 << 24) - 1
ONLY_TOKENIZER = "english_phoneme"  # of configurations with a single block
LEGACY_CONDITIONING = "google-t5/t5-small"
_PLAIN = re.compile(r"[A-Za-z0-9_-]+")

Files = dict[str, bytes]


class TextSources:
    """Where the dictionaries are that the source doesn't bring.

    Args:
        front_end: False leaves the front end out.
        text_files: a folder of dictionaries, by the names of the configuration.
        dictionaries: single files, by those names or by the names of tokenizers.

    Raises:
        ConfigError: the folder is none, or both a front end and none of it are asked for.
    """

    def __init__(
        self,
        front_end: bool | None = None,
        text_files: str | os.PathLike[str] | None = None,
        dictionaries: Mapping[str, str | os.PathLike[str]] | None = None,
    ) -> None:
        self.is_wanted = front_end is not False
        self.folder = None if text_files is None else path_of(text_files, "text_files")
        self.given = {
            str(name): path_of(path, "dictionaries") for name, path in (dictionaries or {}).items()
        }
        self.is_required = bool(front_end or self.folder or self.given)
        if self.folder is not None and not self.folder.is_dir():
            raise ConfigError(f"text_files: expected a folder, got {self.folder}")
        if self.is_required and not self.is_wanted:
            raise ConfigError("front_end: expected True where dictionaries are given, got False")


def read_text_folder(
    config: Block,
    weights: Weights | None,
    options: TextSources,
    rows: int,
    notices: list[str],
    context_rows: int = 0,
) -> Files:
    """Returns the files of `text/`, by their names; none where there is no front end.

    Args:
        config: the model's configuration.
        weights: the source, whose archive may have the dictionaries.
        options: the caller's.
        rows: of the model's table of text embeddings.
        notices: gets why there is no front end.
        context_rows: ids of a text that describes a voice, where the model takes such texts by the
            ids of its tokenizers; 0 where it doesn't.

    Raises:
        FormatError: a tokenizer is none that is known here, a dictionary is damaged, or the
            vocabularies have another size than the table.
        ConfigError: an option has a wrong value; or the caller asked for a front end, and there is
            none, or a dictionary of it is missing.
    """
    if not options.is_wanted:
        return {}
    try:
        blocks = _tokenizers(config)
    except ConfigError as error:  # a reference that leads nowhere, which nothing else reads
        return _none(str(error), options, notices)
    if not any("_target_" in block for block in blocks.values()):
        return _none("the configuration describes no text tokenizer", options, notices)
    is_archive = weights is not None and weights.kind == "nemo"
    files = TextFiles(
        weights.artifact if is_archive and weights is not None else None,
        options.folder,
        options.given,
    )
    stamp = config.values.get("nemo_version")
    described = []
    for index, (name, block) in enumerate(blocks.items()):
        files.begin(name, name if _PLAIN.fullmatch(name) else f"tokenizer{index}")
        where = config.place(f"text_tokenizers.{name}")
        described.append(describe_tokenizer(name, block, where, stamp, files))
    files.check_used()
    if files.missing:
        return _none(
            f"these dictionaries are not in the source: {list_names(files.missing)}; "
            "text_files=FOLDER (--text_files) or dictionaries={NAME: FILE} "
            "(--dictionary NAME=FILE) gives them",
            options,
            notices,
        )
    names = [each["name"] for each in described]
    languages = languages_of(config.values.get("language_to_tokenizer_mapping"), names)
    front_end: dict[str, Any] = {
        **FRONT_END_FORMAT,
        "family": "magpie",
        "tokenizers": described,
        "languages": languages,
        "default_language": default_language(languages),
        "text_bos": rows - 2,
        "text_eos": rows - 1,
    }
    if context_rows > 0:
        name = config.values.get("text_conditioning_tokenizer_name") or names[0]
        if name not in names:
            raise config.error(
                f"{config.place('text_conditioning_tokenizer_name')}: expected one of "
                f"{list_names(names)}, got {show(name)}"
            )
        front_end["context"] = {"tokenizer": name, "rows": context_rows}
    _check_rows(files.kept, front_end, rows, blocks, stamp)
    return {**files.kept, FRONT_END_NAME: json_bytes(front_end)}


def json_bytes(value: Mapping[str, Any]) -> bytes:
    """The contents of `front_end.json`."""
    return (json.dumps(value, ensure_ascii=False, indent=1) + "\n").encode()


def file_writers(made: Files) -> dict[str, Callable[[Path], object]]:
    """What writes the files into a checkpoint, by their names in it."""
    return {
        f"{TEXT_FOLDER}/{name}": functools.partial(_write, data=data) for name, data in made.items()
    }


def _write(path: Path, *, data: bytes) -> None:
    with writing(path), path.open("wb") as file:
        file.write(data)


def _none(why: str, options: TextSources, notices: list[str]) -> Files:
    if options.is_required:
        raise ConfigError(f"text_tokenizers: expected a front end, but {why}")
    notices.append(f"no text front end, so requests need text_ids: {why}")
    return {}


def _tokenizers(config: Block) -> dict[str, Mapping[str, Any]]:
    """The blocks of the tokenizers by their names, in the order of their ids, as plain values.

    Raises:
        ConfigError: they are none, or one is no mapping or has a wrong name.
    """
    if config.has("text_tokenizers"):
        blocks: dict[str, Any] = _plain(config.block("text_tokenizers").values)
    elif config.has("text_tokenizer"):
        blocks = {ONLY_TOKENIZER: _plain(config.values["text_tokenizer"])}
    else:
        return {}
    if config.has("legacy_text_conditioning") and config.flag("legacy_text_conditioning"):
        # Its tokenizer has a table of its own, and is the last one.
        blocks.pop(config.values.get("text_conditioning_tokenizer_name") or LEGACY_CONDITIONING, 0)
    if len(blocks) > MAX_TOKENIZERS:
        raise config.error(
            f"{config.place('text_tokenizers')}: expected at most {MAX_TOKENIZERS}, "
            f"got {len(blocks)}"
        )
    for name, block in blocks.items():
        if not isinstance(block, Mapping) or not 0 < len(name) <= MAX_NAME:
            raise config.error(
                f"{config.place('text_tokenizers')}: expected mappings with names of at most "
                f"{MAX_NAME} characters, got {show(name)}: {show(block)}"
            )
    return blocks


def _plain(value: Any) -> Any:
    """A value of a configuration with its references resolved."""
    if isinstance(value, Mapping):
        return {name: _plain(each) for name, each in value.items()}
    return [_plain(each) for each in value] if isinstance(value, list) else value


def _check_rows(
    files: Files,
    front_end: Mapping[str, Any],
    rows: int,
    blocks: Mapping[str, Mapping[str, Any]],
    stamp: object,
) -> None:
    """Checks the sizes of the vocabularies, which the library computes as it does in an engine.

    Args:
        files: the dictionaries.
        front_end: the contents of `front_end.json`.
        rows: of the model's table of text embeddings.
        blocks: the configuration of each tokenizer.
        stamp: `nemo_version` of the configuration.

    Raises:
        FormatError: they don't add up; or a dictionary is damaged.
    """
    from ttsrt_rt import _core

    counted = {**front_end, "text_bos": MAX_ID, "text_eos": MAX_ID}  # whatever the sizes are
    with tempfile.TemporaryDirectory(prefix="ttsrt-text-") as folder:
        for name, data in {**files, FRONT_END_NAME: json_bytes(counted)}.items():
            _write(Path(folder, name), data=data)
        try:
            found = _core.TextFrontEnd.open(folder).tokenizers()
        except FormatError as error:  # names the file in a folder that will be gone
            raise FormatError(str(error).replace(folder, "text_tokenizers")) from error
    sizes = {each.name: each.size for each in found}
    total = sum(sizes.values())
    if total + 2 == rows:
        return
    pinned = [
        f"{name}.{field} {block[field]}"
        for name, block in blocks.items()
        for field in VERSIONED_FIELDS
        if block.get(field) is not None
    ]
    raise FormatError(
        f"text_tokenizers: expected {rows - 2} ids, two less than text_embedding has rows, got "
        f"{total}: {', '.join(f'{name} {size}' for name, size in sizes.items())}; nemo_version: "
        f"{show(stamp)}; {', '.join(VERSIONED_FIELDS)}: {', '.join(pinned) or 'none is set'}. Set "
        "these fields in the configuration as they were in training; with front_end=False "
        "(--front_end false) the engine takes ids only"
    )
