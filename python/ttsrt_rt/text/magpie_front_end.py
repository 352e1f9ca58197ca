"""The text front end of a Magpie: several vocabularies in one table, one or more for each language.

The library cuts a text into chunks and encodes dictionary IPA, bytes and characters. Mandarin and
Japanese need packages of Python, so their chunks are encoded here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from ttsrt_rt import _core
from ttsrt_rt.errors import FormatError
from ttsrt_rt.json_text import read_json
from ttsrt_rt.quoting import shorten
from ttsrt_rt.spoken import SpokenText
from ttsrt_rt.text.checks import check_text
from ttsrt_rt.text.chunks import Chunks
from ttsrt_rt.text.japanese import JapaneseTokenizer
from ttsrt_rt.text.mandarin import MandarinTokenizer
from ttsrt_rt.text.tokens import TextTokens
from ttsrt_rt.text.traced import Traced
from ttsrt_rt.text_options import TextOptions

__all__ = ["MagpieFrontEnd"]

MAX_DESCRIPTION_BYTES = 16 << 20
SHORT = 4  # symbols that a text has at least with short_text="pad"
_PYTHON_KINDS: dict[str, Callable[[Mapping[str, Any], int], Any]] = {
    "mandarin": MandarinTokenizer,
    "japanese": JapaneseTokenizer,
}
_ENDS = (
    *".!?,;:\u2026-",
    *"\u3002\uff01\uff1f\uff0c\uff1b\uff1a\u3001",
    *"\u0964\u0965\u061f\u06d4",
)
_FULL_STOPS = {"zh": "\u3002", "ja": "\u3002", "hi": "\u0964"}


class MagpieFrontEnd:
    """Makes ids of texts. Threads may share one."""

    def __init__(self, folder: Path) -> None:
        """Opens the folder `text` of an engine or a checkpoint.

        Raises:
            FormatError: a file is damaged; the message names it.
        """
        self._core = _core.TextFrontEnd.open(folder)
        self._tokenizers = {each.name: each for each in self._core.tokenizers()}
        path = folder / "front_end.json"
        described = read_json(path, max_bytes=MAX_DESCRIPTION_BYTES)["tokenizers"]
        self._own: dict[str, Any] = {}
        for each in described:
            if each["kind"] in _PYTHON_KINDS:
                offset = self._tokenizers[each["name"]].offset
                try:
                    self._own[each["name"]] = _PYTHON_KINDS[each["kind"]](each, offset)
                except (KeyError, TypeError, AttributeError) as error:
                    raise FormatError(
                        f"{path}: {each['name']}: expected what convert writes, got another "
                        f"description: {shorten(repr(error))}"
                    ) from error

    @property
    def languages(self) -> dict[str, str]:
        """The name of the tokenizer of each language."""
        return {each.language: each.tokenizer for each in self._core.languages()}

    @property
    def default_language(self) -> str:
        """What is spoken where a request names no language."""
        return self._core.default_language

    def encode(
        self, text: str, language: str | None = None, options: TextOptions | None = None
    ) -> TextTokens:
        """Returns the ids of a text as one chunk, without the id that ends it.

        Raises:
            ConfigError: as `speak`; but a text of which nothing is spoken has no ids.
        """
        tokenizer = self._core.resolve(language or "").tokenizer
        return self._encode(Traced(check_text(text, "text")), tokenizer, options or TextOptions())

    def speak(self, text: str, language: str | None, options: TextOptions) -> SpokenText:
        """Returns the ids of a text, in chunks.

        Raises:
            ConfigError: the language is unknown, the text is none or nothing of it is spoken, a
                package is missing; or, with `strict`, a character has no id.
        """
        found = self._core.resolve(language or "")
        whole = check_text(text, "text")
        if options.terminal_punctuation:
            whole = _ended(whole, found.language)
        pieces = self._core.split(whole, found.language or found.tokenizer, options.split)
        made = Chunks(self._core.text_eos)
        for piece in pieces:
            traced = Traced(piece.text, [(int(a), int(b)) for a, b in piece.spans])
            tokens = self._encode(traced, found.tokenizer, options)
            made.add(tokens, traced.end, self._padding(tokens, found.tokenizer, options))
        return made.spoken(text, found.language or found.tokenizer, is_strict=options.strict)

    def _encode(self, text: Traced, tokenizer: str, options: TextOptions) -> TextTokens:
        own = self._own.get(tokenizer)
        if own is not None:
            made: TextTokens = own.encode(text.text)
            return TextTokens(made.ids, [text.span_of(*each) for each in made.spans or ()],
                              made.dropped)  # fmt: skip
        part = _core.TextPart(text.text, spans=text.spans)
        native = self._core.encode([part], tokenizer, special_text=options.special_text)
        spans = [(int(begin), int(end)) for begin, end in native.spans]
        return TextTokens(native.ids.tolist(), spans, native.dropped)

    def _padding(self, made: TextTokens, tokenizer: str, options: TextOptions) -> list[int]:
        if options.short_text != "pad" or len(made.ids) >= SHORT:
            return []
        return [self._tokenizers[tokenizer].pad] * (SHORT - len(made.ids))


def _ended(text: str, language: str) -> str:
    """The text with a full stop, where it has no punctuation at its end."""
    bare = text.rstrip()
    if not bare or bare.endswith(_ENDS):
        return text
    return bare + _FULL_STOPS.get(language.split("-")[0], ".")
