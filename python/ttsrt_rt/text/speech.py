"""What marked-up text says: chunks of parts, with voices, rates and the pauses between them."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

__all__ = ["Span", "Speech", "SpeechBuilder", "SpeechChunk", "SpeechPart", "Style"]

Span = tuple[int, int]
"""Begin and end in a text, in code points; the end is not part of it."""

BLANKS = " \t\r\n"


@dataclass(frozen=True)
class Style:
    """How something is spoken.

    Attributes:
        language: Its language or tokenizer; "" for that of the request.
        voice: Its voice; None for that of the request.
        rate: How fast, relative to the usual; None for that of the request.
    """

    language: str = ""
    voice: str | None = None
    rate: float | None = None

    def replace(self, **changes: Any) -> Style:
        """The same with other values."""
        return dataclasses.replace(self, **changes)


@dataclass(frozen=True)
class SpeechPart:
    """Text, or phonemes, in one language.

    Attributes:
        text: What is encoded: text, or a pronunciation whose code points are symbols.
        is_phonemes: Whether it is a pronunciation.
        language: Its language or tokenizer; "" for that of the request.
        begin: Where it stands in the text of the whole speech, in code points.
        end: Behind its last character there. A pronunciation stands where its word is.
        word: The word that a pronunciation is of.
    """

    text: str
    is_phonemes: bool
    language: str
    begin: int
    end: int
    word: str = ""

    @property
    def shown(self) -> str:
        """The text of it in the text of the whole speech."""
        return self.word if self.is_phonemes else self.text

    @property
    def spans(self) -> list[Span]:
        """Where each of the code points of `text` stands in the text of the whole speech."""
        if self.is_phonemes:
            return [(self.begin, self.end)] * len(self.text)
        return [(at, at + 1) for at in range(self.begin, self.end)]


@dataclass(frozen=True)
class SpeechChunk:
    """What is spoken in one piece.

    Attributes:
        parts: One after the other.
        voice: As `Style.voice`.
        rate: As `Style.rate`.
        pause_before: Milliseconds of silence in front of it.
        begin: Where it stands in the text of the whole speech.
        end: Behind its last character there.
    """

    parts: tuple[SpeechPart, ...]
    voice: str | None
    rate: float | None
    pause_before: int
    begin: int
    end: int

    @property
    def is_plain(self) -> bool:
        """Whether it is one text in the language of the request."""
        return len(self.parts) == 1 and not self.parts[0].is_phonemes and not self.parts[0].language


@dataclass(frozen=True)
class Speech:
    """What a marked-up text says.

    Attributes:
        text: All that is spoken, as text: the words of pronunciations, not their symbols. Chunks
            are separated by a space.
        chunks: In order; at least one.
        pause_after: Milliseconds of silence behind the last chunk.
        origins: Where each code point of `text` comes from in the marked-up text.
        language: That `<speak>` names; "" for none.
    """

    text: str
    chunks: tuple[SpeechChunk, ...]
    pause_after: int
    origins: tuple[Span, ...]
    language: str = ""


@dataclass
class _Open:
    """A chunk that is being made."""

    voice: str | None
    rate: float | None
    pause_before: int
    begin: int
    parts: list[SpeechPart] = field(default_factory=list)


class SpeechBuilder:
    """Collects text and pauses in order.

    White space is written late: as one space, in front of what follows it in the same chunk.
    """

    def __init__(self) -> None:
        """Begins with nothing."""
        self._letters: list[str] = []
        self._origins: list[Span] = []
        self._chunks: list[SpeechChunk] = []
        self._chunk: _Open | None = None
        self._gap: Span | None = None
        self._pause = 0

    def add_text(self, text: str, spans: Sequence[Span], style: Style) -> None:
        """Adds text.

        Args:
            text: Its white space becomes single spaces.
            spans: Where each of its code points comes from.
            style: How it is spoken.
        """
        at = 0
        while at < len(text):
            if text[at] in BLANKS:
                self._gap = self._gap or spans[at]
                at += 1
                continue
            end = at
            while end < len(text) and text[end] not in BLANKS:
                end += 1
            self._write(text[at:end], spans[at:end], style)
            at = end

    def add_phonemes(self, symbols: str, shown: str, span: Span, style: Style) -> None:
        """Adds a pronunciation.

        Args:
            symbols: Its code points.
            shown: The word that it is of.
            span: Where the word comes from.
            style: How it is spoken.
        """
        chunk = self._begin(style)
        self._write_gap(chunk, style)
        begin = len(self._letters)
        self._letters += shown
        self._origins += [span] * len(shown)
        end = len(self._letters)
        chunk.parts.append(SpeechPart(symbols, True, style.language, begin, end, shown))

    def separate(self, at: int) -> None:
        """Separates what follows by a space at least, as between paragraphs."""
        self._gap = self._gap or (at, at)

    def pause(self, milliseconds: int) -> None:
        """Ends the chunk, and puts silence behind it."""
        self._end()
        self._pause += milliseconds

    def finish(self) -> Speech:
        """Returns all that was added."""
        self._end()
        return Speech(
            "".join(self._letters), tuple(self._chunks), self._pause, tuple(self._origins)
        )

    def _write(self, word: str, spans: Sequence[Span], style: Style) -> None:
        """Adds a text without white space."""
        chunk = self._begin(style)
        self._write_gap(chunk, style)
        self._append(chunk, word, spans, style)

    def _write_gap(self, chunk: _Open, style: Style) -> None:
        if self._gap is not None and chunk.parts:
            last = chunk.parts[-1]
            # The space belongs to text that is there already, so that no part begins with it.
            owner = style if last.is_phonemes else style.replace(language=last.language)
            self._append(chunk, " ", [self._gap], owner)
        self._gap = None

    def _append(self, chunk: _Open, text: str, spans: Sequence[Span], style: Style) -> None:
        """Adds text to the last part, or to a new one. `_end` fills its `text` in."""
        begin = len(self._letters)
        self._letters += text
        self._origins += spans
        last = chunk.parts[-1] if chunk.parts else None
        if last is not None and not last.is_phonemes and last.language == style.language:
            chunk.parts[-1] = dataclasses.replace(last, end=len(self._letters))
        else:
            chunk.parts.append(SpeechPart("", False, style.language, begin, len(self._letters)))

    def _begin(self, style: Style) -> _Open:
        """The chunk of this voice and rate."""
        chunk = self._chunk
        if chunk is not None and (chunk.voice, chunk.rate) == (style.voice, style.rate):
            return chunk
        self._end()
        if self._chunks:
            at = self._origins[-1][1] if self._origins else 0
            self._letters.append(" ")
            self._origins.append((at, at))
        self._gap = None
        chunk = _Open(style.voice, style.rate, self._pause, len(self._letters))
        self._chunk, self._pause = chunk, 0
        return chunk

    def _end(self) -> None:
        chunk, self._chunk = self._chunk, None
        if chunk is None:
            return
        parts = tuple(
            part
            if part.is_phonemes
            else dataclasses.replace(part, text="".join(self._letters[part.begin : part.end]))
            for part in chunk.parts
        )
        self._chunks.append(
            SpeechChunk(
                parts, chunk.voice, chunk.rate, chunk.pause_before, chunk.begin, len(self._letters)
            )
        )
