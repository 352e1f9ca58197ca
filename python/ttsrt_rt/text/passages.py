"""Prepares a text before it is cut and encoded: markup, words for numbers, a last full stop.

A plain text is one passage. Marked-up text has several: each ends at a pause, or where the voice
changes.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from ttsrt_rt.errors import ConfigError
from ttsrt_rt.text.traced import Traced
from ttsrt_rt.text_options import TextOptions

__all__ = ["Part", "Passage", "Prepared", "ended", "normalized", "prepare"]

MAX_NORMALIZED = 4096  # characters that a normalizer takes at once
# Western ends count before white space only: "3.14" is one number.
_SENTENCE_END = re.compile("(?<=[.!?\u2026])\\s+|(?<=[\u3002\uff01\uff1f\u0964])\\s*")
_ENDS = (
    *".!?,;:\u2026-",
    *"\u3002\uff01\uff1f\uff0c\uff1b\uff1a\u3001",
    *"\u0964\u0965\u061f\u06d4",
)
_FULL_STOPS = {"zh": "\u3002", "ja": "\u3002", "hi": "\u0964"}


@dataclass(frozen=True)
class Part:
    """Text or phonemes in one language.

    Attributes:
        text: with spans in the text of the whole.
        is_phonemes: whether its characters are symbols of a pronunciation.
        language: its language or tokenizer; "" for that of the request.
    """

    text: Traced
    is_phonemes: bool = False
    language: str = ""


@dataclass(frozen=True)
class Passage:
    """What is spoken between two pauses, by one voice.

    Attributes:
        parts: one after the other.
        pause_before: milliseconds of silence in front of it.
        voice: None for that of the request.
        rate: of speech; None for that of the request.
    """

    parts: tuple[Part, ...]
    pause_before: int = 0
    voice: str | None = None
    rate: float | None = None

    @property
    def is_plain(self) -> bool:
        """Whether it is one text in the language of the request, which may be cut."""
        return len(self.parts) == 1 and not self.parts[0].is_phonemes and not self.parts[0].language


@dataclass(frozen=True)
class Prepared:
    """A text that was prepared.

    Attributes:
        text: that the spans of all parts are in.
        normalized_text: the same, if a normalizer ran; else None.
        passages: in order.
        pause_after: milliseconds of silence behind the last.
        language: that the markup names for all of it; "" for none.
    """

    text: str
    normalized_text: str | None
    passages: tuple[Passage, ...]
    pause_after: int = 0
    language: str = ""


def prepare(
    text: str,
    language: str,
    options: TextOptions,
    check_language: Callable[[str], object] | None = None,
    check_phonemes: Callable[[str, str], object] | None = None,
) -> Prepared:
    """Prepares a text.

    Args:
        text: as the caller gives it.
        language: that is spoken.
        options: of the request.
        check_language: raises ConfigError for a language of markup that is not known.
        check_phonemes: the same for a pronunciation and its language, "" for that which is spoken.

    Raises:
        ConfigError: the markup is damaged, or a normalizer is missing, refuses the language or
            takes too long.
    """
    if options.markup == "ssml":
        return _marked_up(text, language, options, check_language, check_phonemes)
    is_normalized = options.normalize != "off"
    said = normalized(text, language, options) if is_normalized else text
    traced = ended(Traced(said), language) if options.terminal_punctuation else Traced(said)
    return Prepared(said, said if is_normalized else None, (Passage((Part(traced),)),))


def _marked_up(
    text: str,
    language: str,
    options: TextOptions,
    check_language: Callable[[str], object] | None,
    check_phonemes: Callable[[str, str], object] | None,
) -> Prepared:
    from ttsrt_rt.text.ssml import parse_ssml

    if options.normalize != "off":
        raise ConfigError(
            "text_options.normalize: expected off with markup, where <say-as> says what becomes "
            f"words, got {options.normalize}"
        )
    speech = parse_ssml(
        text,
        language=language,
        check_language=check_language,
        check_phonemes=check_phonemes,
        where="text",
    )
    passages = tuple(
        Passage(
            tuple(
                Part(Traced(part.text, part.spans), part.is_phonemes, part.language)
                for part in chunk.parts
            ),
            chunk.pause_before,
            chunk.voice,
            chunk.rate,
        )
        for chunk in speech.chunks
    )
    if options.terminal_punctuation and passages:
        last = passages[-1]
        parts = _ended_parts(last.parts, speech.language or language)
        passages = (*passages[:-1], replace(last, parts=parts))
    return Prepared(speech.text, None, passages, speech.pause_after, speech.language)


def _ended_parts(parts: tuple[Part, ...], language: str) -> tuple[Part, ...]:
    """Parts with a full stop behind them, where there is no punctuation."""
    last = parts[-1]
    spoken_in = last.language or language
    if not last.is_phonemes:
        return (*parts[:-1], replace(last, text=ended(last.text, spoken_in)))
    stop = Traced(_full_stop(spoken_in), [(last.text.end, last.text.end)])
    return (*parts, Part(stop, language=last.language))


def normalized(text: str, language: str, options: TextOptions) -> str:
    """A text in words, as the options say.

    Raises:
        ConfigError: as `prepare`.
    """
    from ttsrt_rt.text.normalize import normalize

    where = "text_options.normalize"
    return "".join(
        normalize(piece, options.normalize, language, where=where).text
        for piece in _sentences(text)
    )


def _sentences(text: str) -> Iterator[str]:
    """The text in pieces that a normalizer takes, cut between sentences, or else between words."""
    begin = 0
    while len(text) - begin > MAX_NORMALIZED:
        end = begin + MAX_NORMALIZED
        cut = max(
            (match.end() for match in _SENTENCE_END.finditer(text, begin, end)),
            default=begin,
        )
        if cut <= begin:
            cut = text.rfind(" ", begin, end) + 1
        cut = cut if cut > begin else end
        yield text[begin:cut]
        begin = cut
    if begin < len(text):
        yield text[begin:]


def ended(text: Traced, language: str) -> Traced:
    """The text with a full stop, where it has no punctuation at its end."""
    bare = text[: len(text.text.rstrip())]
    if not bare.text or bare.text.endswith(_ENDS):
        return text
    stop = _full_stop(language)
    return bare + Traced(stop, [(bare.end, bare.end)])


def _full_stop(language: str) -> str:
    return _FULL_STOPS.get(language.replace("_", "-").split("-")[0].lower(), ".")
