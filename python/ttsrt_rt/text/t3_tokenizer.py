"""The text tokenizers of T3: English (and Flash), and the GPT-2 tokenizer of Turbo and Nano.

The files are those that the releases have beside the weights. They are read within limits here. The
package `tokenizers` (the extra "text") does the rest, because byte-level BPE splits words by
classes of Unicode that Python's own expressions do not have. Multilingual text needs dictionaries
of its languages and comes as ids for now.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ttsrt_rt.errors import ConfigError, FormatError, NotFoundError
from ttsrt_rt.json_text import parse_json
from ttsrt_rt.quoting import quote, shorten, show
from ttsrt_rt.regular_file import read_regular
from ttsrt_rt.text.checks import check_text
from ttsrt_rt.text.punctuation import clean_punctuation, clean_traced
from ttsrt_rt.text.tokens import TextTokens
from ttsrt_rt.text.traced import Traced

__all__ = ["T3Tokenizer"]

ENGLISH_FILE = "tokenizer.json"
GPT2_FILES = ("vocab.json", "merges.txt")
ADDED_FILE, CONFIG_FILE = "added_tokens.json", "tokenizer_config.json"
MAX_FILE_BYTES = 16 << 20
MAX_TEXT = 1 << 20  # characters

START, STOP, SPACE = "[START]", "[STOP]", "[SPACE]"
START_ID, STOP_ID = 255, 0
END_OF_TEXT = "<|endoftext|>"
ENGLISH_VARIANTS, GPT2_VARIANTS = ("english", "flash"), ("turbo", "nano")
FLAGS = ("lstrip", "rstrip", "single_word", "normalized")


class T3Tokenizer:
    """Makes the ids of a text, as Chatterbox makes them. Threads may share one.

    Attributes:
        variant: "english", "flash", "turbo" or "nano".
    """

    def __init__(self, tokenizer: Any, variant: str) -> None:
        """Wraps a `tokenizers.Tokenizer`; `open` makes one from files."""
        self._tokenizer = tokenizer
        self.variant = variant

    @classmethod
    def open(cls, folder: str | os.PathLike[str], variant: str) -> T3Tokenizer:
        """Reads the tokenizer of a release.

        Args:
            folder: with `tokenizer.json` (English, Flash), or with `vocab.json`, `merges.txt` and
                `added_tokens.json` (Turbo, Nano).
            variant: of the model that reads the ids.

        Raises:
            NotFoundError: a file is not there.
            ConfigError: the variant has no tokenizer here, or the package `tokenizers` is missing.
            FormatError: a file is damaged, or is that of another tokenizer.
        """
        if variant == "multilingual":
            raise ConfigError(
                "variant: expected english, flash, turbo or nano, got multilingual, whose text "
                "needs the dictionaries of its languages; pass ids of the original's tokenizer"
            )
        if variant not in (*ENGLISH_VARIANTS, *GPT2_VARIANTS):
            raise ConfigError(
                f"variant: expected english, flash, turbo or nano, got {show(variant)}"
            )
        library = _library()
        path = Path(folder)
        if variant in ENGLISH_VARIANTS:
            return cls(_english(library, path / ENGLISH_FILE), variant)
        return cls(_gpt2(library, path), variant)

    def encode(self, text: str, *, clean: bool = True, framed: bool = True) -> list[int]:
        """Returns the ids of a text.

        Args:
            text: the text; of the original's tags, Turbo and Nano know those like "[laugh]".
            clean: whether to clean the punctuation first, as the original does.
            framed: whether English ids begin with 255 and end with 0, as the model reads them. Ids
                of Turbo and Nano have no frame.

        Raises:
            ConfigError: `text` is not text, or has more than 1,048,576 characters.
        """
        if not isinstance(text, str) or len(text) > MAX_TEXT:
            got = f"{len(text)} characters" if isinstance(text, str) else show(text)
            raise ConfigError(f"text: expected a text of at most {MAX_TEXT} characters, got {got}")
        text = text.encode("utf-8", "replace").decode()  # lone surrogates are not text
        if clean:
            text = clean_punctuation(text, self.variant)
        return [*self._encode(Traced(text), framed=framed).ids]

    def encode_traced(self, text: str) -> TextTokens:
        """Returns the ids of a text, cleaned and framed, and where each comes from.

        Raises:
            ConfigError: as `encode`; or the text is empty, for which the original speaks a sentence
                of its own.
        """
        check_text(text, "text", MAX_TEXT)
        if not text.strip():
            raise ConfigError(
                f"text: expected one that can be spoken, got {show(text)}: text has no speakable "
                "symbol"
            )
        return self._encode(clean_traced(Traced(text), self.variant), framed=True)

    def _encode(self, text: Traced, *, framed: bool) -> TextTokens:
        if self.variant not in GPT2_VARIANTS:
            text = text.replace(" ", SPACE)
        found = self._tokenizer.encode(text.text)
        dropped = self._unknown(text.text, found)
        ids, spans = list(found.ids), [text.span_of(*offsets) for offsets in found.offsets]
        if framed and self.variant not in GPT2_VARIANTS:
            end = text.span_of(len(text.text), len(text.text))
            ids, spans = [START_ID, *ids, STOP_ID], [(0, 0), *spans, end]
        return TextTokens(ids, spans, dropped)

    def _unknown(self, text: str, found: Any) -> dict[str, int]:
        """The characters that no id stands for but that of what is unknown, with how often."""
        unknown = getattr(self._tokenizer.model, "unk_token", None)
        unknown_id = None if unknown is None else self._tokenizer.token_to_id(unknown)
        is_known = bytearray(len(text))
        for index, (begin, end) in zip(found.ids, found.offsets, strict=True):
            if index != unknown_id:
                is_known[begin:end] = b"\x01" * (end - begin)
        left = (letter for letter, known in zip(text, is_known, strict=True) if not known)
        return dict(Counter(letter for letter in left if not letter.isspace()))


def _library() -> Any:
    try:
        import tokenizers
    except ImportError as error:
        raise ConfigError(
            "text: expected the package tokenizers, got none; pip install tokenizers"
        ) from error
    return tokenizers


def _read(path: Path) -> bytes:
    return read_regular(path, MAX_FILE_BYTES)


def _english(library: Any, path: Path) -> Any:
    raw = _read(path)
    parse_json(raw, str(path))  # its size and depth, before another parser reads it
    try:
        tokenizer = library.Tokenizer.from_str(raw.decode("utf-8-sig"))
    except Exception as error:  # the package raises bare exceptions
        raise FormatError(f"{path}: expected a tokenizer, got: {shorten(str(error))}") from error
    for token, wanted in ((START, START_ID), (STOP, STOP_ID), (SPACE, None)):
        found = tokenizer.token_to_id(token)
        if found is None or (wanted is not None and found != wanted):
            expected = "an id" if wanted is None else f"the id {wanted}"
            raise FormatError(f"{path}: {token}: expected {expected}, got {show(found)}")
    return tokenizer


def _gpt2(library: Any, folder: Path) -> Any:
    vocab_path, merges_path = (folder / name for name in GPT2_FILES)
    vocab = _ids_of(parse_json(_read(vocab_path), str(vocab_path)), vocab_path)
    merges = _merges(_read(merges_path), merges_path)
    try:
        tokenizer = library.Tokenizer(library.models.BPE(vocab=vocab, merges=merges))
    except Exception as error:  # the package raises bare exceptions
        raise FormatError(
            f"{folder}: expected a vocabulary and its merges, got: {shorten(str(error))}"
        ) from error
    config = _optional_json(folder / CONFIG_FILE)
    prefix_space = config.get("add_prefix_space") is True
    tokenizer.pre_tokenizer = library.pre_tokenizers.ByteLevel(add_prefix_space=prefix_space)
    tokenizer.decoder = library.decoders.ByteLevel()
    if END_OF_TEXT in vocab:
        tokenizer.add_special_tokens([END_OF_TEXT])
    _add_tokens(library, tokenizer, folder, _flags(config))
    return tokenizer


def _add_tokens(
    library: Any, tokenizer: Any, folder: Path, flags: Mapping[str, Mapping[str, bool]]
) -> None:
    """Adds the tokens of added_tokens.json and checks that they get their ids."""
    path = folder / ADDED_FILE
    added = _ids_of(_optional_json(path), path)
    for content, wanted in sorted(added.items(), key=lambda item: item[1]):
        token = library.AddedToken(content, **flags.get(content, {}))
        tokenizer.add_tokens([token])
        found = tokenizer.token_to_id(content)
        if found != wanted:
            raise FormatError(f"{path}: {quote(content)}: expected the id {found}, got {wanted}")


def _flags(config: Mapping[str, Any]) -> dict[str, dict[str, bool]]:
    """Returns what tokenizer_config.json says of added tokens, by their text."""
    described = config.get("added_tokens_decoder")
    found: dict[str, dict[str, bool]] = {}
    for each in described.values() if isinstance(described, Mapping) else ():
        if isinstance(each, Mapping) and isinstance(each.get("content"), str):
            found[each["content"]] = {name: each.get(name) is True for name in FLAGS}
    return found


def _optional_json(path: Path) -> Mapping[str, Any]:
    try:
        raw = _read(path)
    except NotFoundError:
        return {}
    value = parse_json(raw, str(path))
    if not isinstance(value, dict):
        raise FormatError(f"{path}: expected an object, got {show(value)}")
    return value


def _ids_of(value: Any, path: Path) -> dict[str, int]:
    if not isinstance(value, dict) or not all(
        type(number) is int and 0 <= number < 1 << 31 for number in value.values()
    ):
        raise FormatError(f"{path}: expected tokens with their ids, got {show(value)}")
    return value


def _merges(raw: bytes, path: Path) -> list[tuple[str, str]]:
    """Returns the pairs of merges.txt; its first line may be a comment."""
    try:
        lines = raw.decode("utf-8").replace("\r\n", "\n").split("\n")
    except UnicodeDecodeError as error:
        raise FormatError(
            f"{path}: expected text in UTF-8, got other bytes at {error.start}"
        ) from error
    merges: list[tuple[str, str]] = []
    for number, line in enumerate(lines):
        if not line.strip() or (number == 0 and line.startswith("#version")):
            continue
        parts = line.split(" ")
        if len(parts) != 2 or not all(parts):
            raise FormatError(f"{path}: line {number + 1}: expected two tokens, got {quote(line)}")
        merges.append((parts[0], parts[1]))
    return merges
