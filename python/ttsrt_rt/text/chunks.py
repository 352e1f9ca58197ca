"""Puts the chunks of a text together: ids, where they come from, and what was left out."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ttsrt_rt.errors import ConfigError
from ttsrt_rt.quoting import shorten, show
from ttsrt_rt.spoken import SpokenText
from ttsrt_rt.text.tokens import Span, TextTokens

__all__ = ["Chunks"]


class Chunks:
    """Collects the chunks of one text. A chunk in which nothing is spoken is left out."""

    def __init__(self, end_id: int | None) -> None:
        """Begins a text.

        Args:
            end_id: the id behind every chunk; None if the tokenizer has its own.
        """
        self._end_id = end_id
        self._ids: list[NDArray[np.int32]] = []
        self._spans: list[NDArray[np.int32]] | None = []
        self._counts: list[int] = []
        self._dropped: dict[str, int] = {}
        self._pauses = [0]
        self._voices: list[str | None] = []

    def pause(self, milliseconds: int) -> None:
        """Puts silence in front of what comes next."""
        self._pauses[-1] += milliseconds

    def add(
        self,
        made: TextTokens,
        end: int,
        padding: Sequence[int] = (),
        *,
        voice: str | None = None,
    ) -> NDArray[np.int32]:
        """Adds a chunk, and returns its ids; none if nothing of it is spoken.

        Args:
            made: its ids.
            end: of the chunk in the text.
            padding: ids that stand behind it.
            voice: that speaks it; None for that of the request.
        """
        for letter, count in made.dropped.items():
            self._dropped[letter] = self._dropped.get(letter, 0) + count
        if made.is_silent:
            return np.zeros(0, np.int32)
        tail = [*padding, *([] if self._end_id is None else [self._end_id])]
        self._ids += [np.asarray(made.ids, np.int32), np.array(tail, np.int32)]
        if made.spans is None or self._spans is None:
            self._spans = None
        else:
            self._spans += [_pairs(made.spans), _pairs([(end, end)] * len(tail))]
        self._counts.append(len(made.ids) + len(tail))
        self._pauses.append(0)
        self._voices.append(voice)
        return np.concatenate(self._ids[-2:])

    def check_strict(self, language: str) -> None:
        """Refuses characters that nothing speaks.

        Raises:
            ConfigError: there are some.
        """
        if self._dropped:
            raise ConfigError(
                f"text: expected characters that the vocabulary of {language} has, got "
                f"{self._told_drops()}"
            )

    def _told_drops(self) -> str:
        return shorten(", ".join(repr(each) for each in list(self._dropped)[:20]))

    def spoken(
        self,
        text: str,
        language: str,
        *,
        is_strict: bool = False,
        normalized_text: str | None = None,
        analyser: str | None = None,
    ) -> SpokenText:
        """Returns all of it.

        Args:
            text: that the spans are in.
            language: that is spoken.
            is_strict: whether characters that nothing speaks are an error.
            normalized_text: see `SpokenText`.
            analyser: see `SpokenText`.

        Raises:
            ConfigError: nothing is spoken; or some character is not, and `is_strict`.
        """
        if is_strict:
            self.check_strict(language)
        if not self._ids:
            told = self._told_drops()
            more = f"; {language} has none for {told}" if told else ""
            raise ConfigError(
                f"text: expected one that can be spoken, got {show(text)}: text has no speakable "
                f"symbol{more}"
            )
        return SpokenText(
            text=text,
            ids=np.concatenate(self._ids),
            spans=None if self._spans is None else np.concatenate(self._spans),
            chunks=tuple(self._counts),
            language=language,
            normalized_text=normalized_text,
            analyser=analyser,
            dropped=self._dropped,
            pauses=tuple(self._pauses),
            voices=tuple(self._voices),
        )


def _pairs(spans: Sequence[Span] | NDArray[np.int32]) -> NDArray[np.int32]:
    return np.asarray(spans, np.int32).reshape(-1, 2)
