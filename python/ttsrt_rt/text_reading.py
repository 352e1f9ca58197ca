"""Reads the text of a request by its options: markup, then normalization, then the front end.

Marked-up text of several chunks, with pauses or voices between them, is several requests; `speak`
runs them one after the other. A single request takes markup that says one thing.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from ttsrt_rt.engine_cache import cache_folder
from ttsrt_rt.errors import ConfigError
from ttsrt_rt.quoting import quote
from ttsrt_rt.text.checks import check_text
from ttsrt_rt.text.normalize import normalize
from ttsrt_rt.text.speech import Speech, SpeechChunk, SpeechPart
from ttsrt_rt.text.ssml import parse_ssml
from ttsrt_rt.text_options import TextOptions

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ttsrt_rt.spoken import SpokenText

__all__ = ["ReadsText", "read_chunk", "read_markup", "read_text"]


class ReadsText(Protocol):
    """What a front end does with a text."""

    @property
    def languages(self) -> Mapping[str, str]:
        """The name of the tokenizer of each language."""

    @property
    def default_language(self) -> str:
        """What is spoken where a request names no language."""

    def speak(self, text: str, language: str | None, options: TextOptions) -> SpokenText:
        """Returns the ids of a text."""


@runtime_checkable
class _ReadsParts(Protocol):
    """A front end that reads phonemes, and several languages in one text."""

    def speak_parts(
        self, parts: Sequence[SpeechPart], text: str, language: str | None, options: TextOptions
    ) -> SpokenText:
        """Returns the ids of parts of a text."""


@dataclass(frozen=True)
class _Plain:
    """A text of parts after normalization."""

    text: str
    parts: tuple[SpeechPart, ...]


def read_text(
    front_end: ReadsText, text: str, language: str | None, options: TextOptions
) -> SpokenText:
    """Returns the ids of a text.

    Raises:
        ConfigError: It can't be read; or its markup has pauses or other voices, which are several
            requests.
    """
    if options.markup == "none":
        if options.normalize == "off":
            return front_end.speak(text, language, options)
        whole = check_text(text, "text")
        part = SpeechPart(whole, False, "", 0, len(whole))
        return read_chunk(front_end, SpeechChunk((part,), None, None, 0, 0, len(whole)), language,
                          options)  # fmt: skip
    speech = read_markup(front_end, text, language)
    chunk = speech.chunks[0]
    if len(speech.chunks) > 1 or chunk.pause_before or speech.pause_after or chunk.voice:
        raise ConfigError(
            "text: expected SSML without <break> and <voice> in one request; ttsrt_rt.speak "
            "speaks the others"
        )
    return read_chunk(front_end, chunk, language, options)


def read_markup(front_end: ReadsText, text: str, language: str | None) -> Speech:
    """Parses a text in SSML, as far as the front end goes.

    Raises:
        ConfigError: As `parse_ssml`.
    """
    return parse_ssml(
        check_text(text, "text"),
        language=language or front_end.default_language or "en",
        takes_phonemes=isinstance(front_end, _ReadsParts),
        where="text",
    )


def read_chunk(
    front_end: ReadsText, chunk: SpeechChunk, language: str | None, options: TextOptions
) -> SpokenText:
    """Returns the ids of a chunk of marked-up text. Spans are in the text of the chunk alone.

    Raises:
        ConfigError: It can't be normalized or read.
    """
    asked = language or front_end.default_language or "en"
    plain = _normalized(chunk, asked, options)
    # What is done here is no option of the front end any more.
    left = dataclasses.replace(options, markup="none", normalize="off")
    if isinstance(front_end, _ReadsParts) and not chunk.is_plain:
        spoken = front_end.speak_parts(plain.parts, plain.text, language, left)
    else:
        _check_plain(plain.parts)
        spoken = front_end.speak(plain.text, language, left)
    if options.normalize == "off":
        return spoken
    return dataclasses.replace(spoken, normalized_text=plain.text)


def _check_plain(parts: Sequence[SpeechPart]) -> None:
    for part in parts:
        if part.language:
            raise ConfigError(
                f"text: expected one language, as the model reads no other one in a text, got "
                f"xml:lang={quote(part.language)}"
            )


def _normalized(chunk: SpeechChunk, language: str, options: TextOptions) -> _Plain:
    """The parts of a chunk in words, and their places in the text of these alone."""
    parts: list[SpeechPart] = []
    begin = 0
    for part in chunk.parts:
        made = part
        if not part.is_phonemes:
            asked = part.language or language
            text = normalize(part.text, options.normalize, asked, cache_dir=_grammar_folder())
            made = dataclasses.replace(part, text=text.text)
        end = begin + len(made.shown)
        parts.append(dataclasses.replace(made, begin=begin, end=end))
        begin = end
    return _Plain("".join(part.shown for part in parts), tuple(parts))


def _grammar_folder() -> Path:
    """Where grammars of nemo_text_processing are kept once they are built."""
    return cache_folder() / "grammars"
