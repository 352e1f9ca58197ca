"""Japanese as the original speaks it: katakana with the pitch, low or high, in front of each mora.

Open JTalk finds words, their pronunciation and their accent. A chain of words is spoken as one: the
accent of its first word and the number of its moras give the pitch of each.
"""

from __future__ import annotations

import logging
import re
import unicodedata
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from ttsrt_rt.text.imported import imported, installed
from ttsrt_rt.text.tokens import Span, Symbols, TextTokens

__all__ = ["JapaneseTokenizer", "pitches"]

EXTRA = "ja"
MAX_GAP = 64  # characters between two words that the analyser left out
_LOG = logging.getLogger(__name__)
_MORA = re.compile(
    "[\u30a2-\u30f3\u30f4][\u30e3\u30e5\u30e7\u30a1\u30a3\u30a5\u30a7\u30a9\u30ee]?"
    "|[\u30a1\u30a3\u30a5\u30a7\u30a9\u30f5\u30f6\u30c3\u30e3\u30e5\u30e7\u30ee]|\u30fc"
)
_SIGNS = ("\u8a18\u53f7", "\u88dc\u52a9\u8a18\u53f7")  # parts of speech: sign, auxiliary sign
_LETTER = "\u30a2\u30eb\u30d5\u30a1\u30d9\u30c3\u30c8"  # a sign that is a letter
_FILLER = "\u30d5\u30a3\u30e9\u30fc"  # what Open JTalk calls words that it only spelled out
_CASES: dict[str, Callable[[str], str]] = {"upper": str.upper, "lower": str.lower, "mixed": str}


@dataclass(frozen=True)
class _Word:
    """One word of a chain."""

    pron: str
    accent: int
    chain_flag: int
    span: Span


class JapaneseTokenizer:
    """Makes ids of Japanese texts. Threads may share one."""

    def __init__(self, description: Mapping[str, Any], offset: int) -> None:
        """Keeps the description of `text/front_end.json`, and where its ids begin."""
        self._description = description
        self._offset = offset
        self._letters = {*description["letters"]}
        self._known = {*description["symbols"], *(description["punctuation"] or ())}
        # What the reading keeps is the locale's, whichever punctuation the vocabulary has.
        self._marks = {*description["marks"]}

    @property
    def analyser(self) -> str:
        """What finds the words, with its version."""
        return installed("pyopenjtalk-plus", "pyopenjtalk")

    def encode(self, text: str) -> TextTokens:
        """Returns the ids of a text. White space is removed first, as in the original.

        Raises:
            ConfigError: the analyser is missing.
        """
        analyser = imported("pyopenjtalk", EXTRA, "Japanese")
        _LOG.debug("%s %s", analyser.__name__, getattr(analyser, "__version__", ""))
        kept = [(index, letter) for index, letter in enumerate(text) if not letter.isspace()]
        bare = "".join(letter for _, letter in kept)
        cased = _CASES[self._description["case"]](bare.lower())
        words = [word for word in analyser.run_frontend(cased) if isinstance(word, dict)]
        return self.encode_words(words, _spans(words, kept, len(text)), len(text))

    def encode_words(
        self, words: list[dict[str, Any]], spans: list[Span] | None = None, length: int = 0
    ) -> TextTokens:
        """Returns the ids of words as Open JTalk describes them.

        Args:
            words: with string, pron, pos, pos_group1, acc, mora_size and chain_flag.
            spans: of the words in the text; None for all to be at 0.
            length: of the text.
        """
        symbols = Symbols(self._description["tokens"])
        spoken = self._spoken(words, spans or [(0, 0)] * len(words), symbols)
        for symbol, span in spoken:
            symbols.take(symbol, span, self._known)
        return symbols.finish(
            self._offset, length, pad_with_space=self._description["pad_with_space"]
        )

    def _spoken(
        self, words: list[dict[str, Any]], spans: list[Span], symbols: Symbols
    ) -> list[tuple[str, Span]]:
        found: list[tuple[str, Span]] = []
        chain: list[_Word] = []

        def space(span: Span) -> None:
            if not found or found[-1][0] != " ":
                found.append((" ", span))

        for index, (word, span) in enumerate(zip(words, spans, strict=True)):
            string = unicodedata.normalize("NFKC", word.get("string", ""))
            pos, pron = word.get("pos", ""), word.get("pron", "")
            if string and pos == _FILLER and all(letter in self._letters for letter in string):
                _flush(chain, found)
                found += [(letter, span) for letter in string]
            elif pos in _SIGNS and word.get("pos_group1", "") != _LETTER:
                _flush(chain, found)
                if string in self._marks and not string.isspace():
                    found.append((string, span))
                else:
                    if not string.isspace():
                        symbols.drop(string)
                    space(span)
            elif not pron or word.get("mora_size", 0) == 0:
                if string and not string.isspace():
                    symbols.drop(string)
                    space(span)
            else:
                flag = word.get("chain_flag", 0)
                chain.append(_Word(pron, word.get("acc", 0), flag, span))
                after = words[index + 1] if index + 1 < len(words) else {}
                if after.get("chain_flag", 0) != 1:
                    _flush(chain, found)
        _flush(chain, found)
        return found


def pitches(accent: int, moras: int) -> list[int]:
    """The pitch of each mora of a chain: 0 low, 1 high.

    Args:
        accent: of its first word: the mora behind which the pitch falls, 0 for none.
        moras: how many there are.
    """
    if moras == 0:
        return []
    if accent == 1:
        return [1] + [0] * (moras - 1)
    if accent == 0 or accent >= moras:
        return [0] + [1] * (moras - 1)
    return [0] + [1] * (accent - 1) + [0] * (moras - accent)


def _flush(chain: list[_Word], found: list[tuple[str, Span]]) -> None:
    """Speaks a chain of words, and empties it."""
    if not chain:
        return
    first = next((word for word in chain if word.chain_flag != 1), chain[0])
    moras = [(mora, word.span) for word in chain for mora in _MORA.findall(word.pron)]
    for (mora, span), pitch in zip(moras, pitches(first.accent, len(moras)), strict=True):
        found.append((str(pitch), span))
        found += [(letter, span) for letter in mora]
    chain.clear()


def _spans(words: Iterable[dict[str, Any]], kept: list[tuple[int, str]], length: int) -> list[Span]:
    """Where words are in the text: each is looked for behind the one before.

    The analyser gives its words in other forms of their characters, so both sides are compared
    without differences of width and case, and with marks of voiced sounds apart from their kana. A
    word that is not found has an empty span.
    """
    letters, origins = [], []
    for index, letter in kept:
        folded = unicodedata.normalize("NFKD", letter).lower()
        letters.append(folded)
        origins += [index] * len(folded)
    text = "".join(letters)
    at = 0
    spans: list[Span] = []
    for word in words:
        string = unicodedata.normalize("NFKD", word.get("string", "")).lower()
        begin = text.find(string, at, at + MAX_GAP + len(string)) if string else -1
        if begin < 0:
            place = origins[at] if at < len(origins) else length
            spans.append((place, place))
            continue
        at = begin + len(string)
        spans.append((origins[begin], origins[at - 1] + 1))
    return spans
