"""The tokenizer of a language model: its `tokenizer.json`, run by the package `tokenizers`. Folders
without one may have the files of older tokenizers (`tokenizer_json`).

`tokenizer_config.json` names the special tokens. Text from strangers can be encoded so that special
tokens written in it stay text. What each id stands for in bytes is told here, too, because a stream
of ids is decoded byte by byte (`text_stream`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeAlias

from ttsrt_rt.errors import ConfigError, FormatError
from ttsrt_rt.json_text import parse_json
from ttsrt_rt.quoting import shorten, show
from ttsrt_rt.regular_file import read_regular
from ttsrt_rt.text.tokenizer_growth import decoder_growth, normalizer_growth
from ttsrt_rt.tokenizer_json import FALLBACK_FILES, special_text, tokenizer_json_of

__all__ = ["LlmTokenizer", "SpecialMode", "SpecialTokens"]

SpecialMode: TypeAlias = Literal["template", "never"]

TOKENIZER, CONFIG, SPECIAL_MAP = (
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
)
TEMPLATE, TEMPLATE_JSON = "chat_template.jinja", "chat_template.json"
FILES = (TOKENIZER, CONFIG, SPECIAL_MAP, TEMPLATE, TEMPLATE_JSON, *FALLBACK_FILES)
MAX_FILE_BYTES = 32 << 20
MAX_VALUES, MAX_PAIRS = 1_000_000, 500_000
MAX_TEXT_BYTES, MAX_NORMALIZED_BYTES = 8 << 20, 32 << 20
MAX_DEPTH = 8
BLANK = "\u2581"  # stands for a blank in vocabularies of pieces
NAMES = ("bos_token", "eos_token", "pad_token", "unk_token")


def _byte_alphabet() -> dict[str, int]:
    """The letters that byte-level vocabularies write for bytes."""
    shown = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    hidden = [byte for byte in range(256) if byte not in shown]
    letters = {chr(byte): byte for byte in shown}
    return letters | {chr(256 + place): byte for place, byte in enumerate(hidden)}


BYTE_OF = _byte_alphabet()

# Of PreTrainedTokenizerBase.clean_up_tokenization in transformers, in its order.
_CLEANED = (
    *((" .", "."), (" ?", "?"), (" !", "!"), (" ,", ","), (" ' ", "'"), (" n't", "n't")),
    *((" 'm", "'m"), (" 's", "'s"), (" 've", "'ve"), (" 're", "'re")),
)


@dataclass(frozen=True)
class SpecialTokens:
    """The texts of special tokens; None for those that a tokenizer does not have."""

    bos_token: str | None = None
    eos_token: str | None = None
    pad_token: str | None = None
    unk_token: str | None = None


class LlmTokenizer:
    """Makes ids of text and text of ids. Threads may share one.

    Attributes:
        special: the special tokens that its configuration names.
        strips_blank: whether decoded text loses one blank at its very beginning.
        template: the chat template, or None.
        size: ids from 0 that have a token; a model's table may have more rows.
    """

    def __init__(self, files: Mapping[str, bytes], where: str) -> None:
        """Makes a tokenizer of the contents of its files; `open` reads them.

        Args:
            files: their contents by name: `tokenizer.json`, or else `vocab.json` and `merges.txt`,
                or `tokenizer.model`; and what belongs to them.
            where: names them in messages.

        Raises:
            ConfigError: the package `tokenizers` is missing, or none of these files is there.
            FormatError: a file is damaged, or of a kind that is not known.
        """
        made = files.get(TOKENIZER) or tokenizer_json_of(files, where)
        if made is None:
            raise ConfigError(
                f"{where}: expected {TOKENIZER}, got {', '.join(files) or 'no such files'}; "
                "transformers writes it: AutoTokenizer.from_pretrained(FOLDER, use_fast=True)"
                ".save_pretrained(FOLDER)"
            )
        described = _object({TOKENIZER: made}, TOKENIZER, where)
        config = _object(files, CONFIG, where)
        raw = made.decode("utf-8-sig")
        self._plain = _load(raw, where)
        self._never = _load(raw, where)  # special tokens in a text stay text
        self._never.encode_special_tokens = True
        self._at = f"{where}/{TOKENIZER}"
        self._growth = normalizer_growth(described.get("normalizer"), self._at)
        decoder_growth(described.get("decoder"), self._at)
        self._is_byte_level, self.strips_blank = _decoder(described.get("decoder"), where)
        self._hidden = _special_ids(described)
        self.special = _special_tokens(config, _object(files, SPECIAL_MAP, where))
        self.template = _template(files, config, where)
        self.size = int(self._plain.get_vocab_size(with_added_tokens=True))

    @classmethod
    def open(cls, folder: Any) -> LlmTokenizer:
        """Reads the tokenizer of a folder of Hugging Face.

        Raises:
            ConfigError, FormatError: as of the constructor.
        """
        path = Path(folder)
        files = {
            name: read_regular(path / name, MAX_FILE_BYTES)
            for name in FILES
            if (path / name).is_file()
        }
        return cls(files, str(path))

    def encode(
        self, text: str, *, special: SpecialMode = "template", add_special_tokens: bool = True
    ) -> list[int]:
        """Returns the ids of a text.

        Args:
            text: the text.
            special: "template" takes special tokens that are written in the text for these tokens;
                "never" takes them for text, as for text from strangers.
            add_special_tokens: whether the tokenizer adds its own, such as one at the beginning.

        Raises:
            ConfigError: it is not text, has more than 8 MiB, or more than 32 MiB after the
                tokenizer has normalized it.
            FormatError: the tokenizer can't do what its file says.
        """
        if special not in ("template", "never"):
            raise ConfigError(f"special: expected template or never, got {show(special)}")
        tokenizer = self._plain if special == "template" else self._never
        made = self._encoded(tokenizer, self._checked(text), add_special_tokens=add_special_tokens)
        return list(made.ids)

    def _checked(self, text: str) -> str:
        if not isinstance(text, str):
            raise ConfigError(f"text: expected a text, got {show(text)}")
        try:
            data = text.encode("utf-8")
        except UnicodeEncodeError as error:
            raise ConfigError(
                f"text: expected text in UTF-8, got a lone surrogate "
                f"(U+{ord(text[error.start]):04X}) at character {error.start}"
            ) from error
        if len(data) > MAX_TEXT_BYTES:
            raise ConfigError(
                f"text: expected at most {MAX_TEXT_BYTES} bytes, got {len(data)}; split it"
            )
        if len(data) * self._growth > MAX_NORMALIZED_BYTES:
            raise ConfigError(
                f"text: expected at most {MAX_NORMALIZED_BYTES // self._growth} bytes with a "
                f"tokenizer that may make {self._growth} of one, got {len(data)}; split it"
            )
        return text

    def _encoded(self, tokenizer: Any, text: str, *, add_special_tokens: bool = False) -> Any:
        with _refusing(f"{self._at}: expected a tokenizer that encodes this text"):
            return tokenizer.encode(text, add_special_tokens=add_special_tokens)

    def encode_around(self, text: str, plain: Sequence[tuple[int, int]]) -> list[int]:
        """Returns the ids of a text in parts of which special tokens are text, as parts written by
        strangers. No token of the tokenizer's own is added.

        Where those parts have no special token, the ids are those of `encode`. Else the text
        between the other special tokens is encoded piece by piece.

        Args:
            text: the text.
            plain: where each of those parts begins and ends, in characters, in rising order.

        Raises:
            ConfigError, FormatError: as `encode`.
        """
        text = self._checked(text)
        found = self._encoded(self._plain, text)
        special = [
            (begin, end, number)
            for number, (begin, end) in zip(found.ids, found.offsets, strict=True)
            if number in self._hidden
        ]
        kept = [
            each
            for each in special
            if not any(begin < each[1] and each[0] < end for begin, end in plain)
        ]
        if len(kept) == len(special):
            return list(found.ids)
        ids: list[int] = []
        at = 0
        for begin, end, number in [*kept, (len(text), len(text), -1)]:
            if begin > at:
                ids += self._encoded(self._never, text[at:begin]).ids
            if number >= 0:
                ids.append(number)
            at = end
        return ids

    def decode(
        self, ids: Sequence[int], *, skip_special: bool = True, cleanup: bool = False
    ) -> str:
        """Returns the text of ids; ids without a token have none.

        Args:
            ids: the ids.
            skip_special: whether special tokens have no text.
            cleanup: whether blanks before punctuation and contractions are dropped, as
                transformers does where `clean_up_tokenization_spaces` is set. Streams never do.

        Raises:
            ConfigError: an id is negative or not an integer.
            FormatError: the tokenizer can't do what its file says.
        """
        for each in ids:
            if isinstance(each, bool) or not hasattr(each, "__index__") or not 0 <= each < 1 << 31:
                raise ConfigError(f"ids: expected integers from 0, got {show(each)}")
        numbers = [int(each) for each in ids]
        with _refusing(f"{self._at}: expected a tokenizer that decodes these ids"):
            found: str = self._plain.decode(numbers, skip_special_tokens=skip_special)
        if cleanup:
            for written, clean in _CLEANED:
                found = found.replace(written, clean)
        return found

    def token_id(self, token: str) -> int | None:
        """Returns the id of a token, or None."""
        found: int | None = self._plain.token_to_id(token)
        return found

    def bytes_of(self, number: int, *, skip_special: bool = True) -> bytes:
        """Returns what an id adds to a text; nothing if it is special or has no token."""
        if skip_special and number in self._hidden:
            return b""
        token: str | None = self._plain.id_to_token(number)
        if token is None:
            return b""
        if self._is_byte_level:
            found = [BYTE_OF.get(letter) for letter in token]
            known = [byte for byte in found if byte is not None]
            return bytes(known) if len(known) == len(found) else token.encode("utf-8")
        if len(token) == 6 and token.startswith("<0x") and token.endswith(">"):
            try:
                return bytes([int(token[3:5], 16)])
            except ValueError:
                pass
        return token.replace(BLANK, " ").encode("utf-8")


def _load(raw: str, where: str) -> Any:
    """Returns a `tokenizers.Tokenizer` that neither cuts nor pads."""
    try:
        import tokenizers
    except ImportError as error:
        raise ConfigError(
            "text: expected the package tokenizers, got none; pip install tokenizers"
        ) from error
    with _refusing(f"{where}/{TOKENIZER}: expected a tokenizer"):
        made = tokenizers.Tokenizer.from_str(raw)
        made.no_truncation()
        made.no_padding()
    return made


@contextmanager
def _refusing(told: str) -> Iterator[None]:
    """Turns what the package raises into FormatErrors; its panics are no Exceptions."""
    try:
        yield
    except (KeyboardInterrupt, SystemExit, GeneratorExit, MemoryError):
        raise
    except BaseException as error:
        raise FormatError(f"{told}, got: {shorten(str(error))}") from error


def _object(files: Mapping[str, bytes], name: str, where: str) -> dict[str, Any]:
    if name not in files:
        return {}
    at = f"{where}/{name}"
    value = parse_json(files[name], at, max_values=MAX_VALUES, max_pairs=MAX_PAIRS)
    if not isinstance(value, dict):
        raise FormatError(f"{at}: expected an object, got {show(value)}")
    return value


def _decoder(block: Any, where: str) -> tuple[bool, bool]:
    """Returns whether tokens are written in the letters of bytes, and whether a text loses one
    blank at its beginning.
    """
    steps = list(_steps(block, MAX_DEPTH))
    kinds = [step.get("type") for step in steps]
    if kinds == ["ByteLevel"]:
        return True, False
    if "Replace" in kinds and set(kinds) <= {"Replace", "ByteFallback", "Fuse", "Strip"}:
        strips = [step for step in steps if step.get("type") == "Strip"]
        return False, any(step.get("content") == " " and step.get("start") == 1 for step in strips)
    if kinds == ["Metaspace"] or set(kinds) == {"ByteFallback", "Metaspace"}:
        step = next(each for each in steps if each.get("type") == "Metaspace")
        adds = step.get("prepend_scheme", "always" if step.get("add_prefix_space", True) else "")
        return False, adds in ("always", "first")
    raise FormatError(
        f"{where}/{TOKENIZER}: decoder: expected ByteLevel, or pieces with blanks replaced, got "
        f"{show(kinds)}"
    )


def _steps(block: Any, depth: int) -> list[dict[str, Any]]:
    if not isinstance(block, dict) or depth == 0:
        return []
    inner = block.get("decoders")
    if block.get("type") != "Sequence" or not isinstance(inner, list):
        return [block]
    return [step for each in inner for step in _steps(each, depth - 1)]


def _special_ids(described: Mapping[str, Any]) -> frozenset[int]:
    added = described.get("added_tokens")
    return frozenset(
        each["id"]
        for each in (added if isinstance(added, list) else ())
        if isinstance(each, dict) and each.get("special") is True and type(each.get("id")) is int
    )


def _special_tokens(config: Mapping[str, Any], older: Mapping[str, Any]) -> SpecialTokens:
    return SpecialTokens(*(special_text(name, config, older) for name in NAMES))


def _template(files: Mapping[str, bytes], config: Mapping[str, Any], where: str) -> str | None:
    """Returns the chat template: that of a file of its own wins."""
    if TEMPLATE in files:
        try:
            return files[TEMPLATE].decode("utf-8")
        except UnicodeDecodeError as error:
            raise FormatError(
                f"{where}/{TEMPLATE}: expected text in UTF-8, got other bytes at {error.start}"
            ) from error
    value = _object(files, TEMPLATE_JSON, where).get("chat_template", config.get("chat_template"))
    if isinstance(value, list):
        named = {each.get("name"): each.get("template") for each in value if isinstance(each, dict)}
        value = named.get("default")
    return value if isinstance(value, str) else None
