"""The hash of all that decides about the sound of a row of `ttsrt say --output_dir`.

A rerun skips rows whose hash is the same. Weights count by their hashes in `engine.json`.
"""

from __future__ import annotations

import argparse
import dataclasses
import hashlib
import json
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ttsrt_rt.cli.say_voices import voice_key
from ttsrt_rt.text.lexicon import lexicon_of

if TYPE_CHECKING:
    from ttsrt_rt.cli.say_rows import Row
    from ttsrt_rt.executor import Executor
    from ttsrt_rt.text_options import TextOptions

__all__ = ["RowHash", "engine_hash"]

_DESCRIPTION = "engine.json"
_FOLDERS = ("text", "voices")  # of an engine: its front end and its voice files
# Packages that decide about ids, by the kind of a tokenizer.
_PACKAGES = {
    "mandarin": ("jieba", "pypinyin", "pypinyin-dict"),
    "japanese": ("pyopenjtalk-plus", "pyopenjtalk"),
}


class RowHash:
    """Makes the hashes of rows.

    Args:
        args: The flags of the command.
        executor: That speaks.
        fields: Of all requests.
    """

    def __init__(
        self, args: argparse.Namespace, executor: Executor, fields: Mapping[str, Any]
    ) -> None:
        """Reads the files of the engine.

        Raises:
            NotFoundError, ConfigError, FormatError: The file of the voice can't be read.
        """
        options: TextOptions = fields["text_options"]
        self._names = executor.voices()
        self._key: dict[str, Any] = {
            "engine": engine_hash(Path(executor.engine.path)),
            "device": executor.info.device,
            "format": args.format or "wav",
            "fields": {name: value for name, value in fields.items() if name != "text_options"},
            "voice": voice_key(args.voice, self._names),
            "text": {
                each.name: getattr(options, each.name)
                for each in dataclasses.fields(options)
                if each.name != "lexicon"
            },
            "lexicon": _entries(options),
            "packages": _versions(options, executor),
        }
        if args.watermark is not None:
            self._key["watermark"] = args.watermark

    def of(self, row: Row, seed: int) -> str:
        """The hash of a row.

        Raises:
            NotFoundError, ConfigError, FormatError: The file of its voice can't be read.
        """
        voice = voice_key(row.voice, self._names)
        values = {**self._key, "row": [row.text, voice, row.language], "seed": seed}
        return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()


def engine_hash(folder: Path) -> str:
    """The hash of an engine: its description, its front end and its voice files."""
    made = hashlib.sha256()
    inside = [path for name in _FOLDERS for path in (folder / name).rglob("*") if path.is_file()]
    for path in [folder / _DESCRIPTION, *sorted(inside)]:
        name = path.relative_to(folder).as_posix().encode("utf-8", "replace")
        content = hashlib.sha256(path.read_bytes())
        made.update(hashlib.sha256(name).digest() + content.digest())
    return made.hexdigest()


def _entries(options: TextOptions) -> list[list[Any]]:
    if options.lexicon is None:
        return []
    lexicon = lexicon_of(options.lexicon)
    return [[each.word, each.symbols, each.is_exact] for each in lexicon]


def _versions(options: TextOptions, executor: Executor) -> dict[str, str]:
    """The versions of the packages that read the texts; of those that are installed."""
    names: list[str] = []
    if options.normalize == "numbers" or options.markup == "ssml":
        names.append("num2words")
    if options.normalize == "nemo" or options.markup == "ssml":
        names.append("nemo_text_processing")
    front_end = executor.engine.front_end
    if front_end is None:
        names.append("tokenizers")
    else:
        for each in front_end.tokenizers():
            names += _PACKAGES.get(each.kind, ())
    found: dict[str, str] = {}
    for name in names:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found
