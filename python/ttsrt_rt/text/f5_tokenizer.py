"""The tokenizer of F5-TTS and IndicF5: characters, and syllables of pinyin for Han characters.

A syllable with its tone (`zhong1`) is one token. Text without Han characters needs nothing else;
with them, `rjieba` cuts it into words and `pypinyin` reads them: the extra `f5`.
"""

from __future__ import annotations

import importlib
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any, Literal, TypeAlias

from ttsrt_rt.errors import ConfigError
from ttsrt_rt.quoting import show
from ttsrt_rt.text.checks import check_text
from ttsrt_rt.text.segments import has_han, plain_segments

__all__ = ["F5Tokenizer", "to_tokens"]

Kind: TypeAlias = Literal["pinyin", "char", "byte"]
KINDS = ("pinyin", "char", "byte")
# Semicolons, and quotation marks that curl.
REPLACED = str.maketrans({";": ",", "\u201c": '"', "\u201d": '"', "\u2018": "'", "\u2019": "'"})
NO_SPACE_AFTER = " :'\""
MAX_LETTERS = 1 << 20
INSTALL = "pip install rjieba pypinyin"


def to_tokens(text: str) -> list[str]:
    """Returns the tokens of a text, by the rules of the original's `convert_char_to_pinyin`.

    Raises:
        ConfigError: the text has Han characters, and `rjieba` or `pypinyin` is not installed.
    """
    text = text.translate(REPLACED)
    if not has_han(text):
        return _joined(plain_segments(text), None)
    return _joined(_imported("rjieba").cut(text), _imported("pypinyin"))


def _imported(name: str) -> Any:
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise ConfigError(
            f"text: expected text without Han characters, or {name} to read them, got no {name}: "
            f"{INSTALL}"
        ) from error


def _is_spaced(letter: str) -> bool:
    """Whether a space comes before this character."""
    return "\u3100" <= letter <= "\u9fff"


def _joined(segments: Iterable[str], pypinyin: Any) -> list[str]:
    tokens: list[str] = []
    for segment in segments:
        size = len(segment.encode("utf-8"))
        if size == len(segment):  # ASCII
            if tokens and size > 1 and tokens[-1] not in NO_SPACE_AFTER:
                tokens.append(" ")
            tokens.extend(segment)
        elif size == 3 * len(segment):
            for letter, sound in zip(segment, _sounds(segment, pypinyin), strict=True):
                tokens += [" ", sound] if _is_spaced(letter) else [sound]
        else:
            for letter in segment:
                if _is_spaced(letter):
                    tokens += [" ", *_sounds(letter, pypinyin)]
                else:
                    tokens.append(letter)
    return tokens


def _sounds(segment: str, pypinyin: Any) -> Sequence[str]:
    """Returns the syllable of each character; characters without one stay."""
    if pypinyin is None:
        return segment
    sounds: Sequence[str] = pypinyin.lazy_pinyin(
        segment, style=pypinyin.Style.TONE3, tone_sandhi=True
    )
    return sounds


class F5Tokenizer:
    """Turns text into ids.

    Attributes:
        kind: "pinyin"; "char", code points as they are; or "byte", the bytes of UTF-8.
        vocab: tokens by id; empty for bytes.
    """

    def __init__(self, vocab: Sequence[str], kind: Kind = "pinyin") -> None:
        """Keeps the vocabulary. Of a token that stands twice, the last id counts.

        Raises:
            ConfigError: the kind is unknown, or there are no tokens.
        """
        if kind not in KINDS:
            raise ConfigError(f"tokenizer: expected one of {', '.join(KINDS)}, got {show(kind)}")
        if kind != "byte" and not vocab:
            raise ConfigError(f"vocab: expected tokens for the tokenizer {kind}, got none")
        self.kind = kind
        self.vocab = tuple(vocab)
        self._ids = {token: index for index, token in enumerate(self.vocab)}

    def encode(self, text: str) -> list[int]:
        """Returns the ids of a text; tokens that are not in the vocabulary get id 0.

        Raises:
            ConfigError: it is no text, is longer than 2^20 characters or has lone surrogates; or it
                has Han characters and what reads them is not installed.
        """
        check_text(text, "text", MAX_LETTERS)
        if self.kind == "byte":
            return list(text.encode("utf-8"))
        tokens = list(text) if self.kind == "char" else to_tokens(text)
        return self.ids_of(tokens)

    def ids_of(self, tokens: Iterable[str]) -> list[int]:
        """Returns the ids of tokens."""
        return [self._ids.get(token, 0) for token in tokens]

    def unknown(self, text: str) -> list[str]:
        """Returns the tokens of a text that are not in the vocabulary, each once."""
        return list(self.unknown_counts(text))

    def unknown_counts(self, text: str) -> dict[str, int]:
        """Returns the tokens of a text that are not in the vocabulary, with how often."""
        if self.kind == "byte":
            return {}
        tokens = list(text) if self.kind == "char" else to_tokens(text)
        return dict(Counter(token for token in tokens if token not in self._ids))
