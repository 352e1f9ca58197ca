"""Turns ids into text while they are made: bytes of tokens into letters, and stop strings.

A letter may take the bytes of several tokens, so an incomplete one is held back until it is whole;
bytes that are no text become U+FFFD. A tail that may become a stop string is held back, too. The
text of a whole result is what its stream gave, so both are equal.
"""

from __future__ import annotations

import codecs
from collections.abc import Iterable, Sequence

from ttsrt_rt.errors import ConfigError
from ttsrt_rt.quoting import show
from ttsrt_rt.text.llm_tokenizer import LlmTokenizer

__all__ = ["StopStrings", "TextStream", "check_stops"]

MAX_STOPS, MAX_STOP_BYTES = 16, 256


def check_stops(stops: str | Sequence[str] | None) -> tuple[str, ...]:
    """Returns stop strings as a tuple.

    Raises:
        ConfigError: there are more than 16, or one is empty, longer than 256 bytes, or no text.
    """
    if stops is not None and not isinstance(stops, (str, list, tuple)):
        raise ConfigError(f"stop: expected a text or a list of texts, got {show(stops)}")
    found = (stops,) if isinstance(stops, str) else tuple(stops or ())
    if len(found) > MAX_STOPS:
        raise ConfigError(f"stop: expected at most {MAX_STOPS} texts, got {len(found)}")
    for each in found:
        if not isinstance(each, str) or not 0 < _bytes_of(each) <= MAX_STOP_BYTES:
            raise ConfigError(
                f"stop: expected texts of 1 to {MAX_STOP_BYTES} bytes in UTF-8, got {show(each)}"
            )
    return found


def _bytes_of(text: str) -> int:
    """Returns the bytes of a text, 0 for one with a lone surrogate, which no text of ids has."""
    try:
        return len(text.encode("utf-8"))
    except UnicodeEncodeError:
        return 0


class TextStream:
    """The text of ids, as they come."""

    def __init__(
        self, tokenizer: LlmTokenizer, *, skip_special: bool = True, continues: bool = False
    ) -> None:
        """Begins a text.

        Args:
            tokenizer: of the ids.
            skip_special: whether special tokens give no text.
            continues: whether the text goes on from another one, so that its first blank stays.
        """
        self._tokenizer = tokenizer
        self._skip_special = skip_special
        self._strips = tokenizer.strips_blank and not continues
        self._letters = codecs.getincrementaldecoder("utf-8")("replace")

    def feed(self, ids: Iterable[int]) -> str:
        """Returns what ids add to the text; incomplete letters are held back."""
        data = b"".join(
            self._tokenizer.bytes_of(each, skip_special=self._skip_special) for each in ids
        )
        return self._without_blank(self._letters.decode(data))

    def finish(self) -> str:
        """Returns what is left: U+FFFD for a letter that was not completed."""
        return self._without_blank(self._letters.decode(b"", final=True))

    def _without_blank(self, text: str) -> str:
        if not self._strips or not text:
            return text
        self._strips = False
        return text.removeprefix(" ")


class StopStrings:
    """Finds the first stop string in a text that comes in parts, and holds back what may become
    one.

    The one that ends first counts, and of those that end together the longest: so the parts in
    which a text comes change nothing.

    Attributes:
        found: the stop string that ended the text; None before.
    """

    def __init__(self, stops: Sequence[str], *, include: bool = False) -> None:
        """Begins a text.

        Args:
            stops: the stop strings, as `check_stops` returns them.
            include: whether the text keeps the one that ends it.
        """
        self._stops = sorted(stops, key=len, reverse=True)
        self._include = include
        self._held = ""
        self.found: str | None = None

    def feed(self, text: str) -> str:
        """Returns what may be shown of the text so far and was not yet."""
        if self.found is not None:
            return ""
        if not self._stops:
            return text
        whole = self._held + text
        ends = [(at + len(stop), stop) for stop in self._stops if (at := whole.find(stop)) >= 0]
        if ends:
            end, self.found = min(ends, key=lambda each: each[0])
            self._held = ""
            return whole[: end if self._include else end - len(self.found)]
        kept = self._possible_beginning(whole)
        self._held = whole[len(whole) - kept :]
        return whole[: len(whole) - kept]

    def finish(self) -> str:
        """Returns what was held back."""
        held, self._held = self._held, ""
        return held

    def _possible_beginning(self, text: str) -> int:
        """Returns the length of the longest tail that begins a stop string."""
        longest = min(len(self._stops[0]) - 1, len(text))
        for length in range(longest, 0, -1):
            tail = text[-length:]
            if any(len(stop) > length and stop.startswith(tail) for stop in self._stops):
                return length
        return 0
