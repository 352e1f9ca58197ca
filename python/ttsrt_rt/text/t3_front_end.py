"""The text front end of a T3: the release's own tokenizer, whose files a checkpoint carries.

A text of more than 300 characters is cut between sentences, of which each chunk has as many as fit
in 300 characters: the model was trained on short texts, and carries no state from chunk to chunk.
Flash speaks a text in one piece.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

from ttsrt_rt.errors import FormatError
from ttsrt_rt.quoting import show
from ttsrt_rt.spoken import SpokenText
from ttsrt_rt.text.checks import check_text
from ttsrt_rt.text.chunks import Chunks
from ttsrt_rt.text.languages import find_language
from ttsrt_rt.text.t3_tokenizer import MAX_TEXT, T3Tokenizer
from ttsrt_rt.text.tokens import TextTokens
from ttsrt_rt.text_options import TextOptions, refuse_options

__all__ = ["T3FrontEnd", "chunks_of"]

MAX_CHUNK = 300  # characters, but for a sentence that has more
_END = re.compile("(?<=[.!?])\\s+")


class T3FrontEnd:
    """Makes ids of texts. Threads may share one.

    Attributes:
        languages: the name of the tokenizer of each language.
        default_language: what is spoken where a request names no language.
    """

    def __init__(self, folder: Path, description: dict[str, Any]) -> None:
        """Opens the folder `text` of an engine.

        Raises:
            ConfigError: the package `tokenizers` is missing.
            FormatError: a file is damaged.
        """
        variant = description.get("variant")
        if not isinstance(variant, str):
            raise FormatError(f"{folder}: variant: expected a text, got {show(variant)}")
        self._tokenizer = T3Tokenizer.open(folder, variant)
        self._takes_chunks = variant != "flash"
        self.languages = {"en": "t3"}
        self.default_language = "en"

    def read(self, text: str, language: str | None, options: TextOptions) -> None:
        """Texts are read at once."""

    def speak(self, text: str, language: str | None, options: TextOptions) -> SpokenText:
        """Returns the ids of a text, in chunks.

        Raises:
            ConfigError: the language is not English, the text is none, or an option is of other
                models; or, with `strict`, a character has no id.
        """
        found = find_language(language, self.languages, self.default_language)
        refuse_options(options, "T3")
        check_text(text, "text", MAX_TEXT)
        made = Chunks(None)
        is_cut = self._takes_chunks and options.split != "never"
        for begin, end in chunks_of(text) if is_cut else [(0, len(text))]:
            tokens = self._tokenizer.encode_traced(text[begin:end])
            spans = [(int(a) + begin, int(b) + begin) for a, b in _pairs(tokens)]
            made.add(TextTokens(tokens.ids, spans, tokens.dropped), end)
        return made.spoken(text, found, is_strict=options.strict)


def _pairs(tokens: TextTokens) -> Any:
    return () if tokens.spans is None else tokens.spans


def chunks_of(text: str) -> Iterator[tuple[int, int]]:
    """Where the chunks of a text are: sentences, joined while they have 300 characters at most."""
    if len(text) <= MAX_CHUNK:
        yield 0, len(text)
        return
    edges = [0, *(found.end() for found in _END.finditer(text)), len(text)]
    begin = end = 0
    for first, last in pairwise(edges):
        if not text[first:last].strip():
            continue
        if end > begin and len(text[begin:last].strip()) > MAX_CHUNK:
            yield begin, end
            begin = first
        end = last
    yield begin, end
